/** Promise: a recording is safe as it is made. The server's outlives the page, that of the page outlives the tab; both are the run that a person saw. */
import { copyFileSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LogReader } from '../../engine/log/reader.ts';
import { MemorySource } from '../../engine/log/storage.ts';
import { exitCode } from '../../server/cli/exit-codes.ts';
import { cli } from '../../server/cli/testing.ts';
import { NO_BROWSER } from './chromium.ts';
import { type Lab, ROOT, startLab, verifyOnPage } from './lab.ts';
import { killWorkers } from './measures.ts';

const TIMEOUT_MS = 60_000;
const TRACE = 'bug-lost-update';
const BRANCH_AT = 57_700_000;
/** Not a dependency of the program. */
const AXE = `${ROOT}node_modules/axe-core/axe.min.js`;

describe.skipIf(NO_BROWSER)('recording in Chromium', () => {
  let lab: Lab;
  let context: BrowserContext;
  let folder: string;

  const open = async (path: string): Promise<Page> => {
    const page = await context.newPage();
    page.on('pageerror', (error) => lab.errors.push(String(error)));
    await page.goto(lab.url + path);
    return page;
  };
  const shown = (page: Page): Promise<string> => page.getByTestId('live-console').innerText();
  const choose = async (page: Page, place: 'server' | 'page', guest: string, commandLine: string): Promise<void> => {
    await expect.poll(() => page.getByTestId('place-choice').locator('option[value=server]').isEnabled()).toBe(true);
    await page.getByTestId('place-choice').selectOption(place);
    await page.getByTestId('guest-choice').selectOption(guest);
    await page.getByTestId('command-line').fill(commandLine);
  };
  const isAtShell = (page: Page): Promise<void> => expect.poll(() => shown(page), { timeout: TIMEOUT_MS }).toContain('$');

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'chronovisor-recording-'));
    lab = await startLab([{ name: 'recordings', path: folder }], [], 'recordings');
    context = await lab.browser.newContext({ viewport: { width: 1280, height: 800 } });
  }, TIMEOUT_MS);
  afterAll(async () => {
    await lab?.close();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  });

  it('on the server: goes on over a reload in the middle, with all that was shown', async () => {
    const page = await open('/#/record');
    await choose(page, 'server', 'lab', '');
    await page.getByTestId('regime-choice').selectOption('hw');
    await page.getByTestId('record').click();
    await isAtShell(page);
    await page.getByTestId('live-console').focus();
    await page.keyboard.type('echo before\n');
    await expect.poll(() => shown(page), { timeout: TIMEOUT_MS }).toMatch(/before[^]*before\s/);
    expect(page.url()).toMatch(/#\/record\/\d+$/);
    await page.reload();
    await expect.poll(() => shown(page), { timeout: TIMEOUT_MS }).toMatch(/lab kernel ready[^]*before[^]*before\s/);
    // It is among the recordings while it is made, and the start page leads back to it.
    await page.goto(`${lab.url}/#/`);
    await page.getByTestId('run-card').getByRole('link', { name: 'lab', exact: true }).click();
    await expect.poll(() => shown(page), { timeout: TIMEOUT_MS }).toContain('before');
    await page.getByTestId('live-console').focus();
    await page.keyboard.type('echo after; poweroff\n');
    await page.waitForURL(/#\/recording\/recordings%3A/, { timeout: TIMEOUT_MS });
    await page.locator('[data-testid=registers][data-position]').waitFor({ timeout: TIMEOUT_MS });
    expect(await page.getByTestId('console').innerText()).toMatch(/before[^]*after/);
    const log = join(folder, readdirSync(folder).find((name) => name.endsWith('.cvlog'))!);
    const { header } = LogReader.open(new MemorySource(readFileSync(log)));
    expect(header.config.regime).toBe('hw');
    const { status, out } = await cli('replay', log, '--json');
    expect(status).toBe(exitCode('ok'));
    const outcome = await verifyOnPage(page, TIMEOUT_MS);
    expect(outcome).toMatchObject({ kind: 'identical' });
    expect(out).toContain(outcome.kind === 'identical' ? outcome.digest : 'identical');
    await page.close();
  }, 3 * TIMEOUT_MS);

  it.each([['closed', 1], ['killed', 2]] as const)('in the page: a tab that is %s in the middle leaves a log that reopens and replays', async (how, count) => {
    const page = await open('/#/record');
    await choose(page, 'page', 'lab-kernel', '');
    await page.getByTestId('record').click();
    await isAtShell(page);
    await page.getByTestId('live-console').focus();
    await page.keyboard.type('echo kept\n');
    await expect.poll(() => shown(page), { timeout: TIMEOUT_MS }).toMatch(/kept[^]*kept\s/);
    // Until what was typed is in the browser: the log that is safe is as long as the log.
    await expect.poll(async () => /log (.+), (.+) of it safe/.exec(await page.getByTestId('run-status').innerText())?.slice(1, 3).join(), { timeout: TIMEOUT_MS }).toMatch(/^(.+),\1$/);
    // Another tab does not take it for abandoned meanwhile.
    const other = await open('/#/');
    await other.getByTestId('new-recording').waitFor();
    await other.getByText('Looking for recordings').waitFor({ state: 'hidden' });
    expect(await other.getByTestId('recording-card').filter({ hasText: 'cut off' }).count()).toBe(count - 1);
    if (how === 'closed') await page.close();
    else {
      const crashed = page.waitForEvent('crash');
      await killWorkers(lab.browser);
      await crashed;
    }
    await expect.poll(async () => (await other.reload(), await other.waitForTimeout(300), other.getByTestId('recording-card').filter({ hasText: 'cut off' }).count()), { timeout: TIMEOUT_MS }).toBe(count);
    // The newest is first.
    await other.getByTestId('recording-card').filter({ hasText: 'cut off' }).first().getByRole('link', { name: 'lab-kernel', exact: true }).click();
    await other.locator('[data-testid=registers][data-position]').waitFor({ timeout: TIMEOUT_MS });
    expect(await other.getByTestId('console').innerText()).toMatch(/kept[^]*kept\s/);
    expect(await verifyOnPage(other, TIMEOUT_MS)).toMatchObject({ kind: 'identical' });
    await other.close();
    if (how === 'killed') await page.close();
  }, 3 * TIMEOUT_MS);

  it('types a script by itself, of a kernel that was given, and says which line of it is wrong', async () => {
    const page = await open('/#/record');
    await page.getByTestId('kernel-file').setInputFiles(`${ROOT}engine/guests/images/lab-kernel.elf`);
    await page.getByTestId('command-line').fill('');
    await page.getByText('Input script').click();
    await page.getByTestId('script').fill('expect "$ "\nsned "x"');
    await page.getByTestId('record').click();
    await expect.poll(() => page.getByRole('alert').innerText(), { timeout: TIMEOUT_MS }).toContain('line 2');
    await page.getByTestId('script').fill('expect "$ "\nsend "echo by script\\n"\nexpect "by script\\r\\n"\nuntil "$ "');
    await page.getByTestId('record').click();
    await page.waitForURL(/#\/local\//, { timeout: TIMEOUT_MS });
    await page.locator('[data-testid=registers][data-position]').waitFor({ timeout: TIMEOUT_MS });
    expect(await page.getByTestId('guest').innerText()).toBe('lab-kernel.elf');
    expect(await page.getByTestId('console').innerText()).toContain('by script');
    await page.close();
  }, 2 * TIMEOUT_MS);

  it('is shown with its picture, goes on where a person was, is sent to the server, and deleted there', async () => {
    const page = await open('/#/');
    const card = page.getByTestId('recording-card').filter({ hasText: 'lab-kernel.elf' });
    await expect.poll(() => card.getByTestId('picture').innerText(), { timeout: TIMEOUT_MS }).toContain('by script');
    await card.getByRole('link', { name: 'lab-kernel.elf', exact: true }).click();
    await page.locator('[data-testid=registers][data-position]').waitFor({ timeout: TIMEOUT_MS });
    await page.getByRole('slider', { name: 'Timeline cursor' }).focus();
    await page.keyboard.press('Home');
    await expect.poll(() => page.url()).toContain('at=0');
    await page.getByRole('link', { name: '← Recordings' }).click();
    await page.getByTestId('continue').click();
    await expect.poll(() => page.getByTestId('position').inputValue(), { timeout: TIMEOUT_MS }).toBe('@0');
    await page.getByRole('link', { name: '← Recordings' }).click();
    const files = (): readonly string[] => readdirSync(folder).filter((name) => name.startsWith('lab-kernel.elf-') && name.endsWith('.cvlog'));
    await card.getByTestId('send').click();
    await expect.poll(() => files().length).toBe(1);
    const [name] = files();
    expect((await cli('replay', join(folder, name), '-q')).status).toBe(exitCode('ok'));
    const sent = page.getByTestId('recording-card').filter({ hasText: name });
    await sent.waitFor();
    page.once('dialog', (dialog) => void dialog.dismiss());
    await sent.getByRole('button', { name: `Delete ${name}` }).click();
    expect(existsSync(join(folder, name))).toBe(true);
    page.once('dialog', (dialog) => void dialog.accept());
    await sent.getByRole('button', { name: `Delete ${name}` }).click();
    await expect.poll(() => existsSync(join(folder, name))).toBe(false);
    await page.close();
  }, 3 * TIMEOUT_MS);

  it('has its notes beside it on the server: two browsers see the same, and it takes those of this one along', async () => {
    const page = await open('/#/');
    const local = page.getByTestId('recording-card').filter({ hasText: 'lab-kernel.elf' });
    const withNote = async (one: Page, text: string): Promise<void> => {
      await one.getByTestId('tab-notes').click();
      await one.getByTestId('note-text').fill(text);
      await one.keyboard.press('Enter');
      await expect.poll(() => one.getByTestId('notes').innerText()).toContain(text);
    };
    await local.getByRole('link', { name: 'lab-kernel.elf', exact: true }).click();
    await page.locator('[data-testid=registers][data-position]').waitFor({ timeout: TIMEOUT_MS });
    await withNote(page, 'of a time without a server');
    expect(await page.getByTestId('notes-home').innerText()).toBe('kept in this browser');
    await page.getByRole('link', { name: '← Recordings' }).click();
    await local.getByTestId('send').click();
    const file = (): string | undefined => readdirSync(folder).find((name) => name.startsWith('lab-kernel.elf-') && name.endsWith('.cvlog.notes'));
    await expect.poll(file, { timeout: TIMEOUT_MS }).toBeDefined();
    const name = file()!.replace('.cvlog.notes', '');
    const address = `/#/recording/${encodeURIComponent(`recordings:${name}`)}?at=0&panel=notes`;
    // Another browser.
    const stranger = await lab.browser.newContext({ viewport: { width: 1280, height: 800 } });
    const theirs = await stranger.newPage();
    await theirs.goto(lab.url + address);
    await expect.poll(() => theirs.getByTestId('notes').innerText(), { timeout: TIMEOUT_MS }).toContain('of a time without a server');
    expect(await theirs.getByTestId('notes-home').innerText()).toContain('beside the recording');
    await withNote(theirs, 'by somebody else');
    await page.goto(lab.url + address);
    await expect.poll(() => page.getByTestId('notes').innerText(), { timeout: TIMEOUT_MS }).toContain('by somebody else');
    // While both look at it.
    await withNote(page, 'and by me');
    await expect.poll(() => theirs.getByTestId('notes').innerText(), { timeout: TIMEOUT_MS }).toContain('and by me');
    await theirs.getByTestId('notes').getByRole('button', { name: /^Delete/ }).first().click();
    await expect.poll(() => page.getByTestId('notes').getByRole('listitem').count(), { timeout: TIMEOUT_MS }).toBe(2);
    // A deleted one does not come back from the browser that had it first.
    await page.reload();
    await expect.poll(() => page.getByTestId('notes').getByRole('listitem').count(), { timeout: TIMEOUT_MS }).toBe(2);
    expect(JSON.parse(readFileSync(join(folder, file()!), 'utf8'))).toMatchObject({ format: 1, notes: [{}, {}] });
    await stranger.close();
    await page.close();
  }, 3 * TIMEOUT_MS);

  it('branches off at the cursor, and the child opens as one run with its parent', async () => {
    copyFileSync(`${ROOT}traces/${TRACE}.cvlog`, join(folder, `${TRACE}.cvlog`));
    const page = await open(`/#/recording/${encodeURIComponent(`recordings:${TRACE}`)}?at=${BRANCH_AT}`);
    await page.locator(`[data-testid=registers][data-position="${BRANCH_AT}"]`).waitFor({ timeout: TIMEOUT_MS });
    await expect.poll(() => page.url()).toContain(`at=${BRANCH_AT}`);
    await page.getByRole('link', { name: 'Branches' }).click();
    await expect.poll(() => page.getByTestId('branch-at').inputValue(), { timeout: TIMEOUT_MS }).toBe(`@${BRANCH_AT}`);
    await page.getByTestId('branch-name').fill('what if');
    await page.getByTestId('branch-registers').fill('nonsense');
    await page.getByTestId('make-branch').click();
    await expect.poll(() => page.getByRole('alert').innerText()).toContain('NAME=VALUE');
    await page.getByTestId('branch-registers').fill('rax=7');
    await page.getByTestId('branch-until').fill(`@${BRANCH_AT + 20_000}`);
    await page.getByTestId('make-branch').click();
    const child = page.getByTestId('branch').filter({ hasText: 'what if' });
    await child.waitFor({ timeout: TIMEOUT_MS });
    expect(existsSync(join(folder, 'what if.cvlog'))).toBe(true);
    await child.getByRole('link').first().click();
    await page.locator(`[data-testid=registers][data-position="${BRANCH_AT}"]`).waitFor({ timeout: TIMEOUT_MS });
    expect(await page.getByTestId('registers').innerText()).toMatch(/rax\s+0000000000000007/);
    // Before the branch it is its parent's run.
    await page.getByRole('slider', { name: 'Timeline cursor' }).focus();
    await page.getByTestId('reverse-step').click();
    await page.locator(`[data-testid=registers][data-position="${BRANCH_AT - 1}"]`).waitFor({ timeout: TIMEOUT_MS });
    const { out } = await cli('replay', join(folder, 'what if.cvlog'), '--json');
    const outcome = await verifyOnPage(page, TIMEOUT_MS);
    expect(outcome).toMatchObject({ kind: 'identical', position: BRANCH_AT + 20_000 });
    expect(out).toContain(outcome.kind === 'identical' ? outcome.digest : 'identical');
    await page.close();
  }, 3 * TIMEOUT_MS);

  it('has no serious finding of axe-core, in both themes, on the pages of recordings', async () => {
    for (const colorScheme of ['light', 'dark'] as const) {
      const page = await open('/#/');
      await page.emulateMedia({ colorScheme });
      await page.getByTestId('recording-card').first().waitFor();
      const findings = async (): Promise<readonly string[]> => {
        await page.evaluate(readFileSync(AXE, 'utf8'));
        return page.evaluate(async () => {
          const { axe } = globalThis as unknown as { axe: { run(): Promise<{ violations: readonly { impact: string; id: string; nodes: readonly { html: string }[] }[] }> } };
          return (await axe.run()).violations.filter(({ impact }) => impact === 'serious' || impact === 'critical').map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
        });
      };
      expect(await findings(), colorScheme).toEqual([]);
      await page.getByTestId('export').first().click();
      await page.locator('[data-testid=export-state][data-state=ready]').first().waitFor({ timeout: TIMEOUT_MS });
      expect(await findings(), colorScheme).toEqual([]);
      await page.keyboard.press('Escape');
      for (const path of ['/#/record', `/#/recording/${encodeURIComponent(`recordings:${TRACE}`)}/branches`]) {
        await page.goto(lab.url + path);
        await page.getByTestId(path === '/#/record' ? 'record' : 'branches').waitFor({ timeout: TIMEOUT_MS });
        expect(await findings(), `${path} ${colorScheme}`).toEqual([]);
      }
      await page.close();
    }
  }, 3 * TIMEOUT_MS);

  it('reported no error', () => {
    expect(lab.errors).toEqual([]);
  });
});
