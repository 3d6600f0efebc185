/** A run that is recorded now, as the page sees it: on the server (`server-run.ts`) or in a worker of this page (`page-run.ts`). */
import type { Observable } from 'rxjs';
import type { Failure } from '../../engine/protocol/messages.ts';

export interface RunAsked {
  readonly guest: string;
  readonly commandLine: string;
  readonly memoryBytes: number;
  /** Of RECORDED_REGIMES. */
  readonly regime: string;
  /** An input script; empty: somebody types. */
  readonly script: string;
}

export type RunNews =
  | { readonly kind: 'console'; readonly bytes: Uint8Array }
  /** mips: of the last second or so. */
  | { readonly kind: 'progress'; readonly position: number; readonly logBytes: number; readonly keptBytes: number | undefined; readonly isIdle: boolean; readonly mips: number }
  /** Something to know; the run goes on. */
  | { readonly kind: 'notice'; readonly text: string }
  /** The recording can be opened there. problem: it is not kept for long. movedTo: the guest goes on there. */
  | { readonly kind: 'ended'; readonly place: 'server' | 'local'; readonly id: string; readonly problem: string | undefined; readonly movedTo?: string | undefined }
  | { readonly kind: 'failed'; readonly failure: Failure; readonly recording: string | undefined };

export interface RecordedRun {
  /** Ends after `ended` or `failed`. One subscriber. */
  readonly news: Observable<RunNews>;
  /** Its number on the server. */
  readonly id: string | undefined;
  type(bytes: Uint8Array): void;
  stop(): void;
}
