/** The compiled interpreter, engine/cpu/assembly -> core.wasm; and core-counting.wasm, which tells of accesses for a model of TLBs. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { JIT_MODES, type JitMode, setJitMode } from '../../engine/jit/jit.ts';
import type { KeptProfile } from './code-profile.ts';
import { StoreError, systemCode } from './errors.ts';
import { ownPackage } from './package-root.ts';

/** CHRONOVISOR_CORE if set; else the one beside the compiled program; else, when run from source, dist/. */
export function coreFile(environment: Readonly<Record<string, string | undefined>> = process.env): string {
  const own = environment['CHRONOVISOR_CORE'];
  if (own !== undefined && own !== '') return own;
  const beside = fileURLToPath(new URL('../../engine/cpu/core.wasm', import.meta.url));
  return existsSync(beside) ? beside : join(ownPackage().root, 'dist', 'engine', 'cpu', 'core.wasm');
}

/** The counting build, beside the usual one. */
export function countingCoreFile(): string {
  return join(dirname(coreFile()), 'core-counting.wasm');
}

const compiled = new Map<string, { readonly bytes: Uint8Array; readonly module: WebAssembly.Module }>();

let kept: KeptProfile | undefined;
/** Undefined: `kept` has changed since. */
let chosenMode: JitMode | undefined;
const nowMs = (): number => performance.now();

/** Machines that this thread makes from now on learn from a kept profile, and for it; the file is read when the first one is made. */
export function rememberCode(profile: KeptProfile | undefined): void {
  kept = profile;
  chosenMode = undefined;
}
/** Puts into the file what was learnt since rememberCode(), which holds no longer. Returns what went wrong, if anybody is to know. */
export function keepCode(): string | undefined {
  const problem = kept?.keep();
  kept = undefined;
  if (chosenMode !== undefined) setJitMode(chosenMode, nowMs);
  return problem;
}

/**
 * Whether guest code is compiled: the mode asked for on the command line, else CHRONOVISOR_JIT, else the engine's own choice. Tests choose the other modes, in which what is compiled is not what is hot:
 * they neither use a kept profile nor add to it. Throws StoreError.
 */
export function chooseJit(asked?: JitMode): void {
  const mode = asked ?? jitOf(process.env['CHRONOVISOR_JIT']) ?? 'on';
  setJitMode(mode, nowMs, mode === 'on' ? kept?.read() : undefined);
  chosenMode = mode;
}
function jitOf(text: string | undefined): JitMode | undefined {
  if (text === undefined || text === '') return undefined;
  const mode = JIT_MODES.find((each) => each === text);
  if (mode === undefined) throw new StoreError('jit-unknown', { detail: text });
  return mode;
}

/** Compiles once a process. Throws StoreError. */
export function loadCore(file: string = coreFile()): WebAssembly.Module {
  if (chosenMode === undefined) chooseJit();
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    throw new StoreError('core-missing', { file }, { cause: error });
  }
  const known = compiled.get(file);
  if (known !== undefined && Buffer.compare(known.bytes, bytes) === 0) return known.module;
  try {
    const module = new WebAssembly.Module(bytes);
    compiled.set(file, { bytes, module });
    return module;
  } catch (error) {
    throw new StoreError('core-damaged', { file, detail: error instanceof Error ? error.message : String(error) }, { cause: error });
  }
}
