/** Guests that really move: what runs on is the guest that was stopped, and the chain of logs replays across the move. */
import { describe, expect, it } from 'vitest';
import { Guest } from '../../server/migration/pace.ts';
import type { Duplex } from '../../server/migration/duplex.ts';
import { type Shape, move, newDisks, replayed, slowAfterHandover } from './live-sides.ts';
import { type LiveGuest, deviceGuest, digestAt, labGuest, startGuest, writerGuest } from './live-guests.ts';

const WRITER = writerGuest({ memoryMib: 4, setPages: 128, pagesPerTick: 4, tickInstructions: 2000, order: 'scattered' });
const LAB = labGuest('work mixed; poweroff');

/** Moves a guest at a moment (virtual ns) and runs it on for so many instructions, Infinity: to its end; returns what is left to compare. */
async function moved(live: LiveGuest, at: number, more: number, shape: Shape, wrap?: (link: Duplex) => Duplex): Promise<Awaited<ReturnType<typeof move>>> {
  const { recorder, sink } = startGuest(live, 'root');
  const guest = new Guest(recorder);
  guest.runTo(at);
  const run = await move(guest, shape, newDisks(), wrap, live.images.disk);
  expect([run.source.kind, run.destination.kind]).toEqual(['moved', 'owner']);
  const child = run.child!;
  do child.guest.advance(child.guest.recorder.position + more);
  while (more === Infinity && child.guest.ended === undefined);
  const { position } = child.guest.recorder;
  const end = child.guest.recorder.stop('limit', 'long enough');
  const digest = end.kind === 'ended' ? end.digest : '';
  expect(digest, 'the guest that was never moved').toBe(digestAt(live, more === Infinity ? Infinity : position));
  expect(replayed([sink.toBytes(), child.sink.toBytes()], live), 'the chain').toBe(digest);
  return run;
}

describe('a live migration', () => {
  it('pre-copy: a writer goes on as if nothing had been', async () => {
    const { source } = await moved(WRITER, 100_000, 2_000_000, { policy: 'precopy', downtimeLimitMs: 30, bytesPerSecond: 20e6, speed: 0.05, latencyNs: 1000 });
    const { measured } = source;
    expect(measured.ram.dirtySyncCount).toBeGreaterThan(2);
    expect(measured.ram.normal).toBeGreaterThan(512 + 128);
    expect(measured.rounds.reduce((sum, { pages }) => sum + pages, 0)).toBe(measured.ram.normal + measured.ram.duplicate);
    expect(measured.downtimeMs).toBeGreaterThan(0);
  });
  it('post-copy: pages come when they are touched', async () => {
    const { source, waits } = await moved(WRITER, 100_000, 2_000_000, { policy: 'postcopy', downtimeLimitMs: 2, bytesPerSecond: Infinity, speed: 1 }, (link) => slowAfterHandover(link, 12, 3));
    expect(source.measured.ram.postcopyBytes).toBeGreaterThan(0);
    expect(waits.requests).toBeGreaterThan(0);
  });
  it('hybrid, and post-copy with nothing left to come', async () => {
    await moved(WRITER, 100_000, 1_000_000, { policy: 'hybrid', downtimeLimitMs: 0.01, bytesPerSecond: 50e6, speed: 0.05 });
  });
});

describe('the lab kernel', () => {
  it('pre-copy', async () => {
    await moved(LAB, 12_000_000, 3_000_000, { policy: 'precopy', downtimeLimitMs: 50, bytesPerSecond: 20e6, speed: 0.05 });
  });
  it('post-copy', async () => {
    const { waits } = await moved(LAB, 12_000_000, 3_000_000, { policy: 'postcopy', downtimeLimitMs: 50, bytesPerSecond: Infinity, speed: 1 }, (link) => slowAfterHandover(link, 12, 3));
    expect(waits.requests).toBeGreaterThan(3);
  });
});

describe('a guest with devices that read and write its memory', () => {
  const { recipe, images } = deviceGuest('work io; disk read 3; random; work io; poweroff');
  // Short epochs: little goes with the state.
  const live = { recipe: { ...recipe, epochInstructions: 5000 }, images };
  it('pre-copy', async () => {
    await moved(live, 14_900_000, Infinity, { policy: 'precopy', downtimeLimitMs: 50, bytesPerSecond: 20e6, speed: 0.01 });
  });
  // Lines to the console's queue; requests to the disk, and their completions: of the second it is known that a side that does not see them loses what a device wrote.
  for (const at of [11_000_000, 15_577_775]) {
    it(`post-copy at ${at} ns`, async () => {
      const { waits } = await moved(live, at, Infinity, { policy: 'postcopy', downtimeLimitMs: 50, bytesPerSecond: Infinity, speed: 1 }, (link) => slowAfterHandover(link, 1000, 30));
      expect(waits.requests).toBeGreaterThan(3);
    });
  }
});
