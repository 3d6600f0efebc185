/** JSON schemas of what goes in and out. Requests are checked by them; answers are in tests. The OpenAPI document is made of them. */
import { LOG_KINDS } from '../../engine/log/events.ts';
import { PYRAMID_BUCKETS_MAX } from '../runs/log-operations.ts';
import { NOTE_ID, NOTE_LENGTH_MAX } from '../store/notes.ts';

export type Schema = Readonly<Record<string, unknown>>;

/** An object with these properties and no others; all are required but those named. */
export function record(properties: Readonly<Record<string, Schema>>, optional: readonly string[] | 'all' = []): Schema {
  const required = Object.keys(properties).filter((name) => optional !== 'all' && !optional.includes(name));
  return { type: 'object', properties, additionalProperties: false, ...(required.length > 0 && { required }) };
}
export const listOf = (items: Schema): Schema => ({ type: 'array', items });
/** An object of which only these properties are promised here; what else it has is said by the type that `description` names. */
export function open(properties: Readonly<Record<string, Schema>>, description: string, required: readonly string[] = Object.keys(properties)): Schema {
  return { type: 'object', properties, required, description };
}

export const TEXT: Schema = { type: 'string' };
export const NUMBER: Schema = { type: 'number' };
export const WHOLE: Schema = { type: 'integer', minimum: 0 };
export const FLAG: Schema = { type: 'boolean' };
export const shortText = (maxLength: number): Schema => ({ type: 'string', minLength: 1, maxLength });
/** 64 bits. */
export const HEX: Schema = { type: 'string', pattern: '^0x[0-9a-f]+$' };
export const POSITION: Schema = { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description: 'instructions retired since power-on' };
/** `@1234567`, `50%`, `event:1000`, `mark:NAME` or `end`. */
export const PLACE: Schema = { type: 'string', minLength: 1, maxLength: 200, description: '@1234567, 50%, event:1000, mark:NAME or end' };
/** Names of files: nothing that could be a path. */
export const NAME: Schema = { type: 'string', pattern: '^[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}$', description: 'of the recording, without .cvlog' };

export const ID_PARAMS = record({ id: shortText(300) });
export const NUMBER_PARAMS = record({ id: { type: 'string', pattern: '^[0-9]{1,15}$' } });
export const IMAGE_PARAMS = record({ sha256: { type: 'string', pattern: '^[0-9a-f]{64}$' } });

export const PROBLEM = record({ code: TEXT, message: TEXT, advice: TEXT }, ['advice']);
export const ERROR_ANSWERS = { '4XX': PROBLEM, '5XX': PROBLEM } as const;

const END_SUMMARY = record({ reason: TEXT, detail: TEXT, digest: TEXT, virtualNs: NUMBER }, ['digest']);
const SUMMARY = record(
  {
    id: TEXT, product: TEXT, formatVersion: TEXT, guest: TEXT, commandLine: TEXT, memoryBytes: WHOLE, devices: listOf(TEXT), cpuModel: TEXT, seed: TEXT, wallClockNs: TEXT, bytes: WHOLE,
    lastPosition: POSITION, records: WHOLE, counts: { type: 'object', properties: Object.fromEntries(LOG_KINDS.map((kind) => [kind, WHOLE])), additionalProperties: false }, end: END_SUMMARY,
    images: listOf(record({ name: TEXT, sha256: TEXT, bytes: WHOLE, embedded: FLAG })),
  },
  ['end'],
); // prettier-ignore
const STATE: Schema = { type: 'string', enum: ['recording', 'complete', 'cut-off', 'damaged'] };
export const RECORDING = record(
  {
    id: TEXT, folder: TEXT, file: TEXT, bytes: WHOLE, modifiedMs: NUMBER, state: STATE, isWritable: FLAG, run: TEXT, parent: record({ logId: TEXT, position: POSITION }), summary: SUMMARY,
    problem: record({ message: TEXT, advice: TEXT }),
  },
  ['run', 'parent', 'summary', 'problem'],
); // prettier-ignore
export const RECORDINGS = record({ recordings: listOf(RECORDING) });
export const BRANCHES = record({ roots: listOf({ $ref: '#/components/schemas/BranchNode' }) });
export const BRANCH_NODE = record(
  { id: TEXT, logId: TEXT, guest: TEXT, state: STATE, lastPosition: POSITION, at: POSITION, isOrphan: FLAG, children: listOf({ $ref: '#/components/schemas/BranchNode' }) },
  ['at'],
);

export const BOOKMARK = record({ name: shortText(100), position: POSITION });
const NOTE_PROPERTIES = { id: { type: 'string', pattern: NOTE_ID.source }, position: POSITION, text: shortText(NOTE_LENGTH_MAX) } as const;
export const NOTE = record(NOTE_PROPERTIES);
export const NOTE_QUERY = record({ id: NOTE_PROPERTIES.id });
export const NOTES = record({ notes: listOf(record({ ...NOTE_PROPERTIES, changedMs: NUMBER })), isWritable: FLAG, problem: TEXT }, ['problem']);
export const BOOKMARKS = record({ bookmarks: listOf(BOOKMARK), problem: TEXT }, ['problem']);

// ---- runs ----

const RUN_LIMITS = record({ seconds: { type: 'number', exclusiveMinimum: 0 }, logBytes: { type: 'integer', minimum: 4096 }, instructions: { type: 'integer', minimum: 1 } }, 'all');
export const RUN_SETTINGS = record(
  {
    guest: shortText(100), name: NAME, commandLine: { type: 'string', maxLength: 2000 }, memoryBytes: WHOLE, regime: shortText(40), pv: shortText(40), acpi: FLAG,
    virtio: { type: 'array', items: shortText(20), maxItems: 8 }, seed: shortText(40), wallClockNs: { type: 'string', pattern: '^[0-9]{1,19}$' }, script: { type: 'string', maxLength: 32_768 }, isUnattended: FLAG,
    untilTexts: { type: 'array', items: shortText(1000), maxItems: 16 }, untilPosition: POSITION, epochInstructions: WHOLE, digestInstructions: WHOLE, firstWrites: FLAG, limits: RUN_LIMITS,
  },
  ['name', 'commandLine', 'memoryBytes', 'regime', 'pv', 'acpi', 'virtio', 'seed', 'wallClockNs', 'script', 'isUnattended', 'untilTexts', 'untilPosition', 'epochInstructions', 'digestInstructions', 'firstWrites', 'limits'],
); // prettier-ignore
const RUN_PROGRESS = record({ position: POSITION, virtualNs: NUMBER, records: WHOLE, logBytes: WHOLE, readableBytes: WHOLE, consoleBytes: WHOLE, mips: NUMBER, isIdle: FLAG });
/** Brackets around an IPv6 address. */
const HOST_AND_PORT: Schema = { type: 'string', pattern: '^(\\[[0-9a-fA-F:.]{2,45}\\]|[A-Za-z0-9_.-]{1,253}):[0-9]{1,5}$', description: 'HOST:PORT' };
export const RUN_MIGRATION_SETTINGS = record(
  {
    to: HOST_AND_PORT, policy: { type: 'string', enum: ['precopy', 'postcopy', 'hybrid'] }, bytesPerSecond: { type: 'number', minimum: 1000 }, downtimeLimitMs: { type: 'number', exclusiveMinimum: 0, maximum: 2_000_000 },
    speed: { type: 'number', exclusiveMinimum: 0, maximum: 1000 }, timeLimitMs: { type: 'number', exclusiveMinimum: 0 },
  },
  ['policy', 'bytesPerSecond', 'downtimeLimitMs', 'speed', 'timeLimitMs'],
); // prettier-ignore
const RUN_MIGRATION = record(
  {
    id: TEXT, state: { type: 'string', enum: ['moving', 'kept', 'moved', 'unconfirmed'] }, settings: RUN_MIGRATION_SETTINGS,
    progress: record({ phase: { type: 'string', enum: ['precopy', 'stopped', 'postcopy'] }, sync: WHOLE, remainingPages: WHOLE, transferred: WHOLE, nowNs: NUMBER }), reason: TEXT, speed: NUMBER, virtualPerWall: NUMBER, digest: TEXT,
    measured: open({ ram: { type: 'object' }, downtimeMs: NUMBER }, 'Measured of server/migration'), prediction: open({ outcome: { type: 'object' } }, 'Prediction of engine/analysis/migration'),
  },
  ['progress', 'reason', 'speed', 'virtualPerWall', 'digest', 'measured', 'prediction'],
); // prettier-ignore
export const RUN = record(
  {
    id: TEXT, state: { type: 'string', enum: ['starting', 'running', 'ended', 'failed'] }, guest: TEXT, recording: TEXT, startedMs: NUMBER, endedMs: NUMBER, progress: RUN_PROGRESS,
    end: record({ cause: TEXT, reason: TEXT, detail: TEXT, digest: TEXT, isScriptDone: FLAG }), problem: PROBLEM, migration: RUN_MIGRATION,
  },
  ['recording', 'endedMs', 'end', 'problem', 'migration'],
); // prettier-ignore
export const RUNS = record({ runs: listOf(RUN) });

// ---- jobs ----

/** One question. */
const bisection = (question: Readonly<Record<string, Schema>>, optional: readonly string[] = []): Schema => record({ kind: { const: 'bisect' }, from: PLACE, to: PLACE, ...question }, ['from', 'to', ...optional]);
export const JOB_SETTINGS: Schema = {
  oneOf: [
    record({ kind: { const: 'index' }, spacing: { type: 'integer', minimum: 1000 } }, ['spacing']),
    record({ kind: { const: 'replay' } }),
    bisection({ when: shortText(4000), stays: FLAG }, ['stays']),
    bisection({ panic: { const: true } }),
    bisection({ console: shortText(1000) }),
    bisection({ corrupt: shortText(1000), isPhysical: FLAG }, ['isPhysical']),
    record(
      {
        kind: { const: 'branch' }, name: NAME, at: PLACE, set: { type: 'object', additionalProperties: shortText(1000), maxProperties: 32 },
        write: { type: 'array', maxItems: 64, items: record({ address: shortText(1000), bytes: { type: 'string', pattern: '^([0-9a-f]{2}){1,4096}$' }, isPhysical: FLAG }, ['isPhysical']) },
        typed: shortText(32_768), inputs: { enum: ['keep', 'none'] }, untilPosition: POSITION, untilText: shortText(1000),
      },
      ['set', 'write', 'typed', 'inputs', 'untilPosition', 'untilText'],
    ), // prettier-ignore
  ],
};
export const JOB_REQUEST = record({ recording: shortText(300), settings: JOB_SETTINGS });
export const JOB = record(
  {
    id: TEXT, recording: TEXT, settings: JOB_SETTINGS, state: { type: 'string', enum: ['waiting', 'running', 'done', 'failed', 'cancelled'] }, createdMs: NUMBER, endedMs: NUMBER,
    progress: record({ position: POSITION, of: POSITION }), result: { type: 'object' }, problem: PROBLEM,
  },
  ['endedMs', 'progress', 'result', 'problem'],
); // prettier-ignore
export const JOBS = record({ jobs: listOf(JOB) });

// ---- questions ----

/** Words, separated by commas. */
const WORDS: Schema = { type: 'string', minLength: 1, maxLength: 2000, description: 'words, separated by commas' };
export const EVENTS_QUERY = record(
  {
    from: POSITION, to: POSITION, record: { ...WHOLE, description: 'number of the first event: to go on where an answer stopped' }, limit: { type: 'integer', minimum: 1, maximum: 1_000_000_000 },
    kinds: { ...WORDS, description: LOG_KINDS.join(', ') }, reasons: { ...WORDS, description: "exits by reason: io, mmio, msr, ..., or Intel's number" }, port: { type: 'integer', minimum: 0, maximum: 0xffff },
    vector: { type: 'integer', minimum: 0, maximum: 0xff }, match: { ...shortText(200), description: 'the line of the event has this text' }, format: { type: 'string', enum: ['columns', 'ndjson'] },
  },
  'all',
); // prettier-ignore
export const PYRAMID_QUERY = record({ from: POSITION, to: POSITION, buckets: { type: 'integer', minimum: 1, maximum: PYRAMID_BUCKETS_MAX }, tracks: { ...WORDS, description: 'names of tracks; exit:* stands for all that begin so' } }, 'all');
export const CONSOLE_QUERY = record({ to: POSITION, bytes: { type: 'integer', minimum: 1, maximum: 4 << 20 } }, 'all');
export const RUN_CONSOLE_QUERY = record({ from: WHOLE }, 'all');
export const MARKS = record({ marks: listOf(record({ record: WHOLE, position: POSITION, virtualNs: NUMBER, name: TEXT, source: TEXT })) });
const OPTION_VALUE: Schema = { type: ['string', 'number', 'boolean'] };
export const PROFILE_QUERY = record({ regime: shortText(60), cpu: shortText(60), options: { type: 'string', maxLength: 2000, description: 'name=value, separated by commas' } }, 'all');
export const PROFILE = open({ source: open({ kind: TEXT, name: TEXT }, ''), exits: WHOLE, idleExits: WHOLE, by: { type: 'object' }, stacks: listOf({ type: 'object' }), notes: listOf(TEXT) }, 'ExitProfile of engine/analysis/exit-profile');
export const COMPARISON_QUERY = record({ regimes: WORDS, cpu: shortText(60), cpi: { type: 'number', exclusiveMinimum: 0 }, advice: FLAG, systemCalls: { type: 'number', minimum: 0 }, pageWalks: { type: 'number', minimum: 0 }, kernelShare: { type: 'number', minimum: 0, maximum: 1 } }, 'all');
export const COMPARISON = open({ instructions: WHOLE, idleNs: NUMBER, events: WHOLE, cyclesPerInstruction: NUMBER, phases: listOf({ type: 'object' }), regimes: listOf(open({ id: TEXT, title: TEXT, run: { type: 'object' } }, '')) }, 'ComparisonReport of engine/analysis/comparison');
export const DIRTY_QUERY = record({ sliceNs: { type: 'number', exclusiveMinimum: 0 }, rows: { type: 'integer', minimum: 1, maximum: 4096 }, columns: { type: 'integer', minimum: 1, maximum: 4096 } }, 'all');
export const DIRTY = record({
  sliceNs: NUMBER, epochInstructions: WHOLE,
  curve: listOf(open({ fromNs: NUMBER, toNs: NUMBER, pages: WHOLE, pagesPerSecond: NUMBER }, 'CurvePoint of engine/analysis/dirty')),
  heat: open({ pagesPerRow: WHOLE, rows: WHOLE, columnNs: NUMBER, columns: WHOLE, counts: listOf(WHOLE), most: WHOLE }, 'HeatMap of engine/analysis/dirty'),
});
export const MIGRATION_REQUEST = record(
  {
    policies: { type: 'array', items: shortText(60), minItems: 1, maxItems: 32 }, bytesPerSecond: { type: 'number', exclusiveMinimum: 0 }, latencyNs: { type: 'number', minimum: 0 }, downtimeLimitMs: { type: 'number', exclusiveMinimum: 0 },
    maxBandwidth: { type: 'number', minimum: 0 }, samples: { type: 'integer', minimum: 0, maximum: 200 },
    options: record(
      {
        startNs: { type: 'number', minimum: 0 }, virtualPerWall: { type: 'number', exclusiveMinimum: 0 }, afterEnd: { type: 'string', enum: ['repeat', 'idle'] }, repeatFromNs: { type: 'number', minimum: 0 },
        loggingSlowdown: { type: 'number', minimum: 0, maximum: 1 }, pageCostNs: { type: 'number', minimum: 0 }, syncCostNsPerGiB: { type: 'number', minimum: 0 }, setupNs: { type: 'number', minimum: 0 },
        switchoverNs: { type: 'number', minimum: 0 }, timeLimitNs: { type: 'number', exclusiveMinimum: 0 },
      },
      'all',
    ),
  },
  ['policies', 'latencyNs', 'maxBandwidth', 'samples', 'options', 'downtimeLimitMs'],
); // prettier-ignore
export const MIGRATION = record({ truth: open({ pages: WHOLE, beginNs: NUMBER, endNs: NUMBER }, ''), predictions: listOf(open({ outcome: { type: 'object' }, samples: WHOLE, convergesShare: NUMBER }, 'Prediction of engine/analysis/migration')) });
/** ADDRESS:BYTES, separated by commas. */
const RANGES: Schema = { type: 'string', pattern: '^0x[0-9a-fA-F]{1,16}:[0-9]{1,7}(,0x[0-9a-fA-F]{1,16}:[0-9]{1,7}){0,63}$', description: '0xADDRESS:BYTES, separated by commas' };
export const STATE_QUERY = record({ at: PLACE, memory: RANGES, physical: RANGES, translate: { type: 'string', pattern: '^0x[0-9a-fA-F]{1,16}(,0x[0-9a-fA-F]{1,16}){0,63}$' }, digest: FLAG }, 'all');
const MEMORY = record({ address: TEXT, length: WHOLE, isPhysical: FLAG, bytes: { type: 'string', pattern: '^([0-9a-f]{2})*$', description: 'as far as it is mapped' } }, ['isPhysical']);
export const STATE_ANSWER = record(
  {
    position: POSITION, last: POSITION, record: WHOLE, virtualNs: NUMBER, isEnd: FLAG, isBetween: FLAG, registers: { type: 'object', additionalProperties: HEX }, memory: listOf(MEMORY),
    translations: listOf(record({ address: TEXT, physical: { type: ['integer', 'null'] } })), digest: open({ digest: TEXT }, 'of all, and of its parts'),
  },
  ['digest'],
); // prettier-ignore
export const WRITES_QUERY = record({ address: { ...shortText(1000), description: 'ADDRESS[,BYTES] or a symbol; an expression' }, physical: FLAG, before: PLACE, from: PLACE, count: { type: 'integer', minimum: 1, maximum: 1000 } }, ['physical', 'before', 'from', 'count']);
export const WRITES = record({ address: HEX, length: WHOLE, ranges: listOf(record({ paddr: WHOLE, length: WHOLE })), writes: listOf(open({ position: POSITION, rip: HEX, by: TEXT, paddr: WHOLE, size: WHOLE, symbol: TEXT }, 'Write of engine/debug/queries')) });

// ---- the server ----

export const GUESTS = record({
  guests: listOf(record({ name: TEXT, state: { type: 'string', enum: ['ready', 'to be fetched', 'damaged'] }, description: TEXT, packages: listOf(TEXT), memoryBytes: WHOLE, commandLine: TEXT, regime: TEXT, problem: TEXT }, ['packages', 'memoryBytes', 'commandLine', 'regime', 'problem'])),
  canRecord: FLAG,
});
export const REGIMES_ANSWER = record({
  regimes: listOf(record({ id: TEXT, title: TEXT, summary: TEXT, isRecordable: FLAG, options: listOf(open({ name: TEXT, title: TEXT, kind: TEXT }, 'OptionSpec of engine/regimes')), limits: listOf(TEXT), defaults: { type: 'object', additionalProperties: OPTION_VALUE } })),
  platforms: listOf(open({ id: TEXT, regime: TEXT, title: TEXT }, 'Platform of engine/regimes/platforms')),
  cpus: listOf(open({ id: TEXT, year: WHOLE, title: TEXT }, 'of engine/regimes/costs')),
  policies: listOf(open({ name: TEXT, kind: TEXT }, 'MigrationPolicy of engine/analysis/migration')),
});
export const HEALTH = record({ status: { type: 'string', enum: ['ok', 'stopping'] }, product: TEXT, version: TEXT });
export const VERSION = record({ product: TEXT, version: TEXT, api: WHOLE, logFormat: TEXT, node: TEXT });
export const CREATED_RECORDING = record({ recording: RECORDING });

// ---- debug sessions ----

const REQUEST_ID: Schema = { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER };
const ADDRESS: Schema = { type: 'string', pattern: '^0x[0-9a-fA-F]{1,16}$' };
const EXPRESSION: Schema = shortText(4000);
const MEMORY_RANGES: Schema = { type: 'array', maxItems: 64, items: record({ address: ADDRESS, length: { type: 'integer', minimum: 0, maximum: 1 << 20 }, isPhysical: FLAG }, ['isPhysical']) };
const debugOp = (ops: readonly string[], properties: Readonly<Record<string, Schema>> = {}, optional: readonly string[] | 'all' = 'all'): Schema => {
  const { required = [], ...rest } = record(properties, optional) as { required?: readonly string[]; properties: object };
  return { ...rest, properties: { id: REQUEST_ID, op: { enum: ops }, ...rest.properties }, required: ['id', 'op', ...required] };
};
const POINT: Schema = {
  oneOf: [
    record({ kind: { enum: ['breakpoint', 'catchpoint'] }, text: EXPRESSION, condition: EXPRESSION }, ['condition']),
    record({ kind: { const: 'watchpoint' }, text: EXPRESSION, access: { enum: ['change', 'write', 'read', 'access'] }, condition: EXPRESSION }, ['access', 'condition']),
  ],
};
export const DEBUG_REQUEST: Schema = {
  type: 'object',
  oneOf: [
    debugOp(['place', 'continue', 'reverse-continue', 'interrupt', 'points']),
    debugOp(['seek'], { where: PLACE }, []),
    debugOp(['step', 'reverse-step'], { unit: { enum: ['instruction', 'over-instruction', 'line', 'over-line', 'out'] }, count: { type: 'integer', minimum: 1, maximum: 1_000_000 } }),
    debugOp(['state'], { memory: MEMORY_RANGES, hasDigest: FLAG }),
    debugOp(['subscribe'], { memory: MEMORY_RANGES, isOff: FLAG }),
    debugOp(['translate'], { address: ADDRESS }, []),
    debugOp(['evaluate'], { expression: EXPRESSION }, []),
    debugOp(['disassemble'], { address: ADDRESS, count: { type: 'integer', minimum: 1, maximum: 1000 }, before: { type: 'integer', minimum: 0, maximum: 1000 } }),
    debugOp(['stack'], { frames: { type: 'integer', minimum: 1, maximum: 256 } }),
    debugOp(['add-point'], { point: POINT }, []),
    debugOp(['remove-point'], { number: WHOLE }, []),
    debugOp(['last-write'], { address: EXPRESSION, isPhysical: FLAG }, ['isPhysical']),
  ],
};
