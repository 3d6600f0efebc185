/** `stat`: the exits of a recording or of an imported trace as a table, as `perf kvm stat report` prints them. */
import { adviceOn } from '../../engine/analysis/exit-profile/advice.ts';
import type { Arguments, VerbSpec } from './arguments.ts';
import { JSON_OPTION, PARENT_OPTION } from './common-options.ts';
import type { Context, Verb } from './context.ts';
import { exitCode } from './exit-codes.ts';
import { toJson } from './output.ts';
import { PROFILE_OPTIONS, endWithout, loadProfile } from './profile-source.ts';
import { adviceLines, footLines, headLines, viewLines } from './profile-text.ts';

const SPEC: VerbSpec = {
  name: 'stat',
  synopsis: 'FILE [options]',
  summary: 'Shows exits by reason: counts, rates, costs with their range. FILE is a recording, or what `import` wrote.',
  operands: { min: 1, max: 1 },
  options: [...PROFILE_OPTIONS, PARENT_OPTION, JSON_OPTION],
  notes: ['Sleep (HLT and its like) is counted apart: its time is not overhead.', 'What was imported gets advice on what would remove its exits; for a recording, `compare FILE --details` computes it.'],
};

export const stat: Verb = { spec: SPEC, run: start };

async function start(parsed: Arguments, context: Context): Promise<number> {
  const { out, err } = context;
  const loaded = await loadProfile(parsed, context);
  if (loaded.kind === 'stopped' || loaded.kind === 'diverged') return endWithout(loaded, parsed, context);
  const { profile } = loaded;
  if (parsed.has('json')) {
    const { stacks: _, by, ...rest } = profile;
    out.write(`${toJson({ verb: 'stat', file: parsed.operands[0], ...rest, rows: by.reason ?? Object.values(by)[0] ?? [], handlers: by.handler ?? [], ...(loaded.kind === 'import' && { advice: adviceOn(profile) }) }, 2)}\n`);
  } else {
    const dimension = profile.by.reason !== undefined ? 'reason' : (Object.keys(profile.by)[0] as 'port' | undefined) ?? 'reason';
    const lines = [...headLines(profile), '', ...viewLines(profile, dimension, Infinity)];
    if (profile.by.handler !== undefined) lines.push('', ...viewLines(profile, 'handler', Infinity));
    if (loaded.kind === 'import') lines.push(...adviceLines(profile));
    out.write(`${[...lines, ...footLines(profile)].join('\n')}\n`);
  }
  if (loaded.kind === 'import' && loaded.report.notUnderstood > 0) err.write(`chronovisor: ${loaded.report.notUnderstood} of ${loaded.report.lines} lines of the text were not understood when it was imported\n`);
  if (loaded.kind === 'recording' && loaded.torn !== undefined) err.write(`chronovisor: ${loaded.torn.message}\n`);
  return exitCode('ok');
}
