/**
 * Models beside publications. Each block prints a table with the error of each row; what is asserted are calibrations (within 1 %), rows that the models claim to
 * predict (with a stated tolerance), and the orders that must come out. README.md says which rows do not fit, and why.
 */
import { describe, expect, it } from 'vitest';
import { EXIT_REASONS } from '../../engine/log/events.ts';
import { position } from '../../engine/log/position.ts';
import { openLog, writeLog } from '../../engine/log/testing.ts';
import type { EventBatch } from '../../engine/log/event-batch.ts';
import type { EventSink } from '../../engine/log/event-sink.ts';
import { Ledger } from '../../engine/analysis/comparison/ledger.ts';
import { candidate, costsOf, projectionOf } from '../../engine/regimes/catalogue.ts';
import { Costs } from '../../engine/regimes/costs/cost-table.ts';
import { VMX, SVM, XEN, XEN_HYPERCALL_BASE, XEN_TRAP } from '../../engine/regimes/reasons.ts';
import type { OptionValue } from '../../engine/regimes/regime.ts';
import { batchesOf, costsOfStretches, errorOf, published, show, stretches, systemCallsOf, type Stretch } from './published.ts';

/** No timer of the host; no APICv: the machines of these publications did not have it, and events of the host are not in their rows. */
const QUIET_HOST = { hostHz: 0 } as const;
const EVENTS = 1000;
/** Each workload of traces/published/debian-lmbench*.cvlog runs so often. */
const ITERATIONS = 25;
/** `dd bs=1 count=1000`: a read and a write each. */
const DD_CALLS = 2000;

function cyclesOf(fill: (sink: EventSink) => void, id: string, cpu: string, options: Readonly<Record<string, OptionValue>> = {}): Ledger {
  const reader = openLog(writeLog(fill));
  const chosen = candidate(id, { cpu, options });
  const projection = projectionOf(chosen, costsOf(chosen));
  const ledger = new Ledger();
  for (let i = 0; i < reader.eventBlocks.length; i++) projection.fold(reader.batch(i), 0, reader.batch(i).count, ledger);
  return ledger;
}

describe('Adams & Agesen, ASPLOS 2006', () => {
  const data = published<{
    nanobenchmarksCycles: { operation: string; native: number; full: number; 'hw-shadow': number }[];
    forkwait: { iterations: number; seconds: Record<'native' | 'full' | 'hw-shadow', number> };
    machine: { gigahertz: number };
  }>('aa06');
  const AT = 0x8100_0000;
  const KERNEL = 0xffff_ffff;
  const operations: Readonly<Record<string, (sink: EventSink, i: number) => void>> = {
    'in from port 0x80': (sink, i) => sink.exitIo(position(i * 100), AT, KERNEL, 0x80, 1, 0, 0, 0),
    'page fault': (sink, i) => sink.exitException(position(i * 100), AT, KERNEL, 14, 4, 0x1000, 0),
    'page-table write': (sink, i) => sink.exitPageTable(position(i * 100), AT, KERNEL, 1, 0x20_0000, 0x3003, 0),
    'divide error': (sink, i) => sink.exitException(position(i * 100), AT, KERNEL, 0, -1, 0, 0),
  };
  /** Their monitor for VT-x saw every store to a page table. */
  const OPTIONS = { native: {}, full: QUIET_HOST, 'hw-shadow': { ...QUIET_HOST, apicv: false, unsync: false } } as const;

  it('nanobenchmarks: the calibration comes back out of the projections', () => {
    const rows: (string | number)[][] = [];
    for (const figure of data.nanobenchmarksCycles) {
      for (const id of ['native', 'full', 'hw-shadow'] as const) {
        const model = cyclesOf((sink) => { for (let i = 1; i <= EVENTS; i++) operations[figure.operation](sink, i); }, id, 'pentium4', OPTIONS[id]).cycles().typical / EVENTS;
        rows.push([figure.operation, id, model, figure[id], errorOf(model, figure[id])]);
        const isOwnCalibration = !(figure.operation === 'divide error' && id !== 'full') && !(figure.operation === 'page-table write' && id === 'native');
        if (isOwnCalibration) expect(Math.abs(model - figure[id]) / figure[id], `${figure.operation} under ${id}`).toBeLessThan(0.05);
      }
    }
    show('Adams & Agesen, nanobenchmarks, cycles (calibration)', ['operation', 'regime', 'model', 'published', 'error'], rows);
  });

  it('forkwait: from the events of a fork of today\'s kernel, full < hw-shadow', () => {
    const { iterations, seconds } = data.forkwait;
    const base = (seconds.native / iterations) * data.machine.gigahertz * 1e9;
    const off = stretches(batchesOf('debian-lmbench'));
    const per = (id: string, options: Readonly<Record<string, OptionValue>>): number => (costsOfStretches(off, id, 'pentium4', options).get('fork')?.cycles().typical ?? NaN) / ITERATIONS;
    const native = per('native', {});
    const slowdown = (cycles: number): number => (base + cycles - native) / base;
    // That log is older than the counts of kernel instructions: a fork and its wait are hardly anything else.
    const translated = ((off.find(({ name }) => name === 'fork')?.instructions ?? NaN) / ITERATIONS) * new Costs('pentium4').cost('bt.kernel-instruction').typical;
    const full = slowdown(per('full', OPTIONS.full) + translated);
    const traced = slowdown(per('full', { ...OPTIONS.full, adaptive: false }) + translated);
    const watched = slowdown(per('hw-shadow', OPTIONS['hw-shadow']));
    const unsync = slowdown(per('hw-shadow', { ...OPTIONS['hw-shadow'], unsync: true }));
    const figure = (id: 'full' | 'hw-shadow'): number => seconds[id] / seconds.native;
    show('Adams & Agesen, forkwait, slowdown (prediction: events of Linux 6.1 instead of 2.6)', ['regime', 'model', 'published', 'error'], [
      ['full, stores to page tables adapted', full, figure('full'), errorOf(full, figure('full'))],
      ['full, each of them a trace fault', traced, figure('full'), errorOf(traced, figure('full'))],
      ['hw-shadow, every store seen', watched, figure('hw-shadow'), errorOf(watched, figure('hw-shadow'))],
      ['hw-shadow as KVM (unsync)', unsync, figure('hw-shadow'), errorOf(unsync, figure('hw-shadow'))],
    ]);
    expect(full).toBeGreaterThan(1);
    expect(full).toBeLessThan(unsync);
    expect(full).toBeLessThan(traced);
    expect(traced).toBeLessThan(watched);
    // By how much: published 2.9 times.
    expect(watched / traced).toBeGreaterThan(2.9 * 0.8);
    expect(watched / traced).toBeLessThan(2.9 * 1.2);
    expect(unsync).toBeLessThan(watched);
    // Published: 17.7. The one row of forkwait that the model claims.
    expect(watched).toBeGreaterThan(17.7 * 0.8);
    expect(watched).toBeLessThan(17.7 * 1.2);
  });
});

describe('PVM, SOSP 2023', () => {
  const { lmbenchMicroseconds, machine } = published<{ lmbenchMicroseconds: { test: string; ept: number; spt: number; pvm: number }[]; machine: { gigahertz: number } }>('pvm23');
  const on = stretches(batchesOf('debian-lmbench-pti'));
  const off = stretches(batchesOf('debian-lmbench'));
  const costs = new Costs('cascade-lake');
  const kpti = costs.cost('native.kpti').typical;
  const direct = costs.cost('pv.direct-switch').typical;
  const of = (list: readonly Stretch[], name: string): Stretch => {
    const found = list.find((each) => each.name === name);
    if (found === undefined) throw new Error(`the recording has no stretch ${name}`);
    return found;
  };
  const typical = (ledgers: ReadonlyMap<string, Ledger>, name: string): number => ledgers.get(name)?.cycles().typical ?? NaN;
  const ept = costsOfStretches(on, 'hw', 'cascade-lake', { ...QUIET_HOST, apicv: false });
  const spt = costsOfStretches(on, 'hw-shadow', 'cascade-lake', { ...QUIET_HOST, apicv: false });
  const pvm = costsOfStretches(off, 'pvm', 'cascade-lake', QUIET_HOST);

  /** Over VT-x with EPT, us an iteration. Entries to the guest kernel: pairs of CR3 loads that only the recording with KPTI has. */
  function excess(name: string, iterations: number): { spt: number; pvm: number } {
    const us = iterations * machine.gigahertz * 1000;
    const entries = (of(on, name).cr3Loads - of(off, name).cr3Loads) / 2;
    const calls = entries - of(on, name).exceptions - of(on, name).interrupts;
    expect(calls).toBeGreaterThan(0);
    const base = typical(ept, name);
    return { spt: (typical(spt, name) - base) / us, pvm: (typical(pvm, name) + calls * direct - entries * kpti - base) / us };
  }

  it('system calls: the same excess for every call that does little else', () => {
    const call = excess('io', DD_CALLS);
    const rows = lmbenchMicroseconds.slice(0, 5).flatMap(({ test, ept: base, spt: shadow, pvm: software }) => [
      [test, 'shadow', call.spt, shadow - base, errorOf(call.spt, shadow - base)],
      [test, 'pvm', call.pvm, software - base, errorOf(call.pvm, software - base)],
    ]);
    show('SOSP 2023, us over VT-x with EPT for a system call (get_pid is the calibration)', ['test', 'regime', 'model', 'published', 'error'], rows);
    for (const { test, ept: base, spt: shadow } of lmbenchMicroseconds.slice(0, 5)) expect(Math.abs(call.spt - (shadow - base)) / (shadow - base), test).toBeLessThan(0.1);
    expect(call.pvm).toBeLessThan(call.spt / 5);
  });

  it('fork, exec, sh: fit shadow paging of fork, predict the others', () => {
    const tests = ['fork', 'exec', 'sh'] as const;
    const figures = tests.map((test) => {
      const row = lmbenchMicroseconds.find((each) => each.test === test);
      if (row === undefined) throw new Error(`no row ${test}`);
      return { test, spt: row.spt - row.ept, pvm: row.pvm - row.ept, model: excess(test, ITERATIONS) };
    });
    const k = figures[0].spt / figures[0].model.spt;
    const rows = figures.flatMap(({ test, spt: shadow, pvm: software, model }) => [
      [test, 'shadow', model.spt, model.spt * k, shadow, test === 'fork' ? 'fitted' : errorOf(model.spt * k, shadow)],
      [test, 'pvm', model.pvm, model.pvm * k, software, errorOf(model.pvm * k, software)],
    ]);
    show(`SOSP 2023, us over VT-x with EPT (k = ${k.toFixed(2)}: their processes against busybox's)`, ['test', 'regime', 'model', 'model x k', 'published', 'error'], rows);
    for (const { model } of figures) {
      expect(model.pvm).toBeGreaterThan(0);
      expect(model.pvm).toBeLessThan(model.spt);
    }
    expect(figures[0].model.spt).toBeLessThan(figures[1].model.spt);
    expect(figures[1].model.spt).toBeLessThan(figures[2].model.spt);
    expect(k).toBeGreaterThan(0.5);
    expect(k).toBeLessThan(2);
  });
});

describe('Xen, SOSP 2003', () => {
  it('a build of Linux: its 7 % in the system, slowed down as our fork + exec is; native < para < full', () => {
    const { linuxBuildSeconds: seconds, systemShare } = published<{ linuxBuildSeconds: { native: number; xen: number; vmwareWorkstation: number }; systemShare: number }>('xen03');
    const on = stretches(batchesOf('debian-lmbench-pti'));
    const off = stretches(batchesOf('debian-lmbench'));
    const exec = (list: readonly Stretch[]): Stretch => list.find(({ name }) => name === 'exec') ?? list[0];
    const { instructions, exceptions, interrupts } = exec(off);
    const calls = (exec(on).cr3Loads - exec(off).cr3Loads) / 2 - exceptions - interrupts;
    const costs = new Costs('pentium4');
    const typical = (id: string, options: Readonly<Record<string, OptionValue>>): number => costsOfStretches(off, id, 'pentium4', options).get('exec')?.cycles().typical ?? NaN;
    const native = instructions + typical('native', {});
    const build = (cycles: number): number => seconds.native * (1 - systemShare + (systemShare * (instructions + cycles)) / native);
    const xen = build(typical('para', QUIET_HOST) + calls * costs.cost('pv.syscall').typical);
    const vmware = build(typical('vmware-workstation-bt', QUIET_HOST) + calls * costs.cost('bt.syscall').typical);
    show('SOSP 2003, build of Linux, s (prediction: the mix of a fork + exec of Linux 6.1)', ['', 'model', 'published', 'error'], [
      ['Xen', xen, seconds.xen, errorOf(xen, seconds.xen)],
      ['VMware Workstation', vmware, seconds.vmwareWorkstation, errorOf(vmware, seconds.vmwareWorkstation)],
    ]);
    expect(calls).toBeGreaterThan(0);
    expect(xen).toBeGreaterThan(seconds.native);
    expect(vmware).toBeGreaterThan(xen);
    expect(Math.abs(xen - seconds.xen) / seconds.xen).toBeLessThan(0.05);
  });
});

describe('exits of a boot', () => {
  it('of the same Debian kernel under KVM (SVM) and Xen', () => {
    const { rows, native } = published<{ rows: Readonly<Record<string, unknown>>[]; native: { systemCalls: number; pageFaults: number; invlpg: number; userCpuid: number } }>('debian-boot-kvm');
    // KVM's interface was offered in two of the measured runs; the guest then runs otherwise, so it is recorded so.
    const [plain, offered] = [batchesOf('debian-init'), batchesOf('debian-init-kvm')];
    const run = (batches: readonly EventBatch[], id: string, options: Readonly<Record<string, OptionValue>>): Ledger => costsOfStretches(stretches(batches), id, 'cascade-lake', options).get('boot') ?? new Ledger();
    // Nested, that KVM was let through no MSR: it has 69 exits for the 68 accesses of the bare machine.
    const nested = { vendor: 'amd', apicv: false, msrBitmap: false } as const;
    const ledgers = { npt: run(plain, 'hw', nested), nptPv: run(offered, 'hw', nested), shadow: run(offered, 'hw-shadow', nested), xenPv: run(plain, 'xen-pv', {}) } as const;
    const withoutCalibration = run(plain, 'hw', { ...nested, kvmPv: true });
    const count = (ledger: Ledger, ...reasons: number[]): number => ledger.reasons().filter(({ reason }) => reasons.includes(reason)).reduce((sum, row) => sum + row.count, 0);
    const PAGE_FAULT = SVM.exception + 14;
    const reflected = ledgers.shadow.reasons().find(({ reason, handler }) => reason === PAGE_FAULT && handler === 'reflection')?.count ?? 0;
    const calls = systemCallsOf(plain);
    const models: Readonly<Record<string, (ledger: Ledger) => number>> = {
      'I/O': (ledger) => count(ledger, SVM.io),
      'I/O to the PIT\'s channel 2 and its gate': (ledger) => count(ledger, SVM.io) - count(withoutCalibration, SVM.io),
      CPUID: (ledger) => count(ledger, SVM.cpuid),
      'nested page fault': (ledger) => count(ledger, SVM.npf),
      'CR4 write': (ledger) => count(ledger, SVM.writeCr + 4),
      'CR3 write': (ledger) => count(ledger, SVM.writeCr + 3),
      'CR3 read': (ledger) => count(ledger, SVM.readCr + 3),
      INVLPG: (ledger) => count(ledger, SVM.invlpg),
      MSR: (ledger) => count(ledger, SVM.msr),
      '#PF exit': (ledger) => count(ledger, PAGE_FAULT),
      '#PF exit injected into the guest': () => reflected,
      'host interrupt': (ledger) => count(ledger, SVM.interrupt),
      'interrupt window': (ledger) => count(ledger, SVM.virtualInterrupt),
      'hypercall mmu_update': (ledger) => count(ledger, XEN_HYPERCALL_BASE + XEN.mmuUpdate),
      'hypercall mmuext_op': (ledger) => count(ledger, XEN_HYPERCALL_BASE + XEN.mmuextOp),
      // The return from a system call is one, too; its cost is in that of the call.
      'hypercall iret': (ledger) => count(ledger, XEN_HYPERCALL_BASE + XEN.iret) + calls,
      'exception bounced': (ledger) => count(ledger, XEN_TRAP.exceptionBounce),
      'hypercall set_segment_base': (ledger) => count(ledger, XEN_HYPERCALL_BASE + XEN.setSegmentBase),
      'forced CPUID': (ledger) => count(ledger, XEN_TRAP.forcedCpuid),
      'privileged operation emulated': (ledger) => count(ledger, XEN_TRAP.privilegedOp),
      'hypercall vcpu_op': (ledger) => count(ledger, XEN_HYPERCALL_BASE + XEN.vcpuOp),
      'hypercall stack_switch': (ledger) => count(ledger, XEN_HYPERCALL_BASE + XEN.stackSwitch),
      'hypercall update_va_mapping': (ledger) => count(ledger, XEN_HYPERCALL_BASE + XEN.updateVaMapping),
      'hypercall event_channel_op': (ledger) => count(ledger, XEN_HYPERCALL_BASE + XEN.eventChannelOp),
    };
    // README.md says why the others are not.
    const CLAIMED: readonly (readonly [event: string, ...columns: (keyof typeof ledgers)[]])[] = [
      ['I/O', 'nptPv', 'shadow'], ['CR3 write', 'shadow'], ['CR3 read', 'shadow'], ['INVLPG', 'shadow'], ['MSR', 'npt'], ['#PF exit injected into the guest', 'shadow'], ['exception bounced', 'xenPv'], ['hypercall iret', 'xenPv'],
    ];
    const table: (string | number)[][] = [];
    for (const row of rows) {
      const event = String(row['event']);
      for (const column of ['npt', 'nptPv', 'shadow', 'xenPv'] as const) {
        const figure = row[column];
        if (typeof figure !== 'number') continue;
        const model = models[event](ledgers[column]);
        const isClaimed = CLAIMED.some(([name, ...columns]) => name === event && columns.includes(column));
        table.push([event, column, model, figure, errorOf(model, figure), isClaimed ? 'within 10 %' : '']);
        if (isClaimed) expect.soft(Math.abs(model - figure) / figure, `${event} under ${column}`).toBeLessThan(0.1);
      }
    }
    show('exits of a Debian boot: model of our boot beside KVM\'s and Xen\'s own', ['event', 'regime', 'model', 'measured', 'error', 'claimed'], table);
    const { exceptions } = stretches(plain)[0];
    show('what the boot itself does, on the bare machine: how near our init is to theirs', ['', 'ours', 'theirs', 'error'], [
      ['system calls', calls, native.systemCalls, errorOf(calls, native.systemCalls)],
      ['page faults', exceptions, native.pageFaults, errorOf(exceptions, native.pageFaults)],
      ['INVLPG', count(ledgers.shadow, SVM.invlpg), native.invlpg, errorOf(count(ledgers.shadow, SVM.invlpg), native.invlpg)],
    ]);
    const figure = (event: string, column: string): number => Number(rows.find((row) => row['event'] === event)?.[column]);
    const perFault = count(ledgers.shadow, PAGE_FAULT) / reflected;
    const perFaultMeasured = figure('#PF exit', 'shadow') / figure('#PF exit injected into the guest', 'shadow');
    show('the same per fault of the guest', ['', 'model', 'measured', 'error'], [['#PF exits under shadow paging', perFault, perFaultMeasured, errorOf(perFault, perFaultMeasured)]]);
    for (const [event, column] of [['#PF exit', 'shadow'], ['CR4 write', 'shadow'], ['hypercall mmu_update', 'xenPv']] as const) {
      expect(Math.abs(models[event](ledgers[column]) - figure(event, column)) / figure(event, column), `${event} under ${column}`).toBeLessThan(0.2);
    }
    expect(ledgers.nptPv.exits).toBeLessThan(ledgers.shadow.exits);
  });

  it('with KPTI and without EPT, control registers dominate (Ubuntu boot, 24.8 times the exits)', () => {
    const { exits, total } = published<{ exits: { reason: number; name: string; ept: number; shadow: number }[]; total: { ept: number; shadow: number } }>('ubuntu-boot-ept');
    const on = stretches(batchesOf('debian-lmbench-pti'));
    const options = { ...QUIET_HOST };
    const ept = costsOfStretches(on, 'hw', 'cascade-lake', { ...options, apicv: false });
    const shadow = costsOfStretches(on, 'hw-shadow', 'cascade-lake', { ...options, apicv: false });
    const sum = (ledgers: ReadonlyMap<string, Ledger>, reason?: number): number =>
      ['io', 'fork', 'exec', 'sh'].reduce((all, name) => all + (ledgers.get(name)?.reasons().filter((row) => reason === undefined || row.reason === reason).reduce((count, row) => count + row.count, 0) ?? 0), 0);
    const ratio = sum(shadow) / sum(ept);
    const share = (reason: number): number => (sum(shadow, reason) / sum(shadow)) * 100;
    const figure = (reason: number): number => ((exits.find((row) => row.reason === reason)?.shadow ?? NaN) / total.shadow) * 100;
    show('exits with and without EPT: our system calls, forks, execs beside an Ubuntu boot', ['', 'model', 'published', 'error'], [
      ['exits without EPT / with', ratio, total.shadow / total.ept, errorOf(ratio, total.shadow / total.ept)],
      ['share of CR_ACCESS, %', share(VMX.cr), figure(VMX.cr), errorOf(share(VMX.cr), figure(VMX.cr))],
      ['share of EXCEPTION_NMI, %', share(VMX.exception), figure(VMX.exception), errorOf(share(VMX.exception), figure(VMX.exception))],
      ['share of INVLPG, %', share(EXIT_REASONS.invlpg), figure(VMX.invlpg), errorOf(share(VMX.invlpg), figure(VMX.invlpg))],
    ]);
    expect(share(VMX.cr)).toBeGreaterThan(50);
    expect(share(VMX.cr)).toBeGreaterThan(share(VMX.exception));
    expect(share(VMX.exception)).toBeGreaterThan(share(VMX.invlpg));
    expect(ratio).toBeGreaterThan(5);
  });
});
