import { expect, test } from 'vitest';
import type { ExitProfile, StackWeight } from '../../engine/analysis/exit-profile/profile.ts';
import { flameSvg } from './flame-svg.ts';

const STACKS: readonly StackWeight[] = [
  { frames: ['sh-2', '[user]', '[syscall]', 'do_syscall', 'write', 'IO_INSTRUCTION', 'port 0x3f8 uart'], exitFrames: 2, task: 'sh-2', count: 30, cost: 3000, isIdle: false },
  { frames: ['sh-2', '[user]', '[syscall]', 'do_syscall', 'CPUID'], exitFrames: 1, task: 'sh-2', count: 10, cost: 500, isIdle: false },
  { frames: ['a<b>&"c"-3', 'operator<<', 'MSR_WRITE', 'msr 0x6e0'], exitFrames: 2, task: 'a<b>&"c"-3', count: 60, cost: 500, isIdle: false },
  { frames: ['idle-0', 'idle', 'HLT'], exitFrames: 1, task: 'idle-0', count: 5, cost: 100, isIdle: true },
];
const profileOf = (stacks: readonly StackWeight[], unit: 'cycles' | undefined): ExitProfile => ({
  source: { kind: 'recording', name: 'run.cvlog', under: 'hw' }, unit, exits: 105, idleExits: 5, by: {}, stacks, hasCallStacks: true, notes: ['one & a note'],
});

interface Drawn {
  readonly label: string;
  readonly kind: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
}

function boxesOf(svg: string): Drawn[] {
  return [...svg.matchAll(/<g><title>(.*?): [\d_]+ (?:cycles|exits), [\d.]+ %<\/title><rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="\d+" class="box (\w+)"\/>/g)].map(([, label, x, y, width, kind]) => ({ label, kind, x: Number(x), y: Number(y), width: Number(width) }));
}

/** Elements are closed in the order in which they were opened, and attributes are quoted. */
function expectWellFormed(svg: string): void {
  const open: string[] = [];
  for (const [, close, name, , self] of svg.replace(/<\?xml.*?\?>/, '').matchAll(/<(\/?)(\w+)((?:\s[\w:-]+="[^"<]*")*)\s*(\/?)>/g)) {
    if (close === '/') expect(open.pop()).toBe(name);
    else if (self !== '/') open.push(name);
  }
  expect(open).toEqual([]);
  expect(svg.replace(/<\?xml.*?\?>/, '').replace(/<(\/?)(\w+)((?:\s[\w:-]+="[^"<]*")*)\s*(\/?)>/g, '')).not.toMatch(/[<>]|&(?!(amp|lt|gt|quot|#39);)/);
}

test('each box is as wide as its weight and lies on what it is inside of; sleep is left out', () => {
  const svg = flameSvg(profileOf(STACKS, 'cycles'));
  expectWellFormed(svg);
  const boxes = boxesOf(svg);
  const [root] = boxes;
  const widthOf = (label: string): number => boxes.filter((box) => box.label === label).reduce((sum, { width }) => sum + width, 0) / root.width;
  expect(['all', 'sh-2', 'write', 'CPUID', 'operator&lt;&lt;', 'HLT'].map((label) => Number(widthOf(label).toFixed(4)))).toEqual([1, 0.875, 0.75, 0.125, 0.125, 0]);
  for (const box of boxes.slice(1)) {
    const below = boxes.find(({ x, y, width }) => y > box.y && y - box.y < 18 && x <= box.x + 0.01 && x + width >= box.x + box.width - 0.02);
    expect(below, box.label).toBeDefined();
  }
  expect(boxes.map(({ label, kind }) => [label, kind])).toEqual(expect.arrayContaining([['sh-2', 'task'], ['[user]', 'user'], ['[syscall]', 'gate'], ['write', 'kernel'], ['IO_INSTRUCTION', 'exit']]));
  expect(svg).toContain('prefers-color-scheme: dark');
  expect(svg).not.toMatch(/<script|href|@import|url\(/);
});

test('without costs exits are counted; sleep if asked for; an empty profile says so', () => {
  const boxes = boxesOf(flameSvg(profileOf(STACKS, undefined), { withSleep: true }));
  const root = boxes[0].width;
  expect(boxes.filter(({ label }) => label === 'HLT').map(({ width }) => Number((width / root).toFixed(3)))).toEqual([0.048]);
  const empty = flameSvg(profileOf([], 'cycles'));
  expectWellFormed(empty);
  expect(empty).toContain('There is no exit to show');
});

test('many and deep stacks stay bounded, and what is not drawn is told', () => {
  const many = Array.from({ length: 20_000 }, (_, i): StackWeight => ({ frames: [`t-${i % 7}`, `f${i}`, 'CPUID'], exitFrames: 1, task: `t-${i % 7}`, count: 1, isIdle: false }));
  const deep: StackWeight = { frames: ['t-1', ...Array.from({ length: 5000 }, (_, i) => `g${i}`), 'CPUID'], exitFrames: 1, task: 't-1', count: 4000, isIdle: false };
  const svg = flameSvg(profileOf([...many, deep], undefined));
  expectWellFormed(svg);
  expect(svg).toMatch(/boxes too narrow to be drawn: 20_000 exits/);
  expect(boxesOf(svg).length).toBeLessThan(300);
});
