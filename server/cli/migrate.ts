/** `migrate`: what a live migration of a recorded guest would cost, under every policy, and when to start it. */
import type { DirtyTruth } from '../../engine/analysis/dirty/truth.ts';
import type { MigrationOutcome } from '../../engine/analysis/migration/outcome.ts';
import { type Link, type SimulationOptions, namedPolicies } from '../../engine/analysis/migration/policy.ts';
import { type Jitter, type Prediction, type Range, predict } from '../../engine/analysis/migration/predict.ts';
import { bandwidthText, wallTime } from '../../engine/analysis/migration/quantities.ts';
import { type PolicyAt, type StartCandidate, type TableCell, compareStarts, convergenceFrontier, migrationTable, startCandidates } from '../../engine/analysis/migration/table.ts';
import { describeDivergence } from '../../engine/log/verify.ts';
import type { Arguments, VerbSpec } from './arguments.ts';
import { CLOSED_LOOP_OPTIONS, type ClosedLoopRun, runClosedLoop } from './closed-loop.ts';
import { JSON_OPTION, QUIET_OPTION } from './common-options.ts';
import type { Context, Verb } from './context.ts';
import { DIRTY_SOURCE_OPTIONS, type DirtySource, loadDirt, momentOf } from './dirty-source.ts';
import { exitCode } from './exit-codes.ts';
import { grouped, megabytes, table, virtualTime } from './format.ts';
import { turn } from './host.ts';
import { LIVE_OPTIONS, isLive, startLive } from './migrate-live.ts';
import { LIVE_POLICIES } from '../migration/source.ts';
import { toJson } from './output.ts';
import { bandwidth, bandwidthOf, duration, durationOf } from './quantities.ts';
import { signalStatus, type Signals } from './signals.ts';
import { UsageError } from './usage-error.ts';

const POLICY_NAMES = [...namedPolicies(300, 0).keys()];
const POLICY_DEFAULT = 'qemu-7.2';
/** Axes of Gudkov's table (qemu-devel, 2023). */
const TABLE_BANDWIDTHS = ['100Mbit', '1Gbit', '2Gbit', '2.5Gbit', '5Gbit', '10Gbit', '25Gbit', '40Gbit'];
const TABLE_DOWNTIMES = ['125ms', '250ms', '500ms', '1000ms', '5000ms'];
const STARTS_DEFAULT = 40;
/** Characters by which notes are told apart. */
const NOTE_KIND = 24;
const ROUNDS_FIRST = 30;
const ROUNDS_LAST = 5;
const FRONTIER = { from: 125_000, to: 100e9 / 8 } as const;

const SPEC: VerbSpec = {
  name: 'migrate',
  synopsis: 'FILE --bandwidth B [options]',
  summary: 'Predicts a live migration: rounds, bytes, total time, downtime, convergence, by policy. FILE is a recording.',
  operands: { min: 0, max: 1 },
  options: [
    { name: 'bandwidth', value: 'B', help: 'of the link: 1Gbit, 100Mbit, 128MiB a second; a list with --table' },
    { name: 'downtime', value: 'T', help: 'downtime limit (default: 300ms); a list with --table or --frontier' },
    { name: 'policy', value: 'LIST', help: `all, or of ${POLICY_NAMES.join(', ')} (default: ${POLICY_DEFAULT})` },
    { name: 'start', value: 'WHERE', help: '@POSITION, N%, mark:NAME or a time from the begin such as 20ms (default: the begin)' },
    { name: 'table', help: `bandwidth x downtime limit (default: ${TABLE_BANDWIDTHS.join(',')} and ${TABLE_DOWNTIMES.join(',')})` },
    { name: 'frontier', help: 'the least bandwidth that converges, for each downtime limit' },
    { name: 'best-start', help: `the migration from ${STARTS_DEFAULT} moments, the best and the worst` },
    { name: 'starts', value: 'N', help: `with --best-start: how many moments (default: ${STARTS_DEFAULT})` },
    { name: 'rounds', help: 'round by round' },
    { name: 'max-bandwidth', value: 'B', help: "QEMU's max-bandwidth (default: none)" },
    { name: 'latency', value: 'T', help: 'of the link, one way (default: 100us)' },
    { name: 'buffer', value: 'SIZE', help: 'what sockets hold between sender and link (default: 0)' },
    { name: 'speed', value: 'X', help: "seconds of the guest's time in a second of the wall (default: 1)" },
    { name: 'slowdown', value: 'N%', help: 'what dirty logging costs the guest (default: 0%)' },
    { name: 'after-end', value: 'WHAT', help: 'repeat (default) or idle: what the guest does when the migration outlasts the recording' },
    { name: 'repeat-from', value: 'WHERE', help: 'where the repetition begins (default: the begin), such as after the boot' },
    { name: 'switchover', value: 'T', help: 'stopping the guest and moving its devices (default: 10ms; with --live, what synced writes take on this host)' },
    { name: 'give-up', value: 'T', help: 'does not converge after this time (default: 30 times a full copy, at least 60s)' },
    { name: 'replay-speed', value: 'X', help: 'log-shipping: how much faster than the guest the other side replays (default: 2)' },
    { name: 'samples', value: 'N', help: 'jittered simulations for the ranges (default: 20)' },
    { name: 'jitter', value: 'N%', help: 'of the bandwidth (default: 3%); the start moves by 50 ms' },
    { name: 'seed', value: 'N', help: 'of the jitter (default: 1)' },
    ...CLOSED_LOOP_OPTIONS,
    ...DIRTY_SOURCE_OPTIONS,
    ...LIVE_OPTIONS,
    QUIET_OPTION,
    JSON_OPTION,
  ],
  notes: [
    'The recording does not react to being migrated. Answers that need it to (throttling, waiting for pages) are marked approximate; --closed-loop runs a guest that does, and keeps that branch under -o. --replay knows what is in the pages, and reads, which XBZRLE, compression and post-copy need.',
    `With --live the guest really moves, to a side that waits with --listen; --policy is then ${LIVE_POLICIES.join(', ')}, --bandwidth is optional, --speed is half of what the guest is measured to do unless given. Ctrl-C gives the migration up, and the guest goes on here. Who has the guest after a broken link: server/migration/README.md.`,
  ],
};

export const migrate: Verb = { spec: SPEC, run: start };

interface Asked {
  readonly bandwidths: readonly number[];
  readonly downtimesMs: readonly number[];
  readonly policies: readonly string[];
  readonly policyOf: (name: string) => PolicyAt;
  readonly link: Link;
  readonly options: SimulationOptions;
  readonly jitter: Jitter;
}

async function start(parsed: Arguments, context: Context): Promise<number> {
  if (isLive(parsed)) return startLive(parsed, context);
  const { out, err, signals } = context;
  const isTable = parsed.has('table');
  if (!isTable && !parsed.has('frontier') && !parsed.has('bandwidth')) throw new UsageError('give --bandwidth, such as 1Gbit; or --table or --frontier for many', 'migrate');
  if (parsed.has('starts') && !parsed.has('best-start')) throw new UsageError('--starts needs --best-start', 'migrate');
  const names = policiesOf(parsed);
  // Wrong options are said before a replay is waited for.
  const wishes = shapeOf(parsed, names, isTable);
  const isClosedLoop = closedLoopOf(parsed, names, wishes);
  const loaded = await loadDirt(parsed, context, { reads: true, content: true, needsReplay: isClosedLoop });
  if (loaded.kind === 'stopped') return stopped(signals);
  if (loaded.kind === 'diverged') {
    err.write(`chronovisor: the recording does not replay; \`chronovisor replay\` says more\n${describeDivergence(loaded.error.divergence).map((line) => `  ${line}\n`).join('')}`);
    return exitCode('different');
  }
  const { source } = loaded;
  const { truth } = source;
  const startText = parsed.text('start');
  const repeatText = parsed.text('repeat-from');
  const asked: Asked = {
    ...wishes,
    options: {
      ...wishes.options,
      ...(startText !== undefined && { startNs: momentOf(parsed, 'start', startText, source) }),
      ...(repeatText !== undefined && { repeatFromNs: momentOf(parsed, 'repeat-from', repeatText, source) }),
    },
  };
  const policyAt = asked.policyOf(asked.policies[0]);
  const wait = async (): Promise<boolean> => {
    await turn();
    return signals.received !== undefined;
  };
  const gather = async <T>(from: Iterable<T>): Promise<T[] | undefined> => {
    const list: T[] = [];
    for (const each of from) {
      list.push(each);
      if (await wait()) return undefined;
    }
    return list;
  };

  const link = { ...asked.link, bytesPerSecond: asked.bandwidths[0] ?? 0 };
  let cells: readonly TableCell[] | undefined;
  let starts: readonly StartCandidate[] | undefined;
  if (isTable) {
    cells = await gather(migrationTable(truth, policyAt, link, { bytesPerSecond: asked.bandwidths, downtimeLimitMs: asked.downtimesMs }, asked.options, { ...asked.jitter, samples: Math.min(asked.jitter.samples ?? 4, 4) }));
    if (cells === undefined) return stopped(signals);
  }
  const frontier = parsed.has('frontier') ? await gather(convergenceFrontier(truth, policyAt, link, asked.downtimesMs, FRONTIER, asked.options)) : [];
  if (frontier === undefined) return stopped(signals);
  if (parsed.has('best-start')) {
    starts = await gather(startCandidates(truth, policyAt(asked.downtimesMs[0]), link, parsed.count('starts', 1) ?? STARTS_DEFAULT, asked.options));
    if (starts === undefined) return stopped(signals);
    starts = [...starts].sort(compareStarts);
  }
  const isSingle = cells === undefined && frontier.length === 0;
  const predictions = isSingle ? await gather(predictEach(truth, asked, link)) : [];
  if (predictions === undefined) return stopped(signals);
  const closed = isClosedLoop ? asked.policies.map((name) => asked.policyOf(name)(asked.downtimesMs[0])).filter(({ kind }) => kind !== 'log-shipping').map((policy) => runClosedLoop(parsed, signals, { policy, truth, link, options: asked.options, output: parsed.text('output') })) : [];

  if (parsed.has('json')) {
    const rounds = parsed.has('rounds');
    const bare = ({ rounds: list, ...rest }: MigrationOutcome): object => (rounds ? { ...rest, rounds: list } : rest);
    out.write(
      `${toJson(
        {
          verb: 'migrate', file: source.file, from: source.from, epochInstructions: source.epochInstructions, beginNs: truth.beginNs, endNs: truth.endNs, busyShare: truth.busyShare,
          link: { ...asked.link, ...(isSingle && { bytesPerSecond: asked.bandwidths[0] }) }, downtimeLimitMs: asked.downtimesMs, options: asked.options,
          ...(cells !== undefined && { policy: asked.policies[0], table: cells }), ...(frontier.length > 0 && { policy: asked.policies[0], frontier }),
          ...(starts !== undefined && { starts: starts.map(({ startNs, outcome }) => ({ startNs, outcome: bare(outcome) })) }),
          ...(predictions.length > 0 && { predictions: predictions.map(({ outcome, ...ranges }) => ({ ...bare(outcome), ranges })) }),
          ...(isClosedLoop && { closedLoop: closed.map(({ outcome, ...run }) => ({ ...run, outcome: bare(outcome) })) }),
        },
        2,
      )}\n`,
    ); // prettier-ignore
    return exitCode('ok');
  }
  const lines: string[] = [headLine(source, asked, isSingle)];
  const zeros = startText === undefined && starts === undefined ? zeroShare(truth) : 0;
  if (cells !== undefined) lines.push('', ...tableLines(cells, asked));
  if (frontier.length > 0) {
    const text = (bytesPerSecond: number | undefined): string => {
      if (bytesPerSecond === undefined) return `none up to ${bandwidthText(FRONTIER.to)}`;
      return `${bandwidthText(bytesPerSecond)}${bytesPerSecond === FRONTIER.from ? ' or less' : ''}`;
    };
    lines.push('', 'least bandwidth that converges', ...table(frontier.map(({ downtimeLimitMs, bytesPerSecond }) => [wallTime(downtimeLimitMs), text(bytesPerSecond)])));
  }
  if (predictions.length === 1) lines.push('', ...detailLines(predictions[0], closed.at(0)));
  else if (predictions.length > 1) lines.push('', ...comparisonLines(predictions, closed));
  if (parsed.has('rounds')) for (const outcome of [...predictions, ...closed].map((each) => each.outcome)) lines.push('', `${outcome.policy}, round by round (${outcome.exactness})`, ...roundLines(outcome));
  if (starts !== undefined) lines.push('', ...startLines(starts));
  // One of a kind: they differ in a number.
  const notes = new Map([...[...predictions, ...closed].map(({ outcome }) => outcome), ...(starts ?? []).map(({ outcome }) => outcome)].flatMap((outcome) => outcome.notes.map((note) => [note.slice(0, NOTE_KIND), note] as const)));
  if (zeros > ZEROS_WORTH_A_NOTE) notes.set('zeros', `the migration begins at power-on, when ${Math.floor(zeros * 100)} % of the memory are zeros, at 9 bytes a page: --start begins later (50%, mark:NAME), --best-start tries many moments`);
  if (!parsed.has('quiet') && notes.size > 0) lines.push('', ...[...notes.values()].map((note) => `note: ${note}`));
  out.write(`${lines.join('\n')}\n`);
  return exitCode('ok');
}

function* predictEach(truth: DirtyTruth, { policies, policyOf, downtimesMs, options, jitter }: Asked, link: Link): Generator<Prediction, void, void> {
  for (const name of policies) yield predict(truth, policyOf(name)(downtimesMs[0]), link, options, jitter);
}

const ZEROS_WORTH_A_NOTE = 0.5;
/** Of the pages, at the begin. */
function zeroShare({ pages, beginNs, content }: DirtyTruth): number {
  let zeros = 0;
  for (let page = 0; page < pages; page++) if (content?.isZero(page, beginNs) === true) zeros++;
  return zeros / pages;
}

function stopped(signals: Signals): number {
  return signals.received === undefined ? exitCode('ok') : signalStatus(signals.received);
}

function policiesOf(parsed: Arguments): readonly string[] {
  if (parsed.text('policy') === 'all') return POLICY_NAMES;
  const names = parsed.words('policy', POLICY_NAMES) ?? [POLICY_DEFAULT];
  if (names.length === 0) throw parsed.wrong('policy', '', `all, or of ${POLICY_NAMES.join(', ')}`);
  return names;
}

/** Whether the guest is to react. Throws UsageError. */
function closedLoopOf(parsed: Arguments, policies: readonly string[], { options, policyOf }: Asked): boolean {
  if (!parsed.has('closed-loop')) {
    if (parsed.has('logging-cost')) throw new UsageError('--logging-cost needs --closed-loop: --slowdown is for a guest that does not react', 'migrate');
    if (parsed.has('output')) throw new UsageError('-o is for --closed-loop, --live and --listen', 'migrate');
    return false;
  }
  for (const name of ['table', 'frontier', 'best-start', 'series', 'slowdown']) if (parsed.has(name)) throw new UsageError(`--closed-loop does not go with --${name}: it runs the guest of one recording once for each policy${name === 'slowdown' ? '; --logging-cost slows it' : ''}`, 'migrate');
  if (parsed.has('output') && policies.length > 1) throw new UsageError('-o keeps the branch of one policy: name it with --policy', 'migrate');
  if (options.afterEnd === 'idle') throw new UsageError('--closed-loop goes on after the end of the recording by running the guest: --after-end is for one that does not react', 'migrate');
  if (policies.every((name) => policyOf(name)(1).kind === 'log-shipping')) throw new UsageError('--closed-loop does not go with log-shipping, which does not touch the guest', 'migrate');
  return true;
}

function shapeOf(parsed: Arguments, policies: readonly string[], isTable: boolean): Asked {
  const many = isTable || parsed.has('frontier');
  if (many && policies.length > 1) throw new UsageError('--table and --frontier are of one policy: name it with --policy', 'migrate');
  if (isTable && (parsed.has('best-start') || parsed.has('rounds'))) throw new UsageError('--table excludes --best-start and --rounds', 'migrate');
  const list = (name: string, otherwise: string): readonly string[] => (parsed.text(name) ?? otherwise).split(',').filter((each) => each !== '');
  const bandwidths = list('bandwidth', isTable ? TABLE_BANDWIDTHS.join(',') : '').map((text) => bandwidthOf(parsed, 'bandwidth', text));
  const downtimesMs = list('downtime', many ? TABLE_DOWNTIMES.join(',') : '300ms').map((text) => durationOf(parsed, 'downtime', text) / 1e6);
  if (!isTable && bandwidths.length > 1) throw new UsageError('several bandwidths are for --table', 'migrate');
  if (!many && downtimesMs.length > 1) throw new UsageError('several downtime limits are for --table and --frontier', 'migrate');
  if (!many && bandwidths.length === 0) throw parsed.wrong('bandwidth', parsed.text('bandwidth') ?? '', 'a bandwidth such as 1Gbit');
  const maxBandwidth = bandwidth(parsed, 'max-bandwidth') ?? 0;
  const replaySpeed = factor(parsed, 'replay-speed', 1000);
  const policyOf =
    (name: string): PolicyAt =>
    (downtimeLimitMs) => {
      const policy = namedPolicies(downtimeLimitMs, maxBandwidth).get(name)!;
      return policy.kind === 'log-shipping' && replaySpeed !== undefined ? { ...policy, replaySpeed } : policy;
    };
  const afterEnd = parsed.text('after-end') ?? 'repeat';
  if (afterEnd !== 'repeat' && afterEnd !== 'idle') throw parsed.wrong('after-end', afterEnd, 'repeat or idle');
  const speed = factor(parsed, 'speed', 1e6);
  const slowdown = share(parsed, 'slowdown', 0.99);
  const latencyNs = duration(parsed, 'latency');
  const bufferBytes = parsed.bytes('buffer');
  const switchoverNs = duration(parsed, 'switchover');
  const timeLimitNs = duration(parsed, 'give-up');
  const loggingCostNs = duration(parsed, 'logging-cost');
  const jitterShare = share(parsed, 'jitter', 0.9);
  return {
    bandwidths,
    downtimesMs,
    policies,
    policyOf,
    link: { bytesPerSecond: bandwidths[0] ?? 1, ...(latencyNs !== undefined && { latencyNs }), ...(bufferBytes !== undefined && { bufferBytes }) },
    options: {
      afterEnd,
      ...(speed !== undefined && { virtualPerWall: speed }),
      ...(slowdown !== undefined && { loggingSlowdown: slowdown }),
      ...(loggingCostNs !== undefined && { loggingCostNs }),
      ...(switchoverNs !== undefined && { switchoverNs }),
      ...(timeLimitNs !== undefined && { timeLimitNs }),
    },
    jitter: { samples: parsed.count('samples') ?? 20, seed: BigInt(parsed.count('seed') ?? 1), ...(jitterShare !== undefined && { bandwidthShare: jitterShare }) },
  };
}

function factor(parsed: Arguments, name: string, max: number): number | undefined {
  const text = parsed.text(name);
  if (text === undefined) return undefined;
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : NaN;
  if (!(value > 0 && value <= max)) throw parsed.wrong(name, text, `a number above 0 and up to ${max}, such as 0.5`);
  return value;
}
function share(parsed: Arguments, name: string, max: number): number | undefined {
  const text = parsed.text(name);
  if (text === undefined) return undefined;
  const match = /^(\d+(?:\.\d+)?)\s*%?$/.exec(text);
  const value = match === null ? NaN : Number(match[1]) / 100;
  if (!(value >= 0 && value <= max)) throw parsed.wrong(name, text, `a share from 0% to ${max * 100}%`);
  return value;
}

// ---- text ----

function headLine({ file, from, truth, epochInstructions }: DirtySource, { bandwidths, downtimesMs, options, link }: Asked, isSingle: boolean): string {
  const where = options.startNs === undefined ? '' : `, from ${virtualTime(options.startNs)}`;
  const grain = epochInstructions === 0 ? '' : `, epochs of ${virtualTime(epochInstructions)}`;
  const over = isSingle ? `over ${bandwidthText(bandwidths[0])}${link.latencyNs === undefined ? '' : ` and ${virtualTime(link.latencyNs)}`}, downtime limit ${wallTime(downtimesMs[0])}` : 'predicted';
  const speed = options.virtualPerWall === undefined ? '' : `, ${options.virtualPerWall} s of its time a second`;
  return `${file} (${megabytes(truth.pages * 4096)}, ${virtualTime(truth.endNs - truth.beginNs)} from its ${from}${grain}${speed}) ${over}${where}`;
}

function rangeText({ p5, p95 }: Range, text: (value: number) => string): string {
  return text(p5) === text(p95) ? '' : ` (${text(p5)} to ${text(p95)})`;
}
function verdictOf({ outcome, isUnstable, convergesShare }: Prediction): string {
  return `${outcome.converges ? 'converges' : 'does not converge'}${isUnstable ? `, unstable: ${Math.round(convergesShare * 100)} % of the samples do` : ''}`;
}

function detailLines(prediction: Prediction, closed: ClosedLoopRun | undefined): string[] {
  const { outcome } = prediction;
  const { ram } = outcome;
  const rows: (readonly [string, string])[] = [
    ['verdict', `${verdictOf(prediction)}: ${outcome.reason}`],
    ['total time', `${wallTime(outcome.totalTimeMs)}${rangeText(prediction.totalTimeMs, wallTime)}`],
    ['downtime', outcome.converges ? `${wallTime(outcome.downtimeMs)}${rangeText(prediction.downtimeMs, wallTime)}` : '-'],
    ...(outcome.expectedDowntimeMs === undefined ? [] : ([['expected downtime', `${wallTime(outcome.expectedDowntimeMs)}, by the source's own estimate`]] as const)),
    ['setup time', wallTime(outcome.setupTimeMs)],
    ['transferred', `${megabytes(ram.transferred)}${rangeText(prediction.transferred, megabytes)}, ${(ram.transferred / ram.total).toFixed(2)} times the memory`],
    ['remaining', megabytes(ram.remaining)],
    ['duplicate (zero)', `${grouped(ram.duplicate)} pages`],
    ['normal', `${grouped(ram.normal)} pages, ${megabytes(ram.normalBytes)}${rangeText(prediction.pages, (value) => grouped(value))}`],
    ['sent in vain', `${grouped(outcome.redundantPages)} pages sent again though nothing was written since`],
    ['dirty sync count', `${ram.dirtySyncCount}`],
    ['dirty pages rate', `${grouped(ram.dirtyPagesRate)} pages/s, page size ${ram.pageSize}`],
    ['throughput', `${ram.mbps.toFixed(1)} Mbit/s, ${grouped(ram.pagesPerSecond)} pages/s`],
    ...(outcome.cpuThrottlePercentage > 0 ? ([['cpu throttle', `${outcome.cpuThrottlePercentage} %`]] as const) : []),
    ...specialRows(outcome),
    ['answer', outcome.exactness === 'open loop' ? 'exact for a guest that does not react' : 'approximate: the guest would have reacted'],
  ];
  return [outcome.policy, ...table(rows), ...(closed === undefined ? [] : ['', ...closedLines(closed)])];
}

/** The same with a guest that reacts. */
function closedLines({ outcome, stalledNs, from, to, log }: ClosedLoopRun): string[] {
  const { ram } = outcome;
  return [
    `${outcome.policy}, closed loop: the guest ran again from @${grouped(from)} to @${grouped(to)}, and reacted`,
    ...table([
      ['verdict', `${outcome.converges ? 'converges' : 'does not converge'}: ${outcome.reason}`],
      ['total time', wallTime(outcome.totalTimeMs)],
      ['downtime', outcome.converges ? wallTime(outcome.downtimeMs) : '-'],
      ['transferred', megabytes(ram.transferred)],
      ['duplicate (zero)', `${grouped(ram.duplicate)} pages`],
      ['normal', `${grouped(ram.normal)} pages, ${megabytes(ram.normalBytes)}`],
      ['dirty sync count', String(ram.dirtySyncCount)],
      ['dirty pages rate', `${grouped(ram.dirtyPagesRate)} pages/s`],
      ...(outcome.cpuThrottlePercentage > 0 ? ([['cpu throttle', `${outcome.cpuThrottlePercentage} %`]] as const) : []),
      ...specialRows(outcome),
      ['held up', `${virtualTime(Math.round(stalledNs))} of its time`],
      ...(log === undefined ? [] : [['branch', `${log.file}, ${grouped(log.records)} events, digest ${log.digest}`]]),
    ]),
  ];
}

/** What only some policies have. */
function specialRows({ ram, xbzrleCache: cache, shipped, ...outcome }: MigrationOutcome): (readonly [string, string])[] {
  const rows: (readonly [string, string])[] = [];
  if (cache !== undefined) rows.push(['xbzrle', `${grouped(cache.pages)} pages in ${megabytes(cache.bytes)}, ${grouped(cache.cacheMiss)} misses, ${grouped(cache.overflow)} overflows`]);
  if (ram.postcopyBytes > 0) {
    const waits = `guest waits ${wallTime(outcome.postcopyBlocktimeMs)}, at most ${wallTime(outcome.postcopyBlocktimeMsMax)} at once`;
    rows.push(['post-copy', `${megabytes(ram.postcopyBytes)}, ${grouped(ram.postcopyRequests)} requests, ${waits}`]);
  }
  if (shipped !== undefined) rows.push(['log shipping', `checkpoint ${megabytes(shipped.checkpointBytes)}, inputs ${megabytes(shipped.inputBytes)}, replay ${wallTime(shipped.replayMs)}`]);
  return rows;
}

function comparisonLines(predictions: readonly Prediction[], closed: readonly ClosedLoopRun[]): string[] {
  return table([
    ['policy', 'verdict', 'total time', 'downtime', 'transferred', 'syncs', 'guest waits', 'answer'],
    ...predictions.map((prediction) => {
      const { outcome } = prediction;
      return [
        outcome.policy,
        outcome.converges ? (prediction.isUnstable ? 'unstable' : 'converges') : prediction.isUnstable ? 'unstable' : 'does not',
        outcome.converges ? `${wallTime(outcome.totalTimeMs)}${rangeText(prediction.totalTimeMs, wallTime)}` : '-',
        outcome.converges ? `${wallTime(outcome.downtimeMs)}${rangeText(prediction.downtimeMs, wallTime)}` : '-',
        megabytes(outcome.ram.transferred),
        String(outcome.ram.dirtySyncCount),
        outcome.postcopyBlocktimeMs > 0 ? wallTime(outcome.postcopyBlocktimeMs) : '-',
        `${outcome.exactness}; ${outcome.reason}`,
      ];
    }),
    ...closed.map(({ outcome }) => [
      outcome.policy,
      outcome.converges ? 'converges' : 'does not',
      outcome.converges ? wallTime(outcome.totalTimeMs) : '-',
      outcome.converges ? wallTime(outcome.downtimeMs) : '-',
      megabytes(outcome.ram.transferred),
      String(outcome.ram.dirtySyncCount),
      outcome.postcopyBlocktimeMs > 0 ? wallTime(outcome.postcopyBlocktimeMs) : '-',
      `${outcome.exactness}; ${outcome.reason}`,
    ]),
  ]);
}

function roundLines({ rounds }: MigrationOutcome): string[] {
  const left = rounds.length - ROUNDS_FIRST - ROUNDS_LAST;
  const shown = left > 0 ? [...rounds.slice(0, ROUNDS_FIRST), ...rounds.slice(-ROUNDS_LAST)] : rounds;
  const lines = table([
    ['sync', 'at', 'takes', 'pages', 'zero', 'bytes', 'written meanwhile', 'left', 'throttle', 'of the recording'],
    ...shown.map(({ sync, atMs, ms, pages, zeroPages, bytes, dirtied, remaining, throttlePercent, virtualNs }) => [
      String(sync), wallTime(atMs), wallTime(ms), grouped(pages), grouped(zeroPages), megabytes(bytes), grouped(dirtied), grouped(remaining), `${throttlePercent} %`, virtualTime(Math.round(virtualNs)),
    ]),
  ]); // prettier-ignore
  return left > 0 ? [...lines.slice(0, ROUNDS_FIRST + 1), `  ... ${grouped(left)} more (--json has all)`, ...lines.slice(ROUNDS_FIRST + 1)] : lines;
}

function tableLines(cells: readonly TableCell[], { bandwidths, downtimesMs, policies }: Asked): string[] {
  const cell = (bytesPerSecond: number, downtimeLimitMs: number): string => {
    const found = cells.find((each) => each.bytesPerSecond === bytesPerSecond && each.downtimeLimitMs === downtimeLimitMs)!;
    return `${found.converges ? wallTime(found.totalTimeMs) : '-'}${found.isUnstable ? ' ?' : ''}`;
  };
  return [
    `total time under ${policies[0]}; - does not converge, ? unstable`,
    ...table([['downtime limit', ...downtimesMs.map(wallTime)], ...bandwidths.map((bytesPerSecond) => [bandwidthText(bytesPerSecond), ...downtimesMs.map((ms) => cell(bytesPerSecond, ms))])]),
  ];
}

function startLines(starts: readonly StartCandidate[]): string[] {
  const row = (name: string, { startNs, outcome }: StartCandidate): readonly string[] => [
    name, virtualTime(Math.round(startNs)), outcome.converges ? wallTime(outcome.totalTimeMs) : 'does not converge', outcome.converges ? wallTime(outcome.downtimeMs) : '-', `${grouped(outcome.ram.normal)} pages`,
  ]; // prettier-ignore
  const converging = starts.filter(({ outcome }) => outcome.converges).length;
  return [
    `start: ${converging} of ${starts.length} moments converge`,
    ...table([['', 'at', 'total time', 'downtime', ''], row('best', starts[0]), row('median', starts[starts.length >>> 1]), row('worst', starts[starts.length - 1])]),
  ];
}
