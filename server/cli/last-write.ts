/** `last-write`: who wrote to an address last, and before that; or all who ever did, by function. */
import { whatCameBefore } from '../../engine/debug/beginning.ts';
import type { LinuxTask } from '../../engine/debug/linux.ts';
import { type Write, parallel } from '../../engine/debug/queries.ts';
import type { Arguments, VerbSpec } from './arguments.ts';
import { COMMON_FIND_OPTIONS, EXPRESSION_NOTES, type OpenedGuest, goTo, inlinedLines, rangeOf, surroundingLines, surroundings, taskAt, taskLines, withRecording, writeJson, writeText } from './bisect-common.ts';
import type { Context, Verb } from './context.ts';
import { exitCode } from './exit-codes.ts';
import { grouped, table } from './format.ts';
import { monotonicMs, turn } from './host.ts';
import { JOBS_OPTION, withCrew } from './jobs.ts';
import { toJson } from './output.ts';
import { UsageError } from './usage-error.ts';
import type { Crew } from '../workers/crew.ts';

const COUNT_MAX = 100_000;

const SPEC: VerbSpec = {
  name: 'last-write',
  synopsis: 'FILE ADDRESS[,BYTES]|SYMBOL [options]',
  summary: 'Shows who wrote to memory last: position, instruction, old and new value.',
  operands: { min: 2, max: 2 },
  options: [
    { name: 'before', value: 'WHERE', help: '@POSITION, N%, mark:NAME or end: what was written before it counts, and the address means what it means there (default: end)' },
    { name: 'from', value: 'WHERE', help: 'how far back to look (default: power-on)' },
    { name: 'count', value: 'N', help: `the last N stores, the latest first (default: 1; at most ${COUNT_MAX})` },
    { name: 'changed', help: 'only stores after which a byte is another than before' },
    { name: 'except', value: 'NAMES', help: 'not those by these functions, such as space_*,unmap' },
    { name: 'writers', help: 'all who wrote there, by function, those who did it least often first' },
    { name: 'physical', help: 'the address is guest-physical' },
    JOBS_OPTION,
    ...COMMON_FIND_OPTIONS,
  ],
  notes: ['ADDRESS may be an expression, such as \'u64(current)+16\'; it is 8 bytes unless told, a symbol as many as it has.', ...EXPRESSION_NOTES],
};

export const lastWrite: Verb = { spec: SPEC, run: async (parsed, context) => withRecording('last-write', parsed, context, (opened) => withCrew(parsed, context, (crew) => start(opened, parsed, context, crew))) };

async function start(opened: OpenedGuest, parsed: Arguments, context: Context, crew: Crew): Promise<number> {
  const { out } = context;
  const { travel, symbols, guest } = opened;
  const isJson = parsed.has('json');
  const count = parsed.count('count', 1) ?? 1;
  if (count > COUNT_MAX) throw parsed.wrong('count', String(count), `at most ${COUNT_MAX}`);
  const isExcepted = matcher(parsed.text('except'));
  const startMs = monotonicMs();
  const from = goTo(travel, parsed, 'from', '@0');
  // At the end all that happened there is seen, too.
  const before = goTo(travel, parsed, 'before', 'end') + (travel.isAtEnd ? 1 : 0);
  const range = rangeOf(opened, parsed.operands[1], parsed.has('physical'), 'last-write');
  const what = `0x${range.address.toString(16)}, ${range.length} byte${range.length === 1 ? '' : 's'}`;
  const isWanted = (write: Write): boolean => !(isExcepted?.(nameOf(opened, write)) ?? false) && !(parsed.has('changed') && write.before.every((byte, i) => byte === write.after[i]));
  const mapped = range.ranges.reduce((sum, { length }) => sum + length, 0);
  if (mapped < range.length && !parsed.has('quiet')) context.err.write(`chronovisor: only ${mapped} of ${range.length} bytes are mapped to memory at @${travel.position}\n`);

  const stores = (): AsyncIterable<Write> => parallel.writes(travel, crew.stretches(travel, turn), range.ranges, { from, to: before, backward: true });
  if (parsed.has('writers')) {
    const byName = new Map<string, { stores: number; first: Write; last: Write }>();
    for await (const write of stores()) {
      if (!isWanted(write)) continue;
      const name = nameOf(opened, write);
      const known = byName.get(name);
      if (known === undefined) byName.set(name, { stores: 1, first: write, last: write });
      else {
        known.stores++;
        known.first = write;
      }
    }
    const writers = [...byName].sort(([, a], [, b]) => a.stores - b.stores || b.last.position - a.last.position);
    const seconds = (monotonicMs() - startMs) / 1000;
    const status = exitCode(writers.length === 0 ? 'not-found' : 'ok');
    if (isJson) {
      const list = writers.map(([name, { stores, first, last }]) => ({ name, stores, first: writeJson(guest, first), last: writeJson(guest, last) }));
      out.write(`${toJson({ verb: 'last-write', file: parsed.operands[0], address: range.address, length: range.length, ranges: range.ranges, writers: list, seconds, exitCode: status })}\n`);
      return status;
    }
    out.write(writers.length === 0 ? `nobody wrote to ${what}, from @${grouped(from)} to @${grouped(travel.last)}\n` : `wrote to ${what}\n`);
    const rows = writers.map(([name, { stores, first, last }]) => [grouped(stores), name, stores === 1 ? `@${grouped(last.position)}` : `@${grouped(first.position)} to @${grouped(last.position)}`, `last at ${symbols.tell(last.rip)}`]);
    if (rows.length > 0) for (const line of table([['stores', 'function', 'when', ''], ...rows])) out.write(`${line.trimEnd()}\n`);
    return status;
  }

  const writes: Write[] = [];
  for await (const write of stores()) {
    if (!isWanted(write)) continue;
    writes.push(write);
    if (writes.length >= count) break;
  }
  const seconds = (monotonicMs() - startMs) / 1000;
  const status = exitCode(writes.length === 0 ? 'not-found' : 'ok');
  if (isJson) {
    const list = writes.map((write) => ({ ...writeJson(guest, write), ...(count === 1 ? { inlined: guest.framesOf?.(write.rip), task: taskOf(opened, write) } : {}), eventsBefore: surroundings(whatCameBefore(opened.travel.reader, write.position)) }));
    out.write(`${toJson({ verb: 'last-write', file: parsed.operands[0], address: range.address, length: range.length, ranges: range.ranges, writes: list, seconds, exitCode: status })}\n`);
    return status;
  }
  if (writes.length === 0) out.write(`no store to ${what} before @${grouped(before)}\n`);
  for (const write of writes) {
    out.write(`${writeText(guest, write)}\n`);
    if (count === 1) for (const line of [...inlinedLines(guest, write.rip), ...taskLines(taskOf(opened, write)), ...surroundingLines(surroundings(whatCameBefore(opened.travel.reader, write.position)))]) out.write(`  ${line}\n`);
  }
  if (!parsed.has('quiet')) context.err.write(`chronovisor: ${what}; ${seconds.toFixed(1)} s\n`);
  return status;
}

/** Who ran then. Moves the cursor. */
function taskOf(opened: OpenedGuest, { position }: Write): LinuxTask | undefined {
  if (opened.guest.linux === undefined) return undefined;
  opened.travel.seek(position);
  return taskAt(opened);
}

/** The function that wrote, or what else did. */
function nameOf({ symbols }: OpenedGuest, { by, rip }: Write): string {
  if (by !== 'instruction') return by;
  return symbols.at(rip)?.name ?? `0x${rip.toString(16)}`;
}

/** Names separated by commas; * stands for any characters. */
function matcher(text: string | undefined): ((name: string) => boolean) | undefined {
  if (text === undefined) return undefined;
  const names = text.split(',').map((name) => name.trim()).filter((name) => name !== '');
  if (names.length === 0) throw new UsageError('--except needs names of functions, such as space_*,unmap', 'last-write');
  const patterns = names.map((name) => new RegExp(`^${name.split('*').map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, '\\$&')).join('.*')}$`));
  return (name) => patterns.some((pattern) => pattern.test(name));
}
