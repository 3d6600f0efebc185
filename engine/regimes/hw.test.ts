import { describe, expect, it } from 'vitest';
import { ACCESS_WRITE, CONTROLLER_IOAPIC, CONTROLLER_LAPIC, CONTROLLER_PIC, CR_CLTS, CR_MOV_FROM, CR_MOV_TO, EXIT_REASONS, PHASE_INJECTED, PHASE_RAISED } from '../log/events.ts';
import type { EventSink } from '../log/event-sink.ts';
import { position } from '../log/position.ts';
import type { OptionValue } from './regime.ts';
import { tell } from './testing.ts';

const RIP = 0x8100_0000;
const HI = 0xffff_ffff;
const at = position;
type Options = Readonly<Record<string, OptionValue>>;
const hw = (options: Options, fill: (sink: EventSink) => void): string[] => tell('hw', { hostHz: 0, haltPollUs: 0, ...options }, fill);
const shadow = (options: Options, fill: (sink: EventSink) => void): string[] => tell('hw-shadow', { hostHz: 0, haltPollUs: 0, ...options }, fill);
const cr = (sink: EventSink, number: number, value: number, access = CR_MOV_TO): void => sink.exitCr(at(1), RIP, HI, number, access, 0, value, 0);

describe('hw: which events leave the guest (SDM "VMX Non-Root Operation" with KVM\'s controls)', () => {
  it('CR0: TS and WP are the guest\'s, the rest is not; reads never', () => {
    expect(hw({}, (s) => cr(s, 0, 0x8000_0019))).toEqual([]); // TS
    expect(hw({}, (s) => cr(s, 0, 0, CR_CLTS))).toEqual([]);
    expect(hw({}, (s) => cr(s, 0, 0x8001_0011))).toEqual([]); // WP
    expect(hw({}, (s) => cr(s, 0, 0xc000_0011))).toEqual(['CR_ACCESS (mmu)']); // CD
    expect(hw({}, (s) => cr(s, 0, 0xc000_0011, CR_MOV_FROM))).toEqual([]);
    expect(shadow({}, (s) => cr(s, 0, 0x8001_0011))).toEqual(['CR_ACCESS (mmu)']); // WP matters to a shadow MMU
  });

  it('CR4: PGE is the guest\'s with EPT only; SVM intercepts every write', () => {
    const flush = (s: EventSink): void => { cr(s, 4, 0x20); cr(s, 4, 0xa0); };
    expect(hw({}, flush)).toEqual([]);
    expect(shadow({}, flush)).toEqual(['CR_ACCESS (mmu)']);
    expect(hw({ vendor: 'amd' }, flush)).toEqual(['write_cr4 (mmu)', 'write_cr4 (mmu)']);
    expect(hw({}, (s) => cr(s, 4, 0x10_0020))).toEqual(['CR_ACCESS (mmu)']); // SMEP
  });

  it('CR3, INVLPG, page faults and page-table stores without EPT only', () => {
    const work = (s: EventSink): void => {
      s.exitPageTable(at(1), RIP, HI, 1, 0x20_0000, 0, 0);
      cr(s, 3, 0x1000);
      s.exit(at(2), RIP, HI, EXIT_REASONS.invlpg, 0x5000, 0);
      s.exitException(at(3), RIP, HI, 14, 6, 0x5000, 0);
    };
    expect(hw({}, work)).toEqual(['exception x1']);
    expect(shadow({ fillsPerNewRoot: 1 }, work)).toEqual([
      'EXCEPTION_NMI (mmu)', 'CR_ACCESS (mmu)', 'page-table update x1', 'EXCEPTION_NMI (mmu)', 'INVLPG (mmu)', 'EXCEPTION_NMI (reflection)', 'exception x1',
    ]);
    expect(shadow({ fillsPerNewRoot: 1, ept: true }, work)).toEqual(hw({}, work));
  });

  it('exceptions: #UD is intercepted, #DE is not', () => {
    expect(hw({}, (s) => s.exitException(at(1), RIP, HI, 6, -1, 0, 0))).toEqual(['EXCEPTION_NMI (reflection)', 'exception x1']);
    expect(hw({ vendor: 'amd' }, (s) => s.exitException(at(1), RIP, HI, 6, -1, 0, 0))).toEqual(['UD excp (reflection)', 'exception x1']);
    expect(hw({}, (s) => s.exitException(at(1), RIP, HI, 0, -1, 0, 0))).toEqual(['exception x1']);
  });

  it('MSRs: the bitmap passes what KVM passes', () => {
    const write = (index: number) => (s: EventSink): void => s.exitMsr(at(1), RIP, HI, index, true, 0, 0);
    expect(hw({}, write(0xc000_0101))).toEqual([]);
    expect(hw({ msrBitmap: false }, write(0xc000_0101))).toEqual(['MSR_WRITE (light)']);
    expect(hw({}, write(0xc000_0082))).toEqual(['MSR_WRITE (light)']);
    expect(hw({ vendor: 'amd' }, write(0xc000_0082))).toEqual([]);
    expect(hw({}, write(0x6e0))).toEqual(['MSR_WRITE (in-kernel device)']);
    expect(hw({}, write(0x10))).toEqual(['MSR_WRITE (light)']);
    expect(hw({}, (s) => s.exitMsr(at(1), RIP, HI, 0x10, false, 0, 0))).toEqual([]);
  });

  it('local APIC: page or MSRs, with and without APICv and paravirtual end of interrupt', () => {
    const page = (offset: number, flags: number) => (s: EventSink): void => s.exitMmio(at(1), RIP, HI, 0xfee0_0000 + offset, 4, flags, 0, 0, 0);
    const eoi = page(0xb0, ACCESS_WRITE);
    expect(hw({}, eoi)).toEqual([]);
    expect(hw({ apicv: false }, eoi)).toEqual(['APIC_ACCESS (in-kernel device)']);
    expect(hw({ apicv: false, kvmPv: true }, eoi)).toEqual([]);
    expect(hw({ irqchip: 'user', apicv: false }, eoi)).toEqual(['EPT_MISCONFIG (device model)']);
    expect(hw({}, page(0x380, ACCESS_WRITE))).toEqual(['APIC_WRITE (in-kernel device)']);
    expect(hw({}, page(0x20, 0))).toEqual([]);
    expect(hw({}, page(0x390, 0))).toEqual(['APIC_ACCESS (in-kernel device)']);
    const x2eoi = (s: EventSink): void => s.exitMsr(at(1), RIP, HI, 0x80b, true, 0, 0);
    expect(hw({}, x2eoi)).toEqual([]);
    expect(hw({ apicv: false }, x2eoi)).toEqual(['MSR_WRITE (in-kernel device)']);
    expect(hw({ apicv: false, hyperv: true }, x2eoi)).toEqual([]);
  });

  it('ports: PIC and PIT in the kernel or not, the UART never', () => {
    const port = (number: number) => (s: EventSink): void => s.exitIo(at(1), RIP, HI, number, 1, ACCESS_WRITE, 0, 0);
    expect(hw({}, port(0x20))).toEqual(['IO_INSTRUCTION (in-kernel device)']);
    expect(hw({ irqchip: 'user' }, port(0x20))).toEqual(['IO_INSTRUCTION (device model)']);
    expect(hw({}, port(0x3f8))).toEqual(['IO_INSTRUCTION (device model)']);
    expect(hw({}, port(0x42))).toEqual(['IO_INSTRUCTION (in-kernel device)']);
    expect(hw({ kvmPv: true }, port(0x42))).toEqual([]);
  });

  it('a virtio console: one notification a line instead of registers', () => {
    const line = (s: EventSink): void => {
      for (const char of 'ok\n') {
        s.exitIo(at(1), RIP, HI, 0x3fd, 1, 0, 0x60, 0);
        s.exitIo(at(1), RIP, HI, 0x3f8, 1, ACCESS_WRITE, char.charCodeAt(0), 0);
      }
    };
    expect(hw({}, line)).toHaveLength(6);
    expect(hw({ virtioConsole: true }, line)).toEqual(['EPT_MISCONFIG (in-kernel device)']);
    expect(hw({ virtioConsole: true, ioeventfd: false }, line)).toEqual(['EPT_MISCONFIG (device model)']);
  });

  it('MMIO: a violation first, misconfigurations then; a notification ends in the kernel', () => {
    const notify = (s: EventSink): void => s.exitMmio(at(1), RIP, HI, 0xd000_0050, 4, ACCESS_WRITE, 0, 0, 0);
    const status = (s: EventSink): void => s.exitMmio(at(1), RIP, HI, 0xd000_0070, 4, 0, 0, 0, 0);
    expect(hw({}, (s) => { status(s); notify(s); status(s); })).toEqual(['EPT_VIOLATION (device model)', 'EPT_MISCONFIG (in-kernel device)', 'EPT_MISCONFIG (device model)']);
    expect(hw({ ioeventfd: false }, (s) => { status(s); notify(s); })).toEqual(['EPT_VIOLATION (device model)', 'EPT_MISCONFIG (device model)']);
    expect(hw({ vendor: 'amd' }, status)).toEqual(['npf (device model)']);
    expect(shadow({}, status)).toEqual(['EXCEPTION_NMI (device model)']);
  });

  it('memory: one violation a page of the host, at the first write', () => {
    const touch = (s: EventSink): void => { s.dirty(at(1), 0, Uint32Array.of(1, 2, 3, 600)); s.dirty(at(2), 1, Uint32Array.of(1, 4)); };
    expect(hw({}, touch)).toHaveLength(2);
    expect(hw({ hostPages: 'small' }, touch)).toHaveLength(5);
  });

  it('interrupts: host, window and none', () => {
    const device = (s: EventSink): void => {
      s.interrupt(at(10), PHASE_RAISED, CONTROLLER_IOAPIC, -1, 5);
      s.interrupt(at(10), PHASE_INJECTED, CONTROLLER_LAPIC, 0x31, -1);
    };
    expect(hw({}, device)).toEqual(['interrupt x1']);
    expect(hw({ apicv: false }, device)).toEqual(['EXTERNAL_INTERRUPT (interrupt)', 'interrupt x1']);
    const blocked = (s: EventSink): void => {
      s.interrupt(at(10), PHASE_RAISED, CONTROLLER_PIC, -1, 0);
      s.interrupt(at(15), PHASE_INJECTED, CONTROLLER_PIC, 0x30, 0);
    };
    expect(hw({}, blocked)).toEqual(['EXTERNAL_INTERRUPT (interrupt)', 'INTERRUPT_WINDOW (interrupt)', 'interrupt x1']);
    const both = (s: EventSink): void => {
      device(s);
      s.interrupt(at(20), PHASE_RAISED, CONTROLLER_PIC, -1, 5);
      s.interrupt(at(20), PHASE_RAISED, CONTROLLER_IOAPIC, -1, 5);
      s.interrupt(at(20), PHASE_INJECTED, CONTROLLER_LAPIC, 0x31, -1);
    };
    expect(hw({ apicv: false }, both), 'a masked PIC beside an I/O APIC').toEqual(['EXTERNAL_INTERRUPT (interrupt)', 'interrupt x1', 'EXTERNAL_INTERRUPT (interrupt)', 'interrupt x1']);
    const timer = (s: EventSink): void => {
      s.device(at(10), { kind: 'timer-fire', timer: 'lapic' });
      s.interrupt(at(10), PHASE_RAISED, CONTROLLER_LAPIC, 0xec, -1);
      s.interrupt(at(10), PHASE_INJECTED, CONTROLLER_LAPIC, 0xec, -1);
    };
    expect(hw({}, timer)).toEqual(['PREEMPTION_TIMER (in-kernel device)', 'interrupt x1']);
    expect(hw({ preemptionTimer: false }, timer)).toEqual(['EXTERNAL_INTERRUPT (interrupt)', 'interrupt x1']);
    expect(hw({ vendor: 'amd' }, timer)).toEqual(['interrupt (interrupt)', 'interrupt x1']);
  });

  it('a line that the guest raises itself, by an access to the device, meets it outside', () => {
    const transmit = (later: number) => (s: EventSink): void => {
      s.exitIo(at(10), RIP, HI, 0x3f8, 1, ACCESS_WRITE, 0x41, 0);
      s.interrupt(at(10 + later), PHASE_RAISED, CONTROLLER_PIC, -1, 4);
      s.interrupt(at(12 + later), PHASE_INJECTED, CONTROLLER_PIC, 0x34, 4);
    };
    expect(hw({ apicv: false }, transmit(0))).toEqual(['IO_INSTRUCTION (device model)', 'INTERRUPT_WINDOW (interrupt)', 'interrupt x1']);
    expect(hw({ apicv: false }, transmit(1))).toEqual(['IO_INSTRUCTION (device model)', 'EXTERNAL_INTERRUPT (interrupt)', 'INTERRUPT_WINDOW (interrupt)', 'interrupt x1']);
  });

  it('HLT: an exit and a wake-up; the interrupt that wakes costs no exit; polling is host time', () => {
    const sleep = (s: EventSink): void => {
      s.exit(at(5), RIP, HI, EXIT_REASONS.hlt, 0, 0);
      s.idle(at(5), 1_000_000);
      s.device(at(5), { kind: 'timer-fire', timer: 'pit' });
      s.interrupt(at(5), PHASE_RAISED, CONTROLLER_PIC, -1, 0);
      s.interrupt(at(5), PHASE_INJECTED, CONTROLLER_PIC, 0x30, 0);
    };
    expect(hw({}, sleep)).toEqual(['HLT (sleep)', 'wake-up x1', 'interrupt x1']);
    expect(hw({ haltPollUs: 200 }, sleep)).toEqual(['HLT (sleep)', 'halt polling x200000', 'wake-up x1', 'interrupt x1']);
  });

  it('the host has ticks of its own while the guest runs, not while it sleeps', () => {
    const run = (s: EventSink): void => { s.exitCpuid(at(9_000_000), RIP, HI, 0, 0); s.exit(at(9_000_001), RIP, HI, EXIT_REASONS.hlt, 0, 0); s.idle(at(9_000_001), 1e9); s.exitCpuid(at(9_000_002), RIP, HI, 0, 0); };
    expect(tell('hw', { hostHz: 250, haltPollUs: 0 }, run)).toEqual(['EXTERNAL_INTERRUPT (interrupt)', 'EXTERNAL_INTERRUPT (interrupt)', 'CPUID (light)', 'HLT (sleep)', 'wake-up x1', 'CPUID (light)']);
  });

  it('RDTSC, PAUSE and LGDT do not leave the guest; WBINVD, XSETBV and VMCALL do', () => {
    const plain = (reason: number) => (s: EventSink): void => s.exit(at(1), RIP, HI, reason, 0, 0);
    for (const reason of [EXIT_REASONS.rdtsc, EXIT_REASONS.pause, EXIT_REASONS.gdtrIdtr, EXIT_REASONS.ldtrTr, EXIT_REASONS.rdtscp]) expect(hw({}, plain(reason))).toEqual([]);
    expect([EXIT_REASONS.wbinvd, EXIT_REASONS.xsetbv, EXIT_REASONS.vmcall].flatMap((reason) => hw({}, plain(reason)))).toEqual(['WBINVD (light)', 'XSETBV (light)', 'VMCALL (hypercall)']);
  });
});

describe('hw: a recording whose guest used the paravirtual interface itself', () => {
  const LAPIC_EOI = 0xfee0_00b0;
  const eoi = (s: EventSink): void => s.exitMmio(at(2), RIP, HI, LAPIC_EOI, 4, ACCESS_WRITE, 0, 0, 0);
  const write = (index: number, value: number) => (s: EventSink): void => s.exitMsr(at(1), RIP, HI, index, true, value, 0);
  const both = (...fills: ((sink: EventSink) => void)[]) => (s: EventSink): void => fills.forEach((fill) => fill(s));
  const noApicv = { apicv: false };

  it('an EOI that it still writes is one that it needs: the option takes away no more', () => {
    const cases = [{ kvmPv: true, msr: 0x4b56_4d04 }, { hyperv: true, msr: 0x4000_0073 }];
    for (const { msr, ...options } of cases) {
      const written = hw({ ...noApicv, ...options }, write(msr, 0x5001));
      expect(hw({ ...noApicv, ...options }, eoi)).toEqual([]);
      expect(hw({ ...noApicv, ...options }, both(write(msr, 0x5001), eoi))).toEqual([...written, 'APIC_ACCESS (in-kernel device)']);
      expect(hw({ ...noApicv, ...options }, both(write(msr, 0x5001), write(msr, 0), eoi))).toEqual([...written, ...written]);
      expect(hw(noApicv, both(write(msr, 0x5001), eoi))).toEqual([...written, 'APIC_ACCESS (in-kernel device)']);
    }
  });

  it('port accesses after it has the clock are not those of a calibration', () => {
    const pit = (s: EventSink): void => s.exitIo(at(3), RIP, HI, 0x42, 1, 0, 0, 0);
    expect(hw({ kvmPv: true }, pit)).toEqual([]);
    expect(hw({ kvmPv: true }, both(write(0x4b56_4d01, 0x5001), pit))).toEqual(['MSR_WRITE (light)', 'IO_INSTRUCTION (in-kernel device)']);
    expect(hw({ hyperv: true }, both((s) => s.exitMsr(at(1), RIP, HI, 0x4000_0022, false, 0, 0), pit))).toEqual(['MSR_READ (light)', 'IO_INSTRUCTION (in-kernel device)']);
  });

  it('MSRs of Hyper-V\'s APIC and timers leave the guest with APICv as without, and end in the kernel; its timers are the host\'s', () => {
    expect(hw({}, write(0x4000_0070, 0))).toEqual(['MSR_WRITE (in-kernel device)']);
    expect(hw({}, write(0x4000_00b1, 5))).toEqual(['MSR_WRITE (in-kernel device)']);
    const fire = (s: EventSink): void => {
      s.device(at(5), { kind: 'timer-fire', timer: 'any' });
      s.interrupt(at(5), PHASE_RAISED, CONTROLLER_LAPIC, 0xed, -1);
    };
    expect(hw({}, fire)).toEqual(['PREEMPTION_TIMER (in-kernel device)']);
    expect(hw({}, both(write(0x4000_00b0, 0x1ed8), fire)).at(-1)).toBe('EXTERNAL_INTERRUPT (interrupt)');
  });

  it('the host does not poll for a guest that polls itself', () => {
    const sleep = (s: EventSink): void => {
      s.exit(at(7), RIP, HI, EXIT_REASONS.hlt, 0, 0);
      s.idle(at(7), 50_000);
    };
    expect(hw({ haltPollUs: 200 }, sleep)).toContain('halt polling x50000');
    expect(hw({ haltPollUs: 200 }, both(write(0x4b56_4d05, 0), sleep)).filter((told) => told.startsWith('halt'))).toEqual([]);
    expect(hw({ haltPollUs: 200 }, both(write(0x4b56_4d05, 0), write(0x4b56_4d05, 1), sleep))).toContain('halt polling x50000');
  });
});
