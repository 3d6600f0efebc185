import { describe, expect, it } from 'vitest';
import { ACCESS_WRITE, CONTROLLER_LAPIC, CR_CLTS, CR_MOV_FROM, CR_MOV_TO, EXIT_REASONS, HYPERCALL_REASON, PHASE_INJECTED } from '../../log/events.ts';
import type { EventSink } from '../../log/event-sink.ts';
import { position } from '../../log/position.ts';
import type { OptionValue } from '../regime.ts';
import { tell } from '../testing.ts';

const RIP = 0x8100_0000;
const HI = 0xffff_ffff;
const at = position;
const xen = (options: Readonly<Record<string, OptionValue>>, fill: (sink: EventSink) => void): string[] => tell('para', { hostHz: 0, fillsPerNewRoot: 0, touchedShare: 0, ...options }, fill);
const USER = 0x3007;
const KERNEL = 0x3003;
const store = (s: EventSink, when: number, index: number, value: number, level = 1): void => s.exitPageTable(at(when), RIP, HI, level, 0x20_0000 + index * 8, value, 0);

describe('para: what Xen\'s door makes of events', () => {
  it('user entries share a hypercall while they come quickly; kernel entries and upper tables do not', () => {
    expect(xen({ batchMax: 3 }, (s) => { for (let i = 0; i < 4; i++) store(s, 10 + i, i, USER); })).toEqual([
      'hypercall mmu_update (mmu)', 'page-table update x1', 'page-table update x1', 'page-table update x1', 'hypercall mmu_update (mmu)', 'page-table update x1',
    ]);
    expect(xen({}, (s) => { store(s, 10, 0, USER); store(s, 5000, 1, USER); })).toHaveLength(4);
    expect(xen({}, (s) => { store(s, 10, 0, KERNEL); store(s, 11, 1, KERNEL); })).toEqual(['hypercall mmu_update (mmu)', 'page-table update x1', 'hypercall mmu_update (mmu)', 'page-table update x1']);
    // Each links a table, which is validated.
    expect(xen({}, (s) => { store(s, 10, 0, USER, 2); store(s, 11, 1, 0, 2); })).toEqual(['hypercall mmu_update (mmu)', 'page-table update x1', 'page-table update x1', 'hypercall mmu_update (mmu)', 'page-table update x1']);
    // 2 MiB are 512 entries, and what start code does at low addresses the domain builder has done.
    const large = xen({}, (s) => { store(s, 10, 0, KERNEL | 0x80, 2); });
    expect(large.filter((each) => each === 'hypercall mmu_update (mmu)')).toHaveLength(512);
    expect(large.at(-1)).toBe('page-table update x511');
    expect(xen({}, (s) => s.exitPageTable(at(10), 0x100_0000, 0, 2, 0x20_0000, KERNEL | 0x80, 0))).toEqual([]);
    expect(xen({ batching: false }, (s) => { store(s, 10, 0, USER); store(s, 11, 1, USER); })).toEqual(['hypercall mmu_update (mmu)', 'page-table update x1', 'hypercall mmu_update (mmu)', 'page-table update x1']);
  });

  it('exceptions and interrupts bounce and return by a hypercall', () => {
    expect(xen({}, (s) => s.exitException(at(1), 0x40_0000, 0, 14, 6, 0x5000, 0))).toEqual(['exception bounced (reflection)', 'exception x1', 'hypercall iret (hypercall)']);
    expect(xen({}, (s) => s.interrupt(at(1), PHASE_INJECTED, CONTROLLER_LAPIC, 0xec, -1))).toEqual(['event upcall (interrupt)', 'interrupt x1', 'hypercall iret (hypercall)']);
  });

  it('a new root is pinned once; CR3 reads are free', () => {
    const load = (s: EventSink, root: number): void => s.exitCr(at(1), RIP, HI, 3, CR_MOV_TO, 0, root * 4096, 0);
    expect(xen({ fillsPerNewRoot: 1 }, (s) => { load(s, 1); load(s, 2); load(s, 1); })).toEqual([
      'hypercall mmuext_op (mmu)', 'hypercall mmuext_op (hypercall)', 'hypercall mmuext_op (mmu)', 'hypercall mmuext_op (hypercall)', 'hypercall mmuext_op (hypercall)',
    ]);
    expect(xen({}, (s) => s.exitCr(at(1), RIP, HI, 3, CR_MOV_FROM, 0, 0, 0))).toEqual([]);
  });

  it('devices are rings, or emulated one access at a time', () => {
    const line = (s: EventSink): void => { for (const char of 'ok\n') s.exitIo(at(1), RIP, HI, 0x3f8, 1, ACCESS_WRITE, char.charCodeAt(0), 0); };
    expect(xen({}, line)).toEqual(['hypercall event_channel_op (device model)']);
    expect(xen({ splitDrivers: false }, line)).toHaveLength(3);
    expect(xen({}, (s) => s.exitIo(at(1), RIP, HI, 0x20, 1, ACCESS_WRITE, 0x20, 0))).toEqual([]);
    expect(xen({}, (s) => s.exitIo(at(1), RIP, HI, 0x42, 1, 0, 0, 0))).toEqual(['privileged operation emulated (emulation)']);
    expect(xen({}, (s) => s.exitMmio(at(1), RIP, HI, 0xd000_0050, 4, ACCESS_WRITE, 0, 0, 0))).toEqual(['hypercall event_channel_op (device model)']);
  });

  it('privileged instructions: hypercalls where Linux has one, else emulated', () => {
    expect(xen({}, (s) => s.exitCr(at(1), RIP, HI, 0, CR_CLTS, 0, 0, 0))).toEqual(['hypercall fpu_taskswitch (hypercall)']);
    expect(xen({}, (s) => s.exitMsr(at(1), RIP, HI, 0xc000_0100, true, 0, 0))).toEqual(['hypercall set_segment_base (hypercall)']);
    expect(xen({}, (s) => s.exitMsr(at(1), RIP, HI, 0x6e0, true, 0, 0))).toEqual(['hypercall vcpu_op (hypercall)']);
    expect(xen({}, (s) => s.exitMsr(at(1), RIP, HI, 0x1a0, false, 0, 0))).toEqual(['privileged operation emulated (emulation)']);
    expect(xen({}, (s) => s.exitCpuid(at(1), RIP, HI, 0, 0))).toEqual(['forced CPUID (emulation)']);
    expect(xen({}, (s) => s.exitCpuid(at(1), 0x40_0000, 0, 0, 0))).toEqual([]);
    expect(xen({}, (s) => s.exit(at(1), RIP, HI, EXIT_REASONS.invlpg, 0x5000, 0))).toEqual(['hypercall mmuext_op (hypercall)']);
    expect(xen({}, (s) => s.exit(at(1), RIP, HI, EXIT_REASONS.hlt, 0, 0))).toEqual(['hypercall sched_op (sleep)']);
  });

  it('a guest that knows: its own hypercalls, and nothing is inferred', () => {
    const call = (s: EventSink, when: number, number: number, qualification = 0): void => s.exit(at(when), RIP, HI, HYPERCALL_REASON + number, qualification, 0);
    expect(xen({}, (s) => {
      call(s, 1, 13, 40 | (3 << 16));
      call(s, 2, 26, 2 | (2 << 16));
      call(s, 3, 26, 2);
      call(s, 4, 29, 1);
      call(s, 5, 32, 4);
      call(s, 6, 32, 9);
    })).toEqual([
      'hypercall multicall (mmu)', 'page-table update x3', 'page-table update x40', 'hypercall mmuext_op (mmu)', 'page-table update x2', 'hypercall mmuext_op (mmu)', 'hypercall sched_op (sleep)',
      'hypercall event_channel_op (device model)', 'hypercall event_channel_op (hypercall)',
    ]);
    // Its returns are in the log, but for that of a system call, which is in the cost of the call.
    expect(xen({}, (s) => {
      call(s, 1, 4);
      s.exitException(at(2), 0x40_0000, 0, 14, 6, 0x5000, 0);
      call(s, 3, 23);
      s.exit(at(4), 0x40_0000, 0, EXIT_REASONS.paravirtualSystemCall, 39, 0);
      call(s, 5, 23);
      call(s, 6, 23);
    })).toEqual(['hypercall set_callbacks (hypercall)', 'exception bounced (reflection)', 'exception x1', 'hypercall iret (hypercall)', 'system call x1', 'hypercall iret (hypercall)']);
  });

  it('system calls that are events are not charged again when they are counted', () => {
    const calls = (s: EventSink, from: number, count: number): void => {
      for (let i = 0; i < count; i++) s.exit(at(from + i), 0x40_0000, 0, EXIT_REASONS.paravirtualSystemCall, 39, 0);
    };
    expect(xen({}, (s) => {
      calls(s, 1, 3);
      s.counts(at(10), 100, 3);
      calls(s, 11, 1);
      s.counts(at(20), 200, 6);
    })).toEqual(['system call x1', 'system call x1', 'system call x1', 'system call x1', 'system call x2']);
  });

  it('PVM: the same door with shadow page tables', () => {
    const pvm = (fill: (sink: EventSink) => void): string[] => tell('pvm', { hostHz: 0, fillsPerNewRoot: 0, touchedShare: 0 }, fill);
    expect(pvm((s) => s.exitException(at(1), 0x40_0000, 0, 14, 6, 0x5000, 0))).toEqual(['PF excp (reflection)', 'exception x1']);
    expect(pvm((s) => { store(s, 10, 0, USER); store(s, 11, 1, USER); })).toEqual(['PF excp (page-table write) (mmu)']);
    expect(pvm((s) => s.exitCr(at(1), RIP, HI, 3, CR_MOV_TO, 0, 4096, 0))).toEqual(['HC_LOAD_PGTBL (mmu)']);
    expect(pvm((s) => s.exitIo(at(1), RIP, HI, 0x3f8, 1, ACCESS_WRITE, 0x41, 0))).toEqual(['GP excp (device model)']);
  });
});
