/**
 * `compare` and `regimes` as people meet them: the built program on the recordings of this repository.
 *
 * Needs dist/; CHRONOVISOR_CLI names another built main.js.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const program = process.env['CHRONOVISOR_CLI'] ?? join(root, 'dist', 'server', 'cli', 'main.js');
const trace = join(root, 'traces', 'lab-kernel.cvlog');
const linux = join(root, 'traces', 'published', 'debian-boot.cvlog');
const folder = mkdtempSync(join(tmpdir(), 'chronovisor-compare-'));

interface Result {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

function cli(...argv: string[]): Promise<Result> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [program, ...argv], { cwd: folder, encoding: 'utf8', maxBuffer: 1 << 28 }, (_error, out, err) => resolve({ status: child.exitCode, out, err }));
    child.stdin?.end();
  });
}

function file(name: string, content: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

beforeAll(() => expect(existsSync(program), `${program} is missing: npm run build`).toBe(true));
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
    expect(out).toMatch(/hw\.cpuid +1350 +derived +Huang et al\., SOSP 2023/);
    expect((await cli('regimes', 'show', 'hw', '--cpu', 'haswell')).out).toMatch(/hw\.cpuid +1350 +assumed .*taken for haswell/);
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
    expect(out).toContain('not charged, because logs do not hold it: system calls (--system-calls): container, full, para');
    expect((await cli('compare', trace, '--system-calls', '10', '--page-walks', '10', '--kernel-share', '0.5')).out).not.toContain('not charged');
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
    expect(out).toMatch(/hw\.io-user +2 \(1 to 3\) +primary +my bench/);
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
    expect(await cli('compare', trace, '--regimes', 'hw-shadwo')).toMatchObject({ status: 2, err: expect.stringContaining('did you mean hw-shadow') as string });
    expect(await cli('compare', trace, '--cpi', '0')).toMatchObject({ status: 2 });
    expect(await cli('compare', trace, '--kernel-share', '2')).toMatchObject({ status: 2, err: expect.stringContaining('a number from 0 to 1') as string });
    expect(await cli('compare', 'missing.cvlog')).toMatchObject({ status: 13 });
    expect(await cli('compare', file('text.cvlog', 'this is not a log'))).toMatchObject({ status: 40 });
  });
});
