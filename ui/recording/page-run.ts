/** A run in a worker of this page. Its log is in the browser as it is made; it ends with the page. */
import { Observable } from 'rxjs';
import { EngineClient, failureOf } from '../engine-client.ts';
import { keepRecording } from '../library.ts';
import { forgetGrowing } from './growing-log.ts';
import type { RecordedRun, RunAsked, RunNews } from './recorded-run.ts';

const PRODUCT = 'chronovisor (browser)';
const MIPS_MS = 500;

export interface PageImages {
  readonly kernel: Uint8Array;
  readonly initrd: Uint8Array | undefined;
}

export class PageRun implements RecordedRun {
  readonly id = undefined;
  readonly news: Observable<RunNews>;
  private readonly client = new EngineClient();

  constructor({ guest, commandLine, memoryBytes, regime, script }: RunAsked, { kernel, initrd }: PageImages) {
    // The door hands in what the engine has not: identity, entropy and a clock.
    const settings = {
      guest, commandLine, memoryBytes, regime, script,
      seed: crypto.getRandomValues(new BigUint64Array(1))[0].toString(16).padStart(16, '0'),
      wallClockNs: (BigInt(Date.now()) * 1_000_000n).toString(),
      logId: crypto.randomUUID(),
      startedMs: Date.now(),
      product: PRODUCT,
    }; // prettier-ignore
    this.news = new Observable((subscriber) => {
      let since = { position: 0, ms: performance.now() };
      let mips = 0;
      const asked = this.client.ask({ kind: 'record', settings, kernel, initrd }).subscribe({
        next: (reply) => {
          if (reply.kind === 'live') {
            const { position, logBytes, keptBytes, idle: isIdle } = reply;
            if (reply.console.length > 0) subscriber.next({ kind: 'console', bytes: reply.console });
            const ms = performance.now();
            if (ms - since.ms > MIPS_MS) {
              mips = (position - since.position) / 1000 / (ms - since.ms);
              since = { position, ms };
            }
            subscriber.next({ kind: 'progress', position, logBytes, keptBytes, isIdle, mips });
          } else if (reply.kind === 'recorded') {
            const { summary, bytes } = reply;
            const { id } = summary;
            void keepRecording({ id, name: `${guest}-${id.slice(0, 8)}`, origin: 'recorded', savedMs: Date.now(), summary }, bytes).then(async ({ problem }) => {
              if (problem === undefined) await forgetGrowing(id);
              subscriber.next({ kind: 'ended', place: 'local', id, problem });
              subscriber.complete();
            });
          }
        },
        error: (error: unknown) => {
          subscriber.next({ kind: 'failed', failure: failureOf(error), recording: undefined });
          subscriber.complete();
        },
      });
      return () => {
        asked.unsubscribe();
        this.client.close();
      };
    });
  }

  type(bytes: Uint8Array): void {
    this.client.tell({ kind: 'input', bytes });
  }
  stop(): void {
    this.client.tell({ kind: 'stop' });
  }
}
