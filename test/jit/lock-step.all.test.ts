/** The larger run of lock-step.test.ts. */
import { expect, test } from 'vitest';
import { assertSameCompiled, keepsTheMode } from './lock-step.ts';

keepsTheMode();

test('compiled code does what the interpreter does', () => {
  const { compiled } = assertSameCompiled('test/jit/lock-step.all.test.ts', 12_000_000, 300_000, 240_000);
  expect(compiled).toBeGreaterThan(0);
});
