/**
 * The process that a crash test kills: records a guest to a file and says how much is safe.
 *
 *     node dist/test/crash/recorder.js FILE IMAGE COMMAND_LINE BLOCK_BYTES FLUSH_EVERY
 *
 * After each flush it writes a line `synced RECORDS BYTES`, at the end `ended RECORDS BYTES`. A line is one write() to a pipe, so what
 * the parent has read was true before the kill. Flushes come after so many instructions: every such run writes the same bytes.
 */
import { readFileSync, writeSync } from 'node:fs';
import { Recorder } from '../../engine/recording/recorder.ts';
import { loadCore } from '../../server/store/core-module.ts';
import { FileSink } from '../../server/store/files.ts';

const [file, image, commandLine, blockBytes, flushEvery] = process.argv.slice(2);
const sink = new FileSink(file, 'FILE');
const recorder = new Recorder({
  recipe: {
    guest: 'lab',
    commandLine,
    protocol: 'auto',
    machine: { memoryBytes: 32 << 20, seed: '00000000000000c5', wallClockNs: '1700000000000000000', acpi: false, virtio: [], accessCostNs: 1000 },
    epochInstructions: 100_000,
    digestInstructions: 1_000_000,
  },
  images: { kernel: new Uint8Array(readFileSync(image)) },
  module: loadCore(),
  log: { sink, id: 'crash', product: 'test', blockBytes: Number(blockBytes) },
});

const say = (word: string): void => void writeSync(1, `${word} ${recorder.records} ${recorder.logBytes}\n`);
// What it types keeps the guest busy and gives the log every kind of record.
recorder.input(new TextEncoder().encode('work io\nsleep 20\nmark typed\nwork fork\nps\nwork io\npoweroff\n'));
for (;;) {
  const status = recorder.step(Number(flushEvery), true);
  if (status.kind === 'ended') break;
  if (status.kind === 'idle') recorder.stop('user', 'the guest waits for ever');
  else recorder.flush();
  say('synced');
}
sink.close();
say('ended');
