/**
 * Call stack and task of each event of a replay, for the exit profile (engine/analysis/exit-profile/contexts.ts).
 *
 *     Replayer ─► machine ─┬─ calls and returns ─► LiveStacks ─┐
 *                          └─ events (witness) ────────────────┴─► columns: record ─► stack, task
 *
 * A stack is the guest's functions from the outermost, with `[syscall]` and `[interrupt 0xec]` or `[#PF]` where the kernel was entered. Code without a name is `[user]` or
 * `[kernel]`, once for a row of such frames. A task is `comm-pid` of Linux or of the lab's kernel; else the address space, `cr3 0x1000`.
 */
import { ContextColumns, CONTEXT_NONE, type ContextNames, StackTree } from '../analysis/exit-profile/contexts.ts';
import { VECTOR_NAMES } from '../analysis/exit-profile/places.ts';
import * as L from '../cpu/layout.ts';
import { PHASE_INJECTED } from '../log/events.ts';
import type { LogReader } from '../log/reader.ts';
import { RowWitness } from '../log/row-witness.ts';
import { SHAPE_EXIT_EXCEPTION, SHAPE_EXIT_IO, SHAPE_EXIT_PAGE_TABLE, SHAPE_INTERRUPT } from '../log/shapes.ts';
import type { Machine } from '../machine/machine.ts';
import { PARA_REGIME } from '../recording/recipe.ts';
import { Replayer, type ReplayerOptions } from '../recording/replayer.ts';
import type { GuestSymbols } from './guest-symbols.ts';
import { type LiveFrame, LiveStacks } from './live-stacks.ts';
import { type Linear, fromLinear } from './shadow-stack.ts';
import { taskName } from './task-name.ts';

const MSR_LSTAR = 0xc000_0082;
const TWO_32 = 4294967296;
const USER = '[user]';
const KERNEL = '[kernel]';

export class ExitContexts {
  readonly replayer: Replayer;
  readonly columns = new ContextColumns();
  readonly names: ContextNames;
  private readonly stacks: LiveStacks;
  private readonly tree = new StackTree();
  private readonly taskNames = [''];
  private readonly taskIds = new Map<string, number>();
  private readonly symbols: GuestSymbols;
  private readonly labels = new Map<Linear, string>();
  private readonly machine: Machine;
  /** A hypervisor delivers what it likes, where it likes. */
  private readonly hasGates: boolean;
  private lastFrame: LiveFrame | undefined;
  private lastRip: Linear = NaN;
  private lastStack = CONTEXT_NONE;

  /** A replay from power-on. Throws what Replayer throws. */
  constructor(options: Omit<ReplayerOptions, 'from' | 'witness'>, symbols: GuestSymbols) {
    this.symbols = symbols;
    this.names = { stacks: this.tree, tasks: this.taskNames };
    const witness = new RowWitness(options.reader.header.blockBytes, (shape, f0, f1, ripLo, ripHi) => this.record(shape, f0, f1, ripLo, ripHi));
    this.replayer = new Replayer({ ...options, witness });
    const { machine } = this.replayer;
    this.machine = machine;
    this.hasGates = options.reader.header.config.regime !== PARA_REGIME;
    const entries = syscallEntries(options.reader);
    this.stacks = new LiveStacks(machine, new Set(entries.map((entry) => Number(entry & 0xffff_ffffn))));
    machine.core.observeCode(entries, true);
    machine.observe(this.stacks);
  }

  /** The stack of an instruction that is running now, as an id of `names`. */
  stackAt(rip: Linear): number {
    const frame = this.stacks.innermost();
    if (frame === this.lastFrame && rip === this.lastRip) return this.lastStack;
    this.lastFrame = frame;
    this.lastRip = rip;
    return (this.lastStack = this.inside(this.nodeOf(frame), rip));
  }

  private record(shape: number, f0: number, f1: number, ripLo: number, ripHi: number): void {
    const { core } = this.machine;
    // A regime may hold any event against the guest: a timer that fires is an interrupt of the host.
    const isExit = shape >= SHAPE_EXIT_IO && shape <= SHAPE_EXIT_PAGE_TABLE;
    const rip = isExit ? (ripHi | 0) * TWO_32 + ripLo : (core.ripHigh() | 0) * TWO_32 + core.ripLow();
    this.columns.set(this.replayer.records - 1, this.stackAt(rip), this.task());
    if (!this.hasGates) return;
    if (shape === SHAPE_EXIT_EXCEPTION) this.stacks.deliver(f0, f1 !== 0);
    else if (shape === SHAPE_INTERRUPT && f0 === PHASE_INJECTED) this.stacks.deliver(f1 - 1, false);
  }

  /** The frames up to the function that `frame` was made in, and what made it. */
  private nodeOf(frame: LiveFrame | undefined): number {
    const open: LiveFrame[] = [];
    let at = frame;
    while (at !== undefined && at.node < 0) {
      open.push(at);
      at = at.outer;
    }
    let node = at === undefined ? CONTEXT_NONE : at.node;
    for (const each of open.reverse()) {
      node = this.inside(node, each.site);
      if (each.kind === 'syscall') node = this.tree.add(node, '[syscall]');
      else if (each.kind === 'interrupt') node = this.tree.add(node, `[${VECTOR_NAMES[each.vector] ?? `interrupt 0x${each.vector.toString(16)}`}]`);
      each.node = node;
    }
    return node;
  }

  private inside(node: number, address: Linear): number {
    const label = this.labelOf(address);
    return (label === USER || label === KERNEL) && this.tree.labelOf(node) === label ? node : this.tree.add(node, label);
  }

  private labelOf(address: Linear): string {
    let label = this.labels.get(address);
    if (label === undefined) {
      label = this.symbols.table.at(fromLinear(address))?.name ?? (address < 0 ? KERNEL : USER);
      this.labels.set(address, label);
    }
    return label;
  }

  private task(): number {
    const name = taskName(this.machine, this.symbols);
    let id = this.taskIds.get(name);
    if (id === undefined) {
      id = this.taskNames.push(name) - 1;
      this.taskIds.set(name, id);
    }
    return id;
  }
}

/** Every value that the run writes to IA32_LSTAR. */
function syscallEntries(reader: LogReader): bigint[] {
  const entries = new Set<bigint>();
  for (const event of reader.events({ kinds: ['exit'] })) {
    if (event.kind === 'exit' && event.detail.kind === 'msr' && event.detail.index === MSR_LSTAR && event.detail.write) entries.add(BigInt(event.detail.value));
  }
  return [...entries];
}
