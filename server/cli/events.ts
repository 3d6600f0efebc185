/** `events`: the events of a log as text, NDJSON or CSV, in a stream. */
import { LOG_KINDS } from '../../engine/log/events.ts';
import { REASON_WORDS } from '../../engine/log/reason-words.ts';
import { FileSource } from '../store/files.ts';
import { ChainError } from '../../engine/recording/chain.ts';
import { openRecording } from '../store/chains.ts';
import { openLog } from '../../engine/log/open-log.ts';
import { PARENT_OPTION } from './common-options.ts';
import type { Arguments, VerbSpec } from './arguments.ts';
import type { Context, Verb } from './context.ts';
import { type WantedEvents, wantedEvents } from './event-filter.ts';
import { CSV_COLUMNS, csvOf, lineOf, reasonName } from './event-text.ts';
import { exitCode } from './exit-codes.ts';
import { turn } from './host.ts';
import { toJson } from './output.ts';
import { signalStatus } from './signals.ts';
import { UsageError } from './usage-error.ts';

/** Characters that are written at once. */
const CHUNK_CHARACTERS = 1 << 16;

const SPEC: VerbSpec = {
  name: 'events',
  synopsis: 'FILE [options]',
  summary: 'Lists the events of a log.',
  operands: { min: 1, max: 1 },
  options: [
    { name: 'kind', value: 'LIST', help: LOG_KINDS.join(', ') },
    { name: 'from', value: '@POS', help: 'first position, inclusive' },
    { name: 'to', value: '@POS', help: 'last position, exclusive' },
    { name: 'reason', value: 'LIST', help: "exits only, by reason: io, mmio, cpuid, msr, cr, exception, hlt, ..., or Intel's number" },
    { name: 'port', value: 'N', help: 'port I/O and serial bytes of this port only: 0x3f8' },
    { name: 'vector', value: 'N', help: 'interrupts and exceptions with this vector only' },
    { name: 'match', value: 'TEXT', help: 'only events whose line has the text' },
    { name: 'limit', value: 'N', help: 'the first N only' },
    { name: 'whole', help: "of a branch: the whole run, its parent's part included" },
    PARENT_OPTION,
    { name: 'json', help: 'one JSON object a line (NDJSON)' },
    { name: 'csv', help: `RFC 4180: ${CSV_COLUMNS.join(', ')}` },
  ],
};

export const events: Verb = { spec: SPEC, run: start };

async function start(parsed: Arguments, { out, err, signals }: Context): Promise<number> {
  const isJson = parsed.has('json');
  const isCsv = parsed.has('csv');
  if (isJson && isCsv) throw new UsageError('--json and --csv exclude each other', 'events');
  const from = parsed.position('from');
  const to = parsed.position('to');
  const limit = parsed.count('limit') ?? Infinity;
  const filter = filterOf(parsed);
  const { kinds } = filter;
  const source = new FileSource(parsed.operands[0], 'FILE');
  const own = openLog(source);
  // Of a branch: its own events, numbered as the whole run is, if the parents are there.
  const whole = own.reader.header.parent === undefined || (!parsed.has('whole') && !hasParents(source, parsed)) ? undefined : openRecording(source, parsed.all('parent'));
  const { torn } = own;
  const reader = parsed.has('whole') && whole !== undefined ? whole.reader : own.reader;
  const first = reader === own.reader ? (whole?.chain.links.at(-1)?.firstRecord ?? 0) : 0;

  let chunk = isCsv ? `${CSV_COLUMNS.join(',')}\n` : '';
  let count = 0;
  if (limit > 0) {
    for (const { index: record, timeOffsetNs, event } of reader.entries({ ...(from !== undefined && { from }), ...(to !== undefined && { to }), kinds })) {
      if (!filter.accepts(event)) continue;
      const index = first + record;
      const virtualNs = event.position + timeOffsetNs;
      chunk += isJson ? `${toJson(event.kind === 'exit' ? { index, virtualNs, ...event, reasonName: reasonName(event.reason) } : { index, virtualNs, ...event })}\n` : isCsv ? `${csvOf(index, virtualNs, event)}\n` : `${lineOf(event)}\n`;
      if (++count >= limit) break;
      if (chunk.length >= CHUNK_CHARACTERS) {
        await out.push(chunk);
        chunk = '';
        await turn();
        if (signals.received !== undefined) return signalStatus(signals.received);
      }
    }
  }
  if (chunk !== '') await out.push(chunk);
  if (torn !== undefined) err.write(`chronovisor: ${torn.message}\n`);
  return exitCode('ok');
}

/** Without them the events of a branch can be shown all the same; their numbers then begin at 0. */
function hasParents(source: FileSource, parsed: Arguments): boolean {
  try {
    openRecording(source, parsed.all('parent'));
    return true;
  } catch (error) {
    if (error instanceof ChainError && !parsed.has('parent')) return false;
    throw error;
  }
}

function filterOf(parsed: Arguments): WantedEvents {
  const kinds = parsed.words('kind', LOG_KINDS);
  const reasons = parsed.text('reason')?.split(',').filter((word) => word !== '');
  const asked = { kinds, reasons, port: numberOf(parsed, 'port', 0xffff), vector: numberOf(parsed, 'vector', 0xff), match: parsed.text('match') };
  return wantedEvents(asked, (word, near) => unknownReason(parsed, word, near));
}

function unknownReason(parsed: Arguments, word: string, near: string | undefined): never {
  throw parsed.wrong('reason', word, `reasons such as ${REASON_WORDS.join(', ')}${near === undefined ? '' : `; did you mean ${near}?`}`);
}

function numberOf(parsed: Arguments, name: string, max: number): number | undefined {
  const text = parsed.text(name);
  if (text === undefined) return undefined;
  if (!/^(\d+|0x[0-9a-fA-F]+)$/.test(text) || Number(text) > max) throw parsed.wrong(name, text, `a number up to ${max}, decimal or 0x...`);
  return Number(text);
}
