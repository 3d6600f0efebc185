/** For the tests of this folder: a log with many kinds of exits and marks, and a regime whose costs a test can work out by itself. */
import { PHASE_RAISED, CONTROLLER_LAPIC, ACCESS_WRITE, EXIT_REASONS, KIND_EXIT } from '../../log/events.ts';
import { openLog, randomOf, writeLog } from '../../log/testing.ts';
import type { EventBatch } from '../../log/event-batch.ts';
import type { LogReader } from '../../log/reader.ts';
import { position } from '../../log/position.ts';
import { HANDLER_DEVICE_MODEL, HANDLER_LIGHT, HANDLER_SLEEP, type Projection, type ProjectionState, type RegimeSink, type RunTotals } from '../../regimes/regime.ts';
import { eventReason } from './exit-sink.ts';

/** `phases` marks with exits between them; every seventh exit is a HLT with idle time after it. */
export function exitLog(exits: number, options: { readonly phases?: number; readonly rips?: number; readonly blockBytes?: number; readonly seed?: number; readonly isOpen?: boolean } = {}): LogReader {
  const random = randomOf(options.seed ?? 5);
  const phases = options.phases ?? 3;
  const rips = options.rips ?? 20;
  return openLog(
    writeLog((sink) => {
      let at = 1000;
      for (let i = 0; i < exits; i++) {
        if (phases > 0 && i % Math.ceil(exits / phases) === 0) sink.mark(position(at), `phase ${(i / Math.ceil(exits / phases)) % 2}`, 'guest');
        at += random(3) === 0 ? 0 : random(5000);
        const rip = 0x8100_0000 + random(rips) * 16;
        switch (i % 7) {
          case 0:
            sink.exit(position(at), rip, 0xffff_ffff, EXIT_REASONS.hlt, 0, 0);
            sink.idle(position(at), random(4_000_000));
            break;
          case 1:
            sink.exitIo(position(at), rip, 0xffff_ffff, [0x3f8, 0x40, 0x70][random(3)], 1, ACCESS_WRITE, random(256), 1000);
            break;
          case 2:
            sink.exitMmio(position(at), rip, 0xffff_ffff, 0xd000_0050 + random(2) * 0x1000, 4, ACCESS_WRITE, random(4), 0, 1000);
            break;
          case 3:
            sink.exitMsr(position(at), rip, 0xffff_ffff, [0x6e0, 0xc000_0080][random(2)], random(2) === 0, random(1000), 0);
            break;
          case 4:
            sink.exitException(position(at), 0x40_0000 + random(rips), 0, 14, 6, random(100) * 4096, 0x7f);
            break;
          case 5:
            sink.exitCr(position(at), rip, 0xffff_ffff, 3, 0, 0, random(9) * 4096, 0);
            break;
          default:
            if (random(3) === 0) {
              sink.exitPageTable(position(at), rip, 0xffff_ffff, 1 + random(4), 0x10_0000 + random(512) * 8, random(1000), 0);
              break;
            }
            sink.interrupt(position(at), PHASE_RAISED, CONTROLLER_LAPIC, 0xec, -1);
            sink.exitCpuid(position(at), rip, 0xffff_ffff, 0, 0);
        }
      }
      if (options.isOpen !== true) sink.end(position(at + 500), 'shutdown', '');
    }, options.blockBytes === undefined ? {} : { blockBytes: options.blockBytes }),
  );
}

export function batchesOf(reader: LogReader): EventBatch[] {
  return reader.eventBlocks.map((_, i) => reader.batch(i));
}

/** Every exit but CPUID leaves the guest; it costs 100 cycles times its reason plus the row's value's low bits, and finish() adds one exit a phase. */
export class TestProjection implements Projection {
  readonly regime = 'test';
  readonly needs = ['pageWalks'] as const;
  private exits = 0;

  fold(batch: EventBatch, start: number, end: number, out: RegimeSink): void {
    for (let i = start; i < end; i++) {
      if (batch.kind[i] !== KIND_EXIT) continue;
      const reason = eventReason(batch, batch.site[i]);
      if (reason === EXIT_REASONS.cpuid) {
        out.direct(i, 0, 1, { low: 10, typical: 20, high: 30 });
        continue;
      }
      this.exits++;
      const cycles = testCycles(reason, batch.valueLo[i]);
      out.exit(i, reason, 0, reason === EXIT_REASONS.hlt ? HANDLER_SLEEP : batch.valueLo[i] % 2 === 0 ? HANDLER_LIGHT : HANDLER_DEVICE_MODEL, { low: cycles / 2, typical: cycles, high: cycles * 2 });
    }
  }

  tally(batch: EventBatch, start: number, end: number, _rowsOf: Uint32Array, out: RegimeSink): void {
    this.fold(batch, start, end, out);
  }

  finish(totals: RunTotals, out: RegimeSink): void {
    out.exit(-1, 1, 0, HANDLER_LIGHT, { low: totals.instructions, typical: totals.instructions, high: totals.instructions });
  }

  parameterUses(): ReadonlyMap<string, number> {
    return new Map([['test', this.exits]]);
  }

  counters(): Readonly<Record<string, number>> {
    return { exits: this.exits };
  }

  save(): ProjectionState {
    return { regime: 'test', version: 1, uses: [], counts: [], data: this.exits };
  }

  restore(state: ProjectionState): void {
    this.exits = state.data as number;
  }
}

export function testCycles(reason: number, valueLo: number): number {
  return reason * 100 + (valueLo % 64) * 2 + 2;
}
