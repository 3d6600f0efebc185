import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EventBatch } from '../log/event-batch.ts';
import { CONTROLLERS, CR_ACCESSES, EXIT_REASONS, INTERRUPT_PHASES, type ExitDetail, type LogEvent } from '../log/events.ts';
import { position } from '../log/position.ts';
import type { LogReader } from '../log/reader.ts';
import { EVENT_GENERATORS, openLog, writeLog } from '../log/testing.ts';
import { candidate, costsOf, projectionOf, REGIMES, variants, type Candidate } from './catalogue.ts';
import { PLATFORMS } from './platforms/platforms.ts';
import type { Cycles, ProjectionState, RegimeSink } from './regime.ts';
import { countBySite, SITES_MAX } from './site-rows.ts';

/** Adds up: exits by reason, handler and cost, direct costs by kind and cost. Cycles are whole, so every sum of them follows. */
class SummingSink implements RegimeSink {
  readonly sums = new Map<string, number>();

  exit(row: number, reason: number, qualification: number, handler: number, cycles: Cycles): void {
    this.exitTimes(row, reason, qualification, handler, cycles, 1);
  }

  exitTimes(_row: number, reason: number, _qualification: number, handler: number, { low, typical, high }: Cycles, count: number): void {
    this.add(`exit ${reason} ${handler} ${low} ${typical} ${high}`, count);
  }

  direct(_row: number, kind: number, count: number, { low, typical, high }: Cycles): void {
    this.add(`direct ${kind} ${low} ${typical} ${high}`, count);
  }

  private add(key: string, count: number): void {
    this.sums.set(key, (this.sums.get(key) ?? 0) + count);
  }
}

const allBatches = (log: LogReader): EventBatch[] => log.eventBlocks.map((_, i) => log.batch(i));
const batchesOf = (events: readonly LogEvent[]): EventBatch[] => allBatches(openLog(writeLog((writer) => events.forEach((event) => writer.append(event)))));

interface Folded {
  readonly sums: Map<string, number>;
  readonly state: ProjectionState;
}

/** Rows between two cuts are folded row by row, or told by site. */
function folded(chosen: Candidate, batches: readonly EventBatch[], cuts: readonly number[], isTally: (stretch: number) => boolean): Folded {
  const sink = new SummingSink();
  const projection = projectionOf(chosen, costsOf(chosen));
  const rowsOf = new Uint32Array(SITES_MAX);
  let stretch = 0;
  for (const batch of batches) {
    const ends = [0, ...cuts.map((cut) => cut % (batch.count + 1)).sort((a, b) => a - b), batch.count];
    for (let i = 0; i + 1 < ends.length; i++) {
      if (isTally(stretch++)) {
        countBySite(batch, ends[i], ends[i + 1], rowsOf);
        projection.tally(batch, ends[i], ends[i + 1], rowsOf, sink);
      } else projection.fold(batch, ends[i], ends[i + 1], sink);
    }
  }
  projection.finish({ instructions: 1_000_000, idleNs: 0, systemCalls: 10, pageWalks: 20, kernelInstructions: 30 }, sink);
  return { sums: sink.sums, state: projection.save() };
}

const KERNEL = 0xffff_ffff_8100_0000n;
const exit = (reason: number, detail: ExitDetail, rip = KERNEL): EventBody => ({ kind: 'exit', reason, rip, detail });
type Body<T> = T extends LogEvent ? Omit<T, 'position'> : never;
type EventBody = Body<LogEvent>;

/** What a guest does again and again, and what its rows leave behind for others: sleep, accesses to devices, interrupts, page tables. */
const USUAL: readonly EventBody[] = [
  exit(EXIT_REASONS.hlt, { kind: 'plain', qualification: 0n }),
  ...[0x20, 0x40, 0x70, 0x80, 0x3f8].map((port) => exit(EXIT_REASONS.io, { kind: 'io', port, size: 1, write: true, string: false, rep: false, value: 0x0a, costNs: 1000 })),
  ...[0xfee0_00b0, 0xfee0_0380, 0xfec0_0000, 0xd000_0050].map((address) => exit(EXIT_REASONS.mmio, { kind: 'mmio', address, size: 4, write: true, value: 1n, costNs: 1000 })),
  exit(EXIT_REASONS.wrmsr, { kind: 'msr', index: 0x6e0, write: true, value: 5n }),
  exit(EXIT_REASONS.wrmsr, { kind: 'msr', index: 0x4b56_4d04, write: true, value: 1n }),
  exit(EXIT_REASONS.cpuid, { kind: 'cpuid', leaf: 1, subleaf: 0 }),
  exit(EXIT_REASONS.cpuid, { kind: 'cpuid', leaf: 1, subleaf: 0 }, 0x40_1000n),
  ...CR_ACCESSES.flatMap((access) => [0, 3].map((cr) => exit(EXIT_REASONS.cr, { kind: 'cr', cr, access, gpr: 0, value: 0x8000_0011n }))),
  ...[3, 6, 14].map((vector) => exit(EXIT_REASONS.exception, { kind: 'exception', vector, errorCode: 4, address: 0x7000n }, 0x40_1000n)),
  ...[1, 2, 3].map((level) => exit(EXIT_REASONS.pageTableWrite, { kind: 'page-table', level, address: 0x10_0008 * level, value: 7n })),
  ...CONTROLLERS.flatMap((controller) => INTERRUPT_PHASES.slice(0, 2).map((phase): EventBody => ({ kind: 'interrupt', phase, controller, vector: 0x30, line: 0 }))),
  { kind: 'device', report: { kind: 'timer-fire', timer: 'lapic' } },
  { kind: 'idle', ns: 100_000 },
  { kind: 'dirty', epoch: 1, pages: Uint32Array.of(1, 2, 700), more: false },
];
const { 'dirty with first writes': _, ...generators } = EVENT_GENERATORS;
const steps = fc.record({ pick: fc.nat(1000), delta: fc.constantFrom(0, 0, 0, 1, 900, 5_000_000) });

function eventsOf(pool: readonly EventBody[], chosen: readonly { readonly pick: number; readonly delta: number }[]): LogEvent[] {
  let at = 0;
  return chosen.map(({ pick, delta }) => ({ ...pool[pick % pool.length], position: position((at += delta)) }) as LogEvent);
}

const ALL: readonly Candidate[] = [...REGIMES, ...PLATFORMS].map(({ id }) => candidate(id));
const CHANGED: readonly Candidate[] = [...ALL, ...ALL.flatMap((chosen) => variants(chosen).map((each) => each.candidate)), candidate('hw', { options: { vendor: 'amd' } }), candidate('hw-shadow', { options: { vendor: 'amd' } })];

describe('a tally', () => {
  it('is the sums of a fold row by row, and leaves the same state, of any events, cut anywhere, each stretch in either way', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(...Object.values(generators)), { maxLength: 4 }), fc.array(steps, { minLength: 40, maxLength: 300 }), fc.constantFrom(...CHANGED), fc.array(fc.nat(), { maxLength: 3 }), fc.nat(7),
        (some, chosen, regime, cuts, ways) => {
          const batches = batchesOf(eventsOf([...USUAL, ...some], chosen));
          const expected = folded(regime, batches, [], () => false);
          expect(folded(regime, batches, cuts, (stretch) => ((ways >> (stretch % 3)) & 1) === 0)).toEqual(expected);
        },
      ),
      { numRuns: 400 },
    );
  });

  it.each(['debian-boot', 'debian-init-kvm', 'debian-lmbench-pti'])('is the sums of a fold row by row: %s under every regime and platform', (name) => {
    const batches = allBatches(openLog(new Uint8Array(readFileSync(new URL(`../../traces/published/${name}.cvlog`, import.meta.url)))));
    for (const chosen of ALL) expect(folded(chosen, batches, [1000, 1300, 5000], () => true), chosen.id).toEqual(folded(chosen, batches, [], () => false));
  });

  it('is a fold where a cost has a fraction: sums of those depend on their order', () => {
    const batches = batchesOf(eventsOf(USUAL, Array.from({ length: 200 }, (_, i) => ({ pick: i, delta: 1 }))));
    const chosen = candidate('hw');
    const rows: number[] = [];
    const sink: RegimeSink = { exit: (row) => void rows.push(row), exitTimes: (row) => void rows.push(row), direct: (row) => void rows.push(row) };
    const rowsOf = new Uint32Array(SITES_MAX);
    countBySite(batches[0], 0, batches[0].count, rowsOf);
    projectionOf(chosen, costsOf(chosen)).tally(batches[0], 0, batches[0].count, rowsOf, sink);
    expect(rows).toContain(-1);
    rows.length = 0;
    projectionOf(chosen, costsOf(chosen, new Map([['hw.io-kernel', { low: 1, typical: 1.5, high: 2 }]]))).tally(batches[0], 0, batches[0].count, rowsOf, sink);
    expect(rows).not.toContain(-1);
  });
});
