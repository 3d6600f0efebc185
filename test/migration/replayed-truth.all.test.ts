/** First writes of a whole recording, against its dirty sets; and the replay is still the recording. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { EpochSplitter } from '../../engine/analysis/dirty/epoch.ts';
import { replayEpochs } from '../../engine/analysis/dirty/first-writes.ts';
import { LogReader } from '../../engine/log/reader.ts';
import { MemorySource } from '../../engine/log/storage.ts';
import { Replayer } from '../../engine/recording/replayer.ts';
import { loadCore } from '../../server/store/core-module.ts';

for (const name of ['lab-kernel', 'bug-lost-update']) {
  it(`${name}: the probe finds what was recorded, and every digest is that of the log`, () => {
    const reader = LogReader.open(new MemorySource(readFileSync(fileURLToPath(new URL(`../../traces/${name}.cvlog`, import.meta.url)))));
    const splitter = new EpochSplitter();
    const recorded = reader.eventBlocks.flatMap((_, i) => splitter.split(reader.batch(i)));
    const replayer = new Replayer({ reader, images: { kernel: reader.image(reader.header.images[0].sha256)! }, module: loadCore() });
    const epochs = [...replayEpochs(replayer, { instructions: reader.header.config.epochInstructions, reads: true, content: true })];
    expect(epochs.map(({ toPosition, toNs, pages }) => [toPosition, toNs, [...pages].sort((a, b) => a - b)])).toEqual(recorded.map(({ toPosition, toNs, pages }) => [toPosition, toNs, [...pages]]));
    expect(recorded.reduce((sum, { pages }) => sum + pages.length, 0)).toBeGreaterThan(200);
    expect(replayer.run().kind).toBe('identical');
  });
}
