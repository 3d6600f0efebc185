/**
 * Takes a guest from power-on to its end. One turn of the loop:
 *
 *     step ──► console out ──► script, --until ──► idle? ─ terminal: wait for a key or the timer, in real time
 *      ▲                                             └──── else: jump to the timer
 *      └──────────── let signals and keys in ◄───────────────┘
 *
 * Without a terminal nothing here depends on real time: the same guest, script and options give the same events.
 */
import type { RecorderStatus, Recorder } from '../../engine/recording/recorder.ts';
import type { InputScript } from '../../engine/recording/input-script.ts';
import type { Position } from '../../engine/log/position.ts';
import { monotonicMs, turn } from './host.ts';
import type { Signals, StopSignal } from './signals.ts';

/** Instructions between looks at the script: part of what decides a scripted run. */
const SLICE_INSTRUCTIONS = 1_000_000;
/** Longest time without letting signals in. */
const TURN_MS = 20;
/** Idle time is slept in pieces of at least this length. */
const SLEEP_MS = 4;
/** A guest that executes less than this of its time is idle. */
const IDLE_SHARE = 0.1;

export interface DriveOptions {
  readonly recorder: Recorder;
  readonly script: InputScript | undefined;
  /** Each ends the run when its text has been shown. */
  readonly untilTexts: readonly InputScript[];
  readonly untilPosition: Position | undefined;
  /** Virtual time without output or input after which an idle guest is given up; Infinity: never. */
  readonly idleLimitNs: number;
  /** Between syncs of the log; 0: only at the end. */
  readonly flushMs: number;
  readonly signals: Pick<Signals, 'received'>;
  /** A person types: idle time takes as long as it takes, and input may come at any moment. */
  readonly live: LiveInput | undefined;
  /** Nobody reads the console any more. */
  readonly isConsoleClosed: () => boolean;
  /** Asked after each step: the run is to end, and why. */
  readonly stopWanted?: () => { readonly reason: 'limit' | 'user'; readonly detail: string } | undefined;
  /** Asked after each step: somebody else has the guest meanwhile. He gives it back (undefined), or it is gone, with what its run ended as. */
  readonly handOver?: () => Promise<DriveEnd | undefined> | undefined;
  /** After each step: write out the console, draw the progress line. Returns true if the guest has written. */
  readonly afterStep: () => boolean;
}

export class LiveInput {
  isQuit = false;
  private wake: (() => void) | undefined;

  quit(): void {
    this.isQuit = true;
    this.wake?.();
  }

  /** Something came. */
  notify(): void {
    this.wake?.();
  }

  /** Waits for `ms`, less if something comes. Returns the time that went by. */
  async wait(ms: number): Promise<number> {
    const start = monotonicMs();
    await new Promise<void>((resolve) => {
      // setTimeout takes 31 bits.
      const timer = setTimeout(resolve, Math.min(ms, 2 ** 31 - 1));
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.wake = undefined;
    return monotonicMs() - start;
  }
}

export type DriveCause =
  | { readonly kind: 'guest' }
  | { readonly kind: 'until' }
  | { readonly kind: 'waiting' }
  | { readonly kind: 'quit' }
  | { readonly kind: 'closed' }
  /** It runs elsewhere now. */
  | { readonly kind: 'moved' }
  | { readonly kind: 'signal'; readonly signal: StopSignal };

export interface DriveEnd {
  readonly cause: DriveCause;
  readonly status: Extract<RecorderStatus, { kind: 'ended' }>;
}

/** Throws LogError if the log cannot be written. */
export async function drive(options: DriveOptions): Promise<DriveEnd> {
  const { recorder, script, untilTexts, untilPosition, signals, live } = options;
  const virtualNs = (): number => recorder.position + recorder.machine.timeOffsetNs;
  const stop = (cause: DriveCause, reason: 'limit' | 'user', detail: string): DriveEnd => {
    const status = recorder.stop(reason, detail);
    if (status.kind !== 'ended') throw new Error('the recorder did not stop');
    return { cause, status };
  };
  let turnMs = monotonicMs();
  let flushedMs = turnMs;
  let activeNs = 0;
  let activePosition = 0;
  /** Idle time of a live guest that was not slept yet. */
  let owedMs = 0;
  const touch = (): void => {
    activeNs = virtualNs();
    activePosition = recorder.position;
  };

  for (;;) {
    if (untilPosition !== undefined && recorder.position >= untilPosition) return stop({ kind: 'until' }, 'limit', `@${untilPosition} was reached`);
    const boundary = (Math.floor(recorder.position / SLICE_INSTRUCTIONS) + 1) * SLICE_INSTRUCTIONS;
    const status = recorder.step(Math.min(boundary, untilPosition ?? Infinity) - recorder.position, false);
    if (options.afterStep()) touch();
    if (status.kind === 'ended') return { cause: { kind: 'guest' }, status };

    const polled = script?.poll();
    for (const name of polled?.marks ?? []) recorder.mark(name);
    if (polled !== undefined && polled.send.length > 0) {
      recorder.input(polled.send);
      touch();
    }
    const shown = polled?.end ?? untilTexts.map((each) => each.poll().end).find((text) => text !== undefined);
    if (shown !== undefined) return stop({ kind: 'until' }, 'limit', `the console showed ${JSON.stringify(shown)}`);

    const hasInput = recorder.pendingBytes > 0 && recorder.inputSpace > 0;
    if (status.kind === 'idle' && !hasInput && signals.received === undefined) {
      if (live === undefined) {
        const idleNs = virtualNs() - activeNs;
        const isGivenUp = idleNs >= options.idleLimitNs && recorder.position - activePosition < IDLE_SHARE * idleNs;
        if (isGivenUp || status.ns === Infinity) {
          const waited = script?.waitingFor;
          const forWhat = waited === undefined ? '' : `, and has not shown ${JSON.stringify(waited.text)}`;
          return stop({ kind: 'waiting' }, 'limit', `the guest waits for input that will not come${forWhat}`);
        }
        recorder.passIdle(status.ns);
      } else if (!live.isQuit) {
        owedMs += status.ns / 1e6;
        if (owedMs < SLEEP_MS) recorder.passIdle(status.ns);
        else {
          const elapsedMs = await live.wait(owedMs);
          turnMs = monotonicMs();
          const isInput = recorder.pendingBytes > 0 && recorder.inputSpace > 0;
          // A key came early: so much of the idle time has passed. Otherwise all of it, unless the run is to end here.
          if (isInput) {
            recorder.passIdle(Math.min(status.ns, Math.floor(elapsedMs * 1e6)));
            owedMs = 0;
          } else if (!live.isQuit && signals.received === undefined && status.ns !== Infinity) {
            recorder.passIdle(status.ns);
            // Sleeping too long is made up for, but not without bound.
            owedMs = Math.max(owedMs - elapsedMs, -50);
          } else owedMs = 0;
        }
      }
    }

    const handed = options.handOver?.();
    if (handed !== undefined) {
      const gone = await handed;
      if (gone !== undefined) return gone;
      touch();
      owedMs = 0;
    }

    const now = monotonicMs();
    if (now - turnMs >= TURN_MS) {
      await turn();
      turnMs = monotonicMs();
    }
    if (options.flushMs > 0 && now - flushedMs >= options.flushMs) {
      recorder.flush();
      flushedMs = monotonicMs();
    }
    if (signals.received !== undefined) return stop({ kind: 'signal', signal: signals.received }, 'user', `stopped by ${signals.received}`);
    if (live?.isQuit === true) return stop({ kind: 'quit' }, 'user', 'ended at the terminal');
    const wanted = options.stopWanted?.();
    if (wanted !== undefined) return stop({ kind: 'quit' }, wanted.reason, wanted.detail);
    if (options.isConsoleClosed()) return stop({ kind: 'closed' }, 'user', 'nobody reads the console any more');
  }
}
