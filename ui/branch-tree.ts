/** Recordings as a tree: each under what it goes on from. No DOM. */
import type { LogSummary } from '../engine/protocol/summary.ts';
import type { RecordingPlace } from './recording-place.ts';

export interface KnownBranch extends RecordingPlace {
  readonly name: string;
  readonly summary: LogSummary;
  readonly parent: { readonly logId: string; readonly position: number } | undefined;
}
export interface BranchTree {
  readonly branch: KnownBranch;
  /** isKnown: the parent is among the recordings. */
  readonly parent: { readonly position: number; readonly isKnown: boolean } | undefined;
  /** In order of where they leave. */
  readonly children: readonly BranchTree[];
}

/** The whole tree that a log is part of, from its furthest ancestor that is known. Undefined if the log is not. own: the copy of it that is looked at. */
export function branchTree(known: readonly KnownBranch[], logId: string, own?: RecordingPlace): BranchTree | undefined {
  // Copies of a log are one node.
  const byLog = new Map<string, KnownBranch>();
  const looked = known.filter(({ place, id }) => place === own?.place && id === own.id);
  for (const each of [...looked, ...known]) if (!byLog.has(each.summary.id)) byLog.set(each.summary.id, each);
  let top = byLog.get(logId);
  const climbed = new Set<string>();
  while (top?.parent !== undefined && byLog.has(top.parent.logId) && !climbed.has(top.summary.id)) {
    climbed.add(top.summary.id);
    top = byLog.get(top.parent.logId);
  }
  const placed = new Set<string>();
  const build = (branch: KnownBranch): BranchTree => {
    const { summary, parent } = branch;
    placed.add(summary.id);
    const children = [...byLog.values()].filter((each) => each.parent?.logId === summary.id && !placed.has(each.summary.id)).sort((a, b) => a.parent!.position - b.parent!.position);
    return { branch, parent: parent && { position: parent.position, isKnown: byLog.has(parent.logId) }, children: children.map(build) };
  };
  return top === undefined ? undefined : build(top);
}
