/** `native` and `container`: the bare machine, and the same with what a container adds to each system call. */
import { BaseProjection } from './base.ts';
import {
  DIRECT_DEVICE, DIRECT_EXCEPTION, DIRECT_INTERRUPT, DIRECT_PAGE_WALK, DIRECT_SYSCALL, type CostBook, type OptionSpec, type Options, type Regime, type RegimeSink, type RunTotals,
} from './regime.ts';
import { PHASE_INJECTED } from '../log/events.ts';
import type { EventBatch } from '../log/event-batch.ts';
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
  }

  override fold(batch: EventBatch, start: number, end: number, out: RegimeSink): void {
    const { sites, site } = batch;
    for (let i = start; i < end; i++) {
      const s = site[i];
      switch (sites.shape[s]) {
        case 0x10 satisfies typeof SHAPE_EXIT_IO:
          this.direct(out, i, DIRECT_DEVICE, this.port);
          break;
        case 0x11 satisfies typeof SHAPE_EXIT_MMIO:
          this.direct(out, i, DIRECT_DEVICE, sites.addressLo[s] >>> 12 === LAPIC_PAGE && sites.addressHi[s] === 0 ? this.apic : this.mmio);
          break;
        case 0x16 satisfies typeof SHAPE_EXIT_EXCEPTION:
          this.direct(out, i, DIRECT_EXCEPTION, isUserException(sites.f0[s], sites.f2[s], sites.ripHi[s]) ? this.exception : this.kernelException);
          break;
        case 0x51 satisfies typeof SHAPE_COUNTS:
          this.counted(batch, i, out);
          break;
        case 0x20 satisfies typeof SHAPE_INTERRUPT:
          if (sites.f0[s] === PHASE_INJECTED) this.direct(out, i, DIRECT_INTERRUPT, this.interrupt);
          break;
      }
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
