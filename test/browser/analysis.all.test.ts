/** Promise: what is analysed of a recording on its pages is what Node says of it; it can be given up, asked by a link, and used with keys in both themes. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Comparison } from '../../engine/analysis/comparison/comparison.ts';
import { bisect } from '../../engine/debug/bisect.ts';
import { parseExpression } from '../../engine/debug/expression.ts';
import { parseElfSymbols } from '../../engine/debug/symbols.ts';
import { TimeTravel } from '../../engine/debug/time-travel.ts';
import { LogReader } from '../../engine/log/reader.ts';
import { MemorySource } from '../../engine/log/storage.ts';
import { compareLogs } from '../../engine/log/verify.ts';
import { REGIMES, candidate } from '../../engine/regimes/catalogue.ts';
import { formatRatio } from '../../ui/quantities.ts';
import { NO_BROWSER } from './chromium.ts';
import { type Lab, ROOT, startLab } from './lab.ts';

const TIMEOUT_MS = 60_000;
const TRACE = 'bug-lost-update';
/** Not a dependency of the program; without it the rest is tested all the same. */
const AXE = `${ROOT}node_modules/axe-core/axe.min.js`;
/** The built program; CHRONOVISOR_CLI names another one. */
const PROGRAM = process.env['CHRONOVISOR_CLI'] ?? `${ROOT}dist/server/cli/main.js`;
const BRANCH_AT = 57_700_000;

function readLog(file: string): LogReader {
  return LogReader.open(new MemorySource(readFileSync(file)));
}

describe.skipIf(NO_BROWSER)('analysis in Chromium', () => {
  let lab: Lab;
  let page: Page;
  let folder: string;
  const file = `${ROOT}traces/${TRACE}.cvlog`;
  const at = (name: string, query = ''): string => `/#/recording/${encodeURIComponent(`traces:${TRACE}`)}/${name}${query}`;
  const go = async (path: string): Promise<void> => {
    await page.goto(`${lab.url}${path}`);
  };

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'chronovisor-analysis-'));
    copyFileSync(file, join(folder, 'parent.cvlog'));
    execFileSync(process.execPath, [PROGRAM, 'branch', join(folder, 'parent.cvlog'), '--at', `@${BRANCH_AT}`, '--set', 'rax=7', '--until', '+20000', '-q', '-o', join(folder, 'child.cvlog')]);
    lab = await startLab([{ name: 'traces', path: `${ROOT}traces` }, { name: 'family', path: folder }]);
    page = await lab.open('/');
  }, TIMEOUT_MS);
  afterAll(async () => {
    await lab?.close();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  });

  it('compares techniques as Node does, from a card on', async () => {
    await page.getByTestId('recording-card').filter({ hasText: `example, ${TRACE}` }).getByRole('link', { name: 'Compare' }).click();
    const comparison = new Comparison({ candidates: REGIMES.map(({ id }) => candidate(id)) });
    const reader = readLog(file);
    for (let i = 0; i < reader.eventBlocks.length; i++) comparison.add(reader.batch(i));
    for (const { id, run: segment } of comparison.report().regimes) {
      await expect.poll(() => page.getByTestId(`slowdown-${id}`).textContent(), { timeout: TIMEOUT_MS }).toBe(formatRatio(segment.slowdown.typical));
    }
    expect(await page.getByTestId('sources').getByRole('row').count()).toBeGreaterThan(3);
    // Settings are part of the address.
    await page.getByRole('checkbox', { name: 'container' }).uncheck();
    await expect.poll(() => page.getByTestId('slowdown-container').count()).toBe(0);
    await page.reload();
    await page.getByTestId('slowdown-hw').waitFor();
    expect(await page.getByTestId('slowdown-container').count()).toBe(0);
  }, TIMEOUT_MS);

  it('counts TLB misses in a replay, as Node does', async () => {
    interface Answer {
      readonly files: readonly { readonly tlb: { readonly walks: number; readonly secondLevelHits: number }; readonly regimes: readonly { readonly id: string; readonly run: { readonly slowdown: { readonly typical: number } } }[] }[];
    }
    const [{ tlb, regimes }] = (JSON.parse(execFileSync(process.execPath, [PROGRAM, 'compare', file, '--replay', '--tlb', 'haswell', '--json'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })) as Answer).files;
    await go(at('compare'));
    await page.getByTestId('slowdown-hw').waitFor({ timeout: TIMEOUT_MS });
    expect(await page.locator('.notes').first().innerText()).toContain('TLB misses');
    await page.getByTestId('from').selectOption('haswell');
    await expect.poll(() => page.getByTestId('tlb').innerText(), { timeout: TIMEOUT_MS }).toContain(`${tlb.walks.toLocaleString('en-US')} page walks`);
    expect(tlb.walks).toBeGreaterThan(0);
    for (const { id, run } of regimes) expect(await page.getByTestId(`slowdown-${id}`).textContent(), id).toBe(formatRatio(run.slowdown.typical));
    expect(await page.locator('.notes').first().innerText()).not.toContain('TLB misses');
  }, 2 * TIMEOUT_MS);

  it('bisects to the position that Node finds, can be given up, and says what is wrong with a question', async () => {
    await go(at('bisect'));
    // The guest ended in a panic: where that began is what a person asks first.
    await expect.poll(() => page.getByRole('radio', { name: 'The kernel panics' }).isChecked()).toBe(true);
    await page.getByRole('radio', { name: 'A condition becomes true', exact: true }).check();
    const text = page.getByTestId('bisect-text');
    await text.fill('u64(ticks) >');
    await text.press('Enter');
    await expect.poll(() => page.getByTestId('failure').textContent(), { timeout: TIMEOUT_MS }).toContain('column');
    // About registers: every instruction is looked at, which takes a minute.
    await text.fill('rax == 1 && rax == 2');
    await text.press('Enter');
    await page.getByTestId('cancel').click({ timeout: TIMEOUT_MS });
    await page.getByTestId('cancelled').waitFor();
    const question = 'u64(ticks) > 3';
    await text.fill(question);
    await text.press('Enter');
    const reader = readLog(file);
    const kernel = reader.image(reader.header.images[0].sha256)!;
    const travel = new TimeTravel({ reader, images: { kernel }, module: await WebAssembly.compile(readFileSync(`${ROOT}dist/engine/cpu/core.wasm`)) });
    const found = bisect(travel, parseExpression(question, parseElfSymbols(kernel)), { from: 0, to: reader.lastPosition, stays: false });
    if (found.kind !== 'found') throw new Error('the guest has no ticks');
    await page.locator(`[data-testid=bisect-found][data-position="${found.position}"]`).waitFor({ timeout: TIMEOUT_MS });
    expect(await page.getByTestId('bisect-found').textContent()).toMatch(/done by.*ring 0.*store/s);
    await expect.poll(() => page.url()).toContain('question=when');
    await page.getByTestId('bisect-found').getByRole('link').first().click();
    await expect.poll(() => page.url()).toContain(`?at=${found.position}`);
  }, TIMEOUT_MS);

  it('predicts a migration, plays its rounds, and fills the table', async () => {
    await go(at('migration', '?mbit=100&downtime=50'));
    const verdict = page.getByTestId('verdict');
    await verdict.waitFor({ timeout: TIMEOUT_MS });
    const now = page.getByTestId('rounds-now');
    const end = await now.textContent();
    await page.getByRole('button', { name: 'Previous round' }).press('Enter');
    await expect.poll(() => now.textContent()).not.toBe(end);
    await page.getByTestId('table-start').click();
    await expect.poll(() => page.getByTestId('table').getByRole('button').count(), { timeout: TIMEOUT_MS }).toBe(40);
    // A cell chooses its settings, and says the same as the migration.
    const cell = page.getByTestId('table').getByRole('button').first();
    const told = /^converges(.*), down/.exec((await cell.textContent()) ?? '')?.[1];
    await cell.click();
    await expect.poll(() => page.url()).toContain('downtime=125');
    if (told === undefined) await expect.poll(() => verdict.getAttribute('data-converges')).toBe('false');
    else await expect.poll(() => page.getByTestId('total').textContent()).toContain(told);
  }, TIMEOUT_MS);

  it('shows a branch in its tree, and where it leaves', async () => {
    const child = readLog(join(folder, 'child.cvlog'));
    await go(`/#/recording/${encodeURIComponent('family:child')}/branches`);
    await expect.poll(() => page.getByTestId('branch').count(), { timeout: TIMEOUT_MS }).toBe(2);
    expect(await page.getByTestId('branches').locator('ul [data-testid=branch]').getAttribute('data-id')).toBe(child.header.id);
    await page.getByRole('link', { name: 'Diff with this one' }).click();
    await page.locator(`[data-testid=diff-divergence][data-position="${BRANCH_AT}"]`).waitFor({ timeout: TIMEOUT_MS });
    expect(await page.getByTestId('diff-cause').textContent()).toContain('rax set to 0x7');
  }, TIMEOUT_MS);

  it('finds the first event at which two recordings differ', async () => {
    await go(at('diff', `?${new URLSearchParams({ other: 'server traces:lab-kernel' }).toString()}`));
    const { position } = compareLogs(readLog(file), readLog(`${ROOT}traces/lab-kernel.cvlog`))!;
    await page.locator(`[data-testid=diff-divergence][data-position="${position}"]`).waitFor({ timeout: TIMEOUT_MS });
    expect(await page.getByTestId('diff-events').getByRole('row').count()).toBeGreaterThan(10);
  }, TIMEOUT_MS);

  it('shows exits as a flame graph that keys move in', async () => {
    await go(at('profile', '?regime=hw'));
    const flame = page.getByTestId('flame').getByRole('treeitem');
    await flame.first().waitFor({ timeout: TIMEOUT_MS });
    const before = await flame.count();
    await flame.first().focus();
    for (const key of ['ArrowDown', 'ArrowDown', 'Enter']) await page.keyboard.press(key);
    await expect.poll(() => flame.nth(2).getAttribute('aria-selected')).toBe('true');
    expect(await flame.count()).toBeLessThan(before);
    await page.keyboard.press('Escape');
    await expect.poll(() => flame.count()).toBe(before);
  }, TIMEOUT_MS);

  it('has call stacks and tasks from a replay, as Node has them', async () => {
    interface Answer {
      readonly exits: number;
      readonly by: { readonly task: readonly { readonly label: string; readonly count: number }[] };
      readonly stacks: readonly { readonly frames: readonly string[] }[];
    }
    const { by, exits } = JSON.parse(execFileSync(process.execPath, [PROGRAM, 'profile', file, '--by', 'task', '--replay', '--json'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })) as Answer;
    expect(by.task.length).toBeGreaterThan(3);
    await go(at('profile'));
    await page.getByTestId('profile-table').waitFor({ timeout: TIMEOUT_MS });
    await page.getByTestId('from').selectOption('replay');
    await page.getByText('task, guest call stack').waitFor({ timeout: TIMEOUT_MS });
    await page.getByTestId('by').selectOption('task');
    for (const { label, count } of by.task.slice(0, 5)) await page.getByTestId('profile-table').getByRole('row', { name: new RegExp(`^${label.replace(/[[\]()]/g, '\\$&')} ${count.toLocaleString('en-US')} `) }).waitFor({ timeout: 5000 });
    expect(await page.locator('lab-profile').getByText(`${exits.toLocaleString('en-US')} exits`).count()).toBeGreaterThan(0);
    const boxes = await page.getByTestId('flame').getByRole('treeitem').allInnerTexts();
    expect(boxes.join(' ')).toContain('[syscall]');
  }, 2 * TIMEOUT_MS);

  it.skipIf(!existsSync(AXE))('has no serious finding of axe-core, light or dark', async () => {
    // As a debugger, because the content security policy lets no script in. It stays: the pages differ in the hash alone.
    const devtools = await page.context().newCDPSession(page);
    await devtools.send('Runtime.evaluate', { expression: readFileSync(AXE, 'utf8') });
    const shown = { compare: 'slowdown-hw', profile: 'profile-table', migration: 'verdict', 'bisect?question=panic': 'bisect-found', 'diff?other=server+traces%3Alab-kernel': 'diff-events', branches: 'branches' };
    for (const [name, id] of Object.entries(shown)) {
      await page.emulateMedia({ colorScheme: 'light' });
      await go(at(name));
      await page.getByTestId(id).first().waitFor({ timeout: TIMEOUT_MS });
      // The other theme has other colours and nothing else.
      for (const [colorScheme, rules] of [['light', ''], ['dark', ", runOnly: ['color-contrast']"]] as const) {
        await page.emulateMedia({ colorScheme });
        const { result } = await devtools.send('Runtime.evaluate', {
          expression: `axe.run(document, { resultTypes: ['violations']${rules} }).then(({ violations }) => violations.filter(({ impact }) => impact === 'serious' || impact === 'critical').map(({ id, nodes }) => id + ' ' + nodes[0].target.flat().join(' ')))`,
          awaitPromise: true, returnByValue: true,
        });
        expect(result.value, `${name}, ${colorScheme}`).toEqual([]);
      }
    }
  }, TIMEOUT_MS);

  it('reported no error', () => {
    expect(lab.errors).toEqual([]);
  });
});
