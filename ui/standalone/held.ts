/**
 * What a self-contained page holds besides its script (engine/protocol/self-contained.ts): workers and core, which have no address of their own there, and the recording.
 * In pages of a server it is empty.
 */
import type { SelfContainedNote } from '../../engine/protocol/self-contained.ts';
import type { LogSummary } from '../../engine/protocol/summary.ts';

export interface HeldLog {
  /** Of the log. */
  readonly id: string;
  readonly name: string;
  readonly summary: LogSummary;
  readonly bytes: Uint8Array;
}

export interface Held {
  /** Address by the name that the build gave: `engine-worker`. */
  readonly workers: ReadonlyMap<string, string>;
  /** Text of the guests' source files, by path. */
  readonly sources: Readonly<Record<string, string>>;
  /** The recording first, then those that it goes on from. */
  readonly logs: readonly HeldLog[];
  readonly notes: readonly SelfContainedNote[];
  readonly images: readonly Uint8Array[];
  readonly at: number | undefined;
  /** This page without the recording. */
  readonly template: string;
}

let held: Held | undefined;

export function hold(all: Held): void {
  held = all;
}

/** Undefined: this is a page of a server, or of a folder. */
export function heldHere(): Held | undefined {
  return held;
}

/** What a recording of this page needs beside its log. */
export function heldImages(): readonly Uint8Array[] {
  return (held?.images ?? []).map((bytes) => bytes.slice());
}

/** url: as the build made it, `.../engine-worker-AbCd1234.js`. name: of its module. `?jit=off` in the page's address goes along in the worker's name (core-module.ts). */
export function startWorker(url: string, name: string): Worker {
  const text = held?.workers.get(name);
  const jit = new URLSearchParams(location.search).get('jit');
  const options = { name: jit === null ? name : `${name}?jit=${jit}` };
  return text === undefined ? new Worker(url, { type: 'module', ...options }) : new Worker(text, options);
}
