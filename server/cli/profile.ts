/** `profile`: exits by what they are about, who makes them and when; or as folded stacks for a flame graph. */
import { PROFILE_DIMENSIONS, type ProfileDimension, foldedStacks } from '../../engine/analysis/exit-profile/profile.ts';
import type { Arguments, VerbSpec } from './arguments.ts';
import { JSON_OPTION } from './common-options.ts';
import type { Context, Verb } from './context.ts';
import { exitCode } from './exit-codes.ts';
import { toJson } from './output.ts';
import { PROFILE_OPTIONS, loadProfile } from './profile-source.ts';
import { footLines, headLines, viewLines } from './profile-text.ts';
import { signalStatus } from './signals.ts';
import { UsageError } from './usage-error.ts';

const TOP_DEFAULT = 30;
/** Rows of views that may be long, when nothing is asked for. */
const TOP_OVERVIEW = 5;
/** Views with few rows. */
const SHORT: readonly ProfileDimension[] = ['reason', 'handler', 'device', 'phase', 'vcpu'];

const SPEC: VerbSpec = {
  name: 'profile',
  synopsis: 'FILE [options]',
  summary: 'Shows exits by reason, device, register, guest function, phase or time. FILE is a recording, or what `import` wrote.',
  operands: { min: 1, max: 1 },
  options: [
    { name: 'by', value: 'LIST', help: `${PROFILE_DIMENSIONS.join(', ')}; default: all that fit the file, short` },
    { name: 'top', value: 'N', help: `rows of each view; default ${TOP_DEFAULT}; without --by ${TOP_OVERVIEW} of the long ones` },
    { name: 'folded', help: 'folded stacks, `phase;function;reason;target WEIGHT` a line, for flame graph tools; the weight is cycles (or ns), or the count without --regime' },
    { name: 'with-sleep', help: 'with --folded: HLT too' },
    ...PROFILE_OPTIONS, JSON_OPTION,
  ],
};

export const profile: Verb = { spec: SPEC, run: start };

async function start(parsed: Arguments, { out, err, signals }: Context): Promise<number> {
  if (parsed.has('folded') && (parsed.has('by') || parsed.has('json'))) throw new UsageError('--folded excludes --by and --json', 'profile');
  if (parsed.has('with-sleep') && !parsed.has('folded')) throw new UsageError('--with-sleep needs --folded', 'profile');
  const asked = parsed.words('by', PROFILE_DIMENSIONS);
  const top = (dimension: ProfileDimension): number => parsed.count('top', 1) ?? (asked !== undefined || SHORT.includes(dimension) ? TOP_DEFAULT : TOP_OVERVIEW);
  const loaded = await loadProfile(parsed, signals);
  if (loaded.kind === 'stopped') return signals.received === undefined ? exitCode('ok') : signalStatus(signals.received);
  const found = loaded.profile;
  for (const dimension of asked ?? []) {
    if (found.by[dimension] === undefined) throw new UsageError(missing(dimension, parsed), 'profile');
  }
  const views = asked ?? PROFILE_DIMENSIONS.filter((dimension) => found.by[dimension] !== undefined && dimension !== 'time');
  if (parsed.has('folded')) {
    for (const line of foldedStacks(found, parsed.has('with-sleep'))) await out.push(`${line}\n`);
  } else if (parsed.has('json')) {
    const { stacks, by, ...rest } = found;
    out.write(`${toJson({ verb: 'profile', file: parsed.operands[0], ...rest, by: asked === undefined ? by : Object.fromEntries(asked.map((dimension) => [dimension, by[dimension]])), ...(asked === undefined && { stacks }) }, 2)}\n`);
  } else {
    const lines = headLines(found);
    for (const dimension of views) lines.push('', ...viewLines(found, dimension, top(dimension)));
    out.write(`${[...lines, ...footLines(found)].join('\n')}\n`);
  }
  if (loaded.kind === 'recording' && loaded.torn !== undefined) err.write(`chronovisor: ${loaded.torn.message}\n`);
  return exitCode('ok');
}

function missing(dimension: ProfileDimension, parsed: Arguments): string {
  const why: Partial<Record<ProfileDimension, string>> = {
    function: 'give the symbols of the guest: --symbols FILE',
    handler: 'who handles an exit is the regime\'s decision: --regime R',
    vcpu: 'a recording has one vCPU; this is for imported traces',
    phase: 'an imported trace has no marks',
  };
  return `--by ${dimension}: ${parsed.operands[0]} has nothing to show by ${dimension}${why[dimension] === undefined ? '' : `: ${why[dimension]}`}`;
}
