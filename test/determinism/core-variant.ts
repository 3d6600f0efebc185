/** Cores that are built for a test, with other constants than the usual one. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The core with replacements in memory.ts, each of which must be there. flags: of the compiler. */
export function buildCore(replacements: readonly (readonly [from: string, to: string])[], flags: readonly string[] = []): WebAssembly.Module {
  const folder = mkdtempSync(join(tmpdir(), 'chronovisor-core-'));
  try {
    cpSync(join(ROOT, 'engine/cpu'), join(folder, 'cpu'), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    const path = join(folder, 'cpu/assembly/memory.ts');
    let source = readFileSync(path, 'utf8');
    for (const [from, to] of replacements) {
      if (!source.includes(from)) throw new Error(`memory.ts has no "${from}" any more`);
      source = source.replace(from, to);
    }
    writeFileSync(path, source);
    const out = join(folder, 'core.wasm');
    const asc = join(ROOT, 'node_modules/assemblyscript/bin/asc.js');
    execFileSync(process.execPath, [asc, 'cpu/assembly/index.ts', '--config', 'cpu/assembly/asconfig.json', '--target', 'release', ...flags, '-o', out], { cwd: folder, stdio: 'pipe' });
    return new WebAssembly.Module(readFileSync(out));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
