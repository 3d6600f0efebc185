/**
 * Stock Debian kernels on our machine: they boot, work, power off, and the replay is the same run. Several minutes.
 * The guests come from the store; they are fetched through apt if they are not there (server/guests).
 */
import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { LogReader } from '../../engine/log/reader.ts';
import { MemorySource } from '../../engine/log/storage.ts';
import { readCpio } from '../../server/guests/cpio.ts';
import { type LinuxGuest, type LinuxRecording, type LinuxRun, MemoryDisk, loadCore, loadLinux, recordLinux, replayLinux, shellScript } from './harness.ts';

const MIB = 1 << 20;

/** `work mixed` with its checksums, which are the same on every machine: they were taken under QEMU. */
const MIXED = [
  'work: cpu 30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb58 aee609df863ee6dbfd7e535f7a94ef7a2f3c1d4278ad808e38e094ea3ccfda79',
  'work: mem b54dcf0e470d01df073ad1d452df0b5f99787e499803032bc9673e0963ff765d fee7e303ed127f1cf386d77a5fa43acad290a29132e6f0476be2a1dea5ef0b79',
  'work: io 65c0646e9b5c5a34ec77b04b58baa08933ada031bf85e5204b0fe9482c1f2009',
  'work: fork ab7aef69a4d0eb2fde8e35524d081b26a79feee31d44b741a5725d9152a3c3ac',
  'work: syscall 33d278ef571692bf0baf849adf40e69878af8be1e8a04165944e94aedc79d67c',
  'work: mixed done',
];

let core: WebAssembly.Module;
let cloud: LinuxGuest;
beforeAll(async () => {
  core = loadCore();
  cloud = await loadLinux('cloud');
});

const lines = (recording: LinuxRecording): string[] => recording.console.split('\n').map((line) => line.trim());

/** Records, and replays `times` times; every replay must be the same run to its last state. */
function recordAndReplay(run: LinuxRun, times = 1): LinuxRecording {
  const recording = recordLinux(core, run);
  for (let i = 0; i < times; i++) {
    const replay = replayLinux(core, recording.log, recording.images);
    if (replay.status.kind === 'diverged') throw new Error(`replay ${i + 1} diverged: ${JSON.stringify(replay.status.divergence, (_, value: unknown) => (typeof value === 'bigint' ? `0x${value.toString(16)}` : value))}`);
    expect(replay.status).toMatchObject({ complete: true, position: recording.position, digest: recording.status.digest });
    expect(replay.records).toBe(recording.records);
    expect(replay.console).toBe(recording.console);
  }
  return recording;
}

describe('the cloud kernel', () => {
  it('boots, runs work mixed from a script, powers off, and replays identically three times', () => {
    const recording = recordAndReplay({ guest: cloud, script: shellScript(['work mixed']) }, 3);
    expect(lines(recording)).toEqual(expect.arrayContaining(['chronovisor: init', ...MIXED]));
    expect(recording.status).toMatchObject({ reason: 'halted', detail: 'HLT with interrupts off' });
    // Goal of the design: at most half a byte for 1000 instructions, with every exit and interrupt in it.
    expect((recording.log.length / recording.position) * 1000).toBeLessThan(0.5);
    const { counts } = LogReader.open(new MemorySource(recording.log));
    for (const kind of ['input', 'exit', 'interrupt', 'device', 'idle', 'dirty', 'digest'] as const) expect(counts[kind], kind).toBeGreaterThan(0);
  });

  it('gives the same log when it is recorded again', () => {
    const run = { guest: cloud, script: shellScript([]) };
    expect(Buffer.compare(recordLinux(core, run).log, recordLinux(core, run).log)).toBe(0);
  });

  for (const memoryMib of [128, 1024]) {
    it(`does the same with ${memoryMib} MiB`, () => {
      const recording = recordAndReplay({ guest: cloud, memoryMib, script: shellScript(['work mixed', 'head -n 1 /proc/meminfo']) });
      expect(lines(recording)).toEqual(expect.arrayContaining(MIXED));
      const kib = Number(/MemTotal: +(\d+) kB/.exec(recording.console)?.[1]);
      expect(kib).toBeGreaterThan(memoryMib * 1024 * 0.65);
      expect(kib).toBeLessThan(memoryMib * 1024);
    });
  }

  it('ends in a triple fault when it panics', () => {
    // panic=-1 does not wait before it reboots; reboot=t does so by a triple fault.
    const recording = recordAndReplay({ guest: cloud, append: 'panic=-1', script: shellScript([], 'echo c >/proc/sysrq-trigger') });
    expect(recording.console).toContain('Kernel panic - not syncing: sysrq triggered crash');
    expect(recording.status.reason).toBe('triple-fault');
  });
});

describe('the full kernel', () => {
  it('boots, runs work mixed from a script, powers off, and replays identically', async () => {
    const recording = recordAndReplay({ guest: await loadLinux('full'), script: shellScript(['work mixed']) });
    expect(lines(recording)).toEqual(expect.arrayContaining(['chronovisor: init', ...MIXED]));
    expect(recording.status.reason).toBe('halted');
  });
});

describe('the machine with ACPI', () => {
  it('powers off through S5', () => {
    const recording = recordAndReplay({ guest: cloud, acpi: true, script: shellScript(['cat /proc/interrupts']) });
    expect(recording.console).toMatch(/IO-APIC +4-edge +ttyS0/);
    expect(recording.status).toMatchObject({ reason: 'shutdown', detail: 'the guest powered the machine off (ACPI S5)' });
  });

  it('has a disk: what the guest writes is read back by it, by the host, and by the next guest', () => {
    // What `work mixed` writes: the numbers from 1, one a line, up to 512 KiB. A second write in large requests follows at 1 MiB.
    const pattern = Buffer.from(Array.from({ length: 120_000 }, (_, i) => `${i + 1}\n`).join('').slice(0, MIB / 2));
    const hash = createHash('sha256').update(pattern).digest('hex');
    const busybox = readCpio(cloud.initrd).find(({ path }) => path === 'bin/busybox');
    if (busybox?.kind !== 'file') throw new Error('no busybox in the initrd');

    const base = new Uint8Array(4 * MIB);
    for (let i = 0; i < base.length; i++) base[i] = (i * 7 + (i >> 12)) & 0xff;
    const disk = new MemoryDisk(base);
    const commands = ['work mixed', 'dd if=/bin/busybox of=/dev/vda bs=65536 seek=16 conv=fsync', 'echo 3 >/proc/sys/vm/drop_caches', `dd if=/dev/vda bs=65536 skip=16 | head -c ${busybox.bytes.length} | cmp - /bin/busybox && echo read back`];
    const written = recordAndReplay({ guest: cloud, acpi: true, virtio: ['block'], disk, script: shellScript(commands) });
    expect(lines(written)).toEqual(expect.arrayContaining([...MIXED, 'read back']));
    expect(lines(written)).toContain(`work: io ${hash}`);
    expect(written.status.reason).toBe('shutdown');
    expect(disk.isUntouched).toBe(true);
    const merged = written.machine.block!.readMerged(0, 4 * MIB);
    expect(Buffer.compare(merged.subarray(0, pattern.length), pattern)).toBe(0);
    expect(Buffer.compare(merged.subarray(pattern.length, MIB), base.subarray(pattern.length, MIB))).toBe(0);
    expect(Buffer.compare(merged.subarray(MIB, MIB + busybox.bytes.length), busybox.bytes)).toBe(0);

    const next = new MemoryDisk(merged);
    const read = recordAndReplay({ guest: cloud, acpi: true, virtio: ['block'], disk: next, script: shellScript([`head -c ${pattern.length} /dev/vda | sha256sum`]) });
    expect(lines(read)).toContain(`${hash}  -`);
    expect(read.machine.block!.overlayPageCount).toBe(0);
  });

  it('has a virtio console, network card, entropy source and disk that Linux drives', () => {
    const recording = recordAndReplay({
      guest: cloud,
      acpi: true,
      virtio: ['console', 'net', 'rng', 'block'],
      disk: new MemoryDisk(new Uint8Array(MIB)),
      script: shellScript([
        'lsmod | cut -d " " -f 1 | sort | tr "\\n" " "',
        'cat /sys/class/misc/hw_random/rng_current',
        'head -c 4096 /dev/hwrng | gzip | wc -c',
        'echo "this goes to hvc0" >/dev/hvc0',
        'ip link set eth0 up; ip addr add 10.0.0.2/24 dev eth0',
        // Nobody answers on a loop, but every frame comes back.
        'ping -c 1 -w 1 10.0.0.3; grep eth0 /proc/net/dev',
        'dd if=/dev/vda of=/dev/null bs=4096 count=4; sync',
      ]),
    });
    const { console } = recording;
    expect(console).not.toContain('cannot load');
    for (const module of ['virtio_mmio', 'virtio_blk', 'virtio_console', 'virtio_net', 'virtio_rng']) expect(console).toContain(module);
    expect(console).toContain('virtio_rng.0');
    // Random bytes do not get smaller.
    expect(lines(recording).map(Number).some((bytes) => bytes > 4096 && bytes < 4200)).toBe(true);
    expect(recording.virtioConsole.trim()).toBe('this goes to hvc0');
    const [received, , , , , , , , sent] = /eth0: *(.*)/.exec(console)![1].trim().split(/ +/).map(Number);
    expect(sent).toBeGreaterThan(0);
    expect(received).toBe(sent);
    expect(console).toContain('4+0 records in');
    expect(recording.status.reason).toBe('shutdown');
  });
});
