import { expect, it } from 'vitest';
import { boxesOf, flameOf } from './flame.ts';

const stacks = [
  { frames: ['boot', 'main'], weight: 1 },
  { frames: ['boot', 'main', 'io'], weight: 2 },
  { frames: ['work', 'write', 'io'], weight: 5 },
  { frames: ['work', 'never'], weight: 0 },
];

it('adds weights up towards the root', () => {
  const root = flameOf(stacks);
  expect(root.weight).toBe(8);
  expect(root.children.map(({ name, weight }) => [name, weight])).toEqual([['boot', 3], ['work', 5]]);
  expect(root.children[0].children[0]).toMatchObject({ name: 'main', weight: 3, depth: 2 });
});

it('lays children on their parent, largest first, and leaves out what is too narrow', () => {
  const root = flameOf(stacks);
  const boxes = boxesOf(root, 0);
  expect(boxes.map(({ node: { name }, from, width }) => [name, from, width])).toEqual([
    ['all', 0, 1], ['work', 0, 0.625], ['write', 0, 0.625], ['io', 0, 0.625], ['boot', 0.625, 0.375], ['main', 0.625, 0.375], ['io', 0.625, 0.25],
  ]); // prettier-ignore
  expect(boxesOf(root, 0.3).map(({ node }) => node.name)).not.toContain('never');
  expect(boxesOf(root, 0.4).map(({ node }) => node.name)).toEqual(['all', 'work', 'write', 'io']);
});

it('shows a node at full width on top of those that lead to it', () => {
  const root = flameOf(stacks);
  const main = root.children[0].children[0];
  expect(boxesOf(main, 0).map(({ node: { name }, from, width }) => [name, from, width])).toEqual([['all', 0, 1], ['boot', 0, 1], ['main', 0, 1], ['io', 0, 2 / 3]]);
  expect(boxesOf(flameOf([]), 0)).toEqual([]);
});
