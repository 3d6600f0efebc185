import { describe, expect, test } from 'vitest';
import { ConstantModule } from './inline-constants.ts';

const other = new ConstantModule(
  "export const KIND = 2;\nexport const MASK = KIND << 4 | 1;\nexport const NONE = -1;\nexport const REASONS = { io: 30, other: KIND };\nexport const MIXED = { a: 1, b: 'c' };\nexport const NAMES = [1];\nexport let LATER = 3;\nconst HIDDEN = 4;\n",
  () => new Map(),
);
const inlined = (source: string): string => new ConstantModule(source, (specifier) => (specifier === './other.js' ? other.constants : new Map())).inlined();

test('what a module exports: numbers, operators on them, objects of them', () => {
  expect(other.constants).toEqual(new Map<string, unknown>([['KIND', 2], ['MASK', 33], ['NONE', -1], ['REASONS', new Map([['io', 30], ['other', 2]])]]));
});

describe('a use is a number', () => {
  const cases: readonly (readonly [source: string, expected: string])[] = [
    ["import { KIND } from './other.js'; f(KIND, x[KIND], -KIND);", "import { KIND } from './other.js'; f(2, x[2], -2);"],
    ["import { KIND as SORT } from './other.js'; if (a === SORT) b();", "import { KIND as SORT } from './other.js'; if (a === 2) b();"],
    ["import { NONE, MASK } from './other.js'; f(1 - NONE, a & ~MASK);", "import { NONE, MASK } from './other.js'; f(1 - (-1), a & ~33);"],
    ["import { REASONS } from './other.js'; f(REASONS.io, REASONS['io'], REASONS);", "import { REASONS } from './other.js'; f(30, REASONS['io'], REASONS);"],
    ['const WIDTH = 3;\nconst AREA = WIDTH * WIDTH;\nf(() => AREA);', 'const WIDTH = 3;\nconst AREA = 3 * 3;\nf(() => 9);'],
    ['const WIDTH = 3; g({ WIDTH, WIDTH: WIDTH }, WIDTH.toFixed(), `${WIDTH}`);', 'const WIDTH = 3; g({ WIDTH: 3, WIDTH: 3 }, (3).toFixed(), `${3}`);'],
    ['const WIDTH = 3; switch (x) { case WIDTH: y.WIDTH = WIDTH; }', 'const WIDTH = 3; switch (x) { case 3: y.WIDTH = 3; }'],
    ["const É = 1, A = 2; f('é€😀', A);", "const É = 1, A = 2; f('é€😀', 2);"],
  ];
  for (const [source, expected] of cases) test(source, () => expect(inlined(source)).toBe(expected));
});

describe('what is no use of a constant stays', () => {
  const cases = [
    "import { KIND } from './elsewhere.js'; f(KIND);",
    "import { LATER, MIXED, NAMES, HIDDEN } from './other.js'; f(LATER, MIXED.a, NAMES[0], HIDDEN);",
    "const WIDTH = 3; f('WIDTH'); // WIDTH",
    'const WIDTH = 3; export { WIDTH };',
    'const WIDTH = 3; function f(WIDTH) { return WIDTH; }',
    'const WIDTH = 3; { const WIDTH = x; f(WIDTH); }',
    'const WIDTH = 3; f(({ WIDTH }) => WIDTH);',
    'let WIDTH = 3; f(WIDTH);',
    'const COUNTS = { a: 0 }; COUNTS.a++; f(COUNTS.a);',
    'const width = 3; f(width);',
  ];
  for (const source of cases) test(source, () => expect(inlined(source)).toBe(source));
});
