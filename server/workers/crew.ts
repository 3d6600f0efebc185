/**
 * Worker threads over one recording: each has a machine of its own, with all of the guest's memory, over the same log and index.
 *
 *     this thread: cursor, local work ──┬── stretch 1 ──► answer
 *     thread 1: log, index, machine ────┼── stretch 2 ──► answer       told in the order of the stretches
 *     thread 2 ...                      └── stretch 3 ──► dropped: the answer was in stretch 2
 */
import { availableParallelism } from 'node:os';
import type { Attempt } from '../../engine/debug/explore.ts';
import { type StretchCrew, type StretchWorker, answerStretch } from '../../engine/debug/stretches.ts';
import type { TimeTravel } from '../../engine/debug/time-travel.ts';
import { Thread, threadProgram } from '../runs/thread.ts';
import type { StretchAnswer } from '../../engine/debug/stretches.ts';
import type { ExploreCall, RecordingPlace, StretchCall, WorkerData } from './calls.ts';

/** Of JavaScript objects of a thread: packed checkpoints and pages, as `TimeTravel` and `IndexFile` bound them, with room. */
const HEAP_MB = 2048;
/** The next one waits at the thread while one is replayed. */
const CAPACITY = 2;
export const JOBS_MAX = 64;

/** Cores. */
export function defaultJobs(): number {
  return Math.min(JOBS_MAX, availableParallelism());
}

export class Crew {
  /** Of all, this thread included. */
  readonly jobs: number;
  /** Why a thread is no more; the work was done by the others. */
  readonly problems: string[] = [];
  private readonly place: RecordingPlace;
  private readonly program: URL;
  private readonly asked = new Int32Array(new SharedArrayBuffer(4));
  private threads: Thread[] = [];

  constructor(place: RecordingPlace, jobs: number, program: URL = threadProgram('../workers/recording-thread')) {
    this.place = place;
    this.jobs = jobs;
    this.program = program;
  }

  /** For one question with `travel`; the one before is over. `turn` lets the answers of threads in. */
  stretches(travel: TimeTravel, turn: () => Promise<void>): StretchCrew {
    const number = Atomics.add(this.asked, 0, 1) + 1;
    const local: StretchWorker = {
      capacity: 1,
      ask: async (task, isWanted) => {
        await turn();
        if (isWanted()) return answerStretch(travel, task);
        return { rows: [] };
      },
    };
    return {
      local,
      start: (join) => {
        // Without checkpoints a thread would replay everything before a stretch first.
        if (!travel.hasIndex) return;
        for (const thread of this.started(this.jobs - 1)) {
          const ask = (task: StretchCall['task']): Promise<StretchAnswer> => thread.call('stretch', { task, number } satisfies StretchCall) as Promise<StretchAnswer>;
          thread.call('open', {}).then((hasIndex) => hasIndex === true && join({ capacity: CAPACITY, ask }), () => undefined);
        }
      },
    };
  }

  /** Threads that go to a place, for runOf() there. */
  goTo(place: string, count: number): void {
    for (const thread of this.started(Math.min(count, this.jobs - 1))) thread.call('goTo', { place }).catch(() => undefined);
  }

  /** Runs of drawn branches in the threads that goTo() started: each has as many at a time as stretches. */
  runners(call: ExploreCall): readonly ((number: number) => Promise<Attempt>)[] {
    return this.threads.flatMap((thread) => {
      const ready = thread.call('explore', call);
      ready.catch(() => undefined);
      const run = async (number: number): Promise<Attempt> => (await thread.call('drawn', { number })) as Attempt;
      return Array.from({ length: CAPACITY }, () => async (number: number) => {
        await ready;
        return run(number);
      });
    });
  }

  /** Questions that are not answered yet are given up. */
  async close(): Promise<void> {
    Atomics.add(this.asked, 0, 1);
    const { threads } = this;
    this.threads = [];
    await Promise.all(threads.map((thread) => thread.terminate()));
  }

  private started(count: number): readonly Thread[] {
    this.threads = this.threads.filter(({ isClosed }) => !isClosed);
    while (this.threads.length < count) {
      const data: WorkerData = { ...this.place, asked: this.asked };
      const onClosed = (problem: { readonly message: string } | undefined): void => void (problem !== undefined && this.problems.push(problem.message));
      this.threads.push(new Thread({ program: this.program, data, heapMb: HEAP_MB, onClosed }));
    }
    return this.threads;
  }
}
