/** `profile`: exits by what they are about, who makes them and when; as folded stacks for flame graph tools, or as a flame graph. */
import { adviceOn } from '../../engine/analysis/exit-profile/advice.ts';
import { PROFILE_DIMENSIONS, type ProfileDimension, foldedStacks } from '../../engine/analysis/exit-profile/profile.ts';
import type { Arguments, VerbSpec } from './arguments.ts';
import { JSON_OPTION } from './common-options.ts';
import type { Context, Verb } from './context.ts';
import { exitCode } from './exit-codes.ts';
import { flameSvg } from './flame-svg.ts';
import { newFile, writeNew } from './new-file.ts';
import { megabytes } from './format.ts';
import { toJson } from './output.ts';
import { PROFILE_OPTIONS, REPLAY_OPTIONS, endWithout, isLogFile, loadProfile } from './profile-source.ts';
import { adviceLines, footLines, headLines, viewLines } from './profile-text.ts';
import { UsageError } from './usage-error.ts';

const TOP_DEFAULT = 30;
/** Rows of views that may be long, when nothing is asked for. */
const TOP_OVERVIEW = 5;
/** Views with few rows. */
const SHORT: readonly ProfileDimension[] = ['reason', 'handler', 'device', 'phase', 'vcpu'];

const SPEC: VerbSpec = {
  name: 'profile',
  synopsis: 'FILE [options]',
  summary: 'Shows exits by reason, device, register, guest function, task, call stack, phase or time. FILE is a recording, or what `import` wrote.',
  operands: { min: 1, max: 1 },
  options: [
    { name: 'by', value: 'LIST', help: `${PROFILE_DIMENSIONS.join(', ')}; default: all that fit the file, short` },
    { name: 'top', value: 'N', help: `rows of each view; default ${TOP_DEFAULT}; without --by ${TOP_OVERVIEW} of the long ones` },
    { name: 'folded', help: 'folded stacks, `phase;function;reason;target WEIGHT` a line, for flame graph tools; the weight is cycles (or ns), or the count without --regime. With --replay `task;function;...;reason;target WEIGHT`' },
    { name: 'flame', value: 'OUT.svg', help: 'a flame graph of the guest\'s call stacks, with the same weights, as one SVG' },
    { name: 'force', help: 'with --flame: replace OUT.svg if it exists' },
    { name: 'with-sleep', help: 'with --folded and --flame: HLT too' },
    ...PROFILE_OPTIONS, ...REPLAY_OPTIONS, JSON_OPTION,
  ],
  notes: ['--by task, --by stack and --flame replay a recording, about twice as long as `replay` takes: a log holds neither call stacks nor tasks.'],
};

/** Views that a log has nothing for. */
const REPLAYED: readonly ProfileDimension[] = ['task', 'stack'];

export const profile: Verb = { spec: SPEC, run: start };

async function start(parsed: Arguments, context: Context): Promise<number> {
  const { out, err } = context;
  const isFlame = parsed.has('flame');
  if (parsed.has('folded') && (parsed.has('by') || parsed.has('json') || isFlame)) throw new UsageError('--folded excludes --by, --json and --flame', 'profile');
  if (isFlame && parsed.has('by')) throw new UsageError('--flame excludes --by', 'profile');
  if (parsed.has('with-sleep') && !parsed.has('folded') && !isFlame) throw new UsageError('--with-sleep needs --folded or --flame', 'profile');
  if (parsed.has('force') && !isFlame) throw new UsageError('--force needs --flame', 'profile');
  const asked = parsed.words('by', PROFILE_DIMENSIONS);
  const top = (dimension: ProfileDimension): number => parsed.count('top', 1) ?? (asked !== undefined || SHORT.includes(dimension) ? TOP_DEFAULT : TOP_OVERVIEW);
  const picture = isFlame ? newFile(parsed, 'flame') : undefined;
  const isRecording = isLogFile(parsed.operands[0]);
  const loaded = await loadProfile(parsed, context, parsed.has('replay') || (isRecording && (isFlame || asked?.some((dimension) => REPLAYED.includes(dimension)) === true)));
  if (loaded.kind === 'stopped' || loaded.kind === 'diverged') return endWithout(loaded, parsed, context);
  const found = loaded.profile;
  for (const dimension of asked ?? []) {
    if (found.by[dimension] === undefined) throw new UsageError(missing(dimension, parsed), 'profile');
  }
  const views = asked ?? PROFILE_DIMENSIONS.filter((dimension) => found.by[dimension] !== undefined && dimension !== 'time');
  if (picture !== undefined) {
    const bytes = writeNew(picture, new TextEncoder().encode(flameSvg(found, { withSleep: parsed.has('with-sleep') })));
    if (parsed.has('json')) out.write(`${toJson({ verb: 'profile', file: parsed.operands[0], flame: picture.file, bytes }, 2)}\n`);
    else out.write(`${picture.file}: ${megabytes(bytes)}, a flame graph of ${found.hasCallStacks === true ? 'call stacks' : 'exits'}\n`);
  } else if (parsed.has('folded')) {
    for (const line of foldedStacks(found, parsed.has('with-sleep'))) await out.push(`${line}\n`);
  } else if (parsed.has('json')) {
    const { stacks, by, ...rest } = found;
    out.write(`${toJson({ verb: 'profile', file: parsed.operands[0], ...rest, by: asked === undefined ? by : Object.fromEntries(asked.map((dimension) => [dimension, by[dimension]])), ...(asked === undefined && { stacks }), ...(loaded.kind === 'import' && { advice: adviceOn(found) }) }, 2)}\n`);
  } else {
    const lines = headLines(found);
    for (const dimension of views) lines.push('', ...viewLines(found, dimension, top(dimension)));
    if (loaded.kind === 'import') lines.push(...adviceLines(found));
    out.write(`${[...lines, ...footLines(found)].join('\n')}\n`);
  }
  if (loaded.kind === 'recording' && loaded.torn !== undefined) err.write(`chronovisor: ${loaded.torn.message}\n`);
  return exitCode('ok');
}

function missing(dimension: ProfileDimension, parsed: Arguments): string {
  const why: Partial<Record<ProfileDimension, string>> = {
    function: `give the symbols of the guest: --symbols FILE (an ELF file, or what \`chronovisor symbols ${parsed.operands[0]} --map\` prints)`,
    handler: 'who handles an exit is the regime\'s decision: --regime R',
    vcpu: 'a recording has one vCPU; this is for imported traces',
    phase: 'an imported trace has no marks',
    task: 'this is for recordings, which can be replayed',
    stack: 'this is for recordings, which can be replayed',
  };
  return `--by ${dimension}: ${parsed.operands[0]} has nothing to show by ${dimension}${why[dimension] === undefined ? '' : `: ${why[dimension]}`}`;
}
