/**
 * One run of the benchmark's script in v86, in a process of its own: `node v86.js FOLDER`. FOLDER has the images of v86-images.ts, as v86-NAME, and commandLine;
 * the last line on stdout is a V86Result as JSON. v86 is https://github.com/copy/v86, a 32-bit PC with a compiler to WebAssembly; nothing in it records or replays.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { findMarks, PHASES } from './guest.ts';
import { CounterTotal, type Mark, peakBytes, processTimes } from './measure.ts';

export interface V86Result {
  readonly marks: readonly Mark[];
  readonly residentBytes: number;
}

/** It counts in 32 bits, which are full after some 5 s; looked at so often no wrap is missed. */
const SAMPLE_MS = 200;
const MEMORY_BYTES = 256 << 20;

const require = createRequire(import.meta.url);

/** Undefined if the package is not installed. */
export function v86Version(): string | undefined {
  try {
    return (require('v86/package.json') as { version: string }).version;
  } catch {
    return undefined;
  }
}

async function main(folder: string): Promise<V86Result> {
  const { V86 } = await import('v86');
  const image = (name: string): { buffer: ArrayBuffer } => ({ buffer: Uint8Array.from(readFileSync(join(folder, `v86-${name}`))).buffer });
  const marks: Mark[] = [];
  const machine = new V86({
    wasm_path: require.resolve('v86/build/v86.wasm'), memory_size: MEMORY_BYTES, bios: image('bios'), vga_bios: image('vgaBios'), bzimage: image('kernel'), initrd: image('initrd'),
    cmdline: readFileSync(join(folder, 'commandLine'), 'utf8'), autostart: true, disable_keyboard: true, disable_mouse: true, disable_speaker: true,
  }); // prettier-ignore
  const total = new CounterTotal();
  const count = (): number => total.at(machine.get_instruction_counter());
  setInterval(count, SAMPLE_MS);
  return new Promise((resolve) => {
    const console = findMarks((name) => {
      marks.push({ name, ...processTimes(), instructions: count() });
      if (name === PHASES.at(-1)!.name) resolve({ marks, residentBytes: peakBytes() });
    });
    machine.add_listener('serial0-output-byte', console);
  });
}

// The machine never ends by itself: it would boot again.
if (process.argv[1]?.endsWith('v86.js')) process.stdout.write(`${JSON.stringify(await main(process.argv[2]))}\n`, () => process.exit(0));
