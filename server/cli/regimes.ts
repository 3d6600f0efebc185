/** `regimes`: which virtualisation techniques and platforms there are, and what one of them is made of. */
import { REGIMES, candidate, costsOf, projectionOf, type Candidate } from '../../engine/regimes/catalogue.ts';
import { CPUS } from '../../engine/regimes/costs/cpus.ts';
import { PLATFORMS } from '../../engine/regimes/platforms/platforms.ts';
import type { OptionSpec } from '../../engine/regimes/regime.ts';
import type { Arguments, VerbSpec } from './arguments.ts';
import { JSON_OPTION } from './common-options.ts';
import { DEFINITIONS_TEXT, REGIME_FILE_OPTION, sourceLines, userPlatforms } from './regime-options.ts';
import type { Context, Verb } from './context.ts';
import { exitCode } from './exit-codes.ts';
import { table } from './format.ts';
import { toJson } from './output.ts';
import { UsageError } from './usage-error.ts';

const SPEC: VerbSpec = {
  name: 'regimes',
  synopsis: 'list | show ID [options]',
  summary: 'Lists the virtualisation techniques and platforms, or shows one: its options, its costs with their sources, what it leaves out.',
  operands: { min: 1, max: 2 },
  options: [{ name: 'cpu', value: 'NAME', help: `whose costs: ${CPUS.map(({ id }) => id).join(', ')}` }, REGIME_FILE_OPTION, JSON_OPTION],
};

export const regimes: Verb = { spec: SPEC, run: start };

async function start(parsed: Arguments, context: Context): Promise<number> {
  const [word, id] = parsed.operands;
  if (word === 'list' && id === undefined) return list(parsed, context);
  if (word === 'show' && id !== undefined) return show(parsed, context, id);
  throw new UsageError(word === 'show' ? 'regimes show needs a name: chronovisor regimes show hw' : `regimes knows list and show ID, not "${parsed.operands.join(' ')}"`, 'regimes');
}

function list(parsed: Arguments, { out }: Context): number {
  const platforms = [...userPlatforms(parsed), ...PLATFORMS];
  if (parsed.has('json')) {
    out.write(`${toJson({ verb: 'regimes', regimes: REGIMES.map(({ id, title, summary }) => ({ id, title, summary })), platforms, cpus: CPUS }, 2)}\n`);
    return exitCode('ok');
  }
  const lines = [
    'techniques', ...table(REGIMES.map(({ id, title }) => [id, title])),
    'platforms', ...table(platforms.map(({ id, regime, title }) => [id, regime, title])),
    'CPUs with costs of their own', ...table(CPUS.map(({ id, year, title }) => [id, String(year), title])),
  ];
  out.write(`${lines.join('\n')}\n`);
  return exitCode('ok');
}

function show(parsed: Arguments, { out }: Context, id: string): number {
  const chosen = candidate(id, { cpu: parsed.text('cpu') }, userPlatforms(parsed));
  const costs = costsOf(chosen);
  const rows = [...projectionOf(chosen, costs).parameterUses().keys()].map((parameter) => costs.row(parameter));
  if (parsed.has('json')) {
    const { title, regime, cpu, options, notes } = chosen;
    out.write(`${toJson({ verb: 'regimes', id, title, regime: regime.id, summary: regime.summary, cpu, options, optionSpecs: regime.options, costs: rows, notes }, 2)}\n`);
    return exitCode('ok');
  }
  const lines = [
    `${id}: ${chosen.title}`,
    `  ${chosen.regime.id === id ? chosen.regime.summary : `built on ${chosen.regime.id}: ${chosen.regime.summary}`}`,
    'options',
    ...table(chosen.regime.options.map((spec) => [spec.name, String(chosen.options[spec.name]), valuesOf(spec), spec.title])),
    `costs on ${chosen.cpu}, cycles ${DEFINITIONS_TEXT}`,
    ...sourceLines(rows),
    'what it leaves out or assumes',
    ...notesOf(chosen),
  ];
  out.write(`${lines.join('\n')}\n`);
  return exitCode('ok');
}

const notesOf = ({ notes }: Candidate): string[] => notes.map((note) => `  - ${note}`);

function valuesOf(spec: OptionSpec): string {
  switch (spec.kind) {
    case 'switch':
      return 'true|false';
    case 'choice':
      return spec.values.join('|');
    case 'number':
      return `${spec.min}..${spec.max}`;
  }
}
