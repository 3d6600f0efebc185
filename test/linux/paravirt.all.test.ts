/** Debian's cloud kernel uses the paravirtual interfaces that it is offered, as it does under the real hypervisors, and the recording replays. */
import { beforeAll, describe, expect, it } from 'vitest';
import { candidate, costsOf, projectionOf } from '../../engine/regimes/catalogue.ts';
import { LogReader } from '../../engine/log/reader.ts';
import { MemorySource } from '../../engine/log/storage.ts';
import type { ParavirtKind } from '../../engine/machine/paravirt/paravirt.ts';
import { type LinuxGuest, type LinuxRecording, loadCore, loadLinux, recordLinux, replayLinux, shellScript } from './harness.ts';

const CLOCKSOURCES = '/sys/devices/system/clocksource/clocksource0';
const LOOK = ["dmesg | grep -E 'ypervisor|kvm|Hyper-V|clocksource'", `cat ${CLOCKSOURCES}/current_clocksource`, 'cat /proc/interrupts'];
const LOOK_AND_WORK = [...LOOK, 'work mixed'];

let core: WebAssembly.Module;
let guest: LinuxGuest;
let bare: LinuxRecording;
let without: Counts;
beforeAll(async () => {
  core = loadCore();
  guest = await loadLinux('cloud');
  bare = recordLinux(core, { guest, acpi: true, script: shellScript(LOOK_AND_WORK) });
  without = countsOf(bare);
});

function recordAndReplay(pv: ParavirtKind, acpi: boolean): LinuxRecording {
  const recording = recordLinux(core, { guest, acpi, pv, script: shellScript(acpi ? LOOK_AND_WORK : LOOK) });
  if (acpi) expect(recording.console).toContain('work: mixed done');
  const replay = replayLinux(core, recording.log, recording.images);
  expect(replay.status).toMatchObject({ kind: 'identical', complete: true, position: recording.position, digest: recording.status.digest });
  return recording;
}

interface Counts {
  /** Writes, by index. */
  readonly msrs: ReadonlyMap<number, number>;
  /** Ends of interrupts through the APIC's page. */
  readonly eois: number;
  /** Under `hw` without APICv. */
  readonly exits: number;
}

function countsOf({ log }: LinuxRecording): Counts {
  const reader = LogReader.open(new MemorySource(log));
  const msrs = new Map<number, number>();
  let eois = 0;
  for (const event of reader.events({ kinds: ['exit'] })) {
    if (event.kind !== 'exit') continue;
    const { detail } = event;
    if (detail.kind === 'msr' && event.reason === 32) msrs.set(detail.index, (msrs.get(detail.index) ?? 0) + 1);
    if (detail.kind === 'mmio' && Number(detail.address) === 0xfee000b0) eois++;
  }
  const chosen = candidate('hw', { options: { apicv: false } });
  const projection = projectionOf(chosen, costsOf(chosen));
  let exits = 0;
  reader.eventBlocks.forEach((_, i) => {
    const batch = reader.batch(i);
    projection.fold(batch, 0, batch.count, { exit: () => void exits++, exitTimes: (_row, _reason, _qualification, _handler, _cycles, count) => void (exits += count), direct: () => undefined });
  });
  return { msrs, eois, exits };
}

describe('KVM', () => {
  it('with a local APIC: clock, wall clock, steal time, and ends of interrupts without an exit', () => {
    const recording = recordAndReplay('kvm', true);
    for (const line of ['Hypervisor detected: KVM', 'kvm-clock: Using msrs 4b564d01 and 4b564d00', 'kvm-clock: using sched offset of', 'Switched to clocksource kvm-clock']) {
      expect(recording.console).toContain(line);
    }
    const { msrs, eois, exits } = countsOf(recording);
    for (const index of [0x4b564d00, 0x4b564d01, 0x4b564d03, 0x4b564d04]) expect(msrs.get(index), index.toString(16)).toBeGreaterThan(0);
    expect(without.eois).toBeGreaterThan(100);
    expect(eois).toBeLessThan(without.eois / 20);
    expect(exits).toBeLessThan(without.exits / 2);
  });

  it('without: the clock', () => {
    const recording = recordAndReplay('kvm', false);
    expect(recording.console).toContain('kvm-clock: using sched offset of');
    expect(countsOf(recording).msrs.has(0x4b564d04)).toBe(false);
  });
});

describe('Hyper-V', () => {
  it('with a local APIC: reference TSC page, frequencies, APIC by MSR, synthetic timer in direct mode', () => {
    const recording = recordAndReplay('hyperv', true);
    for (const line of ['Hypervisor detected: Microsoft Hyper-V', 'Switched to clocksource hyperv_clocksource_tsc_page', 'Hyper-V: Using enlightened APIC (xapic mode)', 'Hyper-V: LAPIC Timer Frequency: 0x3d0900']) {
      expect(recording.console).toContain(line);
    }
    expect(recording.console).toMatch(/^hyperv_clocksource_tsc_page\r?$/m);
    expect(Number(/HVS: +(\d+) /.exec(recording.console)?.[1])).toBeGreaterThan(20);
    const { msrs, eois, exits } = countsOf(recording);
    for (const index of [0x40000000, 0x40000001, 0x40000021, 0x40000073, 0x400000b0, 0x400000b1]) expect(msrs.get(index), index.toString(16)).toBeGreaterThan(0);
    expect([eois, msrs.get(0x40000070) ?? 0].every((count) => count < without.eois / 20)).toBe(true);
    expect(exits).toBeLessThan(without.exits / 2);
  });

  it('without: the reference TSC page', () => {
    expect(recordAndReplay('hyperv', false).console).toMatch(/^hyperv_clocksource_tsc_page\r?$/m);
  });
});

it('offered nothing, it finds nothing', () => {
  expect(bare.console).not.toContain('Hypervisor detected');
  expect([...without.msrs.keys()].filter((index) => index >>> 28 === 4)).toEqual([]);
});
