/**
 * What `chronovisor import` writes and `stat` and `profile` read: one JSON object. Twins: ImportedFileWriter and readImportedFile.
 *
 *     {"format": "chronovisor-import", "version": 1,
 *      "exits": {"columns": ["ns", "durationNs", "thread", "vcpu", "reason", "rip", "info1", "target"], "rows": [[...], ...]},   event texts only; one row an exit
 *      "report": {"kind", "lines", "notUnderstood", "firstNotUnderstood", "events", "pairs", "profile"}}
 *
 * Rows come first, so that they are written while the text is read. Numbers above 2^53 are hexadecimal text.
 */
import { type ExitProfile, PROFILE_DIMENSIONS } from '../../engine/analysis/exit-profile/profile.ts';
import type { ByteSink } from '../../engine/log/storage.ts';
import type { ImportReport } from './import-text.ts';
import type { ImportedExit } from './trace-import.ts';

const FORMAT = 'chronovisor-import';
const VERSION = 1;
const COLUMNS = ['ns', 'durationNs', 'thread', 'vcpu', 'reason', 'rip', 'info1', 'target'] as const;
const CHUNK_CHARACTERS = 1 << 16;

export type ImportErrorCode = 'import-nothing' | 'import-file';

/** A text that holds nothing known, or a file that is not ours. */
export class ImportError extends Error {
  override readonly name = 'ImportError';
  readonly code: ImportErrorCode;

  constructor(code: ImportErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

export class ImportedFileWriter {
  private readonly sink: ByteSink;
  private readonly encoder = new TextEncoder();
  private chunk: string;
  private rows = 0;

  constructor(sink: ByteSink) {
    this.sink = sink;
    this.chunk = `{"format":"${FORMAT}","version":${VERSION},"exits":{"columns":${JSON.stringify(COLUMNS)},"rows":[`;
  }

  exit({ ns, durationNs, thread, vcpu, reason, rip, info1, access }: ImportedExit): void {
    const target = access === undefined ? null : access.kind === 'port' ? `port 0x${access.port.toString(16)}` : access.kind === 'msr' ? `msr 0x${access.index.toString(16)}` : `gpa 0x${access.address.toString(16)}`;
    const hex = (value: bigint | undefined): string | null => (value === undefined ? null : `0x${value.toString(16)}`);
    this.chunk += `${this.rows++ === 0 ? '\n' : ',\n'}${JSON.stringify([ns ?? null, durationNs ?? null, thread, vcpu ?? null, reason, hex(rip), hex(info1), target])}`;
    if (this.chunk.length >= CHUNK_CHARACTERS) this.flush();
  }

  end(report: ImportReport): void {
    this.chunk += `]},\n"report":${JSON.stringify(report)}}\n`;
    this.flush();
    this.sink.sync();
  }

  private flush(): void {
    this.sink.append(this.encoder.encode(this.chunk));
    this.chunk = '';
  }
}

/** Throws ImportError. `name` is that of the file, for messages. */
export function readImportedFile(name: string, text: string): ImportReport & { readonly profile: ExitProfile } {
  const wrong = (what: string): ImportError => new ImportError('import-file', `${name} is not a file that \`chronovisor import\` wrote: ${what}. Import the text again: chronovisor import TEXT -o FILE.json`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ImportError('import-file', `${name} is neither a recording nor a whole file that \`chronovisor import\` wrote. If it is text of perf, trace-cmd or ftrace, import it first: chronovisor import ${name} -o FILE.json`);
  }
  if (!isRecord(value) || value['format'] !== FORMAT) throw wrong(`"format" is not "${FORMAT}"`);
  if (value['version'] !== VERSION) throw wrong(`it is of version ${JSON.stringify(value['version'])}, this program knows ${VERSION}`);
  const report = value['report'];
  if (!isRecord(report)) throw wrong('"report" is missing');
  const problem = profileProblem(report['profile']);
  if (problem !== undefined) throw wrong(problem);
  return report as unknown as ImportReport & { readonly profile: ExitProfile };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const isNumber = (value: unknown): boolean => typeof value === 'number' && Number.isFinite(value);
const isOptionalNumber = (value: unknown): boolean => value === undefined || isNumber(value);
const isRange = (value: unknown): boolean => value === undefined || (isRecord(value) && isNumber(value['low']) && isNumber(value['typical']) && isNumber(value['high']));

/** What is wrong with a profile from a file; undefined if it is sound. */
function profileProblem(profile: unknown): string | undefined {
  if (!isRecord(profile)) return '"report.profile" is missing';
  const source = profile['source'];
  if (!isRecord(source) || typeof source['kind'] !== 'string' || typeof source['name'] !== 'string') return '"profile.source" is damaged';
  if (!isNumber(profile['exits']) || !isNumber(profile['idleExits'])) return '"profile.exits" is no number';
  if (!isOptionalNumber(profile['durationNs']) || !isRange(profile['work']) || !isRange(profile['idle'])) return 'the totals of the profile are damaged';
  if (profile['unit'] !== undefined && profile['unit'] !== 'ns' && profile['unit'] !== 'cycles') return '"profile.unit" is neither ns nor cycles';
  if (!Array.isArray(profile['notes']) || !profile['notes'].every((note) => typeof note === 'string')) return '"profile.notes" is no list of texts';
  const by = profile['by'];
  if (!isRecord(by)) return '"profile.by" is missing';
  for (const [dimension, rows] of Object.entries(by)) {
    if (!(PROFILE_DIMENSIONS as readonly string[]).includes(dimension) || !Array.isArray(rows) || !rows.every(isRow)) return `"profile.by.${dimension}" is damaged`;
  }
  const stacks = profile['stacks'];
  const isStack = (stack: unknown): boolean => isRecord(stack) && Array.isArray(stack['frames']) && stack['frames'].every((frame) => typeof frame === 'string') && isNumber(stack['count']) && isOptionalNumber(stack['cost']);
  return Array.isArray(stacks) && stacks.every(isStack) ? undefined : '"profile.stacks" is damaged';
}

function isRow(row: unknown): boolean {
  if (!isRecord(row) || typeof row['label'] !== 'string' || typeof row['isIdle'] !== 'boolean' || !isNumber(row['count']) || !isOptionalNumber(row['perSecond'])) return false;
  const { cost, betweenNs } = row;
  const isCost = cost === undefined || (isRecord(cost) && ['exits', 'total', 'mean', 'share'].every((name) => isNumber(cost[name])) && ['totalLow', 'totalHigh', 'min', 'p99', 'max'].every((name) => isOptionalNumber(cost[name])));
  const isBetween = betweenNs === undefined || (isRecord(betweenNs) && isNumber(betweenNs['mean']) && ['min', 'p99', 'max'].every((name) => isOptionalNumber(betweenNs[name])));
  return isCost && isBetween;
}
