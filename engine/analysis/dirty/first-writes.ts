/**
 * First writes by replay: the position of the first write to each page in each epoch, epochs of any length, exactly; on request first reads and content.
 *
 * At the begin of an epoch every frame is watched (page-watch.ts): an epoch costs one slow access a page.
 */
import { CPL, CR3, RAM } from '../../cpu/layout.ts';
import type { Machine } from '../../machine/machine.ts';
import { isZeroPage, pageHashes, pageView } from '../../machine/snapshot.ts';
import { packPage } from '../../recording/checkpoint-pages.ts';
import type { Replayer } from '../../recording/replayer.ts';
import type { Divergence } from '../../log/verify.ts';
import { xbzrleBytes } from './content.ts';
import type { DirtyEpoch, EpochContent } from './epoch.ts';
import type { PowerOnPages } from './folds.ts';
import { PageWatch, WATCH_FIRST_WRITES, WATCH_FIRST_WRITES_AND_READS } from './page-watch.ts';
import { PAGE_BYTES } from './truth.ts';

export interface ProbeOptions {
  /** First reads of each page, too. Data only: instruction fetches and the reads of page walks are not told. */
  readonly reads?: boolean;
  /** What changed in each page, and how well it compresses. Keeps a second copy of RAM. */
  readonly content?: boolean;
  /** Names what runs; asked in the midst of the instruction that writes. */
  readonly taskAt?: ((machine: Machine) => string) | undefined;
}

export class FirstWriteProbe {
  private readonly machine: Machine;
  private readonly options: ProbeOptions;
  private readonly watch: PageWatch;
  private epoch = 0;
  private fromPosition = 0;
  private fromNs = 0;
  private page: number[] = [];
  private position: number[] = [];
  private atNs: number[] = [];
  private kind: number[] = [];
  private ripLo: number[] = [];
  private ripHi: number[] = [];
  private cpl: number[] = [];
  private space: number[] = [];
  private task: string[] = [];
  private readPage: number[] = [];
  private touchedPage: number[] = [];
  private touchedNs: number[] = [];
  private readonly touched: Uint8Array;
  private readonly shadow: Uint8Array | undefined;

  constructor(machine: Machine, options: ProbeOptions = {}) {
    this.machine = machine;
    this.options = options;
    this.watch = new PageWatch(machine);
    this.touched = new Uint8Array(machine.core.ramBytes / PAGE_BYTES);
    this.shadow = options.content === true ? machine.core.u8.slice(RAM, RAM + machine.core.ramBytes) : undefined;
  }

  /** Between runs. An epoch begins here. No other observer may be on the machine. */
  attach(): void {
    this.watch.attach((frame, isWrite, kind) => this.access(frame, isWrite, kind));
    this.begin();
  }
  detach(): void {
    this.watch.detach();
  }

  private begin(): void {
    this.watch.all(this.options.reads === true ? WATCH_FIRST_WRITES_AND_READS : WATCH_FIRST_WRITES);
    this.fromPosition = this.machine.position();
    this.fromNs = this.machine.nowNs();
    this.page = [];
    this.position = [];
    this.atNs = [];
    this.kind = [];
    this.ripLo = [];
    this.ripHi = [];
    this.cpl = [];
    this.space = [];
    this.task = [];
    this.readPage = [];
    this.touchedPage = [];
    this.touchedNs = [];
    this.touched.fill(0);
  }

  private access(frame: number, isWrite: boolean, kind: number): boolean {
    const { core } = this.machine;
    const ns = this.machine.nowNs();
    if (this.options.reads === true && this.touched[frame] === 0) {
      this.touched[frame] = 1;
      this.touchedPage.push(frame);
      this.touchedNs.push(ns);
    }
    if (!isWrite) {
      this.readPage.push(frame);
      return false;
    }
    this.page.push(frame);
    this.position.push(this.machine.position());
    this.atNs.push(ns);
    this.kind.push(kind);
    this.ripLo.push(core.ripLow());
    this.ripHi.push(core.ripHigh());
    this.cpl.push(core.u32[CPL >>> 2]);
    this.space.push(Number(core.big(CR3) & 0xf_ffff_ffff_f000n));
    if (this.options.taskAt !== undefined) this.task.push(this.options.taskAt(this.machine));
    return false;
  }

  /** Between runs. The epoch ends here, and the next one begins. */
  take(): DirtyEpoch {
    const pages = Uint32Array.from(this.page);
    const epoch: DirtyEpoch = {
      epoch: this.epoch++,
      fromPosition: this.fromPosition,
      toPosition: this.machine.position(),
      fromNs: this.fromNs,
      toNs: this.machine.nowNs(),
      pages,
      detail: {
        position: Float64Array.from(this.position),
        atNs: Float64Array.from(this.atNs),
        who: {
          kind: Uint8Array.from(this.kind),
          ripLo: Uint32Array.from(this.ripLo),
          ripHi: Uint32Array.from(this.ripHi),
          cpl: Uint8Array.from(this.cpl),
          space: Float64Array.from(this.space),
          ...(this.options.taskAt !== undefined && { task: this.task }),
        },
        ...(this.options.reads === true && { reads: Uint32Array.from(this.readPage) }),
        ...(this.shadow !== undefined && { content: this.contentOf(pages, this.shadow) }),
        ...(this.options.reads === true && { touched: { pages: Uint32Array.from(this.touchedPage), atNs: Float64Array.from(this.touchedNs) } }),
      },
    };
    this.begin();
    return epoch;
  }

  private contentOf(pages: Uint32Array, shadow: Uint8Array): EpochContent {
    const { core } = this.machine;
    const isZero = new Uint8Array(pages.length);
    const deltaBytes = new Uint16Array(pages.length);
    const compressedBytes = new Uint16Array(pages.length);
    pages.forEach((page, i) => {
      const now = pageView(core, page);
      const before = shadow.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
      isZero[i] = isZeroPage(now) ? 1 : 0;
      deltaBytes[i] = xbzrleBytes(before, now);
      compressedBytes[i] = packPage(now).length;
      before.set(now);
    });
    return { isZero, deltaBytes, compressedBytes };
  }
}

/** Of a machine that has not run: what is in its pages. Compressed lengths on request, 25 us a page that is not zeros. */
export function powerOnPages(machine: Machine, compressed: boolean): PowerOnPages {
  const hashes = pageHashes(machine.core);
  const isZero = Uint8Array.from({ length: hashes.length / 2 }, (_, page) => (hashes[page * 2] === 0 && hashes[page * 2 + 1] === 0 ? 1 : 0));
  if (!compressed) return { isZero };
  return { isZero, compressedBytes: Uint16Array.from(isZero, (zero, page) => (zero === 1 ? 0 : packPage(pageView(machine.core, page)).length)) };
}

export interface ReplayEpochsOptions extends ProbeOptions {
  /** Instructions of an epoch: ns of running time. An epoch in which the guest is idle is longer by that. */
  readonly instructions: number;
  /** First epoch begins here; before it the replay is only a replay. Default: where the replayer is. */
  readonly from?: number;
  /** Positions at which an epoch ends as well, ascending: the edges of windows that are to be exact. */
  readonly edges?: readonly number[];
  /** Default: the end of the log. */
  readonly to?: number;
}

/** The replay is another run than the log. */
export class EpochDivergence extends Error {
  override readonly name = 'EpochDivergence';
  readonly divergence: Divergence;

  constructor(divergence: Divergence) {
    super('the replay diverges from its log');
    this.divergence = divergence;
  }
}

/** Epochs of a replay, one after the other, each when it is asked for. Throws EpochDivergence. */
export function* replayEpochs(replayer: Replayer, options: ReplayEpochsOptions): Generator<DirtyEpoch, void, void> {
  const { instructions, edges = [], to = Infinity } = options;
  if (!(instructions >= 1)) throw new RangeError(`epochs of ${instructions} instructions`);
  /** True if the replay is over. */
  const stepTo = (target: number): boolean => {
    for (;;) {
      const status = replayer.step(target - replayer.position);
      if (status.kind === 'diverged') throw new EpochDivergence(status.divergence);
      if (status.kind !== 'running') return true;
      if (replayer.position >= target) return false;
    }
  };
  const from = options.from ?? replayer.position;
  if (from > replayer.position && stepTo(from)) return;
  const probe = new FirstWriteProbe(replayer.machine, options);
  probe.attach();
  try {
    let edge = 0;
    for (let next = from + instructions; ; ) {
      while (edge < edges.length && edges[edge] <= replayer.position) edge++;
      const target = Math.min(next, edges[edge] ?? Infinity, to);
      const isOver = stepTo(Math.min(target, Number.MAX_SAFE_INTEGER));
      const epoch = probe.take();
      if (epoch.toNs > epoch.fromNs || epoch.pages.length > 0) yield epoch;
      if (isOver || replayer.position >= to) return;
      if (replayer.position >= next) next += instructions;
    }
  } finally {
    probe.detach();
  }
}
