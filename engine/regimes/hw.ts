/**
 * `hw` and `hw-shadow`: VT-x or SVM with the controls that KVM sets, with nested paging or with shadow page tables.
 *
 * Controls: Linux 6.1 arch/x86/kvm/vmx/vmx.c (vmx_exec_control, vmcs_config), svm/svm.c (init_vmcb). Exit conditions: Intel SDM volume 3, chapter "VMX Non-Root Operation".
 */
import { BaseProjection, PLAN_NOTHING, PLAN_UNKNOWN } from './base.ts';
import { GuestFrames, UNIT_FRAME, UNIT_GROUP, UNIT_HUGE } from './guest-frames.ts';
import { HostTicks, type SavedHostTicks } from './host-ticks.ts';
import { GUEST_KPTI, LAPIC_PAGE, isUserException } from './native.ts';
import { GIGAHERTZ_ASSUMED, PauseLoops, type SavedPauseLoops } from './pause-loops.ts';
import { PORT_CLASS, PORT_PIC, PORT_PIT, PORT_PIT_CALIBRATION, PORT_UART } from './ports.ts';
import { SVM, VMX } from './reasons.ts';
import {
  DIRECT_EXCEPTION, DIRECT_HALT_POLL, DIRECT_INTERRUPT, DIRECT_PAGE_TABLE, DIRECT_PAGE_WALK, DIRECT_SYSCALL, DIRECT_WAKE, HANDLER_DEVICE_MODEL,
  HANDLER_EMULATION, HANDLER_HYPERCALL, HANDLER_INTERRUPT, HANDLER_KERNEL_DEVICE,
  HANDLER_LIGHT, HANDLER_MMU, HANDLER_REFLECTION, HANDLER_SLEEP, type CostBook, type Cycles, type MissingTotal, type OptionSpec, type Options, type PauseBatch, type Regime, type RegimeSink, type RunTotals,
} from './regime.ts';
import { STORE_FREE, STORE_UNSYNC, ShadowMmu, rootFrame, type SavedShadow } from './shadow-mmu.ts';
import { ACCESS_WRITE, CONTROLLER_IOAPIC, CONTROLLER_PIC, CR_CLTS, CR_LMSW, CR_MOV_FROM, CR_MOV_TO, EXIT_REASONS, PHASE_INJECTED, PHASE_RAISED } from '../log/events.ts';
import type { EventBatch, SiteTable } from '../log/event-batch.ts';
import {
  SHAPE_COUNTS, SHAPE_DIRTY, SHAPE_EXIT_CPUID, SHAPE_EXIT_CR, SHAPE_EXIT_DR, SHAPE_EXIT_EXCEPTION, SHAPE_EXIT_IO, SHAPE_EXIT_MMIO, SHAPE_EXIT_MSR, SHAPE_EXIT_PAGE_TABLE, SHAPE_EXIT_PLAIN, SHAPE_IDLE,
  SHAPE_INTERRUPT, SHAPE_TIMER_FIRE,
} from '../log/shapes.ts';

/** CR0: PE, ET and PG, as after any 64-bit boot protocol. */
const CR0_AT_START = 0x8000_0011;
const CR0_TS = 0x8;
const CR0_WP = 0x1_0000;
/** PAE, as after any 64-bit boot protocol. */
const CR4_AT_START = 0x20;
/** PVI, DE, PCE, OSFXSR, OSXMMEXCPT, TSD, FSGSBASE. */
const CR4_GUEST_OWNED = 0x2 | 0x8 | 0x100 | 0x200 | 0x400 | 0x4 | 0x1_0000;
const CR4_PGE = 0x80;
const VECTOR_DB = 1;
const VECTOR_UD = 6;
const VECTOR_PF = 14;
const VECTOR_AC = 17;
const VECTOR_MC = 18;
const MSR_TSC_DEADLINE = 0x6e0;
const MSR_X2APIC_FIRST = 0x800;
const MSR_X2APIC_LAST = 0x8ff;
const MSR_X2APIC_TPR = 0x808;
const MSR_X2APIC_EOI = 0x80b;
const MSR_X2APIC_CURRENT_COUNT = 0x839;
const MSR_X2APIC_SELF_IPI = 0x83f;
const APIC_TPR = 0x80;
const APIC_EOI = 0xb0;
const APIC_ICR_LOW = 0x300;
const APIC_ICR_HIGH = 0x310;
const APIC_CURRENT_COUNT = 0x390;
// The guest's own use of a paravirtual interface: engine/machine/paravirt
const MSR_KVM_SYSTEM_TIME = 0x4b56_4d01;
const MSR_KVM_PV_EOI = 0x4b56_4d04;
const MSR_KVM_POLL_CONTROL = 0x4b56_4d05;
const MSR_HV_REFERENCE_TSC = 0x4000_0021;
const MSR_HV_TSC_FREQUENCY = 0x4000_0022;
const MSR_HV_EOI = 0x4000_0070;
const MSR_HV_ASSIST_PAGE = 0x4000_0073;
const MSR_HV_STIMER0_CONFIG = 0x4000_00b0;
const MSR_HV_STIMER_LAST = 0x4000_00b7;
/** Bits of `recordedPv`. */
const PV_CLOCK = 1, PV_EOI = 2, PV_TIMER = 4, PV_NO_POLLING = 8;
const IOAPIC_PAGE = 0xfec00;
const VIRTIO_QUEUE_NOTIFY = 0x50;
/** Windows of virtio-mmio are 512 bytes, 4 KiB apart or adjacent. */
const VIRTIO_WINDOW_MASK = 0x1ff;
/** Pages with devices that are remembered; a machine has a few. */
const MMIO_PAGES_MAX = 4096;
/** KVM: PTE_PREFETCH_NUM, KVM_MMU_NUM_PREV_ROOTS + 1, write flooding, 2 % of the frames of 256 MiB. */
const KVM_SHADOW = { prefetch: 8, rootsCached: 4, flood: 3, pagesMax: 1310 } as const;

const NO_CYCLES: Cycles = { low: 0, typical: 0, high: 0 };

const number = (value: unknown): number => (typeof value === 'number' ? value : 0);

/** Nothing but that the guest runs. */
const PLAN_QUIET = 2;
const PLAN_PORT_KERNEL = 3;
const PLAN_PORT_USER = 4;
const PLAN_PORT_OTHER = 5;
const PLAN_MMIO = 6;
const PLAN_MSR = 7;
const PLAN_CPUID = 8;
const PLAN_ROOT_READ = 9;
const PLAN_ROOT = 10;
const PLAN_CONTROL = 11;
const PLAN_DEBUG = 12;
const PLAN_EXCEPTION = 13;
const PLAN_STORE = 14;
const PLAN_OTHER = 15;
const PLAN_COUNTS = 16;
const PLAN_RAISED = 17;
const PLAN_INJECTED = 18;
const PLAN_TIMER = 19;
const PLAN_IDLE = 20;
const PLAN_DIRTY = 21;
const PLANS = 22;
/** By plan, 1 for yes: accesses to a device, and instructions that end a sleep of the guest. */
const ACCESSES = flagsOf([PLAN_PORT_KERNEL, PLAN_PORT_USER, PLAN_PORT_OTHER, PLAN_MMIO]);
const RUNS = flagsOf([PLAN_QUIET, PLAN_PORT_KERNEL, PLAN_PORT_USER, PLAN_CPUID, PLAN_ROOT_READ, PLAN_EXCEPTION]);

function flagsOf(plans: readonly number[]): Uint8Array {
  return Uint8Array.from({ length: PLANS }, (_, plan) => (plans.includes(plan) ? 1 : 0));
}

class HardwareProjection extends BaseProjection {
  private readonly isAmd: boolean;
  private readonly isShadow: boolean;
  private readonly hasApicv: boolean;
  private readonly hasMsrBitmap: boolean;
  private readonly hasKernelIrqchip: boolean;
  private readonly hasKernelNotify: boolean;
  private readonly hasVirtioConsole: boolean;
  private readonly hasPreemptionTimer: boolean;
  private readonly hasPvClock: boolean;
  private readonly hasPvEoi: boolean;
  private readonly hasSyntheticApic: boolean;
  private readonly hasKpti: boolean;
  private readonly haltPollNs: number;
  private readonly ticks: HostTicks;
  private readonly reason: typeof VMX | typeof AMD_REASONS;
  private readonly ptMmu: ShadowMmu | undefined;
  private readonly frames: GuestFrames;
  private readonly pauseLoops: PauseLoops | undefined;

  // recipes
  /** Those of exits. */
  private readonly exits: readonly number[];
  private readonly light: number;
  private readonly pause: number;
  private readonly cpuid: number;
  private readonly msr: number;
  private readonly msrTimer: number;
  private readonly cr: number;
  private readonly ioKernel: number;
  private readonly ioUser: number;
  private readonly mmioKernel: number;
  private readonly mmioUser: number;
  private readonly notify: number;
  private readonly apic: number;
  private readonly hostInterrupt: number;
  private readonly window: number;
  private readonly timer: number;
  private readonly halt: number;
  private readonly wake: number;
  private readonly polledWake: number;
  private readonly violation: number;
  private readonly exceptionExit: number;
  private readonly exception: number;
  private readonly kernelException: number;
  private readonly guestInterrupt: number;
  private readonly syscall: number;
  private readonly walk: number;
  private readonly trueFault: number;
  private readonly fill: number;
  private readonly unsync: number;
  private readonly write: number;
  private readonly cr3: number;
  private readonly cr3New: number;
  private readonly sync: number;
  private readonly invlpg: number;

  // state
  private cr0 = CR0_AT_START;
  private cr4 = CR4_AT_START;
  private hasPassedDr = false;
  private isHalted = false;
  private raisedAt = -1;
  /** Position of the last access to a device. */
  private accessedAt = -1;
  private isTimerDue = false;
  private hasIoapic = false;
  private mmioPages = new Set<number>();
  /** What the guest itself has enabled (PV_*): the events are as they are then, and the options kvmPv and hyperv remove nothing more. */
  private recordedPv = 0;
  /** When the last PAUSE was told of: exits, and wake-ups after a sleep. */
  private exitsBefore = 0;
  private wakesBefore = 0;

  constructor(id: string, options: Options, costs: CostBook) {
    const isShadow = options['ept'] !== true;
    const hasKpti = options['guestKpti'] === true;
    const hasPauseExits = options['pauseLoops'] === true;
    const needs: MissingTotal[] = [...(hasKpti ? ['systemCalls'] as const : []), 'pageWalks', ...(hasPauseExits ? ['pauses'] as const : [])];
    super(id, costs, needs);
    this.isAmd = options['vendor'] === 'amd';
    this.isShadow = isShadow;
    this.hasApicv = options['apicv'] === true && !(options['hyperv'] === true && options['hypervAvic'] !== true);
    this.hasMsrBitmap = options['msrBitmap'] === true;
    this.hasKernelIrqchip = options['irqchip'] === 'kernel';
    this.hasKernelNotify = options['ioeventfd'] === true;
    this.hasVirtioConsole = options['virtioConsole'] === true;
    this.hasPreemptionTimer = options['preemptionTimer'] === true && !this.isAmd;
    this.hasPvClock = options['kvmPv'] === true || options['hyperv'] === true;
    this.hasPvEoi = options['kvmPv'] === true;
    this.hasSyntheticApic = options['hyperv'] === true;
    this.hasKpti = hasKpti;
    this.haltPollNs = number(options['haltPollUs']) * 1000;
    this.ticks = new HostTicks(number(options['hostHz']));
    this.reason = this.isAmd ? AMD_REASONS : VMX;
    this.frames = new GuestFrames(options['hostPages'] === 'huge' ? UNIT_HUGE : isShadow ? UNIT_GROUP : UNIT_FRAME);
    const assumed = { touchedShare: number(options['touchedShare']), fillsPerNewRoot: number(options['fillsPerNewRoot']) };
    this.ptMmu = isShadow ? new ShadowMmu({ ...KVM_SHADOW, ...assumed, isUnsync: options['unsync'] === true }) : undefined;
    this.pauseLoops = hasPauseExits ? new PauseLoops(this.isAmd ? 'svm' : 'vmx', costs.gigahertz ?? GIGAHERTZ_ASSUMED) : undefined;

    const { meter } = this;
    const exits: number[] = [];
    const extra = options['mitigations'] === 'spec-ctrl' ? ['hw.spec-ctrl'] : options['mitigations'] === 'l1d-flush' ? ['hw.spec-ctrl', 'hw.l1d-flush'] : [];
    const exit = (...parts: string[]): number => {
      const recipe = meter.recipe(...parts, ...extra);
      exits.push(recipe);
      return recipe;
    };
    this.light = exit('hw.vmcall');
    this.pause = exit('hw.vmcall');
    this.cpuid = exit('hw.cpuid');
    this.msr = exit('hw.msr');
    this.msrTimer = exit('hw.msr-timer');
    this.cr = exit('hw.cr');
    this.ioKernel = exit('hw.io-kernel');
    this.ioUser = exit('hw.io-user');
    this.mmioKernel = exit('hw.io-kernel', 'hw.emulate');
    this.mmioUser = exit('hw.io-user', 'hw.emulate');
    this.notify = exit('hw.io-kernel');
    this.apic = exit('hw.apic');
    this.hostInterrupt = exit('hw.interrupt');
    this.window = exit('hw.window');
    this.timer = exit('hw.timer');
    this.halt = exit('hw.vmcall');
    this.wake = exit('hw.halt');
    this.polledWake = exit();
    this.violation = exit(isShadow ? 'shadow.fill' : 'hw.ept-violation');
    this.exceptionExit = exit('hw.exception');
    const kptiRoots: (readonly [string, number])[] = isShadow ? [['shadow.cr3', 2], ['hw.vmcall', 2], ...extra.map((name) => [name, 4] as const)] : [];
    const kpti: (readonly [string, number])[] = hasKpti ? [['native.kpti', 1], ...kptiRoots] : [];
    this.exception = meter.recipe('native.exception', ...kpti);
    this.kernelException = meter.recipe('native.exception');
    this.guestInterrupt = meter.recipe('native.interrupt', ...kpti);
    this.syscall = meter.recipe(...kpti);
    this.walk = isShadow ? meter.recipe('native.walk') : meter.recipe('native.walk', options['hostPages'] === 'huge' ? 'hw.walk-huge' : 'hw.walk');
    this.trueFault = exit('shadow.true-fault');
    this.fill = exit('shadow.fill');
    this.unsync = exit('shadow.unsync');
    this.write = exit('shadow.write');
    this.cr3 = exit('shadow.cr3');
    this.cr3New = exit('shadow.cr3', 'shadow.new-root');
    this.sync = meter.recipe('shadow.sync');
    this.invlpg = exit('shadow.invlpg');
    this.exits = exits;
    this.isMostlyQuiet = !isShadow;
    this.isWhole = meter.isWhole([this.ioKernel, this.ioUser, this.cpuid, this.light, this.exception, this.kernelException, this.exceptionExit]);
  }

  protected override foldRows(batch: EventBatch, start: number, end: number, list: Uint16Array, from: number, to: number, out: RegimeSink): void {
    const { sites, site, position, valueLo, valueHi, aux } = batch;
    const { reason, ptMmu, plans } = this;
    let due = this.ticks.dueRow(batch, start, end);
    let next = start;
    /** Up to here `accessedAt` is known: it matters to few rows, who ask. */
    let accessesTo = start;
    for (let k = from; k < to; k++) {
      const i = list[k];
      while (i >= due) due = this.dueTicks(batch, due, end, out);
      if (i !== next && this.isHalted) this.passRows(batch, next, i);
      next = i + 1;
      const s = site[i];
      let plan = plans[s];
      if (plan === PLAN_UNKNOWN) plans[s] = plan = this.planOf(sites, s);
      switch (plan) {
        case 1 satisfies typeof PLAN_NOTHING:
          break;
        case 2 satisfies typeof PLAN_QUIET:
          this.isHalted = false;
          break;
        case 3 satisfies typeof PLAN_PORT_KERNEL:
          this.isHalted = false;
          this.exit(out, i, reason.io, portQualification(sites.f0[s], sites.f1[s]), HANDLER_KERNEL_DEVICE, this.ioKernel);
          break;
        case 4 satisfies typeof PLAN_PORT_USER:
          this.isHalted = false;
          this.exit(out, i, reason.io, portQualification(sites.f0[s], sites.f1[s]), HANDLER_DEVICE_MODEL, this.ioUser);
          break;
        case 5 satisfies typeof PLAN_PORT_OTHER:
          this.isHalted = false;
          this.io(out, i, sites.f0[s], sites.f1[s], valueLo[i]);
          break;
        case 6 satisfies typeof PLAN_MMIO:
          this.isHalted = false;
          this.mmio(out, i, sites.addressLo[s], sites.addressHi[s], sites.f1[s]);
          break;
        case 7 satisfies typeof PLAN_MSR:
          this.isHalted = false;
          this.msrAccess(out, i, sites.f0[s], sites.f1[s] !== 0, valueLo[i]);
          break;
        case 8 satisfies typeof PLAN_CPUID:
          this.isHalted = false;
          this.cpuids(out, i, valueLo[i], 1);
          break;
        case 9 satisfies typeof PLAN_ROOT_READ:
          this.isHalted = false;
          this.exit(out, i, this.crReason(3, true), crQualification(3, CR_MOV_FROM, sites.f2[s]), HANDLER_LIGHT, this.light);
          break;
        case 10 satisfies typeof PLAN_ROOT:
          this.isHalted = false;
          if (ptMmu !== undefined) this.loadRoot(out, i, this.crReason(3, false), crQualification(3, sites.f1[s], sites.f2[s]), ptMmu, valueLo[i], valueHi[i]);
          break;
        case 11 satisfies typeof PLAN_CONTROL:
          this.isHalted = false;
          this.controlRegister(out, i, sites.f0[s], sites.f1[s], sites.f2[s], valueLo[i]);
          break;
        case 12 satisfies typeof PLAN_DEBUG:
          this.isHalted = false;
          if (!this.hasPassedDr) {
            this.hasPassedDr = true;
            this.exit(out, i, this.isAmd ? (sites.f1[s] !== 0 ? SVM.writeDr : SVM.readDr) + (sites.f0[s] & 15) : VMX.dr, sites.f0[s], HANDLER_LIGHT, this.light);
          }
          break;
        case 13 satisfies typeof PLAN_EXCEPTION:
          this.isHalted = false;
          this.guestException(out, i, sites.f0[s], sites.f2[s], sites.addressLo[s], sites.addressHi[s], sites.ripHi[s], 1);
          break;
        case 14 satisfies typeof PLAN_STORE:
          if (ptMmu !== undefined) this.tableStore(out, i, ptMmu, sites.f0[s], aux[i], valueLo[i]);
          break;
        case 15 satisfies typeof PLAN_OTHER:
          this.plain(out, i, sites.f0[s], valueLo[i], valueHi[i]);
          break;
        case 16 satisfies typeof PLAN_COUNTS:
          this.counted(batch, i, out);
          break;
        case 17 satisfies typeof PLAN_RAISED:
          this.findAccess(batch, accessesTo, i);
          accessesTo = i;
          this.raised(out, i, position[i], sites.f3[s]);
          break;
        case 18 satisfies typeof PLAN_INJECTED:
          this.injected(out, i, position[i], sites.f3[s]);
          break;
        case 19 satisfies typeof PLAN_TIMER:
          this.isTimerDue = true;
          break;
        case 20 satisfies typeof PLAN_IDLE:
          this.idle(out, i, valueLo[i] + valueHi[i] * 2 ** 32);
          this.ticks.idleNs += valueLo[i] + valueHi[i] * 2 ** 32;
          due = this.ticks.dueRow(batch, i + 1, end);
          break;
        case 21 satisfies typeof PLAN_DIRTY: {
          const fresh = this.frames.touch(batch.bytes, batch.payloadStart[i], batch.payloadLength[i]);
          if (fresh > 0) this.exitTimes(out, i, this.isShadow ? this.pageFaultReason() : reason.eptViolation, 0, HANDLER_MMU, this.violation, fresh);
          break;
        }
      }
    }
    while (due < end) due = this.dueTicks(batch, due, end, out);
    if (this.isHalted) this.passRows(batch, next, end);
    this.findAccess(batch, accessesTo, end);
  }

  protected override isQuiet(plan: number): boolean {
    return plan === PLAN_NOTHING || plan === PLAN_QUIET;
  }

  protected override tell(out: RegimeSink, row: number, { f0, f1, f2, addressLo, addressHi, ripHi }: SiteTable, s: number, plan: number, rows: number): boolean {
    const { reason } = this;
    switch (plan) {
      case 3 satisfies typeof PLAN_PORT_KERNEL:
        this.exitTimes(out, row, reason.io, portQualification(f0[s], f1[s]), HANDLER_KERNEL_DEVICE, this.ioKernel, rows);
        return true;
      case 4 satisfies typeof PLAN_PORT_USER:
        this.exitTimes(out, row, reason.io, portQualification(f0[s], f1[s]), HANDLER_DEVICE_MODEL, this.ioUser, rows);
        return true;
      case 8 satisfies typeof PLAN_CPUID:
        this.cpuids(out, row, 0, rows);
        return true;
      case 9 satisfies typeof PLAN_ROOT_READ:
        this.exitTimes(out, row, this.crReason(3, true), crQualification(3, CR_MOV_FROM, f2[s]), HANDLER_LIGHT, this.light, rows);
        return true;
      case 13 satisfies typeof PLAN_EXCEPTION:
        if (this.ptMmu !== undefined && f0[s] === VECTOR_PF) return false;
        this.guestException(out, row, f0[s], f2[s], addressLo[s], addressHi[s], ripHi[s], rows);
        return true;
      default:
        return false;
    }
  }

  /** What rows that were told leave behind: the guest runs if one of them is an instruction of it. */
  private passRows({ site }: EventBatch, from: number, to: number): void {
    const { plans } = this;
    for (let i = from; i < to && this.isHalted; i++) if (RUNS[plans[site[i]]] !== 0) this.isHalted = false;
  }

  /** The last access to a device among these rows. */
  private findAccess({ site, position }: EventBatch, from: number, to: number): void {
    const { plans } = this;
    for (let i = to - 1; i >= from; i--) {
      if (ACCESSES[plans[site[i]]] === 0) continue;
      this.accessedAt = position[i];
      return;
    }
  }

  /** Ticks of the host that are due at a row; returns the row at which the next one is. */
  private dueTicks(batch: EventBatch, i: number, end: number, out: RegimeSink): number {
    this.hostTicks(out, i, batch.position[i] + batch.timeOffsetNs[i]);
    return this.ticks.dueRow(batch, i + 1, end);
  }

  private cpuids(out: RegimeSink, i: number, leaf: number, times: number): void {
    this.exitTimes(out, i, this.reason.cpuid, leaf, HANDLER_LIGHT, this.cpuid, times);
  }

  protected override planOf({ shape, f0, f1 }: SiteTable, s: number): number {
    switch (shape[s]) {
      case SHAPE_EXIT_IO: {
        const kind = PORT_CLASS[f0[s] & 0xffff];
        if ((kind === PORT_PIT_CALIBRATION && this.hasPvClock) || (kind === PORT_UART && this.hasVirtioConsole)) return PLAN_PORT_OTHER;
        return this.isKernelPort(kind) ? PLAN_PORT_KERNEL : PLAN_PORT_USER;
      }
      case SHAPE_EXIT_MMIO:
        return PLAN_MMIO;
      case SHAPE_EXIT_MSR:
        return PLAN_MSR;
      case SHAPE_EXIT_CPUID:
        return PLAN_CPUID;
      case SHAPE_EXIT_CR: {
        const isRead = f1[s] === CR_MOV_FROM;
        if (f0[s] === 3) return this.ptMmu === undefined ? PLAN_QUIET : isRead ? PLAN_ROOT_READ : PLAN_ROOT;
        // Reads of CR0 and CR4 come from the read shadow. (SVM can intercept them; KVM does not with nested paging.)
        return isRead ? PLAN_QUIET : PLAN_CONTROL;
      }
      case SHAPE_EXIT_DR:
        return PLAN_DEBUG;
      case SHAPE_EXIT_EXCEPTION:
        return PLAN_EXCEPTION;
      case SHAPE_EXIT_PAGE_TABLE:
        return this.ptMmu === undefined ? PLAN_NOTHING : PLAN_STORE;
      case SHAPE_EXIT_PLAIN:
        return PLAN_OTHER;
      case SHAPE_COUNTS:
        return PLAN_COUNTS;
      case SHAPE_INTERRUPT:
        return f0[s] === PHASE_RAISED ? PLAN_RAISED : f0[s] === PHASE_INJECTED ? PLAN_INJECTED : PLAN_NOTHING;
      case SHAPE_TIMER_FIRE:
        return PLAN_TIMER;
      case SHAPE_IDLE:
        return PLAN_IDLE;
      case SHAPE_DIRTY:
        return PLAN_DIRTY;
      default:
        return PLAN_NOTHING;
    }
  }

  /** Those that are due at a virtual time; `row` -1: between rows. */
  private hostTicks(out: RegimeSink, row: number, ns: number): boolean {
    const ticks = this.ticks.take(ns);
    if (ticks > 0) this.exitTimes(out, row, this.reason.externalInterrupt, 0, HANDLER_INTERRUPT, this.hostInterrupt, ticks);
    return ticks > 0;
  }

  foldPauses({ virtualNs, cpl }: PauseBatch, start: number, end: number, out: RegimeSink): void {
    const { pauseLoops, meter: { uses } } = this;
    if (pauseLoops === undefined) return;
    if (uses[this.wake] !== this.wakesBefore) pauseLoops.scheduledIn();
    this.wakesBefore = uses[this.wake];
    let hasLeft = this.exitsMade() !== this.exitsBefore;
    for (let i = start; i < end; i++) {
      if (this.hostTicks(out, -1, virtualNs[i]) || hasLeft) pauseLoops.entered();
      hasLeft = false;
      if (pauseLoops.pause(virtualNs[i], cpl[i])) this.exit(out, -1, this.reason.pause, 0, HANDLER_LIGHT, this.pause);
    }
    this.exitsBefore = this.exitsMade();
  }

  private exitsMade(): number {
    let sum = 0;
    for (const recipe of this.exits) sum += this.meter.uses[recipe];
    return sum;
  }

  private pageFaultReason(): number {
    return this.isAmd ? SVM.exception + VECTOR_PF : VMX.exception;
  }

  private io(out: RegimeSink, i: number, port: number, access: number, value: number): void {
    const kind = PORT_CLASS[port & 0xffff];
    if (kind === PORT_PIT_CALIBRATION && this.hasPvClock && (this.recordedPv & PV_CLOCK) === 0) return;
    if (kind === PORT_UART && this.hasVirtioConsole) {
      // A line goes into the queue; the device is told once. No register is polled.
      const isLineEnd = (access & ACCESS_WRITE) !== 0 && (port & 7) === 0 && (value & 0xff) === 0x0a;
      if (isLineEnd) this.virtioNotify(out, i, 0, this.hasKernelNotify ? this.notify : this.mmioUser);
      return;
    }
    const isKernel = this.isKernelPort(kind);
    this.exit(out, i, this.reason.io, portQualification(port, access), isKernel ? HANDLER_KERNEL_DEVICE : HANDLER_DEVICE_MODEL, isKernel ? this.ioKernel : this.ioUser);
  }

  private isKernelPort(kind: number): boolean {
    return this.hasKernelIrqchip && (kind === PORT_PIC || kind === PORT_PIT || kind === PORT_PIT_CALIBRATION);
  }

  private virtioNotify(out: RegimeSink, i: number, gpa: number, recipe: number): void {
    const code = this.isShadow ? this.pageFaultReason() : this.reason.eptMisconfig;
    this.exit(out, i, code, gpa, this.hasKernelNotify ? HANDLER_KERNEL_DEVICE : HANDLER_DEVICE_MODEL, recipe);
  }

  private mmio(out: RegimeSink, i: number, addressLo: number, addressHi: number, access: number): void {
    const page = addressHi * 2 ** 20 + (addressLo >>> 12);
    const isWrite = (access & ACCESS_WRITE) !== 0;
    if (page === LAPIC_PAGE) {
      this.apicPage(out, i, addressLo & 0xfff, isWrite);
      return;
    }
    const gpa = addressHi * 2 ** 32 + addressLo;
    // The first touch finds no entry; it leaves a misconfigured one behind, which is cheaper to recognise.
    const isFirst = !this.mmioPages.has(page);
    if (isFirst && this.mmioPages.size < MMIO_PAGES_MAX) this.mmioPages.add(page);
    const code = this.isShadow ? this.pageFaultReason() : isFirst ? this.reason.eptViolation : this.reason.eptMisconfig;
    const isNotify = isWrite && (addressLo & VIRTIO_WINDOW_MASK) === VIRTIO_QUEUE_NOTIFY;
    if (page === IOAPIC_PAGE && this.hasKernelIrqchip) this.exit(out, i, code, gpa, HANDLER_KERNEL_DEVICE, this.mmioKernel);
    else if (isNotify && this.hasKernelNotify) this.exit(out, i, code, gpa, HANDLER_KERNEL_DEVICE, isFirst ? this.mmioKernel : this.notify);
    else this.exit(out, i, code, gpa, HANDLER_DEVICE_MODEL, this.mmioUser);
  }

  private apicPage(out: RegimeSink, i: number, offset: number, isWrite: boolean): void {
    if (isWrite && offset === APIC_EOI && this.isEoiRemoved()) return;
    if (!this.hasKernelIrqchip) {
      this.exit(out, i, this.isShadow ? this.pageFaultReason() : this.reason.eptMisconfig, 0xfee0_0000 + offset, HANDLER_DEVICE_MODEL, this.mmioUser);
      return;
    }
    if (this.hasSyntheticApic && (offset === APIC_TPR || offset === APIC_ICR_LOW || offset === APIC_ICR_HIGH)) {
      // Synthetic MSRs, one for the two halves of ICR.
      if (isWrite && offset !== APIC_ICR_HIGH) this.exit(out, i, this.reason.wrmsr, offset, HANDLER_KERNEL_DEVICE, this.msr);
      return;
    }
    if (this.hasApicv) {
      if (isWrite) {
        if (offset !== APIC_EOI && offset !== APIC_TPR) this.exit(out, i, this.reason.apicWrite, offset, HANDLER_KERNEL_DEVICE, this.apic);
      } else if (offset === APIC_CURRENT_COUNT) {
        this.exit(out, i, this.reason.apicAccess, offset, HANDLER_KERNEL_DEVICE, this.apic);
      }
      return;
    }
    // Access type: SDM table 28-6.
    this.exit(out, i, this.isShadow && this.isAmd ? this.pageFaultReason() : this.reason.apicAccess, offset + (isWrite ? 0x1000 : 0), HANDLER_KERNEL_DEVICE, this.apic);
  }

  /** By an option; an EOI of a guest that has its own way without an exit is one that needs it. */
  private isEoiRemoved(): boolean {
    return (this.hasPvEoi || this.hasSyntheticApic) && (this.recordedPv & PV_EOI) === 0;
  }

  private paravirtMsr(index: number, value: number): void {
    const set = (bit: number, isSet: boolean): void => {
      this.recordedPv = isSet ? this.recordedPv | bit : this.recordedPv & ~bit;
    };
    const isEnabled = (value & 1) !== 0;
    if (index === MSR_KVM_SYSTEM_TIME || index === MSR_HV_REFERENCE_TSC) set(PV_CLOCK, isEnabled);
    else if (index === MSR_KVM_PV_EOI || index === MSR_HV_ASSIST_PAGE) set(PV_EOI, isEnabled);
    else if (index === MSR_KVM_POLL_CONTROL) set(PV_NO_POLLING, !isEnabled);
    else if (index === MSR_HV_STIMER0_CONFIG) set(PV_TIMER, true);
  }

  private msrAccess(out: RegimeSink, i: number, index: number, isWrite: boolean, value: number): void {
    const code = isWrite ? this.reason.wrmsr : this.reason.rdmsr;
    if (isWrite) this.paravirtMsr(index, value);
    else if (index === MSR_HV_TSC_FREQUENCY) this.recordedPv |= PV_CLOCK;
    if (index >= MSR_HV_EOI && index <= MSR_HV_STIMER_LAST) {
      // Never in the bitmap, and no APICv accelerates them: hyperv-tlfs.h, kvm/hyperv.c.
      const isTimer = index >= MSR_HV_STIMER0_CONFIG && isWrite;
      this.exit(out, i, code, index, HANDLER_KERNEL_DEVICE, isTimer ? this.msrTimer : this.msr);
      return;
    }
    if (this.hasMsrBitmap && this.isPassedMsr(index, isWrite)) return;
    if (index >= MSR_X2APIC_FIRST && index <= MSR_X2APIC_LAST) {
      if (index === MSR_X2APIC_EOI && this.isEoiRemoved()) return;
      if (this.hasApicv && this.hasMsrBitmap) {
        const isFree = isWrite ? index === MSR_X2APIC_TPR || index === MSR_X2APIC_EOI || index === MSR_X2APIC_SELF_IPI : index !== MSR_X2APIC_CURRENT_COUNT;
        if (isFree) return;
      }
      this.exit(out, i, code, index, HANDLER_KERNEL_DEVICE, this.msr);
      return;
    }
    if (index === MSR_TSC_DEADLINE && isWrite) this.exit(out, i, code, index, HANDLER_KERNEL_DEVICE, this.msrTimer);
    else this.exit(out, i, code, index, HANDLER_LIGHT, this.msr);
  }

  private isPassedMsr(index: number, isWrite: boolean): boolean {
    switch (index) {
      case 0x10: // TSC
        return !isWrite;
      case 0x48: // SPEC_CTRL
      case 0x49: // PRED_CMD
      case 0x174: // SYSENTER_CS, ESP, EIP
      case 0x175:
      case 0x176:
      case 0xc000_0100: // FS_BASE, GS_BASE, KERNEL_GS_BASE
      case 0xc000_0101:
      case 0xc000_0102:
        return true;
      case 0xc000_0081: // STAR, LSTAR, CSTAR, FMASK
      case 0xc000_0082:
      case 0xc000_0083:
      case 0xc000_0084:
        return this.isAmd;
      default:
        return false;
    }
  }

  private crReason(cr: number, isRead: boolean): number {
    return this.isAmd ? (isRead ? SVM.readCr : SVM.writeCr) + cr : VMX.cr;
  }

  /** Of a write, and not of CR3. */
  private controlRegister(out: RegimeSink, i: number, cr: number, access: number, gpr: number, lo: number): void {
    const qualification = crQualification(cr, access, gpr);
    const code = this.crReason(cr, false);
    if (cr === 0) {
      let value = lo;
      if (access === CR_CLTS) value = this.cr0 & ~CR0_TS;
      else if (access === CR_LMSW) value = (this.cr0 & ~0xe) | (lo & 0xf) | (this.cr0 & 1);
      const changed = (value ^ this.cr0) & ~(this.isShadow ? CR0_TS : CR0_TS | CR0_WP);
      this.cr0 = value | 0;
      if (changed !== 0) this.exit(out, i, this.isAmd ? SVM.cr0Selective : code, qualification, HANDLER_MMU, this.cr);
    } else if (cr === 4) {
      const changed = (lo ^ this.cr4) & ~(this.isShadow ? CR4_GUEST_OWNED : CR4_GUEST_OWNED | CR4_PGE);
      const isFlush = ((lo ^ this.cr4) & CR4_PGE) !== 0;
      this.cr4 = lo | 0;
      // SVM intercepts every write; VMX those that change a bit of the host's.
      if (changed !== 0 || this.isAmd) this.exit(out, i, code, qualification, HANDLER_MMU, this.cr);
      if (isFlush) this.synchronise(out, i);
    } else if (cr === 8 && this.isAmd && access === CR_MOV_TO && !this.hasApicv) {
      this.exit(out, i, code, qualification, HANDLER_KERNEL_DEVICE, this.light);
    }
  }

  private loadRoot(out: RegimeSink, i: number, code: number, qualification: number, mmu: ShadowMmu, lo: number, hi: number): void {
    mmu.loadRoot(rootFrame(lo, hi));
    this.exit(out, i, code, qualification, HANDLER_MMU, mmu.isCachedRoot ? this.cr3 : this.cr3New);
    if (mmu.synced > 0) this.direct(out, i, DIRECT_PAGE_TABLE, this.sync, mmu.synced);
    this.hiddenFaults(out, i, mmu.fills);
  }

  private synchronise(out: RegimeSink, i: number): void {
    if (this.ptMmu === undefined) return;
    this.ptMmu.sync();
    this.direct(out, i, DIRECT_PAGE_TABLE, this.sync, this.ptMmu.synced);
  }

  private hiddenFaults(out: RegimeSink, i: number, count: number): void {
    if (count > 0) this.exitTimes(out, i, this.pageFaultReason(), 0, HANDLER_MMU, this.fill, count);
  }

  private tableStore(out: RegimeSink, i: number, mmu: ShadowMmu, level: number, address: number, value: number): void {
    const met = mmu.store(level, address, value);
    this.frames.split(address >>> 12);
    if (met !== STORE_FREE) this.exit(out, i, this.pageFaultReason(), address, met === STORE_UNSYNC ? HANDLER_MMU : HANDLER_EMULATION, met === STORE_UNSYNC ? this.unsync : this.write);
    this.hiddenFaults(out, i, mmu.fills);
  }

  private guestException(out: RegimeSink, i: number, vector: number, error: number, addressLo: number, addressHi: number, ripHi: number, times: number): void {
    const code = this.isAmd ? SVM.exception + vector : VMX.exception;
    if (vector === VECTOR_PF) {
      if (this.ptMmu !== undefined) {
        this.ptMmu.trueFault(addressLo);
        this.exit(out, i, code, addressHi * 2 ** 32 + addressLo, HANDLER_REFLECTION, this.trueFault);
      }
    } else if (vector === VECTOR_UD || vector === VECTOR_DB || vector === VECTOR_AC || vector === VECTOR_MC) {
      this.exitTimes(out, i, code, vector, HANDLER_REFLECTION, this.exceptionExit, times);
    }
    this.direct(out, i, DIRECT_EXCEPTION, isUserException(vector, error, ripHi) ? this.exception : this.kernelException, times);
  }

  private raised(out: RegimeSink, i: number, at: number, controller: number): void {
    // With an I/O APIC in use, the PIC is masked and sees the same edges.
    if (controller === CONTROLLER_IOAPIC) this.hasIoapic = true;
    else if (controller === CONTROLLER_PIC && this.hasIoapic) return;
    const isTimer = this.isTimerDue;
    this.isTimerDue = false;
    this.raisedAt = at;
    // A guest that sleeps is not interrupted: the wake-up is paid with its HLT.
    if (this.isHalted) return;
    // Nor is one that is out of the guest already, because it has just accessed the device that raises the line.
    if (!isTimer && at === this.accessedAt) return;
    // KVM's synthetic timers are hrtimers of the host.
    if (isTimer && this.hasPreemptionTimer && (this.recordedPv & PV_TIMER) === 0 && controller !== CONTROLLER_PIC) this.exit(out, i, VMX.preemptionTimer, 0, HANDLER_KERNEL_DEVICE, this.timer);
    else if (isTimer || !this.hasApicv || controller === CONTROLLER_PIC) this.exit(out, i, this.reason.externalInterrupt, 0, HANDLER_INTERRUPT, this.hostInterrupt);
  }

  private injected(out: RegimeSink, i: number, at: number, controller: number): void {
    if (!this.isHalted && this.raisedAt >= 0 && at > this.raisedAt && (controller === CONTROLLER_PIC || !this.hasApicv)) {
      this.exit(out, i, this.reason.interruptWindow, 0, HANDLER_INTERRUPT, this.window);
    }
    this.raisedAt = -1;
    this.isHalted = false;
    this.direct(out, i, DIRECT_INTERRUPT, this.guestInterrupt);
  }

  private idle(out: RegimeSink, i: number, ns: number): void {
    if (!this.isHalted) return;
    const pollNs = (this.recordedPv & PV_NO_POLLING) === 0 ? this.haltPollNs : 0;
    const polled = Math.min(ns, pollNs);
    if (polled > 0) out.direct(i, DIRECT_HALT_POLL, polled, NO_CYCLES);
    this.direct(out, i, DIRECT_WAKE, ns <= pollNs ? this.polledWake : this.wake);
  }

  private plain(out: RegimeSink, i: number, code: number, lo: number, hi: number): void {
    const { reason } = this;
    switch (code) {
      case EXIT_REASONS.hlt:
        this.isHalted = true;
        this.exit(out, i, reason.hlt, 0, HANDLER_SLEEP, this.halt);
        return;
      case EXIT_REASONS.invlpg:
        if (this.ptMmu !== undefined) {
          // KVM synchronises the entry, which stays writable: what was let go stays so.
          this.exit(out, i, reason.invlpg, hi * 2 ** 32 + lo, HANDLER_MMU, this.invlpg);
        }
        return;
      case EXIT_REASONS.vmcall:
        this.exit(out, i, reason.vmcall, lo, HANDLER_HYPERCALL, this.light);
        return;
      case EXIT_REASONS.invd:
        this.exit(out, i, reason.invd, 0, HANDLER_LIGHT, this.light);
        return;
      case EXIT_REASONS.wbinvd:
        this.exit(out, i, reason.wbinvd, 0, HANDLER_LIGHT, this.light);
        return;
      case EXIT_REASONS.xsetbv:
        this.exit(out, i, reason.xsetbv, 0, HANDLER_LIGHT, this.light);
        return;
      case EXIT_REASONS.rdpmc:
        this.exit(out, i, reason.rdpmc, 0, HANDLER_LIGHT, this.light);
        return;
      case EXIT_REASONS.mwait:
        this.exit(out, i, reason.mwait, 0, HANDLER_LIGHT, this.light);
        return;
      case EXIT_REASONS.monitor:
        this.exit(out, i, reason.monitor, 0, HANDLER_LIGHT, this.light);
        return;
      case EXIT_REASONS.tripleFault:
        this.exit(out, i, reason.tripleFault, 0, HANDLER_LIGHT, this.light);
        return;
      default:
      // RDTSC, RDTSCP, LGDT, LLDT and the like: not intercepted. PAUSE: foldPauses().
    }
  }

  protected override charge(totals: RunTotals, row: number, out: RegimeSink): void {
    if (this.hasKpti) this.direct(out, row, DIRECT_SYSCALL, this.syscall, totals.systemCalls ?? 0);
    this.direct(out, row, DIRECT_PAGE_WALK, this.walk, totals.pageWalks ?? 0);
  }

  override counters(): Readonly<Record<string, number>> {
    return this.ptMmu?.counters() ?? {};
  }

  protected override data(): HardwareState {
    const { cr0, cr4, hasPassedDr, isHalted, raisedAt, accessedAt, isTimerDue, hasIoapic } = this;
    const shadow = this.ptMmu?.save();
    const pauses = this.pauseLoops?.save();
    return {
      cr0, cr4, hasPassedDr, isHalted, raisedAt, accessedAt, isTimerDue, hasIoapic, recordedPv: this.recordedPv, ...this.ticks.save(),
      mmioPages: [...this.mmioPages], frames: this.frames.save(), ...(shadow !== undefined && { shadow }),
      exitsBefore: this.exitsBefore, wakesBefore: this.wakesBefore, ...(pauses !== undefined && { pauses }),
    };
  }

  protected override setData(data: unknown): void {
    const state = data as HardwareState;
    this.cr0 = state.cr0;
    this.cr4 = state.cr4;
    this.hasPassedDr = state.hasPassedDr;
    this.isHalted = state.isHalted;
    this.raisedAt = state.raisedAt;
    this.accessedAt = state.accessedAt;
    this.isTimerDue = state.isTimerDue;
    this.hasIoapic = state.hasIoapic;
    this.ticks.restore(state);
    this.recordedPv = state.recordedPv;
    this.mmioPages = new Set(state.mmioPages);
    this.frames.restore(state.frames);
    if (this.ptMmu !== undefined && state.shadow !== undefined) this.ptMmu.restore(state.shadow);
    this.exitsBefore = state.exitsBefore;
    this.wakesBefore = state.wakesBefore;
    if (state.pauses !== undefined) this.pauseLoops?.restore(state.pauses);
  }
}

/** SDM table 28-5. */
function portQualification(port: number, access: number): number {
  return ((access & 15) - 1 + ((access & ACCESS_WRITE) === 0 ? 8 : 0) + ((access & 0x20) === 0 ? 0 : 16) + ((access & 0x40) === 0 ? 0 : 32)) + port * 65_536;
}

/** SDM table 28-3. */
function crQualification(cr: number, access: number, gpr: number): number {
  return cr + access * 16 + gpr * 256;
}

interface HardwareState extends SavedHostTicks {
  readonly cr0: number;
  readonly cr4: number;
  readonly hasPassedDr: boolean;
  readonly isHalted: boolean;
  readonly raisedAt: number;
  readonly accessedAt: number;
  readonly isTimerDue: boolean;
  readonly hasIoapic: boolean;
  readonly recordedPv: number;
  readonly mmioPages: readonly number[];
  readonly frames: readonly number[];
  readonly shadow?: SavedShadow;
  readonly exitsBefore: number;
  readonly wakesBefore: number;
  readonly pauses?: SavedPauseLoops;
}

/** SVM's codes under Intel's names. MSR accesses share one code, nested page faults another. */
const AMD_REASONS = {
  externalInterrupt: SVM.interrupt, tripleFault: SVM.shutdown, interruptWindow: SVM.virtualInterrupt, cpuid: SVM.cpuid, hlt: SVM.hlt, invd: SVM.invd,
  invlpg: SVM.invlpg, rdpmc: SVM.rdpmc, vmcall: SVM.vmmcall, pause: SVM.pause, io: SVM.io,
  rdmsr: SVM.msr, wrmsr: SVM.msr, mwait: SVM.mwait, monitor: SVM.monitor, apicAccess: SVM.npf, eptViolation: SVM.npf, eptMisconfig: SVM.npf,
  wbinvd: SVM.wbinvd, xsetbv: SVM.xsetbv, apicWrite: SVM.avicUnaccelerated,
} as const;

const FEATURE = { kind: 'switch', isFeature: true } as const;
const options = (ept: boolean): readonly OptionSpec[] => [
  { name: 'vendor', title: 'whose hardware', kind: 'choice', values: ['intel', 'amd'], default: 'intel' },
  { ...FEATURE, name: 'ept', title: 'nested paging (EPT, NPT)', default: ept },
  { ...FEATURE, name: 'apicv', title: 'APIC virtualisation and posted interrupts (APICv, AVIC)', default: ept },
  { ...FEATURE, name: 'msrBitmap', title: 'MSR bitmap: harmless MSRs are passed through', default: ept },
  { ...FEATURE, name: 'preemptionTimer', title: 'VMX preemption timer for the guest\'s APIC timer', default: ept },
  { ...FEATURE, name: 'pauseLoops', title: 'PAUSE-loop exiting, SVM\'s pause filter (off: pause_in_guest): a kernel that spins leaves the guest', default: ept },
  { name: 'irqchip', title: 'where interrupt controllers and the PIT are emulated', kind: 'choice', values: ['kernel', 'user'], default: 'kernel', isFeature: true },
  { ...FEATURE, name: 'ioeventfd', title: 'virtio notifications end in the kernel (ioeventfd, vhost)', default: ept },
  { ...FEATURE, name: 'virtioConsole', title: 'a virtio console instead of the serial port: one notification a line', default: false },
  { name: 'hostPages', title: 'pages that back guest memory', kind: 'choice', values: ['small', 'huge'], default: 'huge', isFeature: true },
  { ...FEATURE, name: 'kvmPv', title: 'KVM\'s paravirtual clock and end of interrupt', default: false },
  { ...FEATURE, name: 'hyperv', title: 'Hyper-V enlightenments: frequency MSRs, reference TSC, virtual APIC', default: false },
  { name: 'hypervAvic', title: 'APICv stays on beside the synthetic interrupt controller', kind: 'switch', default: true },
  { name: 'haltPollUs', title: 'halt polling of the host, us', kind: 'number', min: 0, max: 1_000_000, default: 200 },
  { name: 'hostHz', title: 'timer interrupts of the host\'s own, per second (0: none)', kind: 'number', min: 0, max: 10_000, default: 250 },
  GUEST_KPTI,
  { name: 'mitigations', title: 'of the host, at each exit', kind: 'choice', values: ['none', 'spec-ctrl', 'l1d-flush'], default: 'none', isFeature: true },
  { ...FEATURE, name: 'unsync', title: 'shadow paging: last-level tables are writable until the next synchronisation', default: true },
  { name: 'touchedShare', title: 'shadow paging: share of user entries written in bulk that are touched (assumed)', kind: 'number', min: 0, max: 1, default: 0.5 },
  { name: 'fillsPerNewRoot', title: 'shadow paging: hidden faults of a new address space before its own (assumed)', kind: 'number', min: 0, max: 10_000, default: 16 },
];

const LIMITS = [
  'Reads of memory that was never written need an EPT violation too, which a log does not show: dirty sets hold writes only.',
  'One virtual CPU; a host that does nothing else. Device models take no time beyond the exit.',
  'Page walks count only if their number is given, or a replay counts them; logs do not hold it.',
  'Pause-loop exits count only if a replay tells of each PAUSE. With one virtual CPU the host finds no other to yield to (kvm_vcpu_on_spin): such an exit costs a light one.',
  'Counted TLB misses are those of the guest\'s page sizes: small pages of the host would split large ones. Exits are taken to leave the TLB as it is (VPID); without VPID each would empty it.',
  'Removing the TSC calibration (kvmPv, hyperv) leaves out its port accesses, not the instructions of its loop.',
];

export const HW: Regime = {
  id: 'hw',
  title: 'hardware assistance with nested paging (VT-x + EPT, SVM + NPT)',
  summary: 'The exits that KVM\'s controls ask for: I/O, MMIO, CPUID, MSRs outside the bitmap, HLT, host-owned CR bits, interrupts, EPT violations on first touch.',
  limits: LIMITS,
  options: options(true),
  project: (chosen, costs) => new HardwareProjection('hw', chosen, costs),
};

export const HW_SHADOW: Regime = {
  id: 'hw-shadow',
  title: 'hardware assistance of the first generation (VT-x or SVM, shadow page tables)',
  summary: 'As hw, and every CR3 load, INVLPG, true page fault, hidden fault and first store to a page table leaves the guest; shadow page tables as KVM keeps them.',
  limits: [...LIMITS, 'Hidden faults are inferred, because a log does not show accesses that the guest\'s own tables allow (shadow-mmu.ts).'],
  options: options(false),
  project: (chosen, costs) => new HardwareProjection('hw-shadow', chosen, costs),
};
