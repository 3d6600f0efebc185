import { describe, expect, it } from 'vitest';
import { constantRateModel } from './baselines.ts';
import { type MigrationPolicy, type QemuPolicy, namedPolicies } from './policy.ts';
import { predict } from './predict.ts';
import { simulate } from './simulate.ts';
import { MS, S, contentOf, exactTruth, idleGuest, steadyWriter } from './testing.ts';

const PAGES = 4096;
const WIRE = 4104;
/** 4104 bytes a page: 10,000 pages a second. */
const LINK = { bytesPerSecond: WIRE * 10_000 };
/** Nothing but the wire costs time. */
const FREE = { pageCostNs: 0, syncCostNsPerGiB: 0, switchoverNs: 0 };
const qemu = (more: Partial<QemuPolicy> = {}): QemuPolicy => ({ kind: 'qemu', name: 'q', release: '7.2', downtimeLimitMs: 50, maxBandwidth: 0, ...more });
const policies = namedPolicies(50, 0);
const policy = (name: string): MigrationPolicy => policies.get(name)!;

describe('an idle guest', () => {
  it('is sent once by every policy, and takes what the wire takes', () => {
    for (const each of policies.values()) {
      const { ram, totalTimeMs, converges } = simulate(idleGuest(PAGES), each, { ...LINK, latencyNs: 0 }, FREE);
      expect([each.name, converges, ram.normal]).toEqual([each.name, true, PAGES]);
      const bytes = each.name === 'multifd' ? 4096 + 1344 / 128 : WIRE;
      if (each.name !== 'clark') expect(Math.abs(totalTimeMs - (PAGES * bytes * 1000) / LINK.bytesPerSecond), each.name).toBeLessThan(1.5);
    }
  });

  it('has zero pages of 9 bytes', () => {
    const { ram } = simulate(idleGuest(PAGES, { content: contentOf({ zeroFrom: 1000 }) }), qemu(), LINK, FREE);
    expect(ram).toMatchObject({ normal: 1000, duplicate: PAGES - 1000, transferred: 1000 * WIRE + (PAGES - 1000) * 9, normalBytes: 1000 * 4096, total: PAGES * 4096 });
  });

  it('is down for what cannot be sent before the stop, and the switch-over', () => {
    const { downtimeMs } = simulate(idleGuest(PAGES), policy('stop-and-copy'), LINK, { ...FREE, switchoverNs: 7 * MS });
    expect(downtimeMs).toBeCloseTo((PAGES * WIRE * 1000) / LINK.bytesPerSecond + 7, 6);
  });
});

describe("QEMU's loop", () => {
  it('syncs when what is left is below bandwidth x limit, with that left unsent; the sets are what was written between two syncs', () => {
    const truth = steadyWriter(PAGES, 2000, 2048);
    const { rounds, ram, downtimeMs, converges } = simulate(truth, qemu({ downtimeLimitMs: 80 }), LINK, FREE);
    expect(converges).toBe(true);
    // Not the textbook's: the first round leaves up to 80 ms of wire unsent; a pass of 50 ms ends in between.
    expect(rounds[0].remaining).toBeGreaterThan(0);
    expect(rounds[0].remaining * 4096).toBeLessThan(LINK.bytesPerSecond * 0.08);
    for (const [i, round] of rounds.slice(0, -1).entries()) {
      const from = round.virtualNs;
      const to = rounds[i + 1].virtualNs;
      expect(round.dirtied).toBe(truth.timeline.distinct(from, to));
    }
    expect(downtimeMs).toBeLessThanOrEqual(81);
    expect(ram.normal).toBe(rounds.reduce((sum, { pages }) => sum + pages, 0));
    expect(ram.dirtySyncCount).toBe(rounds.length);
  });

  it('keeps to max-bandwidth by windows of 100 ms, and drops it for the stopped guest', () => {
    const truth = steadyWriter(PAGES, 1000, 2048);
    const slow = simulate(truth, qemu({ maxBandwidth: WIRE * 10_000, downtimeLimitMs: 100 }), { bytesPerSecond: WIRE * 1_000_000 }, FREE);
    const stoppedAt = slow.stoppedAtMs!;
    expect(slow.ram.precopyBytes / (stoppedAt / 1000) / (WIRE * 10_000)).toBeGreaterThan(0.9);
    expect(slow.ram.precopyBytes / (stoppedAt / 1000) / (WIRE * 10_000)).toBeLessThan(1.1);
    // 100 ms worth of the limited bandwidth go over in 1 ms.
    expect(slow.downtimeMs).toBeLessThan(1.5);
  });

  it('does not end below the limit, and says so, when pages are written faster than sent', () => {
    const { converges, reason, ram } = simulate(steadyWriter(PAGES, 12_000), qemu(), LINK, { ...FREE, timeLimitNs: 20 * S });
    expect(converges).toBe(false);
    expect(reason).toMatch(/20 s/);
    expect(ram.remaining).toBeGreaterThan(0);
  });

  it('7.2 and 8.2 differ only where what is left is exactly the threshold or the switch-over bandwidth is given', () => {
    const truth = steadyWriter(PAGES, 3000, 2048);
    const old = simulate(truth, qemu(), LINK, FREE);
    expect(simulate(truth, qemu({ release: '8.2' }), LINK, FREE)).toEqual(old);
    // A tenth of the bandwidth for the estimate: a tenth of the threshold.
    const careful = simulate(truth, qemu({ release: '8.2', availSwitchoverBandwidth: LINK.bytesPerSecond / 10 }), LINK, { ...FREE, timeLimitNs: 20 * S });
    expect(careful.converges ? careful.downtimeMs : 0).toBeLessThan(6);
  });

  it('counts pages sent again though nothing was written since', () => {
    // All of the set is written at 1 ms, before any of it but the first pages is sent, and never again.
    const truth = exactTruth(PAGES, 10 * S, (add) => {
      for (let page = 0; page < 1000; page++) add(1 * MS, page);
    });
    const { redundantPages, ram } = simulate(truth, qemu({ downtimeLimitMs: 1 }), LINK, FREE);
    // Page n is sent at n / 10 ms: those after the tenth were sent with what was written.
    expect(ram.normal).toBe(PAGES + 1000);
    expect(redundantPages).toBeGreaterThanOrEqual(988);
    expect(redundantPages).toBeLessThanOrEqual(990);
  });

  it('auto-converge: steps at syncs more than a second apart, from 20 by 10, and only what exceeds the idle share slows the guest', () => {
    const truth = steadyWriter(PAGES, 12_000);
    const plain = simulate(truth, qemu({ downtimeLimitMs: 30 }), LINK, { ...FREE, timeLimitNs: 60 * S });
    const throttled = simulate(truth, qemu({ downtimeLimitMs: 30, autoConverge: {} }), LINK, { ...FREE, timeLimitNs: 60 * S });
    expect(plain.converges).toBe(false);
    expect(throttled.converges).toBe(true);
    expect(throttled.exactness).toBe('approximate');
    const steps = [...new Set(throttled.rounds.map(({ throttlePercent }) => throttlePercent))];
    expect(steps.slice(0, 3)).toEqual([0, 20, 30]);
    // A guest that is idle nine tenths of its time has slack enough: the throttle changes nothing.
    const paced = simulate({ ...truth, busyShare: 0.1 }, qemu({ downtimeLimitMs: 30, autoConverge: { maxPercent: 90 } }), LINK, { ...FREE, timeLimitNs: 60 * S });
    expect(paced.converges).toBe(false);
    expect(paced.notes.join()).toMatch(/idle share of 90 %/);
  });

  it('XBZRLE sends codes after the first round, if it knows what is in the pages and they are in its cache', () => {
    const truth = steadyWriter(PAGES, 12_000, 2048, 60, { content: contentOf({ deltaBytes: 10 }) });
    const plain = simulate(truth, qemu(), LINK, { ...FREE, timeLimitNs: 20 * S });
    const coded = simulate(truth, qemu({ xbzrle: { cacheBytes: 64 << 20 } }), LINK, FREE);
    expect([plain.converges, coded.converges]).toEqual([false, true]);
    expect(coded.xbzrleCache!.pages).toBeGreaterThan(0);
    expect(coded.xbzrleCache!.bytes).toBe(coded.xbzrleCache!.pages * (10 + 11));
    const blind = simulate({ ...truth, content: undefined }, qemu({ xbzrle: { cacheBytes: 64 << 20 } }), LINK, { ...FREE, timeLimitNs: 20 * S });
    expect(blind.converges).toBe(false);
    expect(blind.notes.join()).toMatch(/not known/);
  });

  it('compression shortens every page that gets shorter', () => {
    const truth = idleGuest(PAGES, { content: contentOf({ compressedBytes: 1000 }) });
    expect(simulate(truth, qemu({ compress: true }), LINK, FREE).ram.transferred).toBe(PAGES * 1012);
    expect(simulate({ ...truth, content: contentOf({}) }, qemu({ compress: true }), LINK, FREE).ram.transferred).toBe(PAGES * WIRE);
  });

  it('multifd uses what one channel cannot carry', () => {
    const link = { bytesPerSecond: WIRE * 10_000, channelBytesPerSecond: WIRE * 2500 };
    const one = simulate(idleGuest(PAGES), qemu(), link, FREE);
    const two = simulate(idleGuest(PAGES), qemu({ multifd: { channels: 2 } }), link, FREE);
    const eight = simulate(idleGuest(PAGES), qemu({ multifd: { channels: 8 } }), link, FREE);
    expect(one.totalTimeMs / two.totalTimeMs).toBeCloseTo(2, 1);
    expect(one.totalTimeMs / eight.totalTimeMs).toBeCloseTo(4, 1);
    expect(two.ram.multifdBytes).toBe(two.ram.transferred);
  });
});

describe('post-copy', () => {
  it('sends each page once, whatever the guest writes, and the guest waits for those that are not there', () => {
    const truth = steadyWriter(PAGES, 12_000, 2048);
    const { ram, downtimeMs, totalTimeMs, postcopyBlocktimeMs } = simulate(truth, policy('post-copy'), LINK, { ...FREE, switchoverNs: 5 * MS });
    expect(ram.normal).toBe(PAGES);
    expect(downtimeMs).toBeCloseTo(5.1, 5);
    expect(totalTimeMs).toBeGreaterThan((PAGES * 1000) / 10_000);
    expect(ram.postcopyRequests).toBeGreaterThan(0);
    expect(postcopyBlocktimeMs).toBeGreaterThan(0);
  });

  it('a page that is asked for arrives after a request, itself and an answer', () => {
    // One access, at 10 ms, to the last page; the link has a latency of 2 ms, and sends 10 pages a ms.
    const truth = exactTruth(PAGES, S, (add) => add(10 * MS, PAGES - 1));
    const { postcopyBlocktimeMsMax, ram } = simulate(truth, policy('post-copy'), { ...LINK, latencyNs: 2 * MS }, FREE);
    expect(ram.postcopyRequests).toBe(1);
    expect(postcopyBlocktimeMsMax).toBeGreaterThan(4);
    expect(postcopyBlocktimeMsMax).toBeLessThan(4.25);
  });

  it('reads fault, too: with them there are more waits than with writes alone', () => {
    const writes = steadyWriter(PAGES, 100, 100);
    const reads = exactTruth(PAGES, 60 * S, (add) => {
      for (let i = 0; i < 100_000; i++) add(i * 0.2 * MS, (i * 1031) % PAGES);
    });
    const blind = simulate(writes, policy('post-copy'), LINK, FREE);
    const seeing = simulate({ ...writes, touches: reads.timeline }, policy('post-copy'), LINK, FREE);
    expect(seeing.ram.postcopyRequests).toBeGreaterThan(blind.ram.postcopyRequests);
    expect(blind.notes.join()).toMatch(/too few faults/);
  });

  it('hybrid: pre-copy to the first sync, then post-copy of what is left', () => {
    const { converges, reason, ram } = simulate(steadyWriter(PAGES, 12_000, 2048), policy('hybrid'), LINK, FREE);
    expect(converges).toBe(true);
    expect(reason).toBe('post-copy after sync 2');
    expect(ram.normal).toBeLessThanOrEqual(PAGES + 2048);
    expect(ram.precopyBytes + ram.postcopyBytes).toBe(ram.transferred);
  });
});

describe('rounds', () => {
  it('textbook: each set is what was written in the round before, and the series is geometric', () => {
    const { rounds, converges } = simulate(steadyWriter(PAGES * 8, 5000), { kind: 'rounds', name: 't', stopAtMs: 20 }, LINK, FREE);
    expect(converges).toBe(true);
    const sets = rounds.filter(({ ms }) => ms > 0).map(({ pages }) => pages);
    expect(sets.length).toBeGreaterThan(5);
    for (let i = 1; i < sets.length; i++) expect(sets[i] / sets[i - 1]).toBeCloseTo(0.5, 1);
    const model = constantRateModel({ pages: PAGES * 8, bytesPerSecond: LINK.bytesPerSecond, downtimeLimitMs: 20, switchoverMs: 0, timeLimitMs: 1e6 }, 5000);
    expect(simulate(steadyWriter(PAGES * 8, 5000), { kind: 'rounds', name: 't', stopAtMs: 20 }, LINK, FREE).totalTimeMs / model.totalTimeMs).toBeCloseTo(1, 2);
  });

  it('Xen stops after its iterations, however much is left; below 50 pages at once', () => {
    expect(simulate(steadyWriter(PAGES, 20_000), policy('xen'), LINK, FREE).reason).toBe('after round 6');
    expect(simulate(steadyWriter(PAGES, 10, 10), policy('xen'), LINK, FREE).reason).toBe('fewer than 50 pages');
  });

  it('Clark: what is written again already waits, so fewer pages are sent than without', () => {
    const truth = steadyWriter(PAGES, 3000, 1024);
    const skipping = simulate(truth, { kind: 'rounds', name: 's', stopAfterRounds: 6, skipsRewritten: true }, LINK, FREE);
    const sending = simulate(truth, { kind: 'rounds', name: 's', stopAfterRounds: 6 }, LINK, FREE);
    expect(skipping.ram.normal).toBeLessThan(sending.ram.normal);
    const clark = simulate(truth, policy('clark'), { bytesPerSecond: 125e6 }, FREE);
    expect(clark.rounds[0].bytes / (clark.rounds[0].ms / 1000) / 12.5e6).toBeCloseTo(1, 1);
  });
});

describe('log shipping', () => {
  it('catches up when the replay is faster than the guest, in a geometric series; else never', () => {
    const truth = { ...steadyWriter(PAGES, 20_000), inputBytes: (ns: number) => ns / 1e6 };
    const fast = simulate(truth, { kind: 'log-shipping', name: 'l', replaySpeed: 4, downtimeLimitMs: 50 }, LINK, FREE);
    expect(fast.converges).toBe(true);
    expect(fast.downtimeMs).toBeLessThanOrEqual(51);
    expect(fast.shipped!.checkpointBytes).toBe(PAGES * WIRE);
    // Guest time from checkpoint to stop has been replayed, at four times the speed.
    expect(fast.shipped!.replayMs * 4).toBeCloseTo(fast.stoppedAtMs!, -1);
    const slow = simulate(truth, { kind: 'log-shipping', name: 'l', replaySpeed: 0.9, downtimeLimitMs: 50 }, LINK, { ...FREE, timeLimitNs: 20 * S });
    expect(slow.converges).toBe(false);
  });
  it('the limit is for what is left to replay, as it is for what is left to send: the switch-over comes on top', () => {
    const one = simulate(steadyWriter(PAGES, 1000, 500), { kind: 'log-shipping', name: 'l', replaySpeed: 4, downtimeLimitMs: 5 }, LINK, { ...FREE, switchoverNs: 10 * MS });
    expect([one.converges, one.downtimeMs > 10, one.downtimeMs <= 15.5]).toEqual([true, true, true]);
  });
  it('the checkpoint is of the begin: a page of zeros that is written before its turn goes as zeros', () => {
    const isZero = (page: number, atNs: number): boolean => page === PAGES - 1 && atNs < 1 * MS;
    const truth = exactTruth(PAGES, S, (add) => add(1 * MS, PAGES - 1), { content: { ...contentOf({}), isZero } });
    const { ram } = simulate(truth, { kind: 'log-shipping', name: 'l', replaySpeed: 4, downtimeLimitMs: 50 }, LINK, FREE);
    expect([ram.duplicate, ram.normal]).toEqual([1, PAGES - 1]);
  });
});

describe('time', () => {
  it('a guest at half speed writes half as fast', () => {
    const slow = simulate(steadyWriter(PAGES, 4000, 2048), qemu(), LINK, { ...FREE, virtualPerWall: 0.5 });
    const other = simulate(steadyWriter(PAGES, 2000, 2048, 120), qemu(), LINK, FREE);
    expect(slow.ram).toEqual(other.ram);
  });

  it('after its end the recording is repeated, or idle, and the outcome says so', () => {
    const short = steadyWriter(PAGES, 4000, 400, 0.1);
    const long = steadyWriter(PAGES, 4000, 400);
    const repeated = simulate(short, qemu({ downtimeLimitMs: 20 }), LINK, FREE);
    expect(repeated.ram).toEqual(simulate(long, qemu({ downtimeLimitMs: 20 }), LINK, FREE).ram);
    expect(repeated.notes.join()).toMatch(/repeated 3\.\d times/);
    const idle = simulate(short, qemu({ downtimeLimitMs: 20 }), LINK, { ...FREE, afterEnd: 'idle' });
    expect(idle.ram.normal).toBe(PAGES + 400);
    expect(idle.notes.join()).toMatch(/nothing is written after its end/);
  });

  it('what the last epoch of a log wrote, at its end, is no page of zeros in a repetition', () => {
    // One page a repetition of 100 ms, at the very end of it; known by its epoch.
    const written = exactTruth(PAGES, 100 * MS, (add) => add(100 * MS, 7), { times: 'epoch end', epochEndsNs: Float64Array.of(100 * MS) });
    const content = { ...contentOf({}), isZero: (page: number, atNs: number) => page === 7 && atNs < 100 * MS };
    const { ram } = simulate({ ...written, content }, { kind: 'rounds', name: 'r', stopAfterRounds: 8 }, LINK, { ...FREE, startNs: 50 * MS });
    // Zeros in the first round if its turn comes before the write; never after.
    expect(ram.duplicate).toBeLessThanOrEqual(1);
    expect(ram.normal + ram.duplicate).toBeGreaterThan(PAGES);
  });

  it('repetitions that are left out change no dirty set: a migration over thousands of them', () => {
    const truth = steadyWriter(PAGES, 4000, 400, 0.1);
    const hour = simulate(truth, { kind: 'rounds', name: 'r', stopAfterRounds: 3 }, { bytesPerSecond: PAGES * 4 }, FREE);
    expect(hour.totalTimeMs).toBeGreaterThan(1_000_000);
    expect(hour.rounds.slice(0, 2).map(({ dirtied }) => dirtied)).toEqual([400, 400]);
  });

  it('what was written stays written when the recording is repeated: it is no page of zeros again', () => {
    const written = exactTruth(PAGES, S, (add) => add(900 * MS, 7));
    const content = { ...contentOf({}), isZero: (page: number, atNs: number) => page === 7 && atNs < 900 * MS };
    // All of it is sent again after a second: page 7 at 1.0007 s, of which the recording knows 0.7 ms, and then at each later sync.
    const { ram } = simulate({ ...written, content }, policy('stop-and-copy'), LINK, { ...FREE, startNs: 950 * MS, setupNs: 100 * MS });
    expect(ram.duplicate).toBe(0);
  });
  it('the repetition may leave out a begin, such as a boot', () => {
    // A boot of 1 s that writes everything, then 1 s of quiet.
    const boot = exactTruth(PAGES, 2 * S, (add) => {
      for (let i = 0; i < PAGES; i++) add(i * 0.2 * MS, i);
    });
    const whole = simulate(boot, qemu({ downtimeLimitMs: 1 }), { bytesPerSecond: WIRE * 1000 }, { ...FREE, startNs: 1 * S, timeLimitNs: 30 * S });
    const quiet = simulate(boot, qemu({ downtimeLimitMs: 1 }), { bytesPerSecond: WIRE * 1000 }, { ...FREE, startNs: 1 * S, repeatFromNs: 1 * S });
    expect(quiet.ram.normal).toBe(PAGES);
    expect(whole.ram.normal).toBeGreaterThan(PAGES);
  });

  it('what sockets hold is on the wire after the source says it is done', () => {
    const direct = simulate(idleGuest(PAGES), qemu(), LINK, FREE);
    const buffered = simulate(idleGuest(PAGES), qemu(), { ...LINK, bufferBytes: WIRE * 100 }, FREE);
    // A look at an empty set may come a millisecond later.
    expect(Math.abs(direct.totalTimeMs - buffered.totalTimeMs - 10)).toBeLessThanOrEqual(1.001);
  });

  it('refuses what cannot be', () => {
    expect(() => simulate(idleGuest(1), qemu(), { bytesPerSecond: 0 })).toThrow(/carries nothing/);
    expect(() => simulate(idleGuest(1), qemu(), LINK, { startNs: 2 * S })).toThrow(/cannot start/);
    expect(() => simulate(idleGuest(1), qemu(), LINK, { virtualPerWall: 0 })).toThrow(/must run/);
  });
});

describe('predict', () => {
  const truth = steadyWriter(PAGES, 4000, 2048);

  it('has a range around its answer that depends on the seed alone', () => {
    const first = predict(truth, qemu(), LINK, FREE, { seed: 7n });
    expect(predict(truth, qemu(), LINK, FREE, { seed: 7n })).toEqual(first);
    expect(predict(truth, qemu(), LINK, FREE, { seed: 8n }).totalTimeMs).not.toEqual(first.totalTimeMs);
    expect(first.totalTimeMs.p5).toBeLessThanOrEqual(first.totalTimeMs.p50);
    expect(first.totalTimeMs.p95).toBeGreaterThan(first.totalTimeMs.p5);
    expect(first.convergesShare).toBe(1);
    expect(predict(truth, qemu(), LINK, FREE, { bandwidthShare: 0, startNs: 0 }).totalTimeMs).toEqual({ p5: first.outcome.totalTimeMs, p50: first.outcome.totalTimeMs, p95: first.outcome.totalTimeMs });
  });

  it('calls unstable what converges in some samples only', () => {
    const shares = [8000, 8500, 9000, 9200, 9400, 9600].map((rate) => predict(steadyWriter(PAGES, rate, PAGES, 20), qemu({ downtimeLimitMs: 30 }), LINK, { ...FREE, timeLimitNs: 8 * S }, { bandwidthShare: 0.15 }));
    for (const { isUnstable, convergesShare } of shares) expect(isUnstable).toBe(convergesShare > 0 && convergesShare < 1);
    expect(shares.some(({ isUnstable }) => isUnstable)).toBe(true);
  });
});
