/**
 * `para`: a guest kernel that knows. As Xen PV (direct page tables that the hypervisor validates, event channels, split drivers), or as PVM (the same door with
 * shadow page tables). If the recording is of a kernel that does not know, its events are taken for what the same kernel would ask for with its paravirtual
 * operations in place: an estimate of another kernel build, where the other regimes are exact pairs. If it is of one that does (vmm.ts), its hypercalls are in the log, and nothing is inferred.
 *
 * Linux 6.1 arch/x86/xen/{enlighten_pv,mmu_pv,multicalls}.c; Xen xen/arch/x86/pv; PVM: Huang et al., SOSP 2023.
 */
import { BaseProjection, PLAN_NOTHING, PLAN_UNKNOWN } from '../base.ts';
import { GuestFrames, UNIT_HUGE } from '../guest-frames.ts';
import { HostTicks, type SavedHostTicks } from '../host-ticks.ts';
import { GUEST_KPTI, LAPIC_PAGE } from '../native.ts';
import { PORT_CLASS, PORT_PIC, PORT_PIT, PORT_RTC, PORT_UART } from '../ports.ts';
import { PVM, XEN, XEN_HYPERCALL_BASE, XEN_TRAP } from '../reasons.ts';
import {
  DIRECT_EXCEPTION, DIRECT_INTERRUPT, DIRECT_PAGE_TABLE, DIRECT_PAGE_WALK, DIRECT_SYSCALL, HANDLER_DEVICE_MODEL, HANDLER_EMULATION, HANDLER_HYPERCALL,
  HANDLER_INTERRUPT, HANDLER_MMU, HANDLER_REFLECTION, HANDLER_SLEEP,
  type CostBook, type Options, type Regime, type RegimeSink, type RunTotals,
} from '../regime.ts';
import { STORE_FREE, STORE_UNSYNC, ShadowMmu, rootFrame, type SavedShadow } from '../shadow-mmu.ts';
import { ACCESS_WRITE, CR_CLTS, CR_MOV_FROM, EXIT_REASONS, HYPERCALLS, HYPERCALL_REASON, PHASE_INJECTED } from '../../log/events.ts';
import type { EventBatch, SiteTable } from '../../log/event-batch.ts';
import {
  SHAPE_COUNTS, SHAPE_DIRTY, SHAPE_EXIT_CPUID, SHAPE_EXIT_CR, SHAPE_EXIT_DR, SHAPE_EXIT_EXCEPTION, SHAPE_EXIT_IO, SHAPE_EXIT_MMIO, SHAPE_EXIT_MSR, SHAPE_EXIT_PAGE_TABLE,
  SHAPE_EXIT_PLAIN, SHAPE_IDLE, SHAPE_INTERRUPT,
} from '../../log/shapes.ts';

/** CR0: PE, ET and PG. */
const CR0_AT_START = 0x8000_0011;
const CR0_TS = 8;
const VECTOR_PF = 14;
/** Of an entry; a table has 512. */
const PRESENT = 1;
const LARGE = 0x80;
const ENTRIES = 512;
const MSR_TSC_DEADLINE = 0x6e0;
const MSR_X2APIC_ICR = 0x830;
const APIC_ICR_LOW = 0x300;
const APIC_INITIAL_COUNT = 0x380;
const IOAPIC_PAGE = 0xfec00;
const VIRTIO_QUEUE_NOTIFY = 0x50;
const VIRTIO_WINDOW_MASK = 0x1ff;
/** Stores to page tables further apart than this are not of one lazy section. Assumed. */
const LAZY_INSTRUCTIONS = 1000;
/** EVTCHNOP_send and SCHEDOP_block of Xen. */
const EVENT_SEND = 4;
const SCHED_BLOCK = 1;
const PVM_SHADOW = { isUnsync: true, prefetch: 8, rootsCached: 4, flood: 3, pagesMax: 1310 } as const;

const PLAN_PORT = 2;
/** Device access that is emulated, whatever its value. */
const PLAN_PORT_EMULATED = 3;
const PLAN_MMIO = 4;
const PLAN_MSR = 5;
const PLAN_CPUID = 6;
const PLAN_CONTROL = 7;
const PLAN_DEBUG = 8;
const PLAN_EXCEPTION = 9;
const PLAN_SHADOWED_STORE = 10;
const PLAN_STORE = 11;
const PLAN_OTHER = 12;
const PLAN_COUNTS = 13;
const PLAN_INTERRUPT = 14;
const PLAN_IDLE = 15;
const PLAN_DIRTY = 16;

class ParavirtualProjection extends BaseProjection {
  private readonly isShadow: boolean;
  private readonly batchMax: number;
  private readonly hasSplitDrivers: boolean;
  private readonly hasPvTimer: boolean;
  private readonly ticks: HostTicks;
  private readonly mmu: ShadowMmu;
  private readonly frames = new GuestFrames(UNIT_HUGE);

  private readonly hypercall: number;
  private readonly update: number;
  private readonly pin: number;
  private readonly validation: number;
  private readonly bounce: number;
  private readonly trap: number;
  private readonly exception: number;
  private readonly interrupt: number;
  private readonly privileged: number;
  private readonly cpuid: number;
  private readonly ring: number;
  private readonly ioUser: number;
  private readonly syscall: number;
  private readonly walk: number;
  private readonly fault: number;
  private readonly fill: number;
  private readonly write: number;
  private readonly loadRoot: number;
  private readonly sync: number;

  private cr0 = CR0_AT_START;
  private lastStoreAt = -Infinity;
  private batched = 0;
  /** The guest has made a hypercall: it knows. */
  private isAware = false;
  /** System calls in the log whose return is still to come, and those since the last event of kind `counts`, which counts them again. */
  private callsOpen = 0;
  private callsRecorded = 0;

  constructor(options: Options, costs: CostBook) {
    super('para', costs, ['systemCalls', 'pageWalks']);
    const number = (name: string): number => (typeof options[name] === 'number' ? options[name] : 0);
    this.isShadow = options['mmu'] === 'shadow';
    this.batchMax = options['batching'] === true ? number('batchMax') : 1;
    this.hasSplitDrivers = options['splitDrivers'] === true;
    this.hasPvTimer = options['pvTimer'] === true;
    this.ticks = new HostTicks(number('hostHz'));
    this.mmu = new ShadowMmu({ ...PVM_SHADOW, touchedShare: number('touchedShare'), fillsPerNewRoot: number('fillsPerNewRoot') });
    const { meter } = this;
    this.hypercall = meter.recipe('pv.hypercall');
    this.update = meter.recipe('pv.update');
    this.pin = meter.recipe('pv.hypercall', 'pv.table');
    this.validation = meter.recipe('pv.table');
    this.bounce = meter.recipe('pv.bounce');
    this.trap = meter.recipe('pv.exception');
    this.exception = meter.recipe('native.exception');
    this.interrupt = meter.recipe('native.interrupt');
    this.privileged = meter.recipe('pv.privileged');
    this.cpuid = meter.recipe('pv.cpuid');
    this.ring = meter.recipe('pv.ring');
    this.ioUser = meter.recipe('pv.io-user');
    // User and kernel have roots of their own in any case: KPTI adds nothing.
    this.syscall = meter.recipe(options['syscall'] === 'direct' ? 'pv.direct-switch' : 'pv.syscall');
    this.walk = meter.recipe('native.walk');
    this.fault = meter.recipe('pv.fault');
    this.fill = meter.recipe('pv.fill');
    this.write = meter.recipe('pv.write');
    this.loadRoot = meter.recipe('pv.load-root');
    this.sync = meter.recipe('shadow.sync');
    this.isWhole = meter.isWhole([this.privileged, this.cpuid, this.hypercall, this.ioUser, this.ring]);
  }

  protected override foldRows(batch: EventBatch, start: number, end: number, list: Uint16Array, from: number, to: number, out: RegimeSink): void {
    const { sites, site, position, valueLo, valueHi, aux } = batch;
    const { plans } = this;
    let due = this.ticks.dueRow(batch, start, end);
    for (let k = from; k < to; k++) {
      const i = list[k];
      while (i >= due) due = this.hostTicks(batch, due, end, out);
      const s = site[i];
      let plan = plans[s];
      if (plan === PLAN_UNKNOWN) plans[s] = plan = this.planOf(sites, s);
      switch (plan) {
        case 1 satisfies typeof PLAN_NOTHING:
          break;
        case 2 satisfies typeof PLAN_PORT:
          this.port(out, i, sites.f0[s], sites.f1[s], valueLo[i]);
          break;
        case 3 satisfies typeof PLAN_PORT_EMULATED:
          this.emulate(out, i, sites.f0[s]);
          break;
        case 6 satisfies typeof PLAN_CPUID:
          this.cpuids(out, i, valueLo[i], 1);
          break;
        case 7 satisfies typeof PLAN_CONTROL:
          this.controlRegister(out, i, sites.f0[s], sites.f1[s], valueLo[i], valueHi[i]);
          break;
        case 9 satisfies typeof PLAN_EXCEPTION:
          this.guestException(out, i, sites.f0[s], sites.addressLo[s], sites.addressHi[s]);
          break;
        case 10 satisfies typeof PLAN_SHADOWED_STORE:
          this.shadowedStore(out, i, sites.f0[s], aux[i], valueLo[i]);
          break;
        case 11 satisfies typeof PLAN_STORE:
          this.tableStore(out, i, position[i], sites.f0[s], aux[i], valueLo[i]);
          break;
        case 12 satisfies typeof PLAN_OTHER:
          this.plain(out, i, sites.f0[s], valueLo[i], valueHi[i]);
          break;
        case 13 satisfies typeof PLAN_COUNTS:
          this.counted(batch, i, out);
          break;
        case 14 satisfies typeof PLAN_INTERRUPT:
          this.exit(out, i, this.isShadow ? PVM.interrupt : XEN_TRAP.eventUpcall, sites.f1[s], HANDLER_INTERRUPT, this.bounce);
          this.direct(out, i, DIRECT_INTERRUPT, this.interrupt);
          this.returnToGuest(out, i);
          break;
        case 15 satisfies typeof PLAN_IDLE:
          this.ticks.idleNs += valueLo[i] + valueHi[i] * 2 ** 32;
          due = this.ticks.dueRow(batch, i + 1, end);
          break;
        case 16 satisfies typeof PLAN_DIRTY: {
          // Xen gives a PV guest all its memory before it starts.
          const fresh = this.frames.touch(batch.bytes, batch.payloadStart[i], batch.payloadLength[i]);
          if (this.isShadow) this.hiddenFaults(out, i, fresh);
          break;
        }
        default:
          this.tell(out, i, sites, s, plan, 1);
      }
    }
    while (due < end) due = this.hostTicks(batch, due, end, out);
  }

  protected override tell(out: RegimeSink, row: number, { f0, f1, addressLo, addressHi }: SiteTable, s: number, plan: number, rows: number): boolean {
    switch (plan) {
      case 3 satisfies typeof PLAN_PORT_EMULATED:
        this.emulateTimes(out, row, f0[s], rows);
        return true;
      case 4 satisfies typeof PLAN_MMIO:
        this.mmio(out, row, addressHi[s] * 2 ** 20 + (addressLo[s] >>> 12), addressLo[s] & 0xfff, (f1[s] & ACCESS_WRITE) !== 0, rows);
        return true;
      case 5 satisfies typeof PLAN_MSR:
        this.msr(out, row, f0[s], f1[s] !== 0, rows);
        return true;
      case 6 satisfies typeof PLAN_CPUID:
        this.cpuids(out, row, 0, rows);
        return true;
      case 8 satisfies typeof PLAN_DEBUG:
        this.call(out, row, f1[s] !== 0 ? XEN.setDebugreg : XEN.getDebugreg, PVM.privilegedOp, f0[s], rows);
        return true;
      default:
        return false;
    }
  }

  /** Those that are due at a row; returns the row at which the next one is. */
  private hostTicks(batch: EventBatch, i: number, end: number, out: RegimeSink): number {
    this.exitTimes(out, i, this.isShadow ? PVM.interrupt : XEN_TRAP.hostInterrupt, 0, HANDLER_INTERRUPT, this.bounce, this.ticks.take(batch.position[i] + batch.timeOffsetNs[i]));
    return this.ticks.dueRow(batch, i + 1, end);
  }

  protected override planOf({ shape, f0, f1, ripHi }: SiteTable, s: number): number {
    const isKernel = ripHi[s] >>> 31 !== 0;
    switch (shape[s]) {
      case SHAPE_EXIT_IO:
        return this.hasSplitDrivers ? planOfPort(f0[s], (f1[s] & ACCESS_WRITE) !== 0, this.hasPvTimer) : PLAN_PORT;
      case SHAPE_EXIT_MMIO:
        return PLAN_MMIO;
      case SHAPE_EXIT_MSR:
        return PLAN_MSR;
      case SHAPE_EXIT_CPUID:
        return isKernel ? PLAN_CPUID : PLAN_NOTHING;
      case SHAPE_EXIT_CR:
        // Reads are answered from memory that is shared with the hypervisor.
        return f1[s] === CR_MOV_FROM ? PLAN_NOTHING : PLAN_CONTROL;
      case SHAPE_EXIT_DR:
        return PLAN_DEBUG;
      case SHAPE_EXIT_EXCEPTION:
        return PLAN_EXCEPTION;
      case SHAPE_EXIT_PAGE_TABLE:
        // A paravirtual kernel starts on the tables of its domain builder: it has no start code at low addresses that makes some.
        return this.isShadow ? PLAN_SHADOWED_STORE : isKernel ? PLAN_STORE : PLAN_NOTHING;
      case SHAPE_EXIT_PLAIN:
        return PLAN_OTHER;
      case SHAPE_COUNTS:
        return PLAN_COUNTS;
      case SHAPE_INTERRUPT:
        return f0[s] === PHASE_INJECTED ? PLAN_INTERRUPT : PLAN_NOTHING;
      case SHAPE_IDLE:
        return PLAN_IDLE;
      case SHAPE_DIRTY:
        return PLAN_DIRTY;
      default:
        return PLAN_NOTHING;
    }
  }

  /** A hypercall: Xen's number, and what it is to PVM. */
  private call(out: RegimeSink, i: number, xen: number, pvm: number, qualification: number, times = 1): void {
    this.exitTimes(out, i, this.isShadow ? pvm : XEN_HYPERCALL_BASE + xen, qualification, HANDLER_HYPERCALL, this.isShadow && pvm === PVM.privilegedOp ? this.privileged : this.hypercall, times);
  }

  private emulate(out: RegimeSink, i: number, qualification: number): void {
    this.exit(out, i, this.isShadow ? PVM.privilegedOp : XEN_TRAP.privilegedOp, qualification, HANDLER_EMULATION, this.privileged);
  }

  private emulateTimes(out: RegimeSink, i: number, qualification: number, times: number): void {
    this.exitTimes(out, i, this.isShadow ? PVM.privilegedOp : XEN_TRAP.privilegedOp, qualification, HANDLER_EMULATION, this.privileged, times);
  }

  private cpuids(out: RegimeSink, i: number, leaf: number, times: number): void {
    this.exitTimes(out, i, this.isShadow ? PVM.privilegedOp : XEN_TRAP.forcedCpuid, leaf, HANDLER_EMULATION, this.cpuid, times);
  }

  private returnToGuest(out: RegimeSink, i: number): void {
    // PVM returns through its switcher; Xen by a hypercall.
    if (!this.isShadow && !this.isAware) this.exit(out, i, XEN_HYPERCALL_BASE + XEN.iret, 0, HANDLER_HYPERCALL, this.hypercall);
  }

  /** PLAN_PORT: an access that something comes of, or may. */
  private port(out: RegimeSink, i: number, port: number, access: number, value: number): void {
    if (!this.hasSplitDrivers) {
      this.exit(out, i, this.isShadow ? PVM.privilegedOp : XEN_TRAP.privilegedOp, port, HANDLER_DEVICE_MODEL, this.ioUser);
      return;
    }
    if (PORT_CLASS[port & 0xffff] === PORT_PIT) {
      this.call(out, i, XEN.vcpuOp, PVM.hypercallMsr, port);
      return;
    }
    // A line of the console goes into the ring; the other side is told once.
    if ((value & 0xff) === 0x0a) this.exit(out, i, XEN_HYPERCALL_BASE + XEN.eventChannelOp, port, HANDLER_DEVICE_MODEL, this.ring);
  }

  private mmio(out: RegimeSink, i: number, page: number, offset: number, isWrite: boolean, times: number): void {
    if (!this.hasSplitDrivers) {
      this.exitTimes(out, i, this.isShadow ? PVM.pageFault : XEN_TRAP.privilegedOp, page * 4096 + offset, HANDLER_DEVICE_MODEL, this.ioUser, times);
      return;
    }
    if (!isWrite) return;
    if (page === LAPIC_PAGE) {
      if (offset === APIC_ICR_LOW) this.call(out, i, XEN.eventChannelOp, PVM.hypercallMsr, offset, times);
      else if (offset === APIC_INITIAL_COUNT) this.call(out, i, XEN.vcpuOp, PVM.hypercallMsr, offset, times);
    } else if (page === IOAPIC_PAGE) {
      this.call(out, i, XEN.physdevOp, PVM.hypercallMsr, offset, times);
    } else if ((offset & VIRTIO_WINDOW_MASK) === VIRTIO_QUEUE_NOTIFY) {
      this.exitTimes(out, i, XEN_HYPERCALL_BASE + XEN.eventChannelOp, page * 4096, HANDLER_DEVICE_MODEL, this.ring, times);
    }
  }

  private msr(out: RegimeSink, i: number, index: number, isWrite: boolean, times: number): void {
    if (index === MSR_TSC_DEADLINE) this.call(out, i, XEN.vcpuOp, PVM.hypercallMsr, index, times);
    else if (index === MSR_X2APIC_ICR) this.call(out, i, XEN.eventChannelOp, PVM.hypercallMsr, index, times);
    else if (index >= 0x800 && index <= 0x8ff) return;
    else if (isWrite && index >= 0xc000_0100 && index <= 0xc000_0102) this.call(out, i, XEN.setSegmentBase, PVM.hypercallMsr, index, times);
    else this.emulateTimes(out, i, index, times);
  }

  /** Of a write. */
  private controlRegister(out: RegimeSink, i: number, cr: number, access: number, lo: number, hi: number): void {
    if (cr === 3) {
      this.mmu.loadRoot(rootFrame(lo, hi));
      if (this.isShadow) {
        this.exit(out, i, PVM.loadPageTable, hi * 2 ** 32 + lo, HANDLER_MMU, this.loadRoot);
        this.direct(out, i, DIRECT_PAGE_TABLE, this.sync, this.mmu.synced);
        this.hiddenFaults(out, i, this.mmu.fills);
      } else {
        if (this.mmu.fills > 0) this.exit(out, i, XEN_HYPERCALL_BASE + XEN.mmuextOp, hi * 2 ** 32 + lo, HANDLER_MMU, this.pin);
        this.exit(out, i, XEN_HYPERCALL_BASE + XEN.mmuextOp, hi * 2 ** 32 + lo, HANDLER_HYPERCALL, this.hypercall);
      }
    } else if (cr === 0) {
      const value = access === CR_CLTS ? this.cr0 & ~CR0_TS : lo | 0;
      const changed = value ^ this.cr0;
      this.cr0 = value;
      if (changed === CR0_TS || changed === 0) this.call(out, i, XEN.fpuTaskswitch, PVM.privilegedOp, 0);
      else this.emulate(out, i, cr);
    } else {
      this.emulate(out, i, cr);
    }
  }

  private guestException(out: RegimeSink, i: number, vector: number, addressLo: number, addressHi: number): void {
    const isFault = vector === VECTOR_PF;
    if (isFault) this.mmu.trueFault(addressLo);
    const qualification = isFault ? addressHi * 2 ** 32 + addressLo : vector;
    if (this.isShadow && isFault) this.exit(out, i, PVM.pageFault, qualification, HANDLER_REFLECTION, this.fault);
    else if (this.isShadow) this.exit(out, i, PVM.exception, qualification, HANDLER_REFLECTION, this.trap);
    else this.exit(out, i, XEN_TRAP.exceptionBounce, qualification, HANDLER_REFLECTION, this.bounce);
    this.direct(out, i, DIRECT_EXCEPTION, this.exception);
    this.returnToGuest(out, i);
  }

  private shadowedStore(out: RegimeSink, i: number, level: number, address: number, value: number): void {
    const met = this.mmu.store(level, address, value);
    this.frames.split(address >>> 12);
    if (met !== STORE_FREE) this.exit(out, i, PVM.writeProtect, address, met === STORE_UNSYNC ? HANDLER_MMU : HANDLER_EMULATION, met === STORE_UNSYNC ? this.fill : this.write);
    this.hiddenFaults(out, i, this.mmu.fills);
  }

  private tableStore(out: RegimeSink, i: number, at: number, level: number, address: number, value: number): void {
    // Lazy MMU mode is used for user mappings (fork, munmap, mprotect); set_pte of the kernel's own is a hypercall each.
    const isLazy = level === 1 && ((value & 4) !== 0 || (value & 1) === 0);
    const isNext = isLazy && at - this.lastStoreAt <= LAZY_INSTRUCTIONS && this.batched < this.batchMax;
    if (isNext) this.batched++;
    else {
      this.batched = 1;
      // A batch of updates is one mmu_update of many, which Linux makes without a multicall around it (xen_mc_flush).
      this.exit(out, i, XEN_HYPERCALL_BASE + XEN.mmuUpdate, address, HANDLER_MMU, this.hypercall);
    }
    this.lastStoreAt = isLazy ? at : -Infinity;
    this.direct(out, i, DIRECT_PAGE_TABLE, this.update);
    if (level === 1 || (value & PRESENT) === 0) return;
    if ((value & LARGE) === 0) {
      // A table is linked into the tree: Xen validates it, here or when the root is pinned.
      this.direct(out, i, DIRECT_PAGE_TABLE, this.validation);
      return;
    }
    // Xen PV has no large pages: what is one entry here is a table there, each of whose entries the kernel sets.
    if (level > 2) return;
    this.exitTimes(out, i, XEN_HYPERCALL_BASE + XEN.mmuUpdate, address, HANDLER_MMU, this.hypercall, ENTRIES - 1);
    this.direct(out, i, DIRECT_PAGE_TABLE, this.update, ENTRIES - 1);
  }

  private hiddenFaults(out: RegimeSink, i: number, count: number): void {
    if (count > 0) this.exitTimes(out, i, PVM.pageFault, 0, HANDLER_MMU, this.fill, count);
  }

  /** A hypercall in the log. The return from a system call is in the cost of that call. */
  private made(out: RegimeSink, i: number, number: number, qualification: number): void {
    this.isAware = true;
    if (number === XEN.iret && this.callsOpen > 0) {
      this.callsOpen--;
      return;
    }
    const isTables = number === XEN.mmuUpdate || number === XEN.mmuextOp || number === XEN.multicall;
    const isRing = number === XEN.eventChannelOp && qualification === EVENT_SEND;
    const isSleep = number === XEN.schedOp && qualification === SCHED_BLOCK;
    const handler = isTables ? HANDLER_MMU : isRing ? HANDLER_DEVICE_MODEL : isSleep ? HANDLER_SLEEP : HANDLER_HYPERCALL;
    this.exit(out, i, XEN_HYPERCALL_BASE + number, qualification, handler, isRing ? this.ring : this.hypercall);
    if (!isTables) return;
    this.direct(out, i, DIRECT_PAGE_TABLE, this.validation, qualification >>> 16);
    if (number !== XEN.mmuextOp) this.direct(out, i, DIRECT_PAGE_TABLE, this.update, qualification & 0xffff);
  }

  private plain(out: RegimeSink, i: number, reason: number, lo: number, hi: number): void {
    if (reason >= HYPERCALL_REASON && reason < HYPERCALL_REASON + HYPERCALLS) return this.made(out, i, reason - HYPERCALL_REASON, lo);
    switch (reason) {
      case EXIT_REASONS.paravirtualSystemCall:
        this.callsOpen++;
        this.callsRecorded++;
        this.direct(out, i, DIRECT_SYSCALL, this.syscall);
        return;
      case EXIT_REASONS.hlt:
        this.exit(out, i, this.isShadow ? PVM.irqHalt : XEN_HYPERCALL_BASE + XEN.schedOp, 0, HANDLER_SLEEP, this.hypercall);
        return;
      case EXIT_REASONS.invlpg:
        this.call(out, i, XEN.mmuextOp, PVM.tlbInvlpg, hi * 2 ** 32 + lo);
        return;
      case EXIT_REASONS.gdtrIdtr:
        this.call(out, i, XEN.setTrapTable, PVM.privilegedOp, 0);
        return;
      case EXIT_REASONS.ldtrTr:
        this.call(out, i, XEN.mmuextOp, PVM.privilegedOp, 0);
        return;
      case EXIT_REASONS.pause:
      case EXIT_REASONS.rdtsc:
      case EXIT_REASONS.rdtscp:
        return;
      default:
        this.emulate(out, i, reason);
    }
  }

  protected override charge(totals: RunTotals, row: number, out: RegimeSink): void {
    // Those that are events of the log were charged there.
    const calls = totals.systemCalls ?? 0;
    const told = Math.min(calls, this.callsRecorded);
    this.callsRecorded -= told;
    this.direct(out, row, DIRECT_SYSCALL, this.syscall, calls - told);
    this.direct(out, row, DIRECT_PAGE_WALK, this.walk, totals.pageWalks ?? 0);
  }

  override counters(): Readonly<Record<string, number>> {
    if (this.isShadow) return this.mmu.counters();
    const { newRoots } = this.mmu;
    return { 'page tables pinned': newRoots };
  }

  protected override data(): ParavirtualState {
    const { cr0, batched, lastStoreAt, isAware, callsOpen, callsRecorded } = this;
    return {
      cr0, batched, isAware, callsOpen, callsRecorded, lastStoreAt: Number.isFinite(lastStoreAt) ? lastStoreAt : null,
      ...this.ticks.save(), frames: this.frames.save(), shadow: this.mmu.save(),
    };
  }

  protected override setData(data: unknown): void {
    const state = data as ParavirtualState;
    this.cr0 = state.cr0;
    this.batched = state.batched;
    this.ticks.restore(state);
    this.isAware = state.isAware;
    this.callsOpen = state.callsOpen;
    this.callsRecorded = state.callsRecorded;
    this.lastStoreAt = state.lastStoreAt ?? -Infinity;
    this.frames.restore(state.frames);
    this.mmu.restore(state.shadow);
  }
}

/** With split drivers. */
function planOfPort(port: number, isWrite: boolean, hasPvTimer: boolean): number {
  switch (PORT_CLASS[port & 0xffff]) {
    case PORT_PIC: // event channels have no controller to be programmed
    case PORT_RTC: // wall clock in shared memory
      return PLAN_NOTHING;
    case PORT_PIT:
      return port === 0x43 && isWrite && hasPvTimer ? PLAN_PORT : PLAN_NOTHING;
    case PORT_UART:
      return isWrite && (port & 7) === 0 ? PLAN_PORT : PLAN_NOTHING;
    default:
      return PLAN_PORT_EMULATED;
  }
}

interface ParavirtualState extends SavedHostTicks {
  readonly cr0: number;
  readonly batched: number;
  readonly isAware: boolean;
  readonly callsOpen: number;
  readonly callsRecorded: number;
  /** null: -Infinity, which JSON does not have. */
  readonly lastStoreAt: number | null;
  readonly frames: readonly number[];
  readonly shadow: SavedShadow;
}

export const PARA: Regime = {
  id: 'para',
  title: 'paravirtualisation (Xen PV; PVM with shadow page tables)',
  summary: 'Privileged operations become hypercalls; page-table stores are batched and validated, or shadowed; interrupts are event channels; devices are rings to a driver domain.',
  limits: [
    'An estimate of another kernel build from the events of one that does not know: not an exact pair. Of a recording under `--regime para` only the costs are estimated.',
    'Xen: an entry that maps 2 MiB is taken for 512 that the kernel sets one by one, as Linux changes the protection of its mappings; a mapping that is made before it is linked into the tree costs nothing in either kernel.',
    'Which page-table stores share a hypercall is inferred: stores to user entries at most 1,000 instructions apart.',
    'System calls count only if their number is given; logs do not hold it.',
    'Xen\'s own costs are those of PVM on the same machine (SOSP 2023), where no figure for Xen is known.',
    'Hypercalls that only a PV kernel makes (vcpu_op at start, xen_version as forced upcall, stack_switch, grant tables) are not modelled.',
  ],
  options: [
    { name: 'mmu', title: 'page tables', kind: 'choice', values: ['direct', 'shadow'], default: 'direct', isFeature: true },
    { name: 'batching', title: 'page-table updates in batches (lazy MMU mode)', kind: 'switch', default: true, isFeature: true },
    { name: 'batchMax', title: 'updates in one batch (MC_BATCH of Linux)', kind: 'number', min: 1, max: 2048, default: 32 },
    { name: 'syscall', title: 'system calls', kind: 'choice', values: ['bounce', 'direct'], default: 'bounce', isFeature: true },
    { name: 'splitDrivers', title: 'devices are rings, not registers', kind: 'switch', default: true, isFeature: true },
    { name: 'pvTimer', title: 'timers are set by hypercall', kind: 'switch', default: true },
    { name: 'hostHz', title: 'timer interrupts of the hypervisor\'s own, per second (0: none)', kind: 'number', min: 0, max: 10_000, default: 100 },
    GUEST_KPTI,
    { name: 'touchedShare', title: 'shadow: share of user entries written in bulk that are touched (assumed)', kind: 'number', min: 0, max: 1, default: 0.5 },
    { name: 'fillsPerNewRoot', title: 'shadow: hidden faults of a new address space before its own (assumed)', kind: 'number', min: 0, max: 10_000, default: 16 },
  ],
  project: (options, costs) => new ParavirtualProjection(options, costs),
};
