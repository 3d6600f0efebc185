/** A side or the link dies: the guest goes on at exactly one side, and nothing is lost. A hundred and more draws: live-fault.all.test.ts. */
import { expect, it } from 'vitest';
import { type Fault, runFault } from './live-fault.ts';
import { FAULT_AT, FAULT_GUEST, FAULT_SHAPE } from './live-fault-draws.ts';

const CHOSEN: readonly (readonly [Fault, 'source' | 'destination'])[] = [
  [{ victim: 'link', at: { bytes: 100_000 } }, 'source'],
  [{ victim: 'source', at: { bytes: 1_000_000 } }, 'source'],
  // `offered`, `receiving`, `ready`, `handed-over`, `owner`: the decision is the fourth.
  [{ victim: 'destination', at: { write: 3, moment: 'after' } }, 'source'],
  [{ victim: 'source', at: { write: 4, moment: 'after' } }, 'destination'],
  [{ victim: 'link', at: { write: 4, moment: 'after' } }, 'destination'],
  [{ victim: 'destination', at: { write: 5, moment: 'after' } }, 'destination'],
];

for (const [fault, liveAt] of CHOSEN) {
  it(`${fault.victim} dies at ${JSON.stringify(fault.at)}: the guest is at the ${liveAt}`, async () => {
    const story = await runFault(FAULT_GUEST, FAULT_AT, FAULT_SHAPE, fault);
    expect(story).toMatchObject({ hasStruck: true, liveAt });
  });
}
