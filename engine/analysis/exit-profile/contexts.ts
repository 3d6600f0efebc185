/**
 * What a log does not hold of an exit, and a replay tells: the guest's call stack and its task. Ids in columns beside the batch; names here.
 *
 *     replay ─► stack and task of each record ─► ContextColumns ─┐
 *     log    ─► EventBatch ──────────────────────────────────────┴─► ExitProfileFold
 */

/** Nodes of a stack tree: what comes new when it is full is told as the frames around it. */
export const STACKS_MAX = 1 << 18;
/** Frames of a stack, from the outermost; what is deeper is told as its last one. */
export const DEPTH_MAX = 512;

/** No stack, no task: what no instruction does, and what nobody looked at. */
export const CONTEXT_NONE = 0;

/** Call stacks as a tree: a stack is the number of its innermost frame. */
export class StackTree {
  private readonly parents: number[] = [CONTEXT_NONE];
  private readonly labels: string[] = [''];
  private readonly depths: number[] = [0];
  private readonly children: (Map<string, number> | undefined)[] = [undefined];
  private readonly nodesMax: number;
  /** Stacks that were cut because the tree was full or they were too deep. */
  cut = 0;

  constructor(nodesMax = STACKS_MAX) {
    this.nodesMax = nodesMax;
  }

  /** Nodes, the empty stack among them. */
  get size(): number {
    return this.parents.length;
  }

  /** `stack` with one more frame inside. */
  add(stack: number, label: string): number {
    const known = this.children[stack]?.get(label);
    if (known !== undefined) return known;
    if (this.parents.length >= this.nodesMax || this.depths[stack] >= DEPTH_MAX) {
      this.cut++;
      return stack;
    }
    const made = this.parents.length;
    this.parents.push(stack);
    this.labels.push(label);
    this.depths.push(this.depths[stack] + 1);
    this.children.push(undefined);
    const siblings = this.children[stack];
    if (siblings === undefined) this.children[stack] = new Map([[label, made]]);
    else siblings.set(label, made);
    return made;
  }

  /** The innermost frame; '' of the empty stack. */
  labelOf(stack: number): string {
    return this.labels[stack];
  }

  /** Outermost first. */
  framesOf(stack: number): readonly string[] {
    const frames: string[] = [];
    for (let at = stack; at !== CONTEXT_NONE; at = this.parents[at]) frames.push(this.labels[at]);
    return frames.reverse();
  }
}

/** What the ids of a fold's columns mean. Grows while a replay goes on. */
export interface ContextNames {
  readonly stacks: StackTree;
  /** By id; the first is no task. */
  readonly tasks: readonly string[];
}

/** A stack and a task for each record from `firstRecord` on. */
export class ContextColumns {
  firstRecord = 0;
  count = 0;
  stack = new Uint32Array(1024);
  task = new Uint32Array(1024);

  /** Records that nobody looked at have none. */
  set(record: number, stack: number, task: number): void {
    const at = record - this.firstRecord;
    if (at >= this.stack.length) this.grow(at + 1);
    if (at >= this.count) {
      this.stack.fill(CONTEXT_NONE, this.count, at);
      this.task.fill(CONTEXT_NONE, this.count, at);
      this.count = at + 1;
    }
    this.stack[at] = stack;
    this.task[at] = task;
  }

  stackAt(record: number): number {
    const at = record - this.firstRecord;
    return at >= 0 && at < this.count ? this.stack[at] : CONTEXT_NONE;
  }
  taskAt(record: number): number {
    const at = record - this.firstRecord;
    return at >= 0 && at < this.count ? this.task[at] : CONTEXT_NONE;
  }

  /** What comes next begins at this record; what was before is folded. */
  startAt(record: number): void {
    this.firstRecord = record;
    this.count = 0;
  }

  private grow(needed: number): void {
    const larger = (column: Uint32Array): Uint32Array<ArrayBuffer> => {
      const made = new Uint32Array(Math.max(needed, column.length * 2));
      made.set(column);
      return made;
    };
    this.stack = larger(this.stack);
    this.task = larger(this.task);
  }
}
