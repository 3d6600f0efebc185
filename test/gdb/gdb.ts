/** Debian's gdb in batch mode, attached to a door. */
import { execFile, execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const hasGdb = ((): boolean => {
  try {
    return /GNU gdb/.test(execFileSync('gdb', ['--version'], { encoding: 'utf8' }));
  } catch {
    return false;
  }
})();
if (!hasGdb) console.warn('test/gdb: the tests with a real gdb are left out, because gdb is not installed (Debian: apt-get install gdb)');

export const END_OF_HISTORY = 'No more reverse-execution history.';

export interface GdbStop {
  readonly position: number;
  readonly rip: bigint;
}
export interface GdbRun {
  readonly text: string;
  /** By the name that `stop NAME` gave. */
  readonly stops: ReadonlyMap<string, readonly GdbStop[]>;
  readonly symbols: ReadonlyMap<string, bigint>;
  readonly ticks: readonly bigint[];
}

const PROLOGUE = `set confirm off
set pagination off
set width 0
set breakpoint pending off
define stop
  printf "STOP $arg0 %lu %lx\\n", $icount, $rip
end
define ticks
  printf "TICKS %lu\\n", *(unsigned long *)&ticks
end
define symbol
  printf "SYMBOL $arg0 %lx\\n", (unsigned long)&$arg0
end
`;

/** A script; `stop NAME` tells where it is under this name, `ticks` the kernel's count of them, `symbol NAME` an address. */
export async function runGdb(folder: string, port: number, script: string, symbolFile: string, timeoutMs = 100_000): Promise<GdbRun> {
  const file = join(folder, 'script.gdb');
  writeFileSync(file, `${PROLOGUE}target remote 127.0.0.1:${port}\n${script}\n`);
  const text = await new Promise<string>((resolve) => {
    execFile('gdb', ['-batch', '-nx', '-x', file, symbolFile], { encoding: 'utf8', timeout: timeoutMs, maxBuffer: 1 << 26, env: { ...process.env, LC_ALL: 'C', DEBUGINFOD_URLS: '' } }, (error, out, err) => resolve(`${out}${err}${error?.killed === true ? '\ngdb was stopped, it took too long' : ''}`));
  });
  const stops = new Map<string, GdbStop[]>();
  for (const [, name, position, rip] of text.matchAll(/^STOP (\S+) (\d+) ([0-9a-f]+)$/gm)) {
    stops.set(name, [...(stops.get(name) ?? []), { position: Number(position), rip: BigInt(`0x${rip}`) }]);
  }
  const symbols = new Map([...text.matchAll(/^SYMBOL (\S+) ([0-9a-f]+)$/gm)].map(([, name, address]) => [name, BigInt(`0x${address}`)]));
  return { text, stops, symbols, ticks: [...text.matchAll(/^TICKS (\d+)$/gm)].map(([, count]) => BigInt(count)) };
}

