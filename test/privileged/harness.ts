/** Runs a test kernel on our machine and takes its report apart. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { planBoot } from '../../engine/machine/boot/select.ts';
import { Machine, type MachineConfig, type RunStop } from '../../engine/machine/machine.ts';

export const imagesFolder = fileURLToPath(new URL('images/', import.meta.url));
export const coreFile = fileURLToPath(new URL('../../dist/engine/cpu/core.wasm', import.meta.url));

const CONFIG: MachineConfig = {
  memoryBytes: 32 * 1024 * 1024,
  seed: '0000000000000001',
  wallClockNs: '0',
  acpi: false,
  virtio: [],
  accessCostNs: 1000,
};
/** Far more than any of the kernels needs. */
const INSTRUCTIONS_MAX = 200_000_000;

export interface Report {
  readonly text: string;
  readonly lines: readonly string[];
  readonly failures: readonly string[];
  readonly passed: number;
  readonly stop: RunStop;
  readonly digest: string;
}

/** `slice`: the run is cut into pieces of so many instructions, which must change nothing. */
export function runKernel(module: WebAssembly.Module, image: Uint8Array, slice = INSTRUCTIONS_MAX): Report {
  const bytes: number[] = [];
  const machine = new Machine({ config: CONFIG, module, console: (byte) => bytes.push(byte) });
  machine.load(planBoot({ kernel: image }, { memoryBytes: CONFIG.memoryBytes }));
  let stop: RunStop = { kind: 'limit' };
  for (let until = slice; stop.kind === 'limit' && until <= INSTRUCTIONS_MAX; until += slice) {
    stop = machine.run(until);
    while (stop.kind === 'idle' && stop.ns !== Infinity) {
      machine.skipIdle(stop.ns);
      stop = machine.run(until);
    }
  }
  const text = new TextDecoder('latin1').decode(Uint8Array.from(bytes));
  const lines = text.split('\n').filter((line) => line !== '');
  return {
    text,
    lines,
    failures: lines.filter((line) => line.startsWith('not ok ')),
    passed: lines.filter((line) => line.startsWith('ok ')).length,
    stop,
    digest: machine.digest().digest,
  };
}

export function loadCore(file: string = coreFile): WebAssembly.Module {
  return new WebAssembly.Module(readFileSync(file));
}
