/** For tests: a log of dirty sets whose every write is known. */
import { position } from '../../log/position.ts';
import { openLog, randomOf, writeLog } from '../../log/testing.ts';
import type { LogReader } from '../../log/reader.ts';

export interface KnownEpoch {
  readonly toPosition: number;
  readonly toNs: number;
  readonly pages: Uint32Array;
}

/** `epochs` of 1000 instructions and some idle time; pages of a hot set, a cold set, and now and then a sweep. */
export function dirtyLog(options: { readonly epochs: number; readonly pages: number; readonly seed?: number; readonly blockBytes?: number }): { readonly reader: LogReader; readonly known: readonly KnownEpoch[] } {
  const random = randomOf(options.seed ?? 3);
  const known: KnownEpoch[] = [];
  const bytes = writeLog(
    (sink) => {
      let idle = 0;
      sink.inputWallClock(position(0), 5, 0);
      for (let epoch = 0; epoch < options.epochs; epoch++) {
        const at = (epoch + 1) * 1000;
        if (random(3) === 0) {
          const ns = random(20_000);
          sink.idle(position(at - random(1000)), ns);
          idle += ns;
        }
        if (random(4) === 0) sink.inputConsole(position(at), 'uart0', new Uint8Array(1 + random(8)));
        const set = new Set<number>();
        for (let i = random(12); i > 0; i--) set.add(random(8));
        for (let i = random(6); i > 0; i--) set.add(random(options.pages));
        if (random(15) === 0) for (let page = random(options.pages); page < options.pages; page += 1 + random(2)) set.add(page);
        const pages = Uint32Array.from(set).sort();
        sink.dirty(position(at), epoch, pages);
        known.push({ toPosition: at, toNs: at + idle, pages });
      }
      sink.end(position(options.epochs * 1000), 'shutdown', 'test', undefined);
    },
    options.blockBytes === undefined ? {} : { blockBytes: options.blockBytes },
  );
  return { reader: openLog(bytes), known };
}

export function batchesOf(reader: LogReader): ReturnType<LogReader['batch']>[] {
  return reader.eventBlocks.map((_, i) => reader.batch(i));
}
