/**
 * `full`: full virtualisation without hardware help. The guest kernel runs translated, its users directly; page tables are shadowed, with traces on the guest's.
 *
 * Mechanisms: Adams & Agesen, ASPLOS 2006; Bugnion et al., TOCS 2012. In 64-bit mode segments have no limits: like the AMD CPUs with EFER.LMSLE on which 64-bit
 * translation was offered, the monitor is taken to be protected at no cost.
 */
import { BaseProjection, PLAN_NOTHING, PLAN_UNKNOWN } from './base.ts';
import { GuestFrames, UNIT_GROUP } from './guest-frames.ts';
import { HostTicks, type SavedHostTicks } from './host-ticks.ts';
import { GUEST_KPTI } from './native.ts';
import { PORT_CLASS, PORT_PIC, PORT_PIT, PORT_PIT_CALIBRATION, PORT_RTC } from './ports.ts';
import { BT } from './reasons.ts';
import {
  DIRECT_CALLOUT, DIRECT_DEVICE, DIRECT_PAGE_TABLE, DIRECT_PAGE_WALK, DIRECT_SYSCALL, DIRECT_TRANSLATED, HANDLER_DEVICE_MODEL, HANDLER_INTERRUPT,
  HANDLER_MMU, HANDLER_REFLECTION, HANDLER_SLEEP, HANDLER_TRACE,
  type CostBook, type Options, type Regime, type RegimeSink, type RunTotals,
} from './regime.ts';
import { SiteCounts } from './site-counts.ts';
import { STORE_FREE, ShadowMmu, rootFrame, type SavedShadow } from './shadow-mmu.ts';
import { CR_MOV_FROM, EXIT_REASONS, PHASE_INJECTED } from '../log/events.ts';
import type { EventBatch, SiteTable } from '../log/event-batch.ts';
import {
  SHAPE_COUNTS, SHAPE_DIRTY, SHAPE_EXIT_CPUID, SHAPE_EXIT_CR, SHAPE_EXIT_DR, SHAPE_EXIT_EXCEPTION, SHAPE_EXIT_IO, SHAPE_EXIT_MMIO, SHAPE_EXIT_MSR, SHAPE_EXIT_PAGE_TABLE,
  SHAPE_EXIT_PLAIN, SHAPE_IDLE, SHAPE_INTERRUPT,
} from '../log/shapes.ts';

const VECTOR_PF = 14;
const BT_SHADOW = { isUnsync: false, prefetch: 8, rootsCached: 4, flood: 0, pagesMax: 4096 } as const;

const PLAN_DEVICE = 2;
const PLAN_DEVICE_MODEL = 3;
const PLAN_MMIO = 4;
const PLAN_CALLOUT = 5;
const PLAN_ROOT = 6;
const PLAN_TRUE_FAULT = 7;
const PLAN_EXCEPTION = 8;
const PLAN_STORE = 9;
const PLAN_HALT = 10;
const PLAN_COUNTS = 11;
const PLAN_INTERRUPT = 12;
const PLAN_IDLE = 13;
const PLAN_DIRTY = 14;
/** A store of an instruction that is known to be translated into a call. */
const PLAN_ADAPTED_STORE = 15;

class TranslationProjection extends BaseProjection {
  private readonly adaptAfter: number;
  private readonly ticks: HostTicks;
  private readonly isHosted: boolean;
  private readonly mmu: ShadowMmu;
  private readonly frames = new GuestFrames(UNIT_GROUP);

  private readonly trueFault: number;
  private readonly exception: number;
  private readonly interrupt: number;
  private readonly fill: number;
  private readonly trace: number;
  private readonly traceAdapted: number;
  private readonly callout: number;
  private readonly device: number;
  private readonly model: number;
  private readonly halt: number;
  private readonly syscall: number;
  private readonly kernel: number;
  private readonly walk: number;

  /** Faults so far of each instruction that stores to page tables or device registers; kernels have some hundreds. */
  private readonly sites = new SiteCounts();
  private adapted = 0;

  constructor(options: Options, costs: CostBook) {
    super('full', costs, ['systemCalls', 'kernelInstructions', 'pageWalks']);
    const number = (name: string): number => (typeof options[name] === 'number' ? options[name] : 0);
    this.adaptAfter = options['adaptive'] === true ? number('adaptAfter') : Infinity;
    this.ticks = new HostTicks(number('hostHz'));
    this.isHosted = options['hosted'] === true;
    this.mmu = new ShadowMmu({ ...BT_SHADOW, touchedShare: number('touchedShare'), fillsPerNewRoot: number('fillsPerNewRoot') });
    const { meter } = this;
    // Under KPTI each entry and each return changes CR3: two callouts.
    const kpti: (readonly [string, number])[] = options['guestKpti'] === true ? [['bt.callout', 2]] : [];
    const model = this.isHosted ? ['bt.device-model'] : [];
    this.trueFault = meter.recipe('bt.true-fault', ...kpti);
    this.exception = meter.recipe('bt.exception', ...kpti);
    this.interrupt = meter.recipe('bt.interrupt', ...kpti);
    this.fill = meter.recipe('bt.fill');
    this.trace = meter.recipe('bt.trace');
    this.traceAdapted = meter.recipe('bt.trace-adapted');
    this.callout = meter.recipe('bt.callout');
    this.device = meter.recipe('bt.device');
    this.model = meter.recipe('bt.device', ...model);
    this.halt = meter.recipe('bt.callout', ...model);
    this.syscall = meter.recipe('bt.syscall', ...kpti);
    this.kernel = meter.recipe('bt.kernel-instruction');
    this.walk = meter.recipe('native.walk');
    this.isWhole = meter.isWhole([this.device, this.model, this.callout, this.exception, this.halt, this.interrupt]);
  }

  protected override foldRows(batch: EventBatch, start: number, end: number, list: Uint16Array, from: number, to: number, out: RegimeSink): void {
    const { sites, site, valueLo, valueHi, aux } = batch;
    const { mmu, plans } = this;
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
        case 2 satisfies typeof PLAN_DEVICE:
          this.direct(out, i, DIRECT_DEVICE, this.device);
          break;
        case 4 satisfies typeof PLAN_MMIO:
          this.mmio(out, i, sites.addressLo[s], sites.ripLo[s], sites.ripHi[s]);
          break;
        case 5 satisfies typeof PLAN_CALLOUT:
          this.direct(out, i, DIRECT_CALLOUT, this.callout);
          break;
        case 6 satisfies typeof PLAN_ROOT:
          this.direct(out, i, DIRECT_CALLOUT, this.callout);
          mmu.loadRoot(rootFrame(valueLo[i], valueHi[i]));
          this.hiddenFaults(out, i, mmu.fills);
          break;
        case 7 satisfies typeof PLAN_TRUE_FAULT:
          mmu.trueFault(sites.addressLo[s]);
          this.exit(out, i, BT.trueFault, sites.addressHi[s] * 2 ** 32 + sites.addressLo[s], HANDLER_REFLECTION, this.trueFault);
          break;
        case 9 satisfies typeof PLAN_STORE:
          if (mmu.store(sites.f0[s], aux[i], valueLo[i]) !== STORE_FREE) {
            if (this.isAdapted(sites.ripLo[s], sites.ripHi[s])) {
              plans[s] = PLAN_ADAPTED_STORE;
              this.direct(out, i, DIRECT_PAGE_TABLE, this.traceAdapted);
            } else this.exit(out, i, BT.traceFault, aux[i], HANDLER_TRACE, this.trace);
          }
          this.hiddenFaults(out, i, mmu.fills);
          break;
        case 15 satisfies typeof PLAN_ADAPTED_STORE:
          if (mmu.store(sites.f0[s], aux[i], valueLo[i]) !== STORE_FREE) this.direct(out, i, DIRECT_PAGE_TABLE, this.traceAdapted);
          this.hiddenFaults(out, i, mmu.fills);
          break;
        case 11 satisfies typeof PLAN_COUNTS:
          this.counted(batch, i, out);
          break;
        case 13 satisfies typeof PLAN_IDLE:
          this.ticks.idleNs += valueLo[i] + valueHi[i] * 2 ** 32;
          due = this.ticks.dueRow(batch, i + 1, end);
          break;
        case 14 satisfies typeof PLAN_DIRTY:
          this.hiddenFaults(out, i, this.frames.touch(batch.bytes, batch.payloadStart[i], batch.payloadLength[i]));
          break;
        default:
          this.tell(out, i, sites, s, plan, 1);
      }
    }
    while (due < end) due = this.hostTicks(batch, due, end, out);
  }

  protected override tell(out: RegimeSink, row: number, { f0, f1 }: SiteTable, s: number, plan: number, rows: number): boolean {
    switch (plan) {
      case 2 satisfies typeof PLAN_DEVICE:
        this.direct(out, row, DIRECT_DEVICE, this.device, rows);
        return true;
      case 3 satisfies typeof PLAN_DEVICE_MODEL:
        this.exitTimes(out, row, BT.deviceModel, f0[s], HANDLER_DEVICE_MODEL, this.model, rows);
        return true;
      case 5 satisfies typeof PLAN_CALLOUT:
        this.direct(out, row, DIRECT_CALLOUT, this.callout, rows);
        return true;
      case 8 satisfies typeof PLAN_EXCEPTION:
        this.exitTimes(out, row, BT.exception, f0[s], HANDLER_REFLECTION, this.exception, rows);
        return true;
      case 10 satisfies typeof PLAN_HALT:
        this.exitTimes(out, row, BT.halt, 0, HANDLER_SLEEP, this.halt, rows);
        return true;
      case 12 satisfies typeof PLAN_INTERRUPT:
        this.exitTimes(out, row, BT.hostInterrupt, f1[s], HANDLER_INTERRUPT, this.interrupt, rows);
        return true;
      default:
        return false;
    }
  }

  protected override planOf({ shape, f0, f1, ripHi }: SiteTable, s: number): number {
    switch (shape[s]) {
      case SHAPE_EXIT_IO:
        return this.isHosted && !isInMonitor(f0[s]) ? PLAN_DEVICE_MODEL : PLAN_DEVICE;
      case SHAPE_EXIT_MMIO:
        return PLAN_MMIO;
      case SHAPE_EXIT_CPUID:
        // In user mode it runs directly: it does not trap.
        return ripHi[s] >>> 31 !== 0 ? PLAN_CALLOUT : PLAN_NOTHING;
      case SHAPE_EXIT_MSR:
      case SHAPE_EXIT_DR:
        return PLAN_CALLOUT;
      case SHAPE_EXIT_CR:
        return f0[s] === 3 && f1[s] !== CR_MOV_FROM ? PLAN_ROOT : PLAN_CALLOUT;
      case SHAPE_EXIT_EXCEPTION:
        return f0[s] === VECTOR_PF ? PLAN_TRUE_FAULT : PLAN_EXCEPTION;
      case SHAPE_EXIT_PAGE_TABLE:
        return PLAN_STORE;
      case SHAPE_EXIT_PLAIN:
        return planOfPlain(f0[s]);
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

  /** Those that are due at a row; returns the row at which the next one is. */
  private hostTicks(batch: EventBatch, i: number, end: number, out: RegimeSink): number {
    this.exitTimes(out, i, BT.hostInterrupt, 0, HANDLER_INTERRUPT, this.interrupt, this.ticks.take(batch.position[i] + batch.timeOffsetNs[i]));
    return this.ticks.dueRow(batch, i + 1, end);
  }

  private mmio(out: RegimeSink, i: number, addressLo: number, ripLo: number, ripHi: number): void {
    if (!this.isAdapted(ripLo, ripHi)) this.exit(out, i, BT.traceFault, addressLo, HANDLER_TRACE, this.trace);
    else this.direct(out, i, DIRECT_CALLOUT, this.callout);
    if (this.isHosted && (addressLo >>> 20) !== 0xfee) this.exit(out, i, BT.deviceModel, addressLo, HANDLER_DEVICE_MODEL, this.model);
    else this.direct(out, i, DIRECT_DEVICE, this.device);
  }

  private hiddenFaults(out: RegimeSink, i: number, count: number): void {
    if (count > 0) this.exitTimes(out, i, BT.hiddenFault, 0, HANDLER_MMU, this.fill, count);
  }

  /** Counts a fault of an instruction; true once it has faulted so often that it was translated into a call of the monitor. */
  private isAdapted(ripLo: number, ripHi: number): boolean {
    const { sites } = this;
    const slot = sites.slotOf(ripLo, ripHi);
    const faults = sites.at(slot);
    if (faults >= this.adaptAfter) return true;
    const { generation } = sites;
    sites.add(slot, ripLo, ripHi);
    if (sites.generation !== generation) this.forgetAdapted();
    if (faults + 1 >= this.adaptAfter) this.adapted++;
    return false;
  }

  /** The counts have begun anew: whoever was adapted is not known any more. */
  private forgetAdapted(): void {
    this.plans.forEach((plan, s) => {
      if (plan === PLAN_ADAPTED_STORE) this.plans[s] = PLAN_STORE;
    });
  }

  protected override charge(totals: RunTotals, row: number, out: RegimeSink): void {
    this.direct(out, row, DIRECT_SYSCALL, this.syscall, totals.systemCalls ?? 0);
    this.direct(out, row, DIRECT_TRANSLATED, this.kernel, totals.kernelInstructions ?? 0);
    this.direct(out, row, DIRECT_PAGE_WALK, this.walk, totals.pageWalks ?? 0);
  }

  override counters(): Readonly<Record<string, number>> {
    return { ...this.mmu.counters(), 'instructions translated again': this.adapted };
  }

  protected override data(): TranslationState {
    return { adapted: this.adapted, ...this.ticks.save(), sites: this.sites.entries(), frames: this.frames.save(), shadow: this.mmu.save() };
  }

  protected override setData(data: unknown): void {
    const state = data as TranslationState;
    this.adapted = state.adapted;
    this.ticks.restore(state);
    this.sites.restore(state.sites);
    this.frames.restore(state.frames);
    this.mmu.restore(state.shadow);
  }
}

/** The device is in the monitor, whichever it is. */
function isInMonitor(port: number): boolean {
  const kind = PORT_CLASS[port & 0xffff];
  return kind === PORT_PIC || kind === PORT_PIT || kind === PORT_PIT_CALIBRATION || kind === PORT_RTC || port === 0x80;
}

function planOfPlain(reason: number): number {
  switch (reason) {
    case EXIT_REASONS.hlt:
      return PLAN_HALT;
    case EXIT_REASONS.pause:
    case EXIT_REASONS.rdtsc:
    case EXIT_REASONS.rdtscp:
      // In line.
      return PLAN_NOTHING;
    default:
      return PLAN_CALLOUT;
  }
}

interface TranslationState extends SavedHostTicks {
  readonly adapted: number;
  readonly sites: readonly (readonly [number, number])[];
  readonly frames: readonly number[];
  readonly shadow: SavedShadow;
}

export const FULL: Regime = {
  id: 'full',
  title: 'full virtualisation in software (binary translation, shadow page tables)',
  summary: 'The guest kernel is translated: privileged instructions become calls of the monitor or code in line; page-table stores are traced and adapted; user code runs directly.',
  limits: [
    'What translated code costs without an event (translation itself, PUSHF, CLI, indirect calls) is charged only per kernel instruction, if their number is given, at an assumed rate.',
    'System calls count only if their number is given; logs do not hold it.',
    'Hidden faults are inferred, because a log does not show accesses that the guest\'s own tables allow (shadow-mmu.ts).',
    'Writes to translated code (alternatives, jump labels) are not in a log.',
    'In 64-bit mode the monitor is taken to be protected at no cost, as on AMD CPUs with EFER.LMSLE.',
  ],
  options: [
    { name: 'hosted', title: 'hosted monitor: devices need a switch to the host', kind: 'switch', default: false, isFeature: true },
    { name: 'adaptive', title: 'instructions that keep faulting are translated again', kind: 'switch', default: true, isFeature: true },
    { name: 'adaptAfter', title: 'faults before that (assumed)', kind: 'number', min: 1, max: 1_000_000, default: 4 },
    { name: 'hostHz', title: 'timer interrupts of the host\'s own, per second (0: none)', kind: 'number', min: 0, max: 10_000, default: 250 },
    GUEST_KPTI,
    { name: 'touchedShare', title: 'share of user entries written in bulk that are touched (assumed)', kind: 'number', min: 0, max: 1, default: 0.5 },
    { name: 'fillsPerNewRoot', title: 'hidden faults of a new address space before its own (assumed)', kind: 'number', min: 0, max: 10_000, default: 16 },
  ],
  project: (options, costs) => new TranslationProjection(options, costs),
};
