import { expect, test } from 'vitest';
import { assertSameCompiled, keepsTheMode } from './lock-step.ts';

keepsTheMode();

test('compiled code does what the interpreter does', () => {
  const { instructions, compiled } = assertSameCompiled('test/jit/lock-step.test.ts', 300_000, 40_000, 10_000);
  expect(instructions).toBeGreaterThan(0);
  expect(compiled).toBeGreaterThan(0);
});
