/** A hundred migrations by pre-copy and forty by post-copy, each with a side or the link killed at a drawn moment. The seed is printed by a failure: the fault itself is its name. */
import { describe, expect, it } from 'vitest';
import { runFault } from './live-fault.ts';
import { FAULT_AT, FAULT_GUEST, FAULT_SHAPE, FAULT_SHAPE_POSTCOPY, drawFaults } from './live-fault-draws.ts';

const SEED = 20261121;

describe.each([
  ['pre-copy', FAULT_SHAPE, 100, 2_000_000],
  ['post-copy', FAULT_SHAPE_POSTCOPY, 40, 1_200_000],
] as const)('%s', (_name, shape, count, bytesMax) => {
  const ends: Record<string, number> = { source: 0, destination: 0, struck: 0 };
  it.each(drawFaults(count, bytesMax, SEED).map((fault) => [JSON.stringify(fault), fault] as const))('%s', async (_text, fault) => {
    const story = await runFault(FAULT_GUEST, FAULT_AT, shape, fault);
    ends[story.liveAt]++;
    if (story.hasStruck) ends.struck++;
  });
  it('both ends of the story were met', () => {
    expect(ends.struck).toBeGreaterThan(count * 0.6);
    expect(ends.source).toBeGreaterThan(count * 0.1);
    expect(ends.destination).toBeGreaterThan(count * 0.1);
  });
});
