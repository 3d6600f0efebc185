/** `check`: every byte of a log; with --repair a new log of what can be replayed of a damaged one. */
import { checkLog } from '../../engine/log/survey.ts';
import { describeRecovery, recover } from '../../engine/log/recover.ts';
import { LogError } from '../../engine/log/errors.ts';
import { FileSink, FileSource } from '../store/files.ts';
import type { Arguments, VerbSpec } from './arguments.ts';
import { JSON_OPTION } from './common-options.ts';
import type { Context, Verb } from './context.ts';
import { exitCode } from './exit-codes.ts';
import { toJson } from './output.ts';

const SPEC: VerbSpec = {
  name: 'check',
  synopsis: 'FILE [--repair OUT] [options]',
  summary: 'Reads every byte of a log and says what is wrong with it.',
  operands: { min: 1, max: 1 },
  options: [{ name: 'repair', value: 'OUT', help: 'writes a new log of all that can be replayed, and says what is lost; FILE is only read' }, JSON_OPTION],
  notes: [
    'Exit codes: 0 sound; 4 sound, but without an end; 40 to 48 the first problem.',
    'With --repair: 0 nothing is lost; 16 something is; 40 to 49 nothing could be made.',
  ],
};

export const check: Verb = { spec: SPEC, run: start };

async function start(parsed: Arguments, { out, err }: Context): Promise<number> {
  const source = new FileSource(parsed.operands[0], 'FILE');
  const target = parsed.text('repair');
  return target === undefined ? inspect(parsed, source, out) : repair(parsed, source, target, { out, err });
}

function inspect(parsed: Arguments, source: FileSource, out: Context['out']): number {
  const { problems, isClosed, hasEnd } = checkLog(source);
  const status = problems.length > 0 ? problems[0].status : hasEnd ? exitCode('ok') : exitCode('cut-off');
  if (parsed.has('json')) {
    out.write(`${toJson({ verb: 'check', file: source.path, bytes: source.length, isSound: problems.length === 0, isClosed, hasEnd, problems: problems.map(problemOf), exitCode: status })}\n`);
    return status;
  }
  for (const problem of problems) out.write(`${problemLine(problem)}\n`);
  if (problems.length > 0) out.write(`${source.path}: ${problems.length} ${problems.length === 1 ? 'problem' : 'problems'}\n`);
  else if (hasEnd) out.write(`${source.path}: sound, ${source.length} bytes${isClosed ? '' : ', not closed'}\n`);
  else out.write(`${source.path}: sound as far as it goes, ${source.length} bytes, but without an end: its recorder was stopped by force, or is still running. \`check --repair\` closes it\n`);
  return status;
}

function repair(parsed: Arguments, source: FileSource, target: string, { out, err }: Pick<Context, 'out' | 'err'>): number {
  const sink = new FileSink(target, '--repair');
  let report: ReturnType<typeof recover>;
  try {
    report = recover(source, sink);
  } catch (error) {
    // A repaired log that is not whole is of no use: the original is still there.
    if (sink.discard()) err.write(`chronovisor: no ${target} was left behind\n`);
    throw error;
  }
  sink.close();
  const isLossy = report.lost.blocks > 0 || report.unusable.blocks > 0;
  const status = isLossy ? exitCode('lossy') : exitCode('ok');
  if (parsed.has('json')) {
    out.write(`${toJson({ verb: 'check', file: source.path, repaired: target, isLossy, ...report, problems: report.problems.map(problemOf), exitCode: status })}\n`);
  } else {
    for (const line of describeRecovery(report)) out.write(`${line}\n`);
    if (!isLossy) out.write('lost: nothing that was in the file\n');
    out.write(`${target}: written; ${source.path} is as it was\n`);
  }
  return status;
}

function problemOf({ code, offset, length, detail, advice }: LogError): object {
  return { code, offset, length, detail, advice };
}

function problemLine({ code, offset, length, detail, advice }: LogError): string {
  return `${code} at byte ${offset}${length > 0 ? `, ${length} bytes` : ''}: ${detail}; ${advice}`;
}
