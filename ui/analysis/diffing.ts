/** Two recordings side by side: headers, the events around the first that differs, and the instruction after which the two machines are not the same. */
import { textOf } from '../../engine/debug/disassembler.ts';
import { type Cause, type ExplainedSide, explaining } from '../../engine/debug/explain.ts';
import { differingPages, pageDifference } from '../../engine/debug/page-differences.ts';
import { type SymbolTable, elfSymbolsOf } from '../../engine/debug/symbols.ts';
import { TimeTravel } from '../../engine/debug/time-travel.ts';
import { type LogEvent, kindCode } from '../../engine/log/events.ts';
import type { LogReader } from '../../engine/log/reader.ts';
import { compareLogs } from '../../engine/log/verify.ts';
import type { DiffAnswer, DiffEvent, DiffRow, DiffSide } from '../../engine/protocol/analysis.ts';
import { eventText } from '../event-text.ts';
import { formatCount } from '../format.ts';
import { kindName } from '../kinds.ts';
import type { Turns } from '../turns.ts';
import type { AnalysedLog } from './analysed-log.ts';
import { codeText } from './bisecting.ts';

/** Events before and after the first that differs. */
const ROWS_BEFORE = 8;
const ROWS_AFTER = 16;
const PAGES_SHOWN = 32;
const EVENTS_SHOWN = 6;
/** Longest value of a header's field that is shown. */
const FIELD_CHARACTERS = 120;

export type DiffedEvents = Pick<DiffAnswer, 'headers' | 'divergence' | 'rows'>;

/** From the logs alone. */
export function diffEvents(a: LogReader, b: LogReader): DiffedEvents {
  const divergence = compareLogs(a, b);
  const center = divergence?.index ?? Math.min(a.records, b.records);
  const first = Math.max(0, center - ROWS_BEFORE);
  const [ofA, ofB] = [a, b].map((reader) => eventsFrom(reader, first, center + ROWS_AFTER));
  const rows: DiffRow[] = [];
  for (let i = 0; i < Math.max(ofA.length, ofB.length); i++) {
    const [left, right] = [ofA.at(i), ofB.at(i)];
    rows.push({ index: first + i, a: left, b: right, isSame: left?.text === right?.text && left?.position === right?.position && first + i !== divergence?.index });
  }
  return { headers: headerDifferences(a, b), divergence: divergence && { index: divergence.index, position: divergence.position }, rows };
}

function eventsFrom(reader: LogReader, first: number, end: number): DiffEvent[] {
  const block = reader.eventBlocks.findLastIndex(({ firstRecord }) => firstRecord <= first);
  if (block < 0) return [];
  const events: DiffEvent[] = [];
  for (const { event, index } of reader.entries({ from: reader.eventBlocks[block].firstPosition as LogEvent['position'] })) {
    if (index >= end) break;
    if (index >= first) events.push({ position: event.position, kind: kindCode(event.kind), text: eventText(event) });
  }
  return events;
}

function headerDifferences(a: LogReader, b: LogReader): DiffAnswer['headers'] {
  const ofA = flatten(a.header);
  const ofB = flatten(b.header);
  const short = (text: string | undefined): string => (text === undefined ? 'absent' : text.length > FIELD_CHARACTERS ? `${text.slice(0, FIELD_CHARACTERS)}…` : text);
  return [...new Set([...ofA.keys(), ...ofB.keys()])].filter((field) => ofA.get(field) !== ofB.get(field)).map((field) => ({ field, a: short(ofA.get(field)), b: short(ofB.get(field)) }));
}

function flatten(value: object, prefix = ''): Map<string, string | undefined> {
  const fields = new Map<string, string | undefined>();
  for (const [name, each] of Object.entries(value)) {
    if (typeof each === 'object' && each !== null && !Array.isArray(each)) for (const [inner, text] of flatten(each as object, `${prefix}${name}.`)) fields.set(inner, text);
    else fields.set(`${prefix}${name}`, typeof each === 'string' ? each : JSON.stringify(each));
  }
  return fields;
}

/** By replaying both. Throws Refusal, RecipeError, DivergedError. */
export async function diffStates(a: AnalysedLog, b: AnalysedLog, module: WebAssembly.Module, turns: Turns, progress: (position: number) => void): Promise<DiffAnswer['state']> {
  const [sideA, sideB] = await Promise.all(
    [a, b].map(async (log) => {
      const images = await log.runImages();
      return { travel: new TimeTravel({ reader: log.newReader(), images, module }), symbols: elfSymbolsOf(images.kernel) };
    }),
  );
  const steps = explaining(sideA.travel, sideB.travel);
  for (;;) {
    const step = steps.next();
    if (step.done !== true) {
      if (!turns.isOver) continue;
      progress(step.value);
      await turns.next();
      continue;
    }
    const explained = step.value;
    if (explained.kind === 'same') return { kind: 'same', position: explained.position };
    const { from, position, cause, registers } = explained;
    const hex = (value: bigint): string => `0x${value.toString(16)}`;
    const [coreA, coreB] = [sideA.travel.machine.core, sideB.travel.machine.core];
    const frames = explained.level === 'guest' && coreA.ramBytes === coreB.ramBytes ? differingPages(coreA, coreB) : [];
    const pages = frames.slice(0, PAGES_SHOWN).flatMap((frame) => {
      const found = pageDifference(coreA, coreB, frame);
      if (found === undefined) return [];
      const { page, address, a, b, count } = found;
      return { page, address, a, b, bytes: count };
    });
    return {
      kind: 'different', from, position, cause: causeText(cause), a: sideText(sideA.symbols, explained.a), b: sideText(sideB.symbols, explained.b),
      registers: registers.map((each) => ({ name: each.name, a: hex(each.a), b: hex(each.b) })), pages, pageCount: frames.length,
    };
  }
}

const textOfEvent = (event: LogEvent | undefined): string => (event === undefined ? 'nothing' : `@${formatCount(event.position)} ${kindName(kindCode(event.kind))} ${eventText(event)}`);

function sideText(symbols: SymbolTable, { rip, instruction, before, events }: ExplainedSide): DiffSide {
  return { code: codeText(symbols, rip), assembly: textOf(instruction), before: before && textOfEvent(before), events: events.slice(0, EVENTS_SHOWN).map(textOfEvent) };
}

function causeText(cause: Cause): string {
  const both = ({ a, b }: { readonly a: LogEvent | undefined; readonly b: LogEvent | undefined }): string => (a === undefined && b === undefined ? '' : ` A: ${textOfEvent(a)}. B: ${textOfEvent(b)}.`);
  switch (cause.kind) {
    case 'input':
      return `What came from outside.${both(cause)}`;
    case 'code':
      return 'Other code is executed.';
    case 'read':
      return `The instruction reads ${cause.what}.${both(cause)}`;
    case 'event':
      return `A device or an interrupt.${both(cause)}`;
    case 'memory':
      return 'The instruction reads memory that differed before.';
    default:
      return cause satisfies never;
  }
}
