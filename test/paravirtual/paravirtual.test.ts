import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { HYPERCALL_REASON } from '../../engine/log/events.ts';
import { HYPERVISOR_mmu_update, HYPERVISOR_multicall } from '../../engine/regimes/para/abi.ts';
import { DEFAULT_ACCESS_COST_NS } from '../../engine/machine/machine.ts';
import { pageHashes } from '../../engine/machine/snapshot.ts';
import { decodeRecipe } from '../../engine/recording/recipe.ts';
import { Recorder } from '../../engine/recording/recorder.ts';
import { imagesFolder } from '../../server/store/lab-guests.ts';
import { type PvRun, module, newReplayer, record } from './runs.ts';

/** engine/guests/README.md */
const SUMS = { io: '09aa67b5cdcfb4df', fork: '178fc0424411e783' } as const;

const hypercalls = ({ reader }: PvRun): Map<number, number> => {
  const counts = new Map<number, number>();
  for (const { event } of reader.entries({ kinds: ['exit'] })) if (event.kind === 'exit') counts.set(event.reason, (counts.get(event.reason) ?? 0) + 1);
  return counts;
};

describe('workloads', () => {
  const run = record('run="work io; work fork; poweroff"');

  it('have the sums of every other machine', () => {
    for (const [kind, sum] of Object.entries(SUMS)) expect(run.output).toContain(`work ${kind}: ${sum}`);
    expect(run.end).toMatchObject({ kind: 'ended', reason: 'debug-exit', detail: '1' });
    expect(run.output).toContain('lab kernel: 31 MiB, paravirtual');
  });

  it('touch no port, register or MSR, and store to no page table', () => {
    const reasons = [...hypercalls(run).keys()];
    // Exceptions of programs, system calls, and hypercalls.
    expect(reasons.filter((reason) => reason < HYPERCALL_REASON).sort((a, b) => a - b)).toEqual([0, 0x101]);
    const vectors = new Set<number>();
    for (const { event } of run.reader.entries({ kinds: ['exit'] })) if (event.kind === 'exit' && event.detail.kind === 'exception') vectors.add(event.detail.vector);
    expect([...vectors]).toEqual([14]);
  });

  it('fork changes its tables in batches', () => {
    let isFork = false;
    let calls = 0;
    let entries = 0;
    let largest = 0;
    for (const { event } of run.reader.entries({ kinds: ['exit', 'mark'] })) {
      if (event.kind === 'mark') isFork = event.name === 'work fork';
      if (!isFork || event.kind !== 'exit' || event.detail.kind !== 'plain' || (event.reason !== HYPERCALL_REASON + HYPERVISOR_mmu_update && event.reason !== HYPERCALL_REASON + HYPERVISOR_multicall)) continue;
      const count = Number(event.detail.qualification);
      calls++;
      entries += count;
      largest = Math.max(largest, count);
    }
    expect(entries / calls).toBeGreaterThan(2);
    expect(largest).toBeGreaterThan(30);
  });

  it('are replayed event by event, and say their regime', () => {
    expect(run.reader.header.config.regime).toBe('para');
    expect(decodeRecipe(run.reader.header).regime).toBe('para');
    expect(newReplayer(run).run()).toMatchObject({ kind: 'identical', complete: true });
  });

  it('go on from a checkpoint in another machine', () => {
    const first = newReplayer(run);
    first.step(5_000_003);
    const state = first.save();
    const { core } = first.machine;
    const ram = core.readPhysical(0, core.ramBytes);
    const pages = { hashes: pageHashes(core), read: (frame: number) => ram.slice(frame * 4096, (frame + 1) * 4096) };
    const second = newReplayer(run);
    second.step(400_000);
    second.restore({ state, pages });
    expect(second.run()).toMatchObject({ kind: 'identical', complete: true });
  });
});

describe('privilege', () => {
  it('programs reach neither the kernel nor what is privileged, although both run at CPL 3', () => {
    const { output, end } = record('run="crash kernel; crash gp; crash ud; crash text; crash nx; crash null; crash div; crash alarm; poweroff"');
    const faults = [...output.matchAll(/^crash\[\d+\]: (#\w+) at [0-9a-f]+, error ([0-9a-f]+), address ([0-9a-f]+): ended/gm)].map(([, name, error, address]) => `${name} ${error} ${address}`);
    // Error codes as the CPU has them for a program: the user bit is set.
    expect(faults).toEqual(['#PF 4 ffffffff80100000', '#GP 0 0', '#UD 0 0', '#PF 7 400000', expect.stringMatching(/^#PF 15 7f/), '#PF 4 0', '#DE 0 0']);
    expect(end).toMatchObject({ kind: 'ended', detail: '1' });
  });

  it('a kernel without a stack has crashed; one that finds itself broken says so', () => {
    expect(record('run="panic stack"').end).toMatchObject({ kind: 'ended', reason: 'triple-fault', detail: expect.stringContaining('cannot be written') as string });
    const { output, end } = record('run="panic null"');
    expect(output).toContain('PANIC: #PF in the kernel, error 0, address 0');
    expect(end).toMatchObject({ kind: 'ended', reason: 'debug-exit', detail: '3' });
  });
});

describe('rings', () => {
  it('what is typed reaches the shell, and comes from the log in a replay', () => {
    const run = record('', { script: 'expect "$ "\nsend "echo paravirtual\\n"\nexpect "$ "\nsend "sleep 20\\n"\nexpect "$ "\nsend "poweroff\\n"\n' });
    expect(run.output).toMatch(/\$ echo paravirtual\r\nparavirtual\r\n/);
    expect(run.end).toMatchObject({ kind: 'ended', detail: '1' });
    expect(newReplayer(run).run()).toMatchObject({ kind: 'identical', complete: true });
  });

  it('the disk gives what the virtio disk gives', () => {
    const image = Uint8Array.from({ length: 256 * 512 }, (_, i) => (i * 31 + (i >> 8)) & 0xff);
    const disk = { byteLength: image.length, read: (offset: number, length: number) => image.slice(offset, offset + length) };
    const commands = 'run="disk read 3; work io; disk read 250; poweroff"';
    const run = record(commands, { disk });
    const bytes: number[] = [];
    const native = new Recorder({
      recipe: {
        guest: 'lab', commandLine: `${commands} virtio_mmio.device=0x200@0xd0000000:5`, protocol: 'auto',
        machine: { memoryBytes: 32 << 20, seed: '0000000000000001', wallClockNs: '0', acpi: false, virtio: ['block'], accessCostNs: DEFAULT_ACCESS_COST_NS },
        epochInstructions: 0, digestInstructions: 0,
      },
      images: { kernel: new Uint8Array(readFileSync(join(imagesFolder(), 'lab-kernel.elf'))), disk },
      module,
      outputs: { console: (byte) => bytes.push(byte) },
    });
    for (let step = 0; step < 100 && native.step(500_000, true).kind !== 'ended'; step++);
    const shell = (text: string): string => text.slice(text.indexOf('lab kernel ready'));
    expect(run.output).toMatch(/work io disk: [0-9a-f]{16}/);
    expect(shell(run.output)).toEqual(shell(String.fromCharCode(...bytes)));
    expect(newReplayer(run).run()).toMatchObject({ kind: 'identical', complete: true });
  });
});
