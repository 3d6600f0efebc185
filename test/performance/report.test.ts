import { describe, expect, it } from 'vitest';
import { PHASES } from './guest.ts';
import { type Mark, phasesOf } from './measure.ts';
import { type Host, type Mode, PEERS, type Run, reportOf, textOf } from './report.ts';

const HOST: Host = { cpu: 'a CPU', cores: 2, node: 'v0', qemu: '7', v86: '0.5', loadBefore: 1, loadAfter: 2 };

/** Each phase takes as long; wall time is twice the CPU time. */
function run(mode: Mode, cpuSeconds: number, instructions?: number): Run {
  const marks = PHASES.map(({ name }, i): Mark => ({ name, cpuSeconds: (i + 1) * cpuSeconds, wallSeconds: (i + 1) * cpuSeconds * 2, ...(instructions !== undefined && { instructions: (i + 1) * instructions }) }));
  return { mode, phases: phasesOf(marks), residentBytes: 2 ** 20 };
}
const peer = (mode: Mode): number => PEERS.findIndex((each) => each.ours === 'record' && each.peer === mode);

describe('the report', () => {
  it('says how many times as fast recording is: by time against QEMU, by rate against v86', () => {
    const { phases, geometricMeans } = reportOf([run('record', 2, 100), run('rr-record', 3), run('v86', 4, 500)], [HOST]);
    for (const { timesAsFast } of phases) {
      expect(timesAsFast[peer('rr-record')]).toEqual({ cpuSeconds: 1.5, wallSeconds: 1.5 });
      // 50 a second against 125.
      expect(timesAsFast[peer('v86')].cpuSeconds).toBeCloseTo(0.4);
      expect(timesAsFast[peer('tcg')].cpuSeconds).toBeNaN();
    }
    expect(geometricMeans[peer('rr-record')].wallSeconds).toBeCloseTo(1.5);
  });

  it('takes ratios within a round before the median, so that a host that slows down does not count', () => {
    const rounds = [1, 10, 3].flatMap((slower) => [run('plain', slower, 10), run('record', 1.1 * slower, 10)]);
    const { phases, runs } = reportOf(rounds, [HOST]);
    expect(runs).toEqual({ plain: 3, record: 3 });
    expect(phases[0].recordAgainstPlain).toBeCloseTo(1.1);
    expect(phases[0].cpuSeconds.plain).toBeCloseTo(3);
  });

  it('has a second run of a guest beside the first, each with its own name', () => {
    const text = textOf(reportOf([run('record', 2, 100), run('record-warm', 1, 100), run('rr-record', 3)], [HOST]));
    expect(text).toMatch(/^\| CPU seconds, median +\| 10\^6 instr\. \| record \| record-warm \| rr-record \|/m);
    expect(text).toMatch(/^\| times as fast +\| record : rr-record, CPU \| record : rr-record, wall \| record-warm : rr-record, CPU \| record-warm : rr-record, wall \|$/m);
    expect(text).toMatch(/^\| total +\| +1\.50 \| +1\.50 \| +3\.00 \| +3\.00 \|$/m);
  });

  it('prints what was run, and a dash for what cannot be said', () => {
    const text = textOf(reportOf([run('record', 2, 100e6), run('v86', 4)], [HOST]));
    expect(text).toContain('a CPU, 2 cores, Node v0, QEMU 7, v86 0.5, load 1.0 to 2.0');
    expect(text).not.toContain('tcg');
    expect(text).toMatch(/^\| boot to init +\| +50 \|$/m);
    expect(text).toMatch(/^\| geometric mean of the phases \| +- \| +- \|$/m);
  });
});
