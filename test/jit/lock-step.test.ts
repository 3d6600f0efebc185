import { expect, test } from 'vitest';
import { assertSameCompiled, keepsTheMode } from './lock-step.ts';

keepsTheMode();

test('compiled code does what the interpreter does', () => {
  const { instructions, compiled } = assertSameCompiled('test/jit/lock-step.test.ts', 500_000, 60_000, 20_000);
  expect(instructions).toBeGreaterThan(0);
  expect(compiled).toBeGreaterThan(0);
});
