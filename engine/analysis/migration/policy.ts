/** How a migration is done: policies, links and the costs around them, as plain data. Times are wall-clock ns unless said otherwise; sizes are bytes. */

/** The way between two hosts. */
export interface Link {
  /** Of the wire, shared by all channels. 1 Gbit/s is 125e6. */
  readonly bytesPerSecond: number;
  /** One way. Matters for post-copy's requests. Default 100 us. */
  readonly latencyNs?: number;
  /** What sockets and relays hold between the sender's write and the wire: the sender is ahead by so much. Default 0. */
  readonly bufferBytes?: number;
  /** Most that one connection carries, as one CPU or one TCP flow may be slower than the wire; multifd has several. Default: no limit. */
  readonly channelBytesPerSecond?: number;
}

/** Auto-converge, as QEMU 7.2 and 8.2 have it; percent. */
export interface AutoConverge {
  /** Dirty bytes of a period above this share of the bytes sent in it, twice: a step. Default 50. */
  readonly triggerPercent?: number;
  readonly initialPercent?: number;
  readonly incrementPercent?: number;
  readonly maxPercent?: number;
  /** The smaller of the increment and what the dirty rate asks for. */
  readonly tailSlow?: boolean;
}

/** QEMU's own loop: migration/migration.c and ram.c, stable-7.2 and 8.2. */
export interface QemuPolicy {
  readonly kind: 'qemu';
  readonly name: string;
  /** They differ in the switch-over test: 7.2 syncs when remaining < threshold; 8.2 takes remaining <= threshold for an estimate, then syncs. */
  readonly release: '7.2' | '8.2';
  /** `downtime-limit`, ms. */
  readonly downtimeLimitMs: number;
  /** `max-bandwidth`, bytes a second; 0 for none. Lifted when the guest is stopped. */
  readonly maxBandwidth: number;
  /** `avail-switchover-bandwidth` of 8.2, bytes a second: in the threshold instead of the measured one. */
  readonly availSwitchoverBandwidth?: number;
  readonly autoConverge?: AutoConverge;
  readonly xbzrle?: { readonly cacheBytes: number };
  /** `compress`: each page by itself. */
  readonly compress?: boolean;
  readonly multifd?: { readonly channels: number };
  /** `migrate-start-postcopy` comes when so many syncs were counted; the set-up is sync 1. */
  readonly postCopyAfterSync?: number;
}

/** Rounds as the papers have them: send a set whole, then what was written meanwhile, until a rule says stop. The first rule that holds stops the guest. */
export interface RoundsPolicy {
  readonly kind: 'rounds';
  readonly name: string;
  /** The set can be sent in this time at the bandwidth of the last round, ms. */
  readonly stopAtMs?: number;
  /** The set has fewer pages. */
  readonly stopBelowPages?: number;
  /** So many rounds were sent, the first included. */
  readonly stopAfterRounds?: number;
  /** More than this many times the RAM would have been sent. */
  readonly stopAboveRam?: number;
  /** A page that was written again already when its turn comes waits for the next round. */
  readonly skipsRewritten?: boolean;
  /** Bytes a second of a round: the dirty rate of the round before plus `add`, from `min` to `max`; above `max` the guest is stopped. */
  readonly adaptiveRate?: { readonly add: number; readonly min: number; readonly max: number };
}

/** The guest moves at once, its pages on demand and in the background. */
export interface PostCopyPolicy {
  readonly kind: 'post-copy';
  readonly name: string;
}
/** The guest is stopped first. */
export interface StopAndCopyPolicy {
  readonly kind: 'stop-and-copy';
  readonly name: string;
}

/** Ships a checkpoint, then the inputs, and replays them on the other side until it has caught up. CR/TR-Motion (HPDC 2009) for a deterministic machine. */
export interface LogShippingPolicy {
  readonly kind: 'log-shipping';
  readonly name: string;
  /** The other side's replay is this much faster than the guest runs (virtual time over virtual time); at most 1: never catches up. */
  readonly replaySpeed: number;
  /** The guest is stopped when what is left can be sent and replayed in this time, ms. */
  readonly downtimeLimitMs: number;
}

export type MigrationPolicy = QemuPolicy | RoundsPolicy | PostCopyPolicy | StopAndCopyPolicy | LogShippingPolicy;

/** What a migration takes that is neither memory nor policy. */
export interface SimulationOptions {
  /** Moment of the recording at which the migration begins, virtual ns; default: the truth's begin. */
  readonly startNs?: number;
  /** Virtual ns of the guest in one wall-clock ns. 1: the guest runs as the recording's clock says. */
  readonly virtualPerWall?: number;
  /** After the recording's end it goes on from `repeatFromNs` (default: its begin), or writes nothing more. Default: repeat. */
  readonly afterEnd?: 'repeat' | 'idle';
  readonly repeatFromNs?: number;
  /** Share of its speed that the guest loses while its writes are logged, 0 to 1. Default 0. Approximate by nature. */
  readonly loggingSlowdown?: number;
  /** What the first write to a page after each sync costs a guest that reacts (closed-loop.ts), virtual ns. Default 0. */
  readonly loggingCostNs?: number;
  /** What pages cost the sender's CPU, ns each. Default 500. */
  readonly pageCostNs?: number;
  /** One collection of the dirty bitmap, ns for each GiB of RAM. Default 1e6. */
  readonly syncCostNsPerGiB?: number;
  /** Before the first page. Default 0. */
  readonly setupNs?: number;
  /** Stopping the guest and moving what is no RAM. Default 10e6, as in the reference's runs. */
  readonly switchoverNs?: number;
  /** Post-copy: of each page that comes later, what has to be told while the guest stands still (bytes), and what the other side does with that (ns). Default 0. */
  readonly laterBytesPerPage?: number;
  readonly laterCostNsPerPage?: number;
  /** Given up after this time; default: 30 times a full copy, at least 60 s. */
  readonly timeLimitNs?: number;
}

export const LATENCY_NS_DEFAULT = 100_000;
export const PAGE_COST_NS_DEFAULT = 500;
export const SWITCHOVER_NS_DEFAULT = 10e6;
const SYNC_COST_NS_PER_GIB = 1e6;

const MBIT = 125_000;
const MIB = 1 << 20;

/** Policies by name, for a downtime limit (ms) and `max-bandwidth` (bytes a second, 0 for none). What each is: README.md. */
export function namedPolicies(downtimeLimitMs: number, maxBandwidth: number): ReadonlyMap<string, MigrationPolicy> {
  const qemu = (name: string, more: Partial<QemuPolicy> = {}): QemuPolicy => ({ kind: 'qemu', name, release: '7.2', downtimeLimitMs, maxBandwidth, ...more });
  const all: readonly MigrationPolicy[] = [
    qemu('qemu-7.2'),
    qemu('qemu-8.2', { release: '8.2' }),
    qemu('auto-converge', { autoConverge: {} }),
    qemu('xbzrle', { xbzrle: { cacheBytes: 64 * MIB } }),
    qemu('compress', { compress: true }),
    qemu('multifd', { multifd: { channels: 2 } }),
    qemu('hybrid', { postCopyAfterSync: 2 }),
    { kind: 'post-copy', name: 'post-copy' },
    { kind: 'stop-and-copy', name: 'stop-and-copy' },
    { kind: 'rounds', name: 'textbook', stopAtMs: downtimeLimitMs },
    { kind: 'rounds', name: 'xen', stopBelowPages: 50, stopAfterRounds: 6 },
    { kind: 'rounds', name: 'xen-classic', stopBelowPages: 50, stopAfterRounds: 29, stopAboveRam: 3 },
    { kind: 'rounds', name: 'clark', skipsRewritten: true, stopBelowPages: 64, stopAfterRounds: 29, adaptiveRate: { add: 50 * MBIT, min: 100 * MBIT, max: 500 * MBIT } },
    { kind: 'rounds', name: 'cloud-hypervisor', stopAtMs: 300 },
    { kind: 'rounds', name: 'vmotion', stopAtMs: 500 },
    { kind: 'log-shipping', name: 'log-shipping', replaySpeed: 2, downtimeLimitMs },
  ];
  return new Map(all.map((policy) => [policy.name, policy]));
}

/** What a policy's answer is worth: see README.md, "Exact and approximate". */
export type Exactness = 'open loop' | 'approximate' | 'closed loop';

/** Defaults filled in. */
export interface Costs {
  readonly pageCostNs: number;
  readonly syncNs: number;
  readonly setupNs: number;
  readonly switchoverNs: number;
  readonly laterBytesPerPage: number;
  readonly laterCostNsPerPage: number;
}
export function costsOf(options: SimulationOptions, ramBytes: number): Costs {
  return {
    pageCostNs: options.pageCostNs ?? PAGE_COST_NS_DEFAULT,
    syncNs: ((options.syncCostNsPerGiB ?? SYNC_COST_NS_PER_GIB) * ramBytes) / 2 ** 30,
    setupNs: options.setupNs ?? 0,
    switchoverNs: options.switchoverNs ?? SWITCHOVER_NS_DEFAULT,
    laterBytesPerPage: options.laterBytesPerPage ?? 0,
    laterCostNsPerPage: options.laterCostNsPerPage ?? 0,
  };
}
