/** Recordings of earlier versions replay. */
import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { LogReader } from '../../engine/log/reader.ts';
import { MemorySource } from '../../engine/log/storage.ts';
import { Replayer } from '../../engine/recording/replayer.ts';
import { loadCore } from '../../server/store/core-module.ts';
import { openImages } from '../../server/store/guest-images.ts';

const folder = fileURLToPath(new URL('../../traces/landed', import.meta.url));
const files = readdirSync(folder).filter((name) => name.endsWith('.cvlog'));

test('there are some', () => expect(files.length).toBeGreaterThan(1));

test.each(files)('%s', (name) => {
  const reader = LogReader.open(new MemorySource(readFileSync(join(folder, name))));
  const status = new Replayer({ reader, images: openImages(reader, {}), module: loadCore() }).run();
  expect(status).toMatchObject({ kind: 'identical', complete: true, position: reader.lastPosition });
});
