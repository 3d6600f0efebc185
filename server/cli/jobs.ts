/** `--jobs`: how many stretches or branches of a recording are replayed at a time. */
import { Crew, JOBS_MAX, defaultJobs } from '../workers/crew.ts';
import type { Arguments, OptionSpec } from './arguments.ts';
import type { Context } from './context.ts';
import { imagePlaces } from './common-options.ts';

export const JOBS_OPTION: OptionSpec = { name: 'jobs', value: 'N', help: `threads, each with the memory of the guest; the answer is the same (default: as many as cores; at most ${JOBS_MAX})` };

/** As many as cores unless told. Throws UsageError. */
export function jobsOf(parsed: Arguments): number {
  const jobs = parsed.count('jobs', 1) ?? defaultJobs();
  if (jobs > JOBS_MAX) throw parsed.wrong('jobs', String(jobs), `1 to ${JOBS_MAX}`);
  return jobs;
}

/** Ends its threads, and says which were lost. */
export async function dismiss(crew: Crew, parsed: Arguments, { err }: Pick<Context, 'err'>): Promise<void> {
  await crew.close();
  if (!parsed.has('quiet')) for (const problem of crew.problems) err.write(`chronovisor: a thread was lost, the others did its work: ${problem}\n`);
}

/** Whatever happens, no thread is left. */
export async function withCrew(parsed: Arguments, context: Context, work: (crew: Crew) => Promise<number>): Promise<number> {
  const crew = new Crew({ path: parsed.operands[0], parents: parsed.all('parent'), places: imagePlaces(parsed) }, jobsOf(parsed));
  try {
    return await work(crew);
  } finally {
    await dismiss(crew, parsed, context);
  }
}
