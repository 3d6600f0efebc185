/**
 * What the lab's server, its threads, its command line and its pages say to each other: types only. Routes and their JSON schemas: server/http.
 *
 *     live run   client ── LiveCommand (JSON), console bytes (binary) ──► server ◄──► thread
 *                       ◄── LiveNotice (JSON), ConsoleFrame (binary) ──
 *     debug      client ── DebugRequest ──► server ◄──► thread with the engine's TimeTravel
 *                       ◄── DebugReply, DebugNotice ──
 *
 * Positions are numbers (safe integers); 64-bit values and bytes are hexadecimal text, 0x... for values.
 */
import type { Measured } from '../analysis/migration/measured.ts';
import type { Prediction } from '../analysis/migration/predict.ts';
import type { LogKind } from '../log/events.ts';

/** Why something did not work, in words for people. */
export interface Problem {
  /** For programs. */
  readonly code: string;
  readonly message: string;
  /** What to do next. */
  readonly advice?: string;
}

// ---- notes ----

/** What a person wrote at a moment of a recording. */
export interface RecordingNote {
  readonly id: string;
  readonly position: number;
  readonly text: string;
  /** Since 1970-01-01 UTC, by the clock of who keeps it. */
  readonly changedMs: number;
}

/** Of one recording, in order of position. */
export interface RecordingNotes {
  readonly notes: readonly RecordingNote[];
  /** Notes can be kept with it. */
  readonly isWritable: boolean;
  readonly problem?: string;
}

// ---- runs ----

/** What to record. */
export interface RunSettings {
  readonly guest: string;
  /** Of the recording; made from guest and time unless given. */
  readonly name?: string;
  readonly commandLine?: string;
  readonly memoryBytes?: number;
  readonly regime?: string;
  /** The paravirtual interface offered under hw and hw-shadow: kvm, xen, hyperv. */
  readonly pv?: string;
  readonly acpi?: boolean;
  readonly virtio?: readonly string[];
  /** 64 bits, decimal or 0x. */
  readonly seed?: string;
  /** At power-on, ns since 1970-01-01 UTC, decimal; now unless given. */
  readonly wallClockNs?: string;
  /** An input script (engine/recording/input-script.ts). With one, or with `isUnattended`, idle time is skipped. */
  readonly script?: string;
  /** Nobody types: idle time is skipped, and a guest that waits for input is given up. */
  readonly isUnattended?: boolean;
  /** Ends the run when the console shows one of these. */
  readonly untilTexts?: readonly string[];
  readonly untilPosition?: number;
  readonly epochInstructions?: number;
  readonly digestInstructions?: number;
  /** Its dirty sets have the first write to each page. */
  readonly firstWrites?: boolean;
  readonly limits?: RunLimits;
}

/** Never above those of the server. */
export interface RunLimits {
  /** Of real time. */
  readonly seconds?: number;
  readonly logBytes?: number;
  readonly instructions?: number;
}

export type RunState =
  | 'starting'
  | 'running'
  /** The log is closed. */
  | 'ended'
  /** The thread died, was ended, or never began. What it had written survives. */
  | 'failed';

export interface RunProgress {
  readonly position: number;
  /** ns */
  readonly virtualNs: number;
  readonly records: number;
  readonly logBytes: number;
  /** Bytes of the log that can be read now. */
  readonly readableBytes: number;
  /** Bytes that the console has shown. */
  readonly consoleBytes: number;
  /** Millions of instructions a second of real time, since the notice before. */
  readonly mips: number;
  readonly isIdle: boolean;
}

export interface RunStatus {
  readonly id: string;
  readonly state: RunState;
  readonly guest: string;
  /** Id of the recording; undefined before the log exists. */
  readonly recording: string | undefined;
  /** ms since 1970. */
  readonly startedMs: number;
  readonly endedMs: number | undefined;
  readonly progress: RunProgress;
  readonly end: { readonly cause: string; readonly reason: string; readonly detail: string; readonly digest: string; readonly isScriptDone: boolean } | undefined;
  readonly problem: Problem | undefined;
  /** The last one of this run. */
  readonly migration?: RunMigration | undefined;
}

/** How a run is to move to another process, where `chronovisor migrate --listen` waits. */
export interface RunMigrationSettings {
  /** HOST:PORT */
  readonly to: string;
  /** precopy unless given */
  readonly policy?: 'precopy' | 'postcopy' | 'hybrid';
  /** As the link takes it unless given. */
  readonly bytesPerSecond?: number;
  readonly downtimeLimitMs?: number;
  /** Seconds of the guest's time in one of the wall's, while it moves; measured unless given. */
  readonly speed?: number;
  /** Given up after this time. */
  readonly timeLimitMs?: number;
}

export interface RunMigration {
  readonly id: string;
  readonly state: 'moving' | 'kept' | 'moved' /** Handed over, and the other side has not confirmed it. */ | 'unconfirmed';
  readonly settings: RunMigrationSettings;
  readonly progress?: { readonly phase: 'precopy' | 'stopped' | 'postcopy'; readonly sync: number; readonly remainingPages: number; readonly transferred: number; readonly nowNs: number } | undefined;
  /** Why it was kept. */
  readonly reason?: string | undefined;
  readonly speed?: number | undefined;
  readonly virtualPerWall?: number | undefined;
  readonly digest?: string | undefined;
  readonly measured?: Measured | undefined;
  /** Made before the guest moved. */
  readonly prediction?: Prediction | undefined;
}

export type LiveNotice =
  | { readonly kind: 'status'; readonly run: RunStatus }
  | { readonly kind: 'progress'; readonly progress: RunProgress }
  /** Console bytes that this reader was too slow for; the recording has them. */
  | { readonly kind: 'gap'; readonly from: number; readonly to: number }
  | { readonly kind: 'problem'; readonly problem: Problem };

export type LiveCommand =
  | { readonly kind: 'input'; readonly text: string }
  | { readonly kind: 'mark'; readonly name: string }
  | { readonly kind: 'stop' };

// ---- recordings ----

export type RecordingState =
  /** It is being written. */
  | 'recording'
  | 'complete'
  /** Its recorder was stopped by force: what there is can be replayed, and `check --repair` closes it. */
  | 'cut-off'
  | 'damaged';

export interface BranchNode {
  readonly id: string;
  readonly logId: string;
  readonly guest: string;
  readonly state: RecordingState;
  readonly lastPosition: number;
  /** Where it leaves its parent; undefined for a root. */
  readonly at: number | undefined;
  /** Its parent is in no folder of this server. */
  readonly isOrphan: boolean;
  readonly children: readonly BranchNode[];
}

// ---- jobs ----

export type JobSettings =
  | { readonly kind: 'index'; readonly spacing?: number }
  /** All of it again, every event and digest compared. */
  | { readonly kind: 'replay' }
  | ({ readonly kind: 'bisect'; readonly from?: string; readonly to?: string } & BisectQuestion)
  | ({ readonly kind: 'branch' } & BranchSettings);

/** A run that goes on from a moment of a recording, with something changed. Values and addresses are expressions about that moment. */
export interface BranchSettings {
  /** Of the new recording. */
  readonly name: string;
  /** A place: `@1234567`, `50%`, ... */
  readonly at: string;
  /** Value by register. */
  readonly set?: Readonly<Record<string, string>>;
  /** bytes: hexadecimal, in the order of memory. */
  readonly write?: readonly { readonly address: string; readonly bytes: string; readonly isPhysical?: boolean }[];
  /** Typed at that moment. */
  readonly typed?: string;
  /** The later inputs of the recording: offered again (unless told), or not. */
  readonly inputs?: 'keep' | 'none';
  readonly untilPosition?: number;
  readonly untilText?: string;
}

/** Exactly one of these. `stays` goes with `when`. */
export interface BisectQuestion {
  readonly when?: string;
  readonly stays?: boolean;
  readonly panic?: boolean;
  readonly console?: string;
  /** ADDRESS[,BYTES] or a symbol: the first store there. */
  readonly corrupt?: string;
  readonly isPhysical?: boolean;
}

export type JobState = 'waiting' | 'running' | 'done' | 'failed' | 'cancelled';

export interface JobStatus {
  readonly id: string;
  readonly recording: string;
  readonly settings: JobSettings;
  readonly state: JobState;
  /** ms since 1970. */
  readonly createdMs: number;
  readonly endedMs: number | undefined;
  readonly progress: { readonly position: number; readonly of: number } | undefined;
  readonly result: unknown;
  readonly problem: Problem | undefined;
}

// ---- events ----

export interface EventFilter {
  readonly kinds?: readonly LogKind[] | undefined;
  /** Words or Intel's numbers: exits only. */
  readonly reasons?: readonly string[] | undefined;
  readonly port?: number | undefined;
  readonly vector?: number | undefined;
  /** The event's line (as `chronovisor events` prints it) has this text. */
  readonly match?: string | undefined;
}

// ---- debugging ----

export type WalkDirection = 'forward' | 'backward';

export type DebugCommand =
  | { readonly op: 'place' }
  /** `@1234567`, `50%`, `event:1000`, `mark:NAME`, `end`. */
  | { readonly op: 'seek'; readonly where: string }
  | { readonly op: 'step' | 'reverse-step'; readonly unit?: 'instruction' | 'over-instruction' | 'line' | 'over-line' | 'out'; readonly count?: number }
  | { readonly op: 'continue' | 'reverse-continue' }
  /** What is walking stops at its next slice. Answered at once. */
  | { readonly op: 'interrupt' }
  | { readonly op: 'state'; readonly memory?: readonly MemoryRange[]; readonly hasDigest?: boolean }
  /** From now on each walk's answer has the state too, with this memory; `isOff`: no more. */
  | { readonly op: 'subscribe'; readonly memory?: readonly MemoryRange[]; readonly isOff?: boolean }
  | { readonly op: 'translate'; readonly address: string }
  | { readonly op: 'evaluate'; readonly expression: string }
  | { readonly op: 'disassemble'; readonly address?: string; readonly count?: number; readonly before?: number }
  | { readonly op: 'stack'; readonly frames?: number }
  /** A breakpoint (address, symbol, FILE:LINE), a watchpoint (address[,bytes], symbol) or a catchpoint (`exit io`, `syscall openat`, `console TEXT`, `when EXPRESSION`, ...). */
  | { readonly op: 'add-point'; readonly point: PointSettings }
  | { readonly op: 'remove-point'; readonly number: number }
  | { readonly op: 'points' }
  | { readonly op: 'last-write'; readonly address: string; readonly isPhysical?: boolean };

export type PointSettings =
  | { readonly kind: 'breakpoint' | 'catchpoint'; readonly text: string; readonly condition?: string }
  | { readonly kind: 'watchpoint'; readonly text: string; readonly access?: 'change' | 'write' | 'read' | 'access'; readonly condition?: string };

export interface MemoryRange {
  /** 0x... */
  readonly address: string;
  readonly length: number;
  readonly isPhysical?: boolean;
}

export type DebugRequest = DebugCommand & { readonly id: number };

export type DebugReply =
  | { readonly kind: 'done'; readonly id: number; readonly result: unknown }
  | { readonly kind: 'failed'; readonly id: number; readonly problem: Problem };

export type DebugNotice =
  /** The session can be used. */
  | { readonly kind: 'opened'; readonly place: unknown; readonly warnings: readonly string[] }
  /** Only the newest counts. */
  | { readonly kind: 'progress'; readonly position: number; readonly direction: WalkDirection }
  /** The session is over. */
  | { readonly kind: 'ended'; readonly problem: Problem };
