/**
 * `full`: full virtualisation without hardware help. The guest kernel runs translated, its users directly; page tables are shadowed, with traces on the guest's.
 *
 * Mechanisms: Adams & Agesen, ASPLOS 2006; Bugnion et al., TOCS 2012. In 64-bit mode segments have no limits: like the AMD CPUs with EFER.LMSLE on which 64-bit
 * translation was offered, the monitor is taken to be protected at no cost.
 */
import { BaseProjection, HOST_TICKS_MAX } from './base.ts';
import { GuestFrames, UNIT_GROUP } from './guest-frames.ts';
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
import { ACCESS_WRITE, CR_MOV_FROM, EXIT_REASONS, PHASE_INJECTED } from '../log/events.ts';
import type { EventBatch } from '../log/event-batch.ts';
import {
  SHAPE_COUNTS, SHAPE_DIRTY, SHAPE_EXIT_CPUID, SHAPE_EXIT_CR, SHAPE_EXIT_DR, SHAPE_EXIT_EXCEPTION, SHAPE_EXIT_IO, SHAPE_EXIT_MMIO, SHAPE_EXIT_MSR, SHAPE_EXIT_PAGE_TABLE,
  SHAPE_EXIT_PLAIN, SHAPE_IDLE, SHAPE_INTERRUPT,
} from '../log/shapes.ts';

const VECTOR_PF = 14;
const BT_SHADOW = { isUnsync: false, prefetch: 8, rootsCached: 4, flood: 0, pagesMax: 4096 } as const;

class TranslationProjection extends BaseProjection {
  private readonly adaptAfter: number;
  private readonly hostTickNs: number;
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
  private idleNs = 0;
  private nextHostTickNs: number;

  constructor(options: Options, costs: CostBook) {
    super('full', costs, ['systemCalls', 'kernelInstructions', 'pageWalks']);
    const number = (name: string): number => (typeof options[name] === 'number' ? options[name] : 0);
    this.adaptAfter = options['adaptive'] === true ? number('adaptAfter') : Infinity;
    this.hostTickNs = number('hostHz') === 0 ? Infinity : 1e9 / number('hostHz');
    this.nextHostTickNs = this.hostTickNs;
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
  }

  override fold(batch: EventBatch, start: number, end: number, out: RegimeSink): void {
    const { sites, site, position, timeOffsetNs, valueLo, valueHi, aux } = batch;
    let { idleNs, nextHostTickNs } = this;
    for (let i = start; i < end; i++) {
      const busyNs = position[i] + timeOffsetNs[i] - idleNs;
      if (busyNs >= nextHostTickNs) {
        const ticks = Math.min(Math.floor((busyNs - nextHostTickNs) / this.hostTickNs) + 1, HOST_TICKS_MAX);
        this.exitTimes(out, i, BT.hostInterrupt, 0, HANDLER_INTERRUPT, this.interrupt, ticks);
        nextHostTickNs += this.hostTickNs * ticks;
      }
      const s = site[i];
      switch (sites.shape[s]) {
        case 0x10 satisfies typeof SHAPE_EXIT_IO:
          this.port(out, i, sites.f0[s]);
          break;
        case 0x11 satisfies typeof SHAPE_EXIT_MMIO:
          if (!this.isAdapted(sites.ripLo[s], sites.ripHi[s])) this.exit(out, i, BT.traceFault, sites.addressLo[s], HANDLER_TRACE, this.trace);
          else this.direct(out, i, DIRECT_CALLOUT, this.callout);
          if (this.isHosted && (sites.addressLo[s] >>> 20) !== 0xfee) this.exit(out, i, BT.deviceModel, sites.addressLo[s], HANDLER_DEVICE_MODEL, this.model);
          else this.direct(out, i, DIRECT_DEVICE, this.device);
          break;
        case 0x13 satisfies typeof SHAPE_EXIT_CPUID:
          // In user mode it runs directly: it does not trap.
          if (sites.ripHi[s] >>> 31 !== 0) this.direct(out, i, DIRECT_CALLOUT, this.callout);
          break;
        case 0x12 satisfies typeof SHAPE_EXIT_MSR:
        case 0x15 satisfies typeof SHAPE_EXIT_DR:
          this.direct(out, i, DIRECT_CALLOUT, this.callout);
          break;
        case 0x14 satisfies typeof SHAPE_EXIT_CR:
          this.direct(out, i, DIRECT_CALLOUT, this.callout);
          if (sites.f0[s] === 3 && sites.f1[s] !== CR_MOV_FROM) {
            this.mmu.loadRoot(rootFrame(valueLo[i], valueHi[i]));
            this.hiddenFaults(out, i, this.mmu.fills);
          }
          break;
        case 0x16 satisfies typeof SHAPE_EXIT_EXCEPTION:
          if (sites.f0[s] === VECTOR_PF) {
            this.mmu.trueFault(sites.addressLo[s]);
            this.exit(out, i, BT.trueFault, sites.addressHi[s] * 2 ** 32 + sites.addressLo[s], HANDLER_REFLECTION, this.trueFault);
          } else {
            this.exit(out, i, BT.exception, sites.f0[s], HANDLER_REFLECTION, this.exception);
          }
          break;
        case 0x18 satisfies typeof SHAPE_EXIT_PAGE_TABLE:
          if (this.mmu.store(sites.f0[s], aux[i], valueLo[i]) !== STORE_FREE) {
            if (this.isAdapted(sites.ripLo[s], sites.ripHi[s])) this.direct(out, i, DIRECT_PAGE_TABLE, this.traceAdapted);
            else this.exit(out, i, BT.traceFault, aux[i], HANDLER_TRACE, this.trace);
          }
          this.hiddenFaults(out, i, this.mmu.fills);
          break;
        case 0x17 satisfies typeof SHAPE_EXIT_PLAIN:
          this.plain(out, i, sites.f0[s]);
          break;
        case 0x51 satisfies typeof SHAPE_COUNTS:
          this.counted(batch, i, out);
          break;
        case 0x20 satisfies typeof SHAPE_INTERRUPT:
          if (sites.f0[s] === PHASE_INJECTED) this.exit(out, i, BT.hostInterrupt, sites.f1[s], HANDLER_INTERRUPT, this.interrupt);
          break;
        case 0x40 satisfies typeof SHAPE_IDLE:
          idleNs += valueLo[i] + valueHi[i] * 2 ** 32;
          break;
        case 0x50 satisfies typeof SHAPE_DIRTY:
          this.hiddenFaults(out, i, this.frames.touch(batch.bytes, batch.payloadStart[i], batch.payloadLength[i]));
          break;
      }
    }
    this.idleNs = idleNs;
    this.nextHostTickNs = nextHostTickNs;
  }

  private port(out: RegimeSink, i: number, port: number): void {
    const kind = PORT_CLASS[port & 0xffff];
    const isInMonitor = kind === PORT_PIC || kind === PORT_PIT || kind === PORT_PIT_CALIBRATION || kind === PORT_RTC || port === 0x80;
    if (this.isHosted && !isInMonitor) this.exit(out, i, BT.deviceModel, port, HANDLER_DEVICE_MODEL, this.model);
    else this.direct(out, i, DIRECT_DEVICE, this.device);
  }

  private plain(out: RegimeSink, i: number, reason: number): void {
    switch (reason) {
      case EXIT_REASONS.hlt:
        this.exit(out, i, BT.halt, 0, HANDLER_SLEEP, this.halt);
        return;
      case EXIT_REASONS.pause:
      case EXIT_REASONS.rdtsc:
      case EXIT_REASONS.rdtscp:
        // In line.
        return;
      default:
        this.direct(out, i, DIRECT_CALLOUT, this.callout);
    }
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
    sites.add(slot, ripLo, ripHi);
    if (faults + 1 >= this.adaptAfter) this.adapted++;
    return false;
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
    const { adapted, idleNs, nextHostTickNs } = this;
    return { adapted, idleNs, nextHostTickNs: Number.isFinite(nextHostTickNs) ? nextHostTickNs : 0, sites: this.sites.entries(), frames: this.frames.save(), shadow: this.mmu.save() };
  }

  protected override setData(data: unknown): void {
    const state = data as TranslationState;
    this.adapted = state.adapted;
    this.idleNs = state.idleNs;
    this.nextHostTickNs = Number.isFinite(this.hostTickNs) ? state.nextHostTickNs : Infinity;
    this.sites.restore(state.sites);
    this.frames.restore(state.frames);
    this.mmu.restore(state.shadow);
  }
}

interface TranslationState {
  readonly adapted: number;
  readonly idleNs: number;
  readonly nextHostTickNs: number;
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
