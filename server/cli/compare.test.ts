/**
 * `compare` and `regimes` as people meet them: on the recordings of this repository.
 */
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LogEvent } from '../../engine/log/events.ts';
import { LogReader } from '../../engine/log/reader.ts';
import { MemorySink, MemorySource } from '../../engine/log/storage.ts';
import { createLog } from '../../engine/log/writer.ts';
import { cli } from './testing.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const trace = join(root, 'traces', 'lab-kernel.cvlog');
const linux = join(root, 'traces', 'published', 'debian-boot.cvlog');
const folder = mkdtempSync(join(tmpdir(), 'chronovisor-compare-'));
process.chdir(folder);
process.env['CHRONOVISOR_HOME'] = join(folder, 'home');


function file(name: string, content: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('regimes', () => {
  it('lists techniques, platforms and CPUs', async () => {
    const { status, out } = await cli('regimes', 'list');
    expect(status).toBe(0);
    for (const word of ['native', 'container', 'full', 'para', 'hw-shadow', 'firecracker', 'xen-pv', 'zvm', 'cascade-lake']) expect(out).toContain(word);
    const listed = JSON.parse((await cli('regimes', 'list', '--json')).out) as { regimes: unknown[]; platforms: unknown[] };
    expect([listed.regimes.length, listed.platforms.length]).toEqual([6, 16]);
  });

  it('shows one: options, costs with their sources, limits', async () => {
    const { status, out } = await cli('regimes', 'show', 'kvm-qemu');
    expect(status).toBe(0);
    expect(out).toMatch(/kvmPv +true/);
    expect(out).toMatch(/hw\.cpuid +1350 +guest +2023 +derived +Huang et al\., SOSP 2023/);
    expect((await cli('regimes', 'show', 'hw', '--cpu', 'haswell')).out).toMatch(/hw\.cpuid +1350 +guest +2023 +assumed .*taken for haswell/);
  });

  it('refuses what it does not know', async () => {
    expect(await cli('regimes', 'show', 'hv')).toMatchObject({ status: 17, err: expect.stringContaining('there is no regime or platform "hv"') as string });
    expect(await cli('regimes', 'show')).toMatchObject({ status: 2 });
    expect(await cli('regimes', 'show', 'hw', '--cpu', 'i486')).toMatchObject({ status: 17, err: expect.stringContaining('no CPU "i486"') as string });
  });
});

describe('compare', () => {
  it('shows six techniques side by side, and what was not charged', async () => {
    const { status, out } = await cli('compare', trace);
    expect(status).toBe(0);
    for (const id of ['native', 'container', 'full', 'para', 'hw', 'hw-shadow']) expect(out).toMatch(new RegExp(`^  ${id} +\\d+\\.\\d+x`, 'm'));
    expect(out).toMatch(/^  native +1\.000x +1\.000x to 1\.000x +0 /m);
    expect(out).toContain('not charged, because logs do not hold it: TLB misses (--replay --tlb counts them, --page-walks says them): native,');
    const { out: older } = await cli('compare', join(root, 'traces', 'landed', 'lab-kernel-1.0.cvlog'));
    expect(older).toContain('not charged, because logs do not hold it: system calls (--system-calls): container, full, para');
    const { out: rated } = await cli('compare', trace, '--system-calls', '10', '--page-walks', '10', '--kernel-share', '0.5');
    expect(rated.match(/not charged.*/g)).toEqual(['not charged, because logs do not hold it: pause-loop exits (--replay --pauses tells of each PAUSE): hw']);
  });

  it('cuts phases at the guest\'s marks, and explains with --details and --sources', async () => {
    const { out } = await cli('compare', trace, '--phases', '--details', '--sources', '--regimes', 'hw-shadow,kvm-qemu');
    for (const text of ['work fork: @', 'the answer depends on', 'what would remove it', 'ept = true', 'costs on cascade-lake, cycles', 'Huang et al., SOSP 2023']) expect(out).toContain(text);
  });

  it('gives scripts the same numbers as JSON, and takes several files', async () => {
    const { status, out } = await cli('compare', trace, linux, '--regimes', 'all', '--json');
    expect(status).toBe(0);
    const { files } = JSON.parse(out) as { files: { instructions: number; phases: unknown[]; regimes: { id: string; run: { exits: number; slowdown: { typical: number } }; phases: { exits: number }[]; removals: unknown[] }[] }[] };
    expect(files).toHaveLength(2);
    for (const { regimes, phases } of files) {
      expect(regimes).toHaveLength(22);
      for (const { run, phases: each } of regimes) {
        expect(each).toHaveLength(phases.length);
        expect(each.reduce((sum, { exits }) => sum + exits, 0)).toBe(run.exits);
      }
      const exits = (id: string): number => regimes.find((regime) => regime.id === id)?.run.exits ?? NaN;
      expect(exits('native')).toBe(0);
      expect(exits('hw')).toBeLessThan(exits('hw-shadow'));
    }
  });

  it('takes a platform of the user, and says what is wrong with one', async () => {
    const mine = file('mine.json', { id: 'mine', title: 'My monitor', regime: 'hw', options: { irqchip: 'user' }, costs: [{ parameter: 'hw.io-user', cpu: 'cascade-lake', year: 2026, low: 1, typical: 2, high: 3, definition: 'guest', source: 'my bench', trust: 'primary' }] });
    const { status, out } = await cli('compare', trace, '--regime-file', mine, '--regimes', 'mine', '--sources');
    expect(status).toBe(0);
    expect(out).toMatch(/hw\.io-user +2 \(1 to 3\) +guest +2026 +primary +my bench/);
    const failures: readonly (readonly [unknown, RegExp])[] = [
      ['{ not json', /bad\.json: not JSON/],
      [{ id: 'mine' }, /bad\.json: "title" must be a text; it is missing/],
      [{ id: 'mine', title: 'x', regime: 'hw', options: { apic: 1 } }, /platform mine: there is no option "apic"/],
    ];
    for (const [content, message] of failures) {
      const result = await cli('compare', trace, '--regime-file', file('bad.json', content));
      expect(result.status).toBe(17);
      expect(result.err).toMatch(message);
    }
  });

  it('refuses wrong options and files', async () => {
    expect(await cli('compare', trace, '--regimes', 'hw-shadwo')).toMatchObject({ status: 17, err: expect.stringContaining('did you mean hw-shadow') as string });
    expect(await cli('compare', trace, '--cpi', '0')).toMatchObject({ status: 2 });
    expect(await cli('compare', trace, '--kernel-share', '2')).toMatchObject({ status: 2, err: expect.stringContaining('a number from 0 to 1') as string });
    expect(await cli('compare', 'missing.cvlog')).toMatchObject({ status: 13 });
    expect(await cli('compare', file('text.cvlog', 'this is not a log'))).toMatchObject({ status: 40 });
  });
});

describe('compare --svg', () => {
  it('draws the table, and replaces nothing unasked', async () => {
    const picture = join(folder, 'lab.svg');
    const { status, out } = await cli('compare', trace, '--svg', picture, '--phases');
    expect(status).toBe(0);
    expect(out).toContain(`${picture}: the same as a picture`);
    const svg = readFileSync(picture, 'utf8');
    // The number of the table is in the picture.
    const slowdown = /^  hw-shadow +(\d+\.\d+x)/m.exec(out)?.[1] ?? 'missing';
    for (const text of ['work fork, @', 'run=&quot;work mixed; poweroff&quot;', 'lab-kernel.cvlog', 'cascade-lake', `>${slowdown}<`]) expect(svg).toContain(text);

    expect(await cli('compare', trace, '--svg', picture, '--regimes', 'hw')).toMatchObject({ status: 12, err: expect.stringContaining('--force') as string });
    expect(readFileSync(picture, 'utf8')).toBe(svg);
    expect((await cli('compare', trace, '--svg', picture, '--regimes', 'hw', '--force')).status).toBe(0);
    expect(readFileSync(picture, 'utf8')).not.toContain('hw-shadow');
    const own = join(folder, 'own.cvlog');
    writeFileSync(own, readFileSync(trace));
    expect(await cli('compare', own, '--svg', own, '--force')).toMatchObject({ status: 2, err: expect.stringContaining('is what is read: choose another name') as string });
    expect(readFileSync(own).equals(readFileSync(trace))).toBe(true);
    expect(await cli('compare', trace, '--svg', join(folder, 'missing', 'a.svg'))).toMatchObject({ status: 13 });
  });
});

describe('compare --suite and --replay', () => {
  const recordings = join(folder, 'suite');

  interface SuiteJson {
    readonly suite: { readonly folder: string; readonly workloads: { name: string; file: string; isReused: boolean; from: number; to: number; instructions: number; regimes: { id: string; exits: number; slowdown: { typical: number } }[] }[] };
  }

  it('records each workload once, compares it without its boot, and draws it', async () => {
    const picture = join(folder, 'suite.svg');
    const { status, out } = await cli('compare', '--suite', '-o', recordings, '--svg', picture);
    expect(status).toBe(0);
    for (const name of ['cpu', 'mem', 'io', 'syscall', 'fork', 'mixed']) expect(out).toMatch(new RegExp(`^  ${name} +native +1\\.000x`, 'm'));
    expect(out).not.toContain('used again');
    expect(readFileSync(picture, 'utf8')).toContain('work fork: ');
    const files = readdirSync(recordings).sort();
    expect(files).toEqual(['cpu', 'fork', 'io', 'mem', 'mixed', 'syscall'].map((name) => `lab-${name}.cvlog`));
    const before = files.map((name) => readFileSync(join(recordings, name)));

    const more = await cli('compare', '--suite', '-o', recordings, '--regimes', 'native,hw', '--phases', '--details');
    expect(more.status).toBe(0);
    expect(more.out).toMatch(/^work fork\n  \(start\): @0 to @[\d_]+\n[^]*^  work fork: @[^]*^hw: hardware assistance[^]*^  what would remove it +exits saved/m);
    expect(more.out).not.toContain('side by side');

    const again = await cli('compare', '--suite', '-o', recordings, '--json', '--regimes', 'native,hw,hw-shadow');
    expect(again.status).toBe(0);
    const { suite } = JSON.parse(again.out) as SuiteJson;
    expect(suite.workloads.map(({ name }) => name)).toEqual(['cpu', 'mem', 'io', 'syscall', 'fork', 'mixed']);
    for (const { isReused, from, to, instructions } of suite.workloads) {
      expect(isReused).toBe(true);
      expect(to - from).toBe(instructions);
    }
    expect(files.map((name, i) => readFileSync(join(recordings, name)).equals(before[i]))).not.toContain(false);
    const typical = (workload: string, regime: string): number => suite.workloads.find(({ name }) => name === workload)?.regimes.find(({ id }) => id === regime)?.slowdown.typical ?? NaN;
    // What each technique is known for: emulated devices are dear, shadow page tables make forks dear, computing costs next to nothing.
    expect(typical('cpu', 'hw')).toBeLessThan(1.1);
    expect(typical('io', 'hw')).toBeGreaterThan(typical('cpu', 'hw') + 1);
    expect(typical('fork', 'hw-shadow')).toBeGreaterThan(typical('fork', 'hw') + 0.3);
  });

  it('says the same from a replay as from the log', async () => {
    const log = join(recordings, 'lab-fork.cvlog');
    const [fromLog, fromReplay] = await Promise.all([cli('compare', log, '--json'), cli('compare', log, '--replay', '--json')]);
    expect(fromReplay.status).toBe(0);
    expect(JSON.parse(fromReplay.out)).toEqual(JSON.parse(fromLog.out));
  });

  it('counts TLB misses in a replay, phase by phase, and charges walks of one dimension or two', async () => {
    const log = join(recordings, 'lab-mem.cvlog');
    const { status, out } = await cli('compare', log, '--replay', '--tlb', 'haswell', '--json', '--regimes', 'native,hw');
    expect(status).toBe(0);
    interface Counted {
      readonly tlb: { readonly walks: number; readonly dataUser: number; readonly dataKernel: number; readonly fetchUser: number; readonly fetchKernel: number };
      readonly regimes: readonly { missing: string[]; run: Segment; phases: Segment[]; sources: { parameter: string; typical: number }[] }[];
    }
    interface Segment {
      readonly direct: readonly { kind: string; count: number; typical: number }[];
    }
    const [{ tlb, regimes }] = (JSON.parse(out) as { files: Counted[] }).files;
    expect(tlb.walks).toBe(tlb.dataUser + tlb.dataKernel + tlb.fetchUser + tlb.fetchKernel);
    expect(tlb.dataUser).toBeGreaterThan(1000);
    const walksOf = ({ direct }: Segment): number => direct.find(({ kind }) => kind === 'page walk')?.count ?? 0;
    for (const { missing, run, phases, sources } of regimes) {
      expect(missing).not.toContain('pageWalks');
      expect(walksOf(run)).toBe(tlb.walks);
      expect(phases.reduce((sum, phase) => sum + walksOf(phase), 0)).toBe(tlb.walks);
      const each = sources.filter(({ parameter }) => parameter === 'native.walk' || parameter === 'hw.walk-huge').reduce((sum, { typical }) => sum + typical, 0);
      expect(run.direct.find(({ kind }) => kind === 'page walk')?.typical).toBe(tlb.walks * each);
    }
    expect(regimes[1].sources.map(({ parameter }) => parameter)).toContain('hw.walk-huge');
    expect(await cli('compare', log, '--tlb', 'haswell')).toMatchObject({ status: 2, err: expect.stringContaining('--tlb counts in a replay: add --replay') as string });
    expect(await cli('compare', log, '--replay', '--tlb', 'z80')).toMatchObject({ status: 2, err: expect.stringContaining('one of nehalem, haswell, skylake') as string });
  });

  it('tells of PAUSEs in a replay, with --tlb or alone', async () => {
    const log = join(recordings, 'lab-mem.cvlog');
    interface Told {
      readonly pauses?: { readonly kernel: number; readonly user: number };
      readonly regimes: readonly { missing: string[] }[];
    }
    const told = async (...options: string[]): Promise<Told> => (JSON.parse((await cli('compare', log, '--regimes', 'hw', '--json', ...options)).out) as { files: Told[] }).files[0];
    expect(await told('--replay')).not.toHaveProperty('pauses');
    const alone = await told('--replay', '--pauses');
    // The lab kernel without a disk waits for interrupts, and spins nowhere.
    expect(alone.pauses).toEqual({ kernel: 0, user: 0 });
    expect(alone.regimes[0].missing).toEqual(['pageWalks']);
    expect(await told('--replay', '--tlb', 'haswell')).toMatchObject({ pauses: { kernel: 0, user: 0 }, regimes: [{ missing: [] }] });
    expect(await cli('compare', log, '--pauses')).toMatchObject({ status: 2, err: expect.stringContaining('--pauses counts in a replay: add --replay') as string });
  });

  it('compares nothing when the replay is not the recording', async () => {
    const reader = LogReader.open(new MemorySource(readFileSync(join(recordings, 'lab-cpu.cvlog'))));
    const sink = new MemorySink();
    const writer = createLog(sink, reader.header);
    for (const { sha256 } of reader.header.images) writer.image(reader.image(sha256) as Uint8Array);
    let isChanged = false;
    for (const event of reader.events()) {
      const isTarget: boolean = !isChanged && event.kind === 'exit' && event.detail.kind === 'io' && event.detail.write && event.detail.port === 0x3f8;
      isChanged ||= isTarget;
      writer.append(isTarget && event.kind === 'exit' && event.detail.kind === 'io' ? ({ ...event, detail: { ...event.detail, value: event.detail.value ^ 1 } } satisfies LogEvent) : event);
    }
    expect(isChanged).toBe(true);
    writer.close();
    const changed = join(folder, 'changed.cvlog');
    writeFileSync(changed, sink.toBytes());
    expect((await cli('compare', changed)).status).toBe(0);
    const { status, out, err } = await cli('compare', changed, '--replay');
    expect(status).toBe(3);
    expect(out).toBe('');
    expect(err).toMatch(/the replay is not the recording[^]*divergence at @/);
  });

  it('leaves alone what is not its own', async () => {
    const own = mkdtempSync(join(folder, 'own-'));
    const occupied = join(own, 'lab-cpu.cvlog');
    writeFileSync(occupied, readFileSync(trace));
    expect(await cli('compare', '--suite', '-o', own)).toMatchObject({ status: 12, err: expect.stringContaining('a recording of another recipe') as string });
    expect(readFileSync(occupied).equals(readFileSync(trace))).toBe(true);
    expect(readdirSync(own)).toEqual(['lab-cpu.cvlog']);
    writeFileSync(occupied, 'mine');
    expect(await cli('compare', '--suite', '-o', own)).toMatchObject({ status: 12, err: expect.stringContaining('not an intact recording') as string });
    expect(readFileSync(occupied, 'utf8')).toBe('mine');
  });

  it('says so if there are no marks to cut at', async () => {
    const { out } = await cli('compare', linux, '--phases', '--regimes', 'hw');
    expect(out).toContain('the recording has no marks');
    expect(out.match(/^ +hw /gm)).toHaveLength(1);
  });

  it('takes options of techniques, for those that have them', async () => {
    const exitsOf = async (...argv: string[]): Promise<number[]> => {
      const { out } = await cli('compare', linux, '--json', '--regimes', 'native,hw,kvm-qemu', ...argv);
      return (JSON.parse(out) as { files: { regimes: { run: { exits: number } }[] }[] }).files[0].regimes.map(({ run }) => run.exits);
    };
    const [plain, offered] = [await exitsOf(), await exitsOf('--option', 'kvmPv=on')];
    expect(offered).toEqual([0, plain[2], plain[2]]);
    expect(plain[1]).toBeGreaterThan(plain[2]);
    const { out } = await cli('compare', linux, '--regimes', 'native,hw', '--option', 'kvmPv=on', '--option', 'hostHz=0');
    expect(out).toMatch(/^with kvmPv = true: hw\nwith hostHz = 0: hw$/m);
    for (const [argv, status, text] of [
      [['--regimes', 'hx'], 17, 'did you mean hw?'],
      [['--regimes', 'native', '--option', 'apicv=off'], 17, 'none of native has an option "apicv"'],
      [['--option', 'apicv=maybe'], 17, 'expected true or false'],
      [['--option', 'apicv'], 2, 'NAME=VALUE'],
    ] as const) {
      expect(await cli('compare', trace, ...argv)).toMatchObject({ status, out: '', err: expect.stringContaining(text) as string });
    }
  });

  it('says what is missing', async () => {
    const result = await cli('compare', '--suite', '--guest', 'linux', '-o', join(folder, 'linux'));
    expect(result).toMatchObject({ status: 11, err: expect.stringContaining('chronovisor guest fetch linux') as string });
    expect(existsSync(join(folder, 'linux'))).toBe(false);
    const wrong: readonly (readonly string[])[] = [['--suite', trace], [], [trace, '-o', 'x'], ['--suite', '--tlb', 'haswell'], [trace, '--force'], [trace, '--images', 'x']];
    const results = await Promise.all(wrong.map((argv) => cli('compare', ...argv)));
    expect(results.map(({ status }) => status)).toEqual(wrong.map(() => 2));
  });
});
