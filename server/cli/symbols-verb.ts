/** `symbols`: the names of a guest's code and data, and the lines of its source. */
import type { GuestSymbols } from '../../engine/debug/guest-symbols.ts';
import type { GuestSymbol } from '../../engine/debug/symbols.ts';
import type { Arguments, VerbSpec } from './arguments.ts';
import { COMMON_FIND_OPTIONS, type OpenedGuest, codeAt, inlinedLines, withRecording } from './bisect-common.ts';
import type { Context, Verb } from './context.ts';
import { exitCode } from './exit-codes.ts';
import { grouped } from './format.ts';
import { toJson } from './output.ts';
import { nearest } from '../store/suggest.ts';

/** Of one pattern. */
const MATCHES_MAX = 10_000;
/** Names that a spelling mistake is looked for among. */
const SUGGESTED_AMONG_MAX = 20_000;

const SPEC: VerbSpec = {
  name: 'symbols',
  synopsis: 'FILE [NAME|ADDRESS|SOURCE:LINE ...] [options]',
  summary: "Shows names and addresses of a guest's code and data. A Linux kernel without symbols tells its own.",
  operands: { min: 1, max: 1000 },
  options: [{ name: 'map', help: 'all of them as lines of ADDRESS TYPE NAME, as in a System.map, for other tools' }, ...COMMON_FIND_OPTIONS],
  notes: [
    'NAME may have * for any characters, or be FILE:NAME for one of several. Without a name: where the symbols come from, and how many there are.',
    "Addresses are those that the guest runs at. Linux's own table (kallsyms) is looked for in its memory: at power-on, or after it has unpacked itself, which takes a replay up to there.",
  ],
};

export const symbolsVerb: Verb = { spec: SPEC, run: async (parsed, context) => withRecording('symbols', parsed, context, (opened) => start(opened, parsed, context)) };

type Answer =
  | { readonly asked: string; readonly kind: 'symbols'; readonly symbols: readonly GuestSymbol[]; readonly isCut: boolean }
  | { readonly asked: string; readonly kind: 'address'; readonly address: bigint }
  | { readonly asked: string; readonly kind: 'line'; readonly addresses: readonly bigint[] }
  | { readonly asked: string; readonly kind: 'none'; readonly message: string };

function start({ guest }: OpenedGuest, parsed: Arguments, { out, err }: Context): number {
  const asked = parsed.operands.slice(1);
  const isJson = parsed.has('json');
  if (parsed.has('map') && !isJson) {
    for (const symbol of inOrder(guest.table.all())) out.write(`${mapLine(symbol)}\n`);
    return exitCode(guest.origin === 'none' ? 'not-found' : 'ok');
  }
  const answers = asked.map((text) => answer(guest, text));
  const isAll = answers.every(({ kind }) => kind !== 'none') && guest.origin !== 'none';
  const status = exitCode(isAll ? 'ok' : 'not-found');
  const all = guest.table.all();
  const count = (kind: GuestSymbol['kind']): number => all.filter((symbol) => symbol.kind === kind).length;
  const files = guest.files ?? [];
  if (isJson) {
    const symbolJson = (symbol: GuestSymbol): object => ({ ...symbol, source: guest.lineOf(symbol.address) });
    out.write(
      `${toJson({
        verb: 'symbols', file: parsed.operands[0], origin: guest.origin, problem: guest.problem, counts: { functions: count('function'), objects: count('object'), others: count('other'), absolute: count('absolute'), sourceFiles: files.length },
        answers: answers.map((one) =>
          one.kind === 'symbols' ? { ...one, symbols: one.symbols.map(symbolJson) }
          : one.kind === 'address' ? { ...one, symbol: guest.tell(one.address), source: guest.lineOf(one.address), inlined: guest.framesOf?.(one.address) }
          : one.kind === 'line' ? { ...one, symbols: one.addresses.map((address) => guest.tell(address)) }
          : one),
        ...(parsed.has('map') ? { symbols: inOrder(all) } : {}), exitCode: status,
      })}\n`,
    ); // prettier-ignore
    return status;
  }
  if (asked.length === 0 && guest.origin !== 'none') {
    const from = guest.origin === 'elf' ? 'an ELF file' : "the kernel's own table in the guest's memory (kallsyms)";
    out.write(`${grouped(count('function'))} functions, ${grouped(count('object'))} objects, ${grouped(count('other') + count('absolute'))} others, from ${from}\n`);
    out.write(files.length === 0 ? `no lines of the source${guest.problem === undefined ? '' : `: ${guest.problem}`}\n` : `lines of ${grouped(files.length)} source files\n`);
  }
  for (const one of answers) {
    switch (one.kind) {
      case 'none':
        err.write(`chronovisor: ${one.message}\n`);
        break;
      case 'address':
        out.write(`${codeAt(guest, one.address)}\n`);
        for (const line of inlinedLines(guest, one.address)) out.write(`  ${line}\n`);
        break;
      case 'line':
        for (const address of one.addresses) out.write(`${codeAt(guest, address)}\n`);
        break;
      case 'symbols':
        for (const symbol of one.symbols) out.write(`${symbolLine(guest, symbol)}\n`);
        if (one.isCut) err.write(`chronovisor: ${one.asked}: there are more than ${grouped(MATCHES_MAX)}\n`);
    }
  }
  return status;
}

function answer(guest: GuestSymbols, asked: string): Answer {
  const { table } = guest;
  if (/^0x[0-9a-f]{1,16}$/i.test(asked)) return { asked, kind: 'address', address: BigInt(asked) };
  const source = /^(.+):(\d{1,9})$/.exec(asked);
  if (source !== null) {
    const [, file, line] = source;
    const addresses = guest.addressesOf(file, Number(line));
    if (addresses.length > 0) return { asked, kind: 'line', addresses };
    const lines = guest.linesOf?.(file) ?? [];
    const next = lines.find((each) => each > Number(line)) ?? lines.at(-1);
    return { asked, kind: 'none', message: next === undefined ? `there is no code from a source file ${JSON.stringify(file)}` : `no code comes from ${asked}; the nearest line that has code is ${next}` };
  }
  if (asked.includes('*')) {
    const pattern = new RegExp(`^${asked.split('*').map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, '\\$&')).join('.*')}$`);
    const found = inOrder(table.all().filter(({ name }) => pattern.test(name)));
    if (found.length === 0) return { asked, kind: 'none', message: `no symbol is ${JSON.stringify(asked)}` };
    return { asked, kind: 'symbols', symbols: found.slice(0, MATCHES_MAX), isCut: found.length > MATCHES_MAX };
  }
  const symbols = inOrder(table.named(asked));
  if (symbols.length > 0) return { asked, kind: 'symbols', symbols, isCut: false };
  const near = table.symbols.length > SUGGESTED_AMONG_MAX ? undefined : nearest(asked, table.symbols.map(({ name }) => name));
  return { asked, kind: 'none', message: `there is no symbol ${JSON.stringify(asked)}${near === undefined ? '' : `; did you mean ${near}?`}` };
}

function inOrder(symbols: readonly GuestSymbol[]): readonly GuestSymbol[] {
  return [...symbols].sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : a.name < b.name ? -1 : 1));
}

/** `ffffffff80101060  function  0x138  accounting_call at kernel/accounting.c:60`. */
function symbolLine(guest: GuestSymbols, symbol: GuestSymbol): string {
  const { address, kind, size, name, file } = symbol;
  const source = guest.lineOf(address);
  const place = source !== undefined ? ` at ${source.file}:${source.line}` : file === undefined ? '' : ` (${file})`;
  return `${hex(address)}  ${kind.padEnd(8)}  ${(size === 0 ? '' : `0x${size.toString(16)}`).padStart(8)}  ${name}${place}`;
}

const LETTERS: Readonly<Record<GuestSymbol['kind'], string>> = { function: 't', object: 'd', other: 'n', absolute: 'a' };

/** As nm(1): upper case for what no source file has to itself. */
function mapLine({ address, kind, name, file }: GuestSymbol): string {
  return `${hex(address)} ${file === undefined ? LETTERS[kind].toUpperCase() : LETTERS[kind]} ${name}`;
}

function hex(address: bigint): string {
  return address.toString(16).padStart(16, '0');
}
