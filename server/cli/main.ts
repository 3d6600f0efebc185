#!/usr/bin/env node
/** The command line: finds the verb, runs it, and turns whatever happens into a message and an exit code. */
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ownPackage } from '../store/package-root.ts';
import { nearest } from '../store/suggest.ts';
import { describeVerb, parseArguments } from './arguments.ts';
import { backtrace } from './backtrace.ts';
import { bisectVerb } from './bisect.ts';
import { branch } from './branch.ts';
import { calls } from './calls.ts';
import { check } from './check.ts';
import { compare } from './compare.ts';
import type { Verb } from './context.ts';
import { debug } from './debug.ts';
import { diff } from './diff.ts';
import { dirty } from './dirty.ts';
import { events } from './events.ts';
import { exitCode, failureOf } from './exit-codes.ts';
import { explore } from './explore.ts';
import { exportVerb } from './export.ts';
import { find } from './find.ts';
import { guest } from './guest.ts';
import { importVerb } from './import.ts';
import { index } from './index-verb.ts';
import { info } from './info.ts';
import { lastWrite } from './last-write.ts';
import { migrate } from './migrate.ts';
import { Output, OutputClosed, toJson } from './output.ts';
import { profile } from './profile.ts';
import { record, run } from './record.ts';
import { regimes } from './regimes.ts';
import { replay } from './replay.ts';
import { Signals } from './signals.ts';
import { state } from './state-verb.ts';
import { stat } from './stat.ts';
import { symbolsVerb } from './symbols-verb.ts';
import { UsageError } from './usage-error.ts';
import { value } from './value.ts';
import { why } from './why.ts';

const VERBS: readonly Verb[] = [record, run, replay, info, events, check, index, state, debug, bisectVerb, lastWrite, backtrace, why, calls, value, find, symbolsVerb, branch, explore, diff, compare, regimes, stat, profile, dirty, migrate, importVerb, exportVerb, guest];

function usage(): string {
  const width = Math.max(...VERBS.map(({ spec }) => `${spec.name} ${spec.synopsis}`.length));
  return [
    'chronovisor: records a guest and replays it bit for bit',
    '',
    ...VERBS.map(({ spec }) => `  ${`${spec.name} ${spec.synopsis}`.padEnd(width)}  ${spec.summary.split('. ')[0].replace(/\.$/, '')}`),
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
    err.write(usage());
    return exitCode('usage');
  }
  if (word === '--version' || word === '-V') {
    out.write(`${ownPackage().version}\n`);
    return exitCode('ok');
  }
  if (word === 'help' || word === '--help' || word === '-h') {
    const asked = rest.at(0);
    out.write(asked === undefined ? usage() : describeVerb(verbOf(asked).spec));
    return exitCode('ok');
  }
  const verb = verbOf(word);
  const parsed = parseArguments(verb.spec, rest);
  if (parsed.has('help')) {
    out.write(describeVerb(verb.spec));
    return exitCode('ok');
  }
  return await verb.run(parsed, { out, err, signals });
}

function verbOf(word: string): Verb {
  const verb = VERBS.find(({ spec }) => spec.name === word);
  if (verb !== undefined) return verb;
  const near = nearest(word, VERBS.map(({ spec }) => spec.name));
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
