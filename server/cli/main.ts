#!/usr/bin/env node
/** The command line: finds the verb, runs it, and turns whatever happens into a message and an exit code. */
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { keptProfile } from '../store/code-profile.ts';
import { keepCode, rememberCode } from '../store/core-module.ts';
import { ownPackage } from '../store/package-root.ts';
import { nearest } from '../store/suggest.ts';
import { describeVerb, parseArguments } from './arguments.ts';
import type { Verb } from './context.ts';
import { exitCode, failureOf } from './exit-codes.ts';
import { Output, OutputClosed, toJson } from './output.ts';
import { Signals } from './signals.ts';
import { UsageError } from './usage-error.ts';

/** Each is loaded when it is asked for: to load all takes longer than most of them run. */
export const VERBS: Readonly<Record<string, () => Promise<Verb>>> = {
  record: async () => (await import('./record.ts')).record,
  run: async () => (await import('./record.ts')).run,
  replay: async () => (await import('./replay.ts')).replay,
  info: async () => (await import('./info.ts')).info,
  events: async () => (await import('./events.ts')).events,
  check: async () => (await import('./check.ts')).check,
  index: async () => (await import('./index-verb.ts')).index,
  state: async () => (await import('./state-verb.ts')).state,
  debug: async () => (await import('./debug.ts')).debug,
  bisect: async () => (await import('./bisect.ts')).bisectVerb,
  'last-write': async () => (await import('./last-write.ts')).lastWrite,
  backtrace: async () => (await import('./backtrace.ts')).backtrace,
  why: async () => (await import('./why.ts')).why,
  calls: async () => (await import('./calls.ts')).calls,
  value: async () => (await import('./value.ts')).value,
  find: async () => (await import('./find.ts')).find,
  symbols: async () => (await import('./symbols-verb.ts')).symbolsVerb,
  branch: async () => (await import('./branch.ts')).branch,
  explore: async () => (await import('./explore.ts')).explore,
  diff: async () => (await import('./diff.ts')).diff,
  compare: async () => (await import('./compare.ts')).compare,
  regimes: async () => (await import('./regimes.ts')).regimes,
  stat: async () => (await import('./stat.ts')).stat,
  profile: async () => (await import('./profile.ts')).profile,
  dirty: async () => (await import('./dirty.ts')).dirty,
  migrate: async () => (await import('./migrate.ts')).migrate,
  import: async () => (await import('./import.ts')).importVerb,
  export: async () => (await import('./export.ts')).exportVerb,
  guest: async () => (await import('./guest.ts')).guest,
};

async function usage(): Promise<string> {
  const verbs = await Promise.all(Object.values(VERBS).map((load) => load()));
  const width = Math.max(...verbs.map(({ spec }) => `${spec.name} ${spec.synopsis}`.length));
  return [
    'chronovisor: records a guest and replays it bit for bit',
    '',
    ...verbs.map(({ spec }) => `  ${`${spec.name} ${spec.synopsis}`.padEnd(width)}  ${spec.summary.split('. ')[0].replace(/\.$/, '')}`),
    '',
    '  VERB --help  the options of a verb',
    '  --version    the version',
    '',
    'For a first look:',
    '  chronovisor record -o first.cvlog',
    '  chronovisor replay first.cvlog',
    '',
  ].join('\n');
}

/** One command line, `verb ...`; returns its exit code. */
export async function main(argv: readonly string[], { stdout, stderr }: Pick<NodeJS.Process, 'stdout' | 'stderr'> = process): Promise<number> {
  const out = new Output(stdout);
  const err = new Output(stderr);
  const signals = new Signals();
  try {
    return await dispatch(argv, out, err, signals);
  } catch (error) {
    if (error instanceof OutputClosed) return exitCode('ok');
    return report(error, argv, out, err);
  } finally {
    signals.close();
    await out.end();
    await err.end();
  }
}

async function dispatch(argv: readonly string[], out: Output, err: Output, signals: Signals): Promise<number> {
  const [word, ...rest] = argv;
  if (word === undefined) {
    err.write(await usage());
    return exitCode('usage');
  }
  if (word === '--version' || word === '-V') {
    out.write(`${ownPackage().version}\n`);
    return exitCode('ok');
  }
  if (word === 'help' || word === '--help' || word === '-h') {
    const asked = rest.at(0);
    out.write(asked === undefined ? await usage() : describeVerb((await verbOf(asked)).spec));
    return exitCode('ok');
  }
  const verb = await verbOf(word);
  const parsed = parseArguments(verb.spec, rest);
  if (parsed.has('help')) {
    out.write(describeVerb(verb.spec));
    return exitCode('ok');
  }
  // Whatever machines the verb makes learn from earlier commands, and for later ones.
  rememberCode(keptProfile());
  try {
    return await verb.run(parsed, { out, err, signals });
  } finally {
    const problem = keepCode();
    if (problem !== undefined) err.write(`chronovisor: ${problem}\n`);
  }
}

async function verbOf(word: string): Promise<Verb> {
  if (Object.hasOwn(VERBS, word)) return await VERBS[word]();
  const near = nearest(word, Object.keys(VERBS));
  throw new UsageError(word.startsWith('-') ? `unknown option ${word} before the verb; \`chronovisor help\` lists the verbs` : `there is no verb "${word}"${near === undefined ? '' : `; did you mean ${near}?`}`);
}

function report(error: unknown, argv: readonly string[], out: Output, err: Output): number {
  const failure = failureOf(error);
  const status = failure?.status ?? exitCode('bug');
  const message = failure?.message ?? (error instanceof Error ? error.message : String(error));
  if (failure === undefined) {
    err.write(`chronovisor: this is a bug, please report it with the command that led to it: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  } else {
    err.write(`chronovisor: ${message}\n`);
    if (error instanceof UsageError) err.write(`See \`chronovisor ${error.verb === undefined ? 'help' : `${error.verb} --help`}\`.\n`);
  }
  if (argv.includes('--json')) out.write(`${toJson({ error: { code: failure?.code ?? 'bug', message }, exitCode: status })}\n`);
  return status;
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) process.exitCode = await main(process.argv.slice(2));
