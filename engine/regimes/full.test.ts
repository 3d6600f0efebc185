import { describe, expect, it } from 'vitest';
import { ACCESS_WRITE, CONTROLLER_PIC, CR_MOV_FROM, CR_MOV_TO, EXIT_REASONS, PHASE_INJECTED } from '../log/events.ts';
import type { EventSink } from '../log/event-sink.ts';
import { position } from '../log/position.ts';
import type { OptionValue } from './regime.ts';
import { tell } from './testing.ts';

const RIP = 0x8100_0000;
const HI = 0xffff_ffff;
const at = position;
const full = (options: Readonly<Record<string, OptionValue>>, fill: (sink: EventSink) => void): string[] => tell('full', { hostHz: 0, fillsPerNewRoot: 0, touchedShare: 0, ...options }, fill);

describe('full: what a binary translator makes of events', () => {
  const stores = (count: number, rip = RIP) => (s: EventSink): void => {
    for (let i = 1; i <= count; i++) s.exitPageTable(at(i), rip, HI, 1, 0x20_0000 + i * 8, 0, 0);
  };

  it('page-table stores are traced until their instruction is translated again', () => {
    expect(full({ adaptAfter: 2 }, stores(4))).toEqual(['trace fault (trace)', 'trace fault (trace)', 'page-table update x1', 'page-table update x1']);
    expect(full({ adaptive: false }, stores(3))).toEqual(['trace fault (trace)', 'trace fault (trace)', 'trace fault (trace)']);
    expect(full({ adaptAfter: 1 }, (s) => { stores(2)(s); s.exitPageTable(at(5), RIP + 8, HI, 1, 0x20_0000, 0, 0); })).toEqual(['trace fault (trace)', 'page-table update x1', 'trace fault (trace)']);
  });

  it('an instruction is traced anew when the counts of instructions were full, in the midst of a block too', () => {
    const others = 65_600;
    const told = full({ adaptAfter: 1 }, (s) => {
      for (let i = 0; i < others; i++) {
        s.exitPageTable(at(i), RIP, HI, 1, 0x20_0000, 0, 0);
        s.exitPageTable(at(i), RIP + 8 + 8 * i, HI, 1, 0x20_0000, 0, 0);
      }
    });
    expect(told.filter((each) => each === 'page-table update x1')).toHaveLength(others - 2);
    expect(told.filter((each) => each === 'trace fault (trace)')).toHaveLength(others + 2);
  });

  it('a true fault, its entry, and the hidden fault when the access is tried again', () => {
    const fault = (s: EventSink): void => {
      s.exitException(at(1), 0x40_0000, 0, 14, 6, 0x5000, 0);
      s.exitPageTable(at(2), RIP, HI, 1, 0x20_0000 + 5 * 8, 0x7007, 0);
    };
    expect(full({}, fault)).toEqual(['true page fault (reflection)', 'trace fault (trace)', 'hidden page fault (mmu)']);
  });

  it('devices: in the monitor, or behind the switch to the host', () => {
    const uart = (s: EventSink): void => s.exitIo(at(1), RIP, HI, 0x3f8, 1, ACCESS_WRITE, 0x41, 0);
    const pic = (s: EventSink): void => s.exitIo(at(1), RIP, HI, 0x20, 1, ACCESS_WRITE, 0x20, 0);
    expect(full({}, uart)).toEqual(['device access x1']);
    expect(full({ hosted: true }, uart)).toEqual(['device access (device model)']);
    expect(full({ hosted: true }, pic)).toEqual(['device access x1']);
  });

  it('privileged instructions are callouts; user CPUID runs directly', () => {
    expect(full({}, (s) => s.exitCr(at(1), RIP, HI, 3, CR_MOV_TO, 0, 0x1000, 0))).toEqual(['callout x1']);
    expect(full({ fillsPerNewRoot: 2 }, (s) => s.exitCr(at(1), RIP, HI, 3, CR_MOV_TO, 0, 0x1000, 0))).toEqual(['callout x1', 'hidden page fault (mmu)', 'hidden page fault (mmu)']);
    expect(full({ fillsPerNewRoot: 2 }, (s) => s.exitCr(at(1), RIP, HI, 3, CR_MOV_FROM, 0, 0x1000, 0))).toEqual(['callout x1']);
    expect(full({}, (s) => s.exitCpuid(at(1), RIP, HI, 0, 0))).toEqual(['callout x1']);
    expect(full({}, (s) => s.exitCpuid(at(1), 0x40_0000, 0, 0, 0))).toEqual([]);
    expect(full({}, (s) => s.exit(at(1), RIP, HI, EXIT_REASONS.rdtsc, 0, 0))).toEqual([]);
    expect(full({}, (s) => s.exit(at(1), RIP, HI, EXIT_REASONS.hlt, 0, 0))).toEqual(['halt (sleep)']);
    expect(full({}, (s) => s.interrupt(at(1), PHASE_INJECTED, CONTROLLER_PIC, 0x30, 0))).toEqual(['interrupt for the monitor (interrupt)']);
  });
});
