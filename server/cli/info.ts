/** `info`: what a log is and what is in it, without replaying it. */
import type { DigestEvent, EndEvent, MarkEvent } from '../../engine/log/events.ts';
import { LOG_KINDS } from '../../engine/log/events.ts';
import type { LogReader } from '../../engine/log/reader.ts';
import { FileSource } from '../store/files.ts';
import { findImages } from '../store/guest-images.ts';
import { ChainError } from '../../engine/recording/chain.ts';
import { type Family, familyOf, openRecording } from '../store/chains.ts';
import { openLog } from '../../engine/log/open-log.ts';
import type { Arguments, VerbSpec } from './arguments.ts';
import { IMAGE_OPTIONS, JSON_OPTION, imagePlaces } from './common-options.ts';
import type { Context, Verb } from './context.ts';
import { exitCode } from './exit-codes.ts';
import { grouped, megabytes, table, virtualTime } from './format.ts';
import { toJson } from './output.ts';

/** Marks and digests that are shown to people; --json has all. */
const SHOWN_MAX = 12;

const SPEC: VerbSpec = {
  name: 'info',
  synopsis: 'FILE [options]',
  summary: 'Shows what a log is: guest, machine, images, events by kind, duration, marks, digests, end.',
  operands: { min: 1, max: 1 },
  options: [...IMAGE_OPTIONS, JSON_OPTION],
};

export const info: Verb = { spec: SPEC, run: start };

async function start(parsed: Arguments, { out }: Context): Promise<number> {
  const source = new FileSource(parsed.operands[0], 'FILE');
  const { reader, torn } = openLog(source);
  const { header } = reader;
  const whole = wholeRun(source, parsed.all('parent'), reader);
  const images = findImages(whole.reader, imagePlaces(parsed));
  const family = familyOf(source.path, reader.header);
  const start = header.parent?.position ?? 0;
  const instructions = reader.lastPosition === 0 ? 0 : reader.lastPosition - start;
  const { marks, digests, end } = pointsOf(reader);
  const lastBatch = reader.eventBlocks.length === 0 ? undefined : reader.batch(reader.eventBlocks.length - 1);
  const virtualNs = reader.lastPosition + (lastBatch?.endTimeOffsetNs ?? 0);
  const eventBytes = reader.eventBlocks.reduce((sum, entry) => sum + entry.payloadBytes, 0);
  const bytesPerThousand = instructions === 0 ? 0 : (eventBytes / instructions) * 1000;
  const isEnded = end !== undefined && end.reason !== 'truncated';

  if (parsed.has('json')) {
    out.write(
      `${toJson(
        {
          verb: 'info',
          file: source.path,
          bytes: source.length,
          format: reader.version,
          header,
          images: images.map(({ reference, place }) => ({ ...reference, found: place })),
          isClosed: reader.isClosed,
          isEnded,
          ...(torn !== undefined && { torn: { code: torn.code, offset: torn.offset, detail: torn.detail } }),
          records: reader.records,
          counts: reader.counts,
          blocks: reader.blocks.length,
          eventBytes,
          bytesPerThousandInstructions: bytesPerThousand,
          instructions: reader.lastPosition,
          parent: header.parent && { ...header.parent, file: whole.parentPath, problem: whole.problem },
          family,
          virtualNs,
          marks: marks.map(({ position, name, source: from }) => ({ position, name, source: from })),
          digests: digests.map(({ position, digest, components }) => ({ position, digest, components })),
          end: end && { position: end.position, reason: end.reason, detail: end.detail, digest: end.digest },
        },
        2,
      )}\n`,
    );
    return exitCode('ok');
  }

  const { config } = header;
  const clock = new Date(Number(BigInt(header.wallClockNs) / 1_000_000n));
  const lines = [
    `${source.path}: ${megabytes(source.length)}, format ${reader.version.major}.${reader.version.minor}, written by ${header.product}, id ${header.id}`,
    ...table([
      ['guest', `${config.guest}, ${config.memoryBytes / 0x100000} MiB, ${config.options['acpi'] === true ? 'ACPI' : 'no ACPI'}, boot ${String(config.options['protocol'] ?? 'auto')}, ${config.devices.join(', ') || 'no virtio devices'}`],
      ['regime', `${config.regime}${config.options['pv'] === undefined ? '' : `, with the paravirtual interface of ${String(config.options['pv'])}`}`],
      ['command line', config.commandLine === '' ? '(none)' : config.commandLine],
      ['inputs', `seed 0x${config.seed}, wall clock ${Number.isNaN(clock.getTime()) ? header.wallClockNs : clock.toISOString()}`],
      ...(header.quirks.length > 0 ? [['quirks', header.quirks.join(', ')]] : []),
      ['parent', header.parent === undefined ? 'none' : `${header.parent.logId} at @${grouped(header.parent.position)}${whole.parentPath === undefined ? `; ${whole.problem}` : `, ${whole.parentPath}`}`],
      ...images.map(({ reference, place }) => [
        reference.name,
        `${grouped(reference.bytes)} bytes, SHA-256 ${reference.sha256.slice(0, 16)}..., ${place === undefined ? 'NOT FOUND: see `replay --help`' : place.kind === 'embedded' ? 'in the log' : place.path}`,
      ]),
      ['duration', `${header.parent === undefined ? '' : `@${grouped(start)} to @${grouped(reader.lastPosition)}, `}${grouped(instructions)} instructions, ${virtualTime(virtualNs)} of virtual time`],
      ['events', `${grouped(reader.records)} in ${reader.eventBlocks.length} blocks, ${megabytes(eventBytes)}, ${bytesPerThousand.toFixed(3)} bytes per 1000 instructions`],
    ]),
    ...table(LOG_KINDS.filter((kind) => reader.counts[kind] > 0).map((kind) => [kind, grouped(reader.counts[kind])]), '    '),
    ...(family.children.length === 0 && header.parent === undefined ? [] : ['  branches in this folder:', ...familyLines(family, header.id)]),
    ...listed('marks', marks.map(({ position, name }) => `@${grouped(position)}  ${name}`)),
    ...listed('digests', digests.map(({ position, digest }) => `@${grouped(position)}  ${digest}`)),
    end === undefined ? '  end: none, the log is cut off' : `  end: ${end.reason} at @${grouped(end.position)}${end.detail === '' ? '' : `, ${end.detail}`}`,
  ];
  if (torn === undefined && !reader.isClosed) lines.push('  the log was not closed: its recorder was stopped by force, or is still running');
  if (torn !== undefined) lines.push(`  ${torn.message}`);
  out.write(`${lines.join('\n')}\n`);
  return exitCode('ok');
}

/** The run that a branch is the end of, if its parents are to be found: what `info` shows of a log does not need them. */
function wholeRun(source: FileSource, parents: readonly string[], own: LogReader): { readonly reader: LogReader; readonly parentPath?: string | undefined; readonly problem?: string } {
  if (own.header.parent === undefined) return { reader: own };
  try {
    const { reader, paths } = openRecording(source, parents);
    return { reader, parentPath: paths.at(-2) };
  } catch (error) {
    if (error instanceof ChainError) return { reader: own, problem: error.message };
    throw error;
  }
}

const FAMILY_MAX = 40;

function familyLines(family: Family, own: string): string[] {
  const lines: string[] = [];
  const add = ({ file, id, position, children }: Family, depth: number): void => {
    lines.push(`    ${'  '.repeat(depth)}${file}${position === undefined ? '' : ` from @${grouped(position)}`}${id === own ? '  (this one)' : ''}`);
    for (const child of children) add(child, depth + 1);
  };
  add(family, 0);
  return lines.length <= FAMILY_MAX ? lines : [...lines.slice(0, FAMILY_MAX), `    ... ${lines.length - FAMILY_MAX} more (--json shows all)`];
}

function pointsOf(reader: LogReader): { readonly marks: readonly MarkEvent[]; readonly digests: readonly DigestEvent[]; readonly end: EndEvent | undefined } {
  const marks: MarkEvent[] = [];
  const digests: DigestEvent[] = [];
  let end: EndEvent | undefined;
  for (const event of reader.events({ kinds: ['mark', 'digest', 'end'] })) {
    if (event.kind === 'mark') marks.push(event);
    else if (event.kind === 'digest') digests.push(event);
    else if (event.kind === 'end') end = event;
  }
  return { marks, digests, end };
}

function listed(name: string, items: readonly string[]): string[] {
  if (items.length === 0) return [`  ${name}: none`];
  const shown = items.length <= SHOWN_MAX ? items : [...items.slice(0, SHOWN_MAX / 2), `... ${items.length - SHOWN_MAX} more (--json shows all)`, ...items.slice(-SHOWN_MAX / 2)];
  return [`  ${name}: ${items.length}`, ...shown.map((item) => `    ${item}`)];
}
