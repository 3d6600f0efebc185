import { expect, it } from 'vitest';
import type { LogSummary } from '../engine/protocol/summary.ts';
import { type BranchTree, type KnownBranch, branchTree } from './branch-tree.ts';

function log(logId: string, parent?: string, position = 0, id = logId): KnownBranch {
  return { place: 'server', id, name: id, summary: { id: logId } as LogSummary, parent: parent === undefined ? undefined : { logId: parent, position } };
}
const textOf = ({ branch, parent, children }: BranchTree): string => `${branch.id}${parent === undefined ? '' : `@${parent.position}${parent.isKnown ? '' : '?'}`}${children.length === 0 ? '' : `(${children.map(textOf).join(' ')})`}`;

it('has the whole tree, whichever of its logs is asked for, in order of where branches leave', () => {
  const known = [log('late', 'root', 90), log('grandchild', 'early', 20), log('root'), log('other'), log('early', 'root', 10)];
  for (const id of ['root', 'late', 'grandchild']) expect(textOf(branchTree(known, id)!)).toBe('root(early@10(grandchild@20) late@90)');
  expect(textOf(branchTree(known, 'other')!)).toBe('other');
  expect(branchTree(known, 'nobody')).toBeUndefined();
});

it('takes copies for one, says which parent is missing, and ends where logs name each other', () => {
  expect(textOf(branchTree([log('child', 'gone', 5), log('child', 'gone', 5, 'copy')], 'child')!)).toBe('child@5?');
  // Of copies the one that is looked at.
  expect(textOf(branchTree([log('child', 'gone', 5), log('child', 'gone', 5, 'copy')], 'child', { place: 'server', id: 'copy' })!)).toBe('copy@5?');
  expect(textOf(branchTree([log('a', 'b', 1), log('b', 'a', 2)], 'a')!)).toMatch(/^[ab]@\d\([ab]@\d\)$/);
});
