/** `dirty`: which pages a guest writes, when and who; what migration is computed from. */
import type { Writers } from '../../engine/analysis/dirty/writers.ts';
import { WritersFold } from '../../engine/analysis/dirty/writers.ts';
import { CurveFold, type CurvePoint, HeatFold, WorkingSetFold, type WorkingSetPoint } from '../../engine/analysis/dirty/folds.ts';
import type { DirtyEpoch } from '../../engine/analysis/dirty/epoch.ts';
import { seriesText } from '../../engine/analysis/dirty/series.ts';
import { PAGE_BYTES, grainOf, windowCount } from '../../engine/analysis/dirty/truth.ts';
import { PagesFold, type PageReport, type PageRow } from '../../engine/analysis/dirty/pages.ts';
import type { GuestSymbols } from '../../engine/debug/guest-symbols.ts';
import { taskName } from '../../engine/debug/task-name.ts';
import { TimeTravel } from '../../engine/debug/time-travel.ts';
import { describeDivergence } from '../../engine/log/verify.ts';
import type { Machine } from '../../engine/machine/machine.ts';
import { loadCore } from '../store/core-module.ts';
import { FileSink } from '../store/files.ts';
import type { Arguments, VerbSpec } from './arguments.ts';
import { guestSymbolsOf } from './bisect-common.ts';
import { JSON_OPTION, QUIET_OPTION } from './common-options.ts';
import type { Context, Verb } from './context.ts';
import { DIRTY_SOURCE_OPTIONS, type DirtySource, loadDirt, momentOf, positionAtNs, virtualNsAt } from './dirty-source.ts';
import { exitCode } from './exit-codes.ts';
import { grouped, megabytes, table, virtualTime } from './format.ts';
import { heatSvg } from './heat-svg.ts';
import { toJson } from './output.ts';
import { duration, durationOf } from './quantities.ts';
import { signalStatus } from './signals.ts';
import { UsageError } from './usage-error.ts';

const CURVE_ROWS = 20;
const WINDOWS_NS = [1e6, 10e6, 100e6, 1e9];
const WHO_ROWS = 20;

const SPEC: VerbSpec = {
  name: 'dirty',
  synopsis: 'FILE [options]',
  summary: 'Shows which pages a guest writes: rate, working set, windows, heat map, who. FILE is a recording.',
  operands: { min: 0, max: 1 },
  options: [
    { name: 'window', value: 'T0,DT', help: 'distinct pages written from T0 on for DT: T0 is @POSITION, N%, mark:NAME or a time such as 20ms; exact with --replay; may be repeated', multiple: true },
    { name: 'curve', value: 'DT', help: `pages of each DT of virtual time (default: a ${CURVE_ROWS}th of the run)` },
    { name: 'working-set', value: 'DT', help: 'pages written in the DT before each epoch: smallest, median, largest' },
    { name: 'heat', value: 'OUT.svg', help: 'draws page x time' },
    { name: 'who', help: 'first writes by guest function, task, address space and ring; replays' },
    { name: 'symbols', value: 'FILE', help: "with --who: names of guest functions, an ELF file or a System.map (default: the guest's own)", multiple: true },
    { name: 'pages', help: 'page by page: epochs in which it is written and read, writes that change nothing, zeros, how short it gets as XBZRLE and LZ4; replays' },
    { name: 'csv', value: 'OUT.csv', help: 'writes the series, as `migrate --series` reads it' },
    ...DIRTY_SOURCE_OPTIONS,
    QUIET_OPTION,
    JSON_OPTION,
  ],
  notes: [
    'Time is the guest\'s virtual time: an instruction is 1 ns. A log knows its epochs (`record --epoch`); a window that does not begin and end with one has bounds, not a count.',
  ],
};

export const dirty: Verb = { spec: SPEC, run: start };

async function start(parsed: Arguments, context: Context): Promise<number> {
  const { out, err, signals } = context;
  const windows = parsed.all('window').map((text) => windowOf(parsed, text));
  const curveNs = duration(parsed, 'curve');
  const workingSetNs = duration(parsed, 'working-set');
  for (const [name, ns] of [['curve', curveNs], ['working-set', workingSetNs]] as const) if (ns === 0) throw parsed.wrong(name, '0', 'more than nothing');
  const sinks = ['heat', 'csv'].map((name) => [name, outputOf(parsed, name)] as const);
  if (parsed.has('symbols') && !parsed.has('who')) throw new UsageError('--symbols needs --who', 'dirty');
  let symbols: GuestSymbols | undefined;
  const epochs: DirtyEpoch[] = [];
  let writers: WritersFold | undefined;
  const pagesFold = parsed.has('pages') ? new PagesFold() : undefined;
  const loaded = await loadDirt(parsed, context, {
    needsReplay: parsed.has('who') || parsed.has('pages'),
    reads: parsed.has('pages'),
    content: parsed.has('pages'),
    ...(parsed.has('who') && { taskAt: (machine: Machine) => taskName(machine, symbols!) }),
    // Epochs end at the edges of windows, so that they are exact.
    edges: (reader) => {
      const truth = { beginNs: 0, endNs: virtualNsAt(reader, reader.lastPosition) };
      return windows
        .map(({ from, lengthNs }) => [momentOf(parsed, 'window', from, { truth, reader }), lengthNs])
        .flatMap(([fromNs, lengthNs]) => [positionAtNs(reader, fromNs), positionAtNs(reader, fromNs + lengthNs)])
        .sort((a, b) => a - b);
    },
    onReplayer: ({ reader }, images) => {
      if (!parsed.has('who')) return;
      symbols = guestSymbolsOf('dirty', parsed, new TimeTravel({ reader, images, module: loadCore() }), images.kernel, (text) => err.write(`chronovisor: ${text}\n`));
      const { table } = symbols;
      writers = new WritersFold({ functionAt: (ripLo, ripHi) => table.at((BigInt(ripHi) << 32n) | BigInt(ripLo))?.name });
    },
    onEpoch: (epoch) => {
      epochs.push({ ...epoch, detail: epoch.detail === undefined ? undefined : { ...epoch.detail, touched: undefined, reads: undefined, who: undefined, content: undefined } });
      writers?.fold(epoch);
      pagesFold?.fold(epoch);
    },
  });
  if (loaded.kind === 'stopped') return signals.received === undefined ? exitCode('ok') : signalStatus(signals.received);
  if (loaded.kind === 'diverged') {
    err.write(`chronovisor: the recording does not replay; \`chronovisor replay\` says more\n${describeDivergence(loaded.error.divergence).map((line) => `  ${line}\n`).join('')}`);
    return exitCode('different');
  }
  const { source } = loaded;
  const { truth } = source;
  const spanNs = truth.endNs - truth.beginNs;
  if (source.from === 'series') epochs.push(...epochsOfSeries(source));

  const curve = new CurveFold(curveNs ?? Math.max(1, roundUp(spanNs / CURVE_ROWS)));
  const points: CurvePoint[] = [];
  for (const epoch of epochs) points.push(...curve.fold(epoch));
  points.push(...curve.finish());
  const sets = (workingSetNs === undefined ? WINDOWS_NS.filter((ns) => ns <= spanNs && ns >= grainOf(truth)) : [workingSetNs]).map((windowNs) => ({ windowNs, ...spread(workingSetPoints(epochs, windowNs)) }));
  const asked = windows.map(({ text, from, lengthNs }) => {
    const fromNs = momentOf(parsed, 'window', from, source);
    return { text, fromNs, toNs: fromNs + lengthNs, ...windowCount(truth, fromNs, fromNs + lengthNs) };
  });
  const who = writers?.finish()[0];
  const pageReport = pagesFold?.finish()[0];
  const whole = truth.timeline.distinctBetween(0, truth.timeline.length);
  const top = truth.timeline.page.reduce((most, page) => Math.max(most, page + 1), 1);
  const heat = new HeatFold({ memoryBytes: top * PAGE_BYTES, columnNs: Math.max(1000, roundUp(spanNs / 400)) });

  for (const [name, sink] of sinks) {
    if (sink === undefined) continue;
    if (name === 'heat') {
      for (const epoch of epochs) heat.fold(epoch);
      const from = `${grouped(truth.timeline.length)} first writes of ${grouped(truth.epochEndsNs?.length ?? 0)} epochs, from the ${source.from}`;
      const above = `nothing was written from 0x${(top * PAGE_BYTES).toString(16)} to the end of the memory at 0x${(truth.pages * PAGE_BYTES).toString(16)}`;
      write(sink, [heatSvg(heat.map(), `pages written by ${source.file}`, [from, above])]);
    } else write(sink, linesOf(seriesText(truth)));
    if (!parsed.has('quiet')) err.write(`chronovisor: wrote ${sink.path}\n`);
  }
  if (parsed.has('json')) {
    out.write(
      `${toJson(
        {
          verb: 'dirty', file: source.file, from: source.from, memoryPages: truth.pages, beginNs: truth.beginNs, endNs: truth.endNs, busyShare: truth.busyShare,
          epochs: truth.epochEndsNs?.length ?? 0, epochInstructions: source.epochInstructions,
          firstWrites: truth.timeline.length, pages: whole, curve: points, workingSets: sets, windows: asked, ...(who !== undefined && { who }), ...(pageReport !== undefined && { content: pageReport }),
        },
        2,
      )}\n`,
    ); // prettier-ignore
    return exitCode('ok');
  }
  const lines = [
    `${source.file}, from its ${source.from}: ${grouped(whole)} of ${grouped(truth.pages)} pages (${megabytes(whole * PAGE_BYTES)}) written in ${virtualTime(spanNs)}, ${Math.round(truth.busyShare * 100)} % of it busy`,
    `${grouped(truth.timeline.length)} first writes in ${grouped(truth.epochEndsNs?.length ?? 0)} epochs${source.epochInstructions === 0 ? '' : ` of ${virtualTime(source.epochInstructions)} of running time`}`,
    '',
    ...table([
      ['time', 'pages', 'pages/s', 'bytes/s'],
      ...points.map(({ fromNs, toNs, pages, pagesPerSecond, bytesPerSecond }) => [`${virtualTime(fromNs)} to ${virtualTime(toNs)}`, grouped(pages), grouped(pagesPerSecond), `${megabytes(bytesPerSecond)}/s`]),
    ]),
  ];
  const withBytes = (pages: number): string => `${grouped(pages)} (${megabytes(pages * PAGE_BYTES)})`;
  if (sets.length > 0) {
    lines.push('', 'writable working set', ...table([['window', 'least', 'median', 'most'], ...sets.map(({ windowNs, least, median, most }) => [virtualTime(windowNs), ...[least, median, most].map(withBytes)])]));
  }
  if (asked.length > 0) {
    const advice = source.from === 'log' ? '; --replay is exact' : '';
    const row = ({ text, fromNs, atLeast, atMost, isExact }: (typeof asked)[number]): readonly string[] => [
      text, `from ${virtualTime(fromNs)}`, isExact ? withBytes(atLeast) : `${grouped(atLeast)} to ${grouped(atMost)}: the window cuts epochs${advice}`,
    ]; // prettier-ignore
    lines.push('', 'distinct pages', ...table(asked.map(row)));
  }
  if (who !== undefined) lines.push(...whoLines(who));
  if (pageReport !== undefined) lines.push(...pageLines(pageReport));
  out.write(`${lines.join('\n')}\n`);
  return exitCode('ok');
}

function windowOf(parsed: Arguments, text: string): { readonly text: string; readonly from: string; readonly lengthNs: number } {
  const comma = text.lastIndexOf(',');
  if (comma <= 0) throw parsed.wrong('window', text, 'T0,DT such as 50%,10ms or @1000000,1ms');
  return { text, from: text.slice(0, comma).trim(), lengthNs: durationOf(parsed, 'window', text.slice(comma + 1).trim()) };
}

function workingSetPoints(epochs: readonly DirtyEpoch[], windowNs: number): readonly WorkingSetPoint[] {
  const fold = new WorkingSetFold(windowNs);
  // Before a whole window has passed the set is that of a shorter one.
  return epochs.flatMap((epoch) => fold.fold(epoch)).filter(({ atNs }) => atNs >= (epochs[0]?.fromNs ?? 0) + windowNs);
}

function spread(points: readonly WorkingSetPoint[]): { readonly least: number; readonly median: number; readonly most: number } {
  const pages = points.map((point) => point.pages).sort((a, b) => a - b);
  return { least: pages[0] ?? 0, median: pages[pages.length >>> 1] ?? 0, most: pages.at(-1) ?? 0 };
}

/** One epoch for each moment of a series. */
function epochsOfSeries({ truth: { timeline, beginNs, times } }: DirtySource): DirtyEpoch[] {
  const epochs: DirtyEpoch[] = [];
  for (let i = 0, from = beginNs; i < timeline.length; ) {
    const at = timeline.atNs[i];
    let end = i;
    while (end < timeline.length && timeline.atNs[end] === at) end++;
    const toNs = times === 'epoch end' ? at : at + 1;
    epochs.push({ epoch: epochs.length, fromPosition: 0, toPosition: 0, fromNs: from, toNs, pages: timeline.page.slice(i, end) });
    from = toNs;
    i = end;
  }
  return epochs;
}

/** 1, 2 or 5 times a power of ten. */
function roundUp(ns: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, ns)));
  return power * ([1, 2, 5].find((digit) => digit * power >= ns) ?? 10);
}

function pageLines({ pages, ...all }: PageReport): string[] {
  const share = (part: number): string => `${grouped(part)} (${((part * 100) / Math.max(1, all.writes)).toFixed(1)} %)`;
  const row = (name: string, { writes, unchanged, reads, zero, deltaBytes, compressedBytes }: Omit<PageRow, 'page'>): readonly string[] => [
    name, grouped(writes), grouped(unchanged), grouped(reads), grouped(zero), deltaBytes.toFixed(0), compressedBytes.toFixed(0),
  ]; // prettier-ignore
  return [
    '',
    `of ${grouped(all.writes)} writes (pages times epochs) ${share(all.unchanged)} changed nothing, ${share(all.zero)} left zeros; ${grouped(all.reads)} reads`,
    ...table([['page', 'written', 'unchanged', 'read', 'zeros', 'XBZRLE bytes', 'LZ4 bytes'], row('all', all), ...pages.slice(0, WHO_ROWS).map(({ page, ...rest }) => row(`0x${page.toString(16)}`, rest))]),
    ...(pages.length > WHO_ROWS ? [`  ... and ${grouped(pages.length - WHO_ROWS)} more (--json has all)`] : []),
  ];
}

function whoLines({ firstWrites, byFunction, byTask, bySpace, byRing }: Writers): string[] {
  const rows = (name: string, list: Writers['byFunction']): string[] => [
    '',
    name,
    ...table([['first writes', 'share', 'pages', ''], ...list.slice(0, WHO_ROWS).map((row) => [grouped(row.firstWrites), `${(row.share * 100).toFixed(1)} %`, grouped(row.pages), row.name])]),
    ...(list.length > WHO_ROWS ? [`  ... and ${list.length - WHO_ROWS} more (--json has all)`] : []),
  ];
  return ['', `who dirties: ${grouped(firstWrites)} first writes`, ...rows('by function', byFunction), ...rows('by task', byTask), ...rows('by address space', bySpace), ...rows('by ring', byRing)];
}

function outputOf(parsed: Arguments, name: string): FileSink | undefined {
  const path = parsed.text(name);
  return path === undefined ? undefined : new FileSink(path, `--${name}`);
}

function write(sink: FileSink, texts: Iterable<string>): void {
  const encoder = new TextEncoder();
  try {
    for (const text of texts) sink.append(encoder.encode(text));
    sink.sync();
    sink.close();
  } catch (error) {
    sink.discard();
    throw error;
  }
}

const CHUNK_LINES = 4096;
function* linesOf(lines: Iterable<string>): Generator<string, void, void> {
  let chunk: string[] = [];
  for (const line of lines) {
    chunk.push(line);
    if (chunk.length < CHUNK_LINES) continue;
    yield `${chunk.join('\n')}\n`;
    chunk = [];
  }
  if (chunk.length > 0) yield `${chunk.join('\n')}\n`;
}
