/** `diff`: the first event at which two runs differ, and the two machines there. */
import type { LogReader } from '../../engine/log/reader.ts';
import { type Divergence, compareLogs, describeDivergence } from '../../engine/log/verify.ts';
import type { Position } from '../../engine/log/position.ts';
import { Replayer } from '../../engine/recording/replayer.ts';
import { loadCore } from '../store/core-module.ts';
import { FileSource } from '../store/files.ts';
import { type ImagePlaces, openImages } from '../store/guest-images.ts';
import { openRecording } from '../store/chains.ts';
import { openLog } from '../../engine/log/open-log.ts';
import type { Arguments, VerbSpec } from './arguments.ts';
import { IMAGE_OPTIONS, JSON_OPTION, imagePlaces } from './common-options.ts';
import type { Context, Verb } from './context.ts';
import { lineOf } from './event-text.ts';
import { exitCode, failureOf } from './exit-codes.ts';
import { explainDiff } from './diff-explain.ts';
import { table } from './format.ts';
import { turn } from './host.ts';
import { type StateDifference, compareMachines } from './machine-state.ts';
import { toJson } from './output.ts';
import { type Signals, signalStatus } from './signals.ts';
import { UsageError } from './usage-error.ts';

const SLICE_INSTRUCTIONS = 5_000_000;
/** Longest value of a device field that is shown. */
const FIELD_CHARACTERS = 60;

const SPEC: VerbSpec = {
  name: 'diff',
  synopsis: 'A B [options]',
  summary: 'Finds the first event at which two recordings differ, and the registers, pages and devices that differ there.',
  operands: { min: 2, max: 2 },
  options: [
    { name: 'at', value: '@POS', help: 'compares the machines at this position rather than at the first difference' },
    { name: 'rows', value: 'N', help: 'rows of each list that are shown (default: 16)' },
    { name: 'no-replay', help: 'headers and events only' },
    { name: 'explain', help: 'finds the first instruction after which registers or memory differ, and what made them differ' },
    ...IMAGE_OPTIONS,
    JSON_OPTION,
  ],
  notes: [
    'The machines are compared before the instruction at that position. Exit codes: 0 the same events, 3 different.',
    'A branch is compared as the whole run, its parent\'s part included: `diff PARENT CHILD` shows what the change did.',
    'With --explain every instruction of the first 16384 after the first event that differs is looked at; further on, the state between two looks is taken to be the same when it is the same at both; an index of each recording makes it quick.',
  ],
};

export const diff: Verb = { spec: SPEC, run: start };

interface HeaderDifference {
  readonly field: string;
  readonly a: unknown;
  readonly b: unknown;
}

async function start(parsed: Arguments, { out, err, signals }: Context): Promise<number> {
  const isJson = parsed.has('json');
  const rows = parsed.count('rows', 1) ?? 16;
  const asked = parsed.position('at');
  const [a, b] = parsed.operands.map((file) => {
    const source = new FileSource(file, file);
    // --parent is of that of the two which is a branch.
    const isBranch = openLog(source).reader.header.parent !== undefined;
    return { file, ...openRecording(source, isBranch ? parsed.all('parent') : []) };
  });
  for (const { file, torn } of [a, b]) if (torn !== undefined) err.write(`chronovisor: ${file}: ${torn.message}; comparing what comes before\n`);
  if (parsed.has('explain')) {
    if (parsed.has('no-replay') || asked !== undefined) throw new UsageError('--explain finds the position by a replay: leave --no-replay and --at out', 'diff');
    return explainDiff(a, b, parsed, { out, err, signals });
  }
  const headers = headerDifferences(a.reader, b.reader);
  const divergence = compareLogs(a.reader, b.reader);
  const at = asked ?? divergence?.position;

  let state: StateDifference | undefined;
  let note: string | undefined;
  if (at !== undefined && !parsed.has('no-replay')) {
    const places = imagePlaces(parsed);
    try {
      const machineA = await machineAt(a.reader, at, places, signals);
      const machineB = await machineAt(b.reader, at, places, signals);
      if (machineA === undefined || machineB === undefined) return signalStatus(signals.received ?? 'SIGINT');
      state = compareMachines(machineA.machine, machineB.machine);
      const short = [machineA, machineB].find(({ machine }) => machine.position() < at);
      if (short !== undefined) note = `a run ended at @${short.machine.position()}, before @${at}`;
    } catch (error) {
      // The events are compared all the same.
      const failure = failureOf(error);
      if (failure === undefined) throw error;
      note = `the machines could not be compared: ${failure.message}`;
    }
  }

  const status = divergence === undefined ? exitCode('ok') : exitCode('different');
  if (isJson) {
    out.write(`${toJson({ verb: 'diff', a: a.file, b: b.file, isSame: divergence === undefined, headers, divergence: divergence && withText(divergence), at, state, note, exitCode: status })}\n`);
    return status;
  }
  const lines: string[] = [];
  if (headers.length > 0) lines.push('headers:', ...table(headers.map(({ field, a: ofA, b: ofB }) => [field, short(toJson(ofA)), short(toJson(ofB))])));
  if (divergence === undefined) lines.push(`the same ${a.reader.records} events, up to @${a.reader.lastPosition}`);
  else lines.push(...describeDivergence(divergence).map((line) => line.replace('expected:', 'A:').replace('actual:  ', 'B:')));
  if (state !== undefined) lines.push(...describeState(state, at ?? (0 as Position), rows));
  if (note !== undefined) lines.push(note);
  out.write(`${lines.join('\n')}\n`);
  return status;
}

function withText(divergence: Divergence): object {
  return { ...divergence, expectedText: divergence.expected && lineOf(divergence.expected), actualText: divergence.actual && lineOf(divergence.actual) };
}

function short(text: string | undefined): string {
  if (text === undefined) return 'absent';
  return text.length > FIELD_CHARACTERS ? `${text.slice(0, FIELD_CHARACTERS)}...` : text;
}

/** Undefined if a signal came. */
async function machineAt(reader: LogReader, at: Position, places: ImagePlaces, signals: Signals): Promise<Replayer | undefined> {
  const replayer = new Replayer({ reader, images: openImages(reader, places), module: loadCore() });
  while (replayer.position < at) {
    if (replayer.step(Math.min(SLICE_INSTRUCTIONS, at - replayer.position)).kind !== 'running') break;
    await turn();
    if (signals.received !== undefined) return undefined;
  }
  return replayer;
}

/** Fields that say when and by whom a log was made are no difference of the runs, but are shown. */
function headerDifferences(a: LogReader, b: LogReader): HeaderDifference[] {
  const ofA = flatten(a.header);
  const ofB = flatten(b.header);
  const differences: HeaderDifference[] = [];
  for (const field of new Set([...ofA.keys(), ...ofB.keys()])) {
    if (JSON.stringify(ofA.get(field)) !== JSON.stringify(ofB.get(field))) differences.push({ field, a: ofA.get(field), b: ofB.get(field) });
  }
  return differences;
}

function flatten(value: object, prefix = ''): Map<string, unknown> {
  const fields = new Map<string, unknown>();
  for (const [name, each] of Object.entries(value)) {
    if (typeof each === 'object' && each !== null && !Array.isArray(each)) for (const [inner, deep] of flatten(each as object, `${prefix}${name}.`)) fields.set(inner, deep);
    else fields.set(`${prefix}${name}`, each);
  }
  return fields;
}

function describeState({ registers, pages, devices }: StateDifference, at: Position, rows: number): string[] {
  if (registers.length === 0 && pages.length === 0 && devices.length === 0) return [`at @${at} both machines are in the same state: what differs comes with this event`];
  const cut = (lines: readonly string[]): string[] => (lines.length <= rows ? [...lines] : [...lines.slice(0, rows), `  ... ${lines.length - rows} more`]);
  const hex = (value: number | bigint): string => `0x${value.toString(16)}`;
  const lines = [`at @${at}:`, `registers that differ: ${registers.length}`];
  lines.push(...cut(table(registers.map(({ name, a, b }) => [name, hex(a), hex(b)]))));
  lines.push(`physical pages that differ: ${pages.length}`);
  lines.push(...cut(table(pages.map(({ page, address, a, b, count }) => [hex(page), `${count} bytes, the first at ${hex(address)}:`, `${hex(a)} ${hex(b)}`]))));
  lines.push(`fields of devices that differ: ${devices.length}`);
  lines.push(...cut(table(devices.map(({ device, field, a, b }) => [`${device}${field === '' ? '' : `.${field}`}`, short(a), short(b)]))));
  return lines;
}
