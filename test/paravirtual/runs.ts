/** Runs of the paravirtual build, recorded in memory. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LogReader } from '../../engine/log/reader.ts';
import { MemorySink, MemorySource } from '../../engine/log/storage.ts';
import { InputScript, parseScript } from '../../engine/recording/input-script.ts';
import { PARA_REGIME, type Recipe, type RunImages } from '../../engine/recording/recipe.ts';
import { Recorder, type RecorderStatus } from '../../engine/recording/recorder.ts';
import { Replayer } from '../../engine/recording/replayer.ts';
import { loadCore } from '../../server/store/core-module.ts';
import { imagesFolder } from '../../server/store/lab-guests.ts';

export const module = loadCore();
export const kernel = new Uint8Array(readFileSync(join(imagesFolder(), 'lab-pv.elf')));
const STEPS = 400;

export interface PvRun {
  readonly reader: LogReader;
  readonly images: RunImages;
  readonly output: string;
  readonly end: RecorderStatus;
}

export function recipeOf(commandLine: string): Recipe {
  return {
    guest: 'lab-pv', commandLine, protocol: 'auto', regime: PARA_REGIME,
    machine: { memoryBytes: 32 << 20, seed: '0000000000000001', wallClockNs: '0', acpi: false, virtio: [], accessCostNs: 1000, counts: true },
    epochInstructions: 1_000_000, digestInstructions: 2_000_000,
  };
}

/** Runs until the guest ends, or waits for what does not come. */
export function record(commandLine: string, options: { readonly disk?: RunImages['disk']; readonly script?: string; readonly steps?: number } = {}): PvRun {
  const sink = new MemorySink();
  const bytes: number[] = [];
  const images: RunImages = { kernel, disk: options.disk };
  const script = options.script === undefined ? undefined : new InputScript(parseScript(options.script));
  const recorder = new Recorder({
    recipe: recipeOf(commandLine), images, module,
    outputs: {
      console: (byte) => {
        bytes.push(byte);
        script?.output(byte);
      },
    },
    log: { sink, id: 'paravirtual', product: 'test', blockBytes: 4096 },
  });
  let end: RecorderStatus = { kind: 'running' };
  for (let step = 0; step < (options.steps ?? STEPS) && end.kind !== 'ended'; step++) {
    const typed = script?.poll().send ?? new Uint8Array();
    recorder.input(typed);
    end = recorder.step(200_000, true);
    if (end.kind === 'idle' && end.ns === Infinity && typed.length === 0) break;
  }
  if (end.kind !== 'ended') end = recorder.stop('limit', 'the test has seen enough');
  return { reader: LogReader.open(new MemorySource(sink.toBytes())), images, output: String.fromCharCode(...bytes), end };
}

export function newReplayer({ reader, images }: PvRun): Replayer {
  return new Replayer({ reader, images, module });
}
