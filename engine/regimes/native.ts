/** `native` and `container`: the bare machine, and the same with what a container adds to each system call. */
import { BaseProjection, PLAN_NOTHING, PLAN_UNKNOWN } from './base.ts';
import {
  DIRECT_DEVICE, DIRECT_EXCEPTION, DIRECT_INTERRUPT, DIRECT_PAGE_WALK, DIRECT_SYSCALL, type CostBook, type OptionSpec, type Options, type Regime, type RegimeSink, type RunTotals,
} from './regime.ts';
import { PHASE_INJECTED } from '../log/events.ts';
import type { EventBatch, SiteTable } from '../log/event-batch.ts';
import { SHAPE_COUNTS, SHAPE_EXIT_EXCEPTION, SHAPE_EXIT_IO, SHAPE_EXIT_MMIO, SHAPE_INTERRUPT } from '../log/shapes.ts';

export const LAPIC_PAGE = 0xfee00;

/** KPTI was not recorded with: what it would add to each entry to the kernel. */
export const GUEST_KPTI: OptionSpec = { name: 'guestKpti', title: 'the guest kernel separates its page tables (KPTI)', kind: 'switch', default: false, isFeature: true };

const VECTOR_PF = 14;
/** Bit of a page fault's error code: from user mode. */
const ERROR_USER = 4;

/** True if an exception comes from user mode: by its error code, or by the half of the address space that its instruction is in. */
export function isUserException(vector: number, error: number, ripHi: number): boolean {
  return vector === VECTOR_PF ? (error & ERROR_USER) !== 0 : ripHi >>> 31 === 0;
}

const PLAN_PORT = 2;
const PLAN_MMIO = 3;
const PLAN_APIC = 4;
const PLAN_EXCEPTION = 5;
const PLAN_KERNEL_EXCEPTION = 6;
const PLAN_COUNTS = 7;
const PLAN_INTERRUPT = 8;

class NativeProjection extends BaseProjection {
  private readonly exception: number;
  private readonly kernelException: number;
  private readonly interrupt: number;
  private readonly port: number;
  private readonly mmio: number;
  private readonly apic: number;
  private readonly syscall: number;
  private readonly walk: number;
  private readonly hasSyscallCost: boolean;

  constructor(id: string, options: Options, costs: CostBook) {
    const isContainer = id === 'container';
    const hasKpti = options['guestKpti'] === true;
    super(id, costs, isContainer || hasKpti ? ['systemCalls', 'pageWalks'] : ['pageWalks']);
    const { meter } = this;
    const kpti = hasKpti ? ['native.kpti'] : [];
    this.exception = meter.recipe('native.exception', ...kpti);
    this.kernelException = meter.recipe('native.exception');
    this.interrupt = meter.recipe('native.interrupt', ...kpti);
    this.port = meter.recipe('native.port');
    this.mmio = meter.recipe('native.mmio');
    this.apic = meter.recipe('native.apic');
    this.syscall = meter.recipe(...kpti, ...(isContainer ? ['container.syscall'] : []));
    this.walk = meter.recipe('native.walk');
    this.hasSyscallCost = isContainer || hasKpti;
    this.isMostlyQuiet = true;
    this.isWhole = meter.isWhole([this.exception, this.kernelException, this.interrupt, this.port, this.mmio, this.apic]);
  }

  protected override foldRows(batch: EventBatch, _start: number, _end: number, list: Uint16Array, from: number, to: number, out: RegimeSink): void {
    const { sites, site } = batch;
    const { plans } = this;
    for (let k = from; k < to; k++) {
      const i = list[k];
      const s = site[i];
      let plan = plans[s];
      if (plan === PLAN_UNKNOWN) plans[s] = plan = this.planOf(sites, s);
      switch (plan) {
        case 1 satisfies typeof PLAN_NOTHING:
          break;
        case 2 satisfies typeof PLAN_PORT:
          this.direct(out, i, DIRECT_DEVICE, this.port);
          break;
        case 7 satisfies typeof PLAN_COUNTS:
          this.counted(batch, i, out);
          break;
        default:
          this.tell(out, i, sites, s, plan, 1);
      }
    }
  }

  protected override tell(out: RegimeSink, row: number, _sites: SiteTable, _s: number, plan: number, rows: number): boolean {
    switch (plan) {
      case 2 satisfies typeof PLAN_PORT:
        this.direct(out, row, DIRECT_DEVICE, this.port, rows);
        return true;
      case 3 satisfies typeof PLAN_MMIO:
        this.direct(out, row, DIRECT_DEVICE, this.mmio, rows);
        return true;
      case 4 satisfies typeof PLAN_APIC:
        this.direct(out, row, DIRECT_DEVICE, this.apic, rows);
        return true;
      case 5 satisfies typeof PLAN_EXCEPTION:
        this.direct(out, row, DIRECT_EXCEPTION, this.exception, rows);
        return true;
      case 6 satisfies typeof PLAN_KERNEL_EXCEPTION:
        this.direct(out, row, DIRECT_EXCEPTION, this.kernelException, rows);
        return true;
      case 8 satisfies typeof PLAN_INTERRUPT:
        this.direct(out, row, DIRECT_INTERRUPT, this.interrupt, rows);
        return true;
      default:
        return false;
    }
  }

  protected override planOf({ shape, f0, f2, ripHi, addressLo, addressHi }: SiteTable, s: number): number {
    switch (shape[s]) {
      case SHAPE_EXIT_IO:
        return PLAN_PORT;
      case SHAPE_EXIT_MMIO:
        return addressLo[s] >>> 12 === LAPIC_PAGE && addressHi[s] === 0 ? PLAN_APIC : PLAN_MMIO;
      case SHAPE_EXIT_EXCEPTION:
        return isUserException(f0[s], f2[s], ripHi[s]) ? PLAN_EXCEPTION : PLAN_KERNEL_EXCEPTION;
      case SHAPE_COUNTS:
        return PLAN_COUNTS;
      case SHAPE_INTERRUPT:
        return f0[s] === PHASE_INJECTED ? PLAN_INTERRUPT : PLAN_NOTHING;
      default:
        return PLAN_NOTHING;
    }
  }

  protected override charge(totals: RunTotals, row: number, out: RegimeSink): void {
    if (this.hasSyscallCost) this.direct(out, row, DIRECT_SYSCALL, this.syscall, totals.systemCalls ?? 0);
    this.direct(out, row, DIRECT_PAGE_WALK, this.walk, totals.pageWalks ?? 0);
  }

  protected override data(): unknown {
    return {};
  }

  protected override setData(): void {}
}

export const NATIVE: Regime = {
  id: 'native',
  title: 'bare machine',
  summary: 'No monitor: exceptions, interrupts, device accesses and page walks at what the hardware takes. The baseline.',
  limits: ['Instructions cost instructions x CPI, whichever they are.', 'Page walks count only if their number is given, or a replay counts them; logs do not hold it.'],
  options: [GUEST_KPTI],
  project: (options, costs) => new NativeProjection('native', options, costs),
};

export const CONTAINER: Regime = {
  id: 'container',
  title: 'container on the bare machine',
  summary: 'The bare machine with the cost that seccomp and cgroups add to each system call.',
  limits: [
    'No figure for that cost is known: it is assumed.', 'System calls count only if their number is given; logs do not hold it.',
    'Namespaces, overlay file systems and bridges are not modelled.',
  ],
  options: [GUEST_KPTI],
  project: (options, costs) => new NativeProjection('container', options, costs),
};
