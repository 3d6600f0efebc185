/** One Debian recording is compared under every technique and platform at once, and the answer is the same from its log, from a replay, and live. */
import { beforeAll, describe, expect, it } from 'vitest';
import { Comparison, type ComparisonSetup } from '../../engine/analysis/comparison/comparison.ts';
import type { ComparisonReport, SegmentReport } from '../../engine/analysis/comparison/report.ts';
import { ExitProfileFold } from '../../engine/analysis/exit-profile/fold.ts';
import { LogReader } from '../../engine/log/reader.ts';
import { MemorySource } from '../../engine/log/storage.ts';
import { REGIMES, candidate, projectionOf } from '../../engine/regimes/catalogue.ts';
import { PLATFORMS } from '../../engine/regimes/platforms/platforms.ts';
import { foldLog, foldReplay } from '../../server/cli/compare-fold.ts';
import { type LinuxGuest, loadCore, loadLinux, recordLinux, shellScript } from './harness.ts';

const IDS = [...REGIMES, ...PLATFORMS].map(({ id }) => id);
/** Bytes of log between live looks: each opens what there is. */
const LOOK_EVERY_BYTES = 100_000;
const CONTEXT = { signals: { received: undefined }, err: { write: () => true } } as unknown as Parameters<typeof foldReplay>[4];

let core: WebAssembly.Module;
let guest: LinuxGuest;
beforeAll(async () => {
  core = loadCore();
  guest = await loadLinux('cloud');
});

const setup = (): ComparisonSetup => ({ candidates: IDS.map((id) => candidate(id)) });
const runOf = (report: ComparisonReport, id: string): SegmentReport => {
  const found = report.regimes.find((each) => each.id === id);
  if (found === undefined) throw new Error(`no regime ${id}`);
  return found.run;
};

describe.each(['mixed', 'cpu', 'mem', 'io', 'fork', 'syscall'])('work %s', (workload) => {
  it(`under ${IDS.length} techniques and platforms: log, replay and live say the same`, async () => {
    const live = new Comparison(setup());
    const profile = (): ExitProfileFold => new ExitProfileFold({ name: workload, projection: projectionOf(candidate('hw-shadow')) });
    const liveProfile = profile();
    let [taken, seenBytes, looks] = [0, 0, 0];
    const look = (bytes: Uint8Array): void => {
      const reader = LogReader.open(new MemorySource(bytes));
      for (; taken < reader.eventBlocks.length; taken++) {
        live.add(reader.batch(taken));
        liveProfile.fold(reader.batch(taken));
      }
      live.report();
      liveProfile.report();
    };
    const recording = recordLinux(core, {
      guest, script: shellScript([`work ${workload}`]),
      onLog: (log) => {
        if (log.length < seenBytes + LOOK_EVERY_BYTES) return;
        seenBytes = log.length;
        looks++;
        look(log.toBytes());
      },
    });
    expect(recording.console).toContain(workload === 'mixed' ? 'work: mixed done' : `work: ${workload} `);
    look(recording.log);
    // The boot alone fills more than one block: so the last look was not the only one.
    if (recording.log.length > 2 * LOOK_EVERY_BYTES) expect(looks).toBeGreaterThan(1);

    const reader = LogReader.open(new MemorySource(recording.log));
    const fromLog = new Comparison(setup());
    expect((await foldLog(fromLog, reader, CONTEXT)).kind).toBe('done');
    const fromReplay = new Comparison(setup());
    expect((await foldReplay(fromReplay, reader, recording.images, core, CONTEXT)).kind).toBe('done');
    const report = fromLog.report();
    expect(live.report()).toEqual(report);
    expect(fromReplay.report()).toEqual(report);

    const fromBlocks = profile();
    for (let i = 0; i < reader.eventBlocks.length; i++) fromBlocks.fold(reader.batch(i));
    expect(liveProfile.report()).toEqual(fromBlocks.report());

    expect(report.events).toBe(reader.records);
    expect(runOf(report, 'native')).toMatchObject({ exits: 0, slowdown: { low: 1, typical: 1, high: 1 } });
    expect(runOf(report, 'hw').exits).toBeLessThan(runOf(report, 'hw-shadow').exits);
    expect(runOf(report, 'xen-pvhvm').exits).toBeLessThan(runOf(report, 'kvm-shadow').exits);
  });
});
