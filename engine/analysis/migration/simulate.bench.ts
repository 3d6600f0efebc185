/** What a simulation costs: pages a second. `npx vitest bench --run engine/analysis/migration` */
import { bench, describe } from 'vitest';
import { simulate } from './simulate.ts';
import { S, idleGuest, steadyWriter } from './testing.ts';

const LINK = { bytesPerSecond: 125e6 };
const idle = idleGuest(1_000_000);
const steady = steadyWriter(65_536, 20_000, 32_768, 30);

describe('simulate', () => {
  bench('a million pages once', () => {
    simulate(idle, { kind: 'stop-and-copy', name: 's' }, LINK);
  });
  bench('256 MiB, 20,000 pages a second, QEMU for 20 s', () => {
    simulate(steady, { kind: 'qemu', name: 'q', release: '7.2', downtimeLimitMs: 30, maxBandwidth: 0 }, LINK, { timeLimitNs: 20 * S });
  });
});
