/**
 * Promise: what the key sheet and the panels offer works, on the real page, from the place where a person is: wheel over the code, watchpoints, last writers of any register, filter, keys by place, palette,
 * undo, links, bookmarks, play. Where the engine has an answer of its own, it is the same. CHRONOVISOR_SHOTS names a folder for pictures of each panel, in both themes and widths.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { physicalRanges, readRegister } from '../../engine/debug/inspect.ts';
import { writesBackward } from '../../engine/debug/queries.ts';
import { TimeTravel } from '../../engine/debug/time-travel.ts';
import { LogReader } from '../../engine/log/reader.ts';
import { MemorySource } from '../../engine/log/storage.ts';
import { COMMANDS } from '../../ui/commands.ts';
import type { RunModel } from '../../ui/run-model.ts';
import { NO_BROWSER } from './chromium.ts';
import { type Lab, ROOT, startLab } from './lab.ts';

const TIMEOUT_MS = 90_000;
/** Less, so that what was not seen is told. */
const POLL_MS = 40_000;
const TRACE = 'bug-lost-update';
const SHOTS = process.env['CHRONOVISOR_SHOTS'];
const PANELS = ['registers', 'stack', 'memory', 'paging', 'devices', 'points', 'origin', 'notes', 'recording'];

describe.skipIf(NO_BROWSER)('a person at a recording in Chromium', () => {
  let lab: Lab;
  let page: Page;
  let node: TimeTravel;
  const from = 60_316_190;

  beforeAll(async () => {
    const reader = LogReader.open(new MemorySource(readFileSync(`${ROOT}traces/${TRACE}.cvlog`)));
    const kernel = reader.image(reader.header.images[0].sha256)!;
    node = new TimeTravel({ reader, images: { kernel }, module: await WebAssembly.compile(readFileSync(`${ROOT}dist/engine/cpu/core.wasm`)) });
    lab = await startLab([{ name: 'traces', path: `${ROOT}traces` }]);
    page = await lab.open(`/#/recording/traces%3A${TRACE}?at=${from}`);
    await page.locator('[data-testid=code][data-rip] [aria-current=step]').waitFor({ timeout: POLL_MS });
  }, TIMEOUT_MS);
  afterAll(async () => lab?.close());

  const place = async (of: Page = page): Promise<number> => Number((await of.getByTestId('position').inputValue()).replace(/[@,]/g, ''));
  const shows = (position: number): Promise<unknown> => expect.poll(() => place(), { timeout: POLL_MS }).toBe(position);
  const goTo = async (position: number): Promise<void> => {
    await page.getByTestId('position').fill(String(position));
    await page.getByTestId('position').press('Enter');
    await page.waitForFunction(
      (at) => {
        const { state } = (document.querySelector('lab-app')!.shadowRoot!.querySelector('lab-run') as unknown as { model: RunModel }).model;
        return state.kind === 'known' && state.moment.machine.position === at;
      },
      position,
      { timeout: TIMEOUT_MS },
    );
  };
  const window = (of: Page = page): Promise<{ from: number; to: number } | undefined> =>
    of.evaluate(() => (document.querySelector('lab-app')!.shadowRoot!.querySelector('lab-run')!.shadowRoot!.querySelector('lab-timeline') as unknown as { window: { from: number; to: number } | undefined }).window);

  it('walks by the wheel over the code, an instruction a notch', async () => {
    const box = (await page.getByTestId('code').boundingBox())!;
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    await page.mouse.wheel(0, 40);
    await shows(from + 1);
    await page.mouse.wheel(0, 120);
    await shows(from + 4);
    await page.mouse.wheel(0, -160);
    await shows(from);
  }, TIMEOUT_MS);

  it('shows every register as the machine has it, and marks those that changed', async () => {
    const shown = async (): Promise<Map<string, string>> =>
      new Map(await page.getByTestId('registers').evaluate((body) => [...body.querySelectorAll('.register')].map((each) => [each.querySelector('dt')!.textContent!.trim(), each.querySelector('dd')!.textContent!.trim()] as [string, string])));
    await goTo(from);
    node.seek(from);
    const registers = await shown();
    expect(registers.size).toBeGreaterThanOrEqual(60);
    for (const [name, text] of registers) expect(BigInt(`0x${text}`), name).toBe(readRegister(node.machine, name));
    await page.getByTestId('step').click();
    await shows(from + 1);
    await page.locator(`[data-testid=registers][data-position="${from + 1}"]`).waitFor({ timeout: POLL_MS });
    node.seek(from + 1);
    const changed = [...registers].filter(([name, text]) => readRegister(node.machine, name) !== BigInt(`0x${text}`)).map(([name]) => name);
    const marked = await page.getByTestId('registers').evaluate((body) => [...body.querySelectorAll('.register')].filter((each) => each.querySelector('dd.changed') !== null).map((each) => each.querySelector('dt')!.textContent!.trim()));
    expect(marked).toEqual(changed);
    expect(marked).toContain('rip');
  }, TIMEOUT_MS);

  it('names the last writer of a register that is clicked, however long ago it was', async () => {
    await goTo(from);
    const writerOf = async (register: string): Promise<string> => {
      await page.getByTestId('tab-registers').click();
      await page.getByRole('button', { name: `Last writer of ${register}`, exact: true }).click();
      await page.locator('[data-testid=origin][data-done=true]').waitFor({ timeout: POLL_MS });
      return page.getByTestId('origin').innerText();
    };
    const control = [...node.reader.events({ kinds: ['exit'] })].flatMap((event) => (event.kind === 'exit' && event.position < from && (event.detail.kind === 'cr' || event.detail.kind === 'msr') ? [event] : []));
    const last = (register: string): number =>
      control.findLast(({ detail }) => (detail.kind === 'cr' ? detail.access !== 'mov-from' && `cr${detail.cr}` === register : detail.kind === 'msr' && detail.write && detail.index === 0xc0000080 && register === 'efer'))!.position;
    expect(await writerOf('cr3')).toContain(`@${last('cr3').toLocaleString('en-US')}`);
    // Millions of instructions ago: from the log, not by looking back.
    expect(from - last('cr0')).toBeGreaterThan(50_000_000);
    expect(await writerOf('cr0')).toMatch(new RegExp(`^@${last('cr0').toLocaleString('en-US')}[^]*cr0 = 0x80010033[^]*mov`));
    expect(await writerOf('efer')).toMatch(new RegExp(`^@${last('efer').toLocaleString('en-US')}[^]*wrmsr`));
    await page.getByTestId('origin-position').first().click();
    await shows(last('efer'));
    await page.keyboard.press('z');
    await shows(from);
  }, TIMEOUT_MS);

  it('runs back to where a watched byte was written', async () => {
    await goTo(from);
    node.seek(from);
    const rsp = readRegister(node.machine, 'rsp')!;
    const ranges = physicalRanges(node.machine, rsp, 8);
    const [write] = writesBackward(node, ranges, from, 0);
    await page.getByTestId('tab-memory').click();
    await page.locator(`[data-testid=memory] [data-byte="0x${rsp.toString(16)}"]`).click();
    await page.getByLabel('Kind of access').selectOption('write');
    await page.getByTestId('watch').click();
    const point = page.locator('[data-testid=points] li');
    await point.and(page.locator('[data-done=true]')).waitFor({ timeout: POLL_MS });
    expect(Number(await point.getAttribute('data-hits'))).toBeGreaterThan(1);
    await page.getByTestId('reverse-continue').click();
    await shows(write!.position + 1);
    await page.getByTestId('continue').click();
    await expect.poll(() => place(), { timeout: POLL_MS }).toBeGreaterThan(write!.position + 1);
    // It is drawn over the whole run.
    await page.getByRole('slider', { name: 'Timeline cursor' }).focus();
    for (let i = 0; i < 30 && !(await page.getByTestId('track').innerText()).startsWith('Track hits'); i++) await page.keyboard.press('ArrowUp');
    expect(await page.getByTestId('track').innerText()).toBe(`Track hits: ${Number(await point.getAttribute('data-hits')).toLocaleString('en-US')}`);
    await point.getByRole('button', { name: /^Remove/ }).click();
  }, TIMEOUT_MS);

  it('filters events by words, without and with', async () => {
    await page.keyboard.press('/');
    await page.keyboard.type('CR3 -from');
    const expected = [...node.reader.events({ kinds: ['exit'] })].filter((event) => event.kind === 'exit' && event.detail.kind === 'cr' && event.detail.cr === 3 && event.detail.access === 'mov-to').length;
    await expect.poll(() => page.getByTestId('event-count').innerText(), { timeout: POLL_MS }).toBe(`${expected.toLocaleString('en-US')} of ${node.reader.records.toLocaleString('en-US')}`);
    await expect.poll(() => page.getByTestId('event-table').locator('.row').first().innerText()).toContain('MOV CR3 ←');
    await page.keyboard.press('Escape');
    await expect.poll(() => page.getByTestId('event-count').innerText()).toBe(node.reader.records.toLocaleString('en-US'));
    await page.getByTestId('event-filter').fill('no such event');
    await expect.poll(() => page.getByTestId('event-table').innerText(), { timeout: POLL_MS }).toContain('No event answers this filter');
    await page.getByRole('button', { name: 'Show all events' }).click();
  }, TIMEOUT_MS);

  it('has one table of commands: keys by their place, the sheet and the palette', async () => {
    await goTo(from);
    await page.getByRole('slider', { name: 'Timeline cursor' }).focus();
    const press = (code: string, key: string): Promise<void> =>
      page.evaluate(([physical, typed]) => void globalThis.dispatchEvent(new KeyboardEvent('keydown', { code: physical, key: typed, bubbles: true, cancelable: true })), [code, key]);
    // A Russian layout types other letters with the same keys.
    await press('KeyW', 'ц');
    const zoomed = (await window())!;
    expect(zoomed.to - zoomed.from).toBeCloseTo(node.last * 0.6, -3);
    await press('KeyA', 'ф');
    expect((await window())!.from).toBeLessThan(zoomed.from);
    await press('KeyD', 'в');
    expect((await window())!.from).toBeCloseTo(zoomed.from, -1);
    await press('KeyF', 'а');
    const around = (await window())!;
    expect(around.to - around.from).toBeCloseTo(node.last / 50, -1);
    await press('KeyF', 'а');
    expect(await window()).toBeUndefined();
    await page.keyboard.press('?');
    const sheet = page.locator('dialog[open]');
    const rows = await sheet.locator('dl > div').evaluateAll((all) => all.map((row) => [row.querySelector('dd')!.textContent, [...row.querySelectorAll('kbd')].map((key) => key.textContent)]));
    expect(rows).toEqual(COMMANDS.map(({ title, keys }) => [title, [...keys]]));
    await page.keyboard.press('?');
    await page.keyboard.press('Control+k');
    await page.getByTestId('palette').fill('call stack');
    await page.keyboard.press('Enter');
    expect(await page.getByTestId('tab-stack').getAttribute('aria-selected')).toBe('true');
    await page.keyboard.press('Control+k');
    await page.getByTestId('palette').fill('50%');
    await page.keyboard.press('Enter');
    await shows(Math.round(node.reader.lastPosition / 2));
    await page.keyboard.press('z');
    await shows(from);
    await page.keyboard.press('Shift+Z');
    await shows(Math.round(node.reader.lastPosition / 2));
    await page.keyboard.press('z');
  }, TIMEOUT_MS);

  it('is the same moment, window, panel and filter in a page that is opened by its link', async () => {
    await goTo(from);
    await page.getByRole('slider', { name: 'Timeline cursor' }).focus();
    await page.keyboard.press('f');
    await page.keyboard.press('5');
    await page.getByTestId('event-filter').fill('uart0');
    const count = /^[\d,]+ of/;
    await expect.poll(() => page.getByTestId('event-count').innerText(), { timeout: POLL_MS }).toMatch(count);
    await expect.poll(() => page.url()).toMatch(/panel=devices/);
    await expect.poll(() => page.url()).toMatch(/filter=uart0/);
    const other = await lab.open(page.url().slice(lab.url.length));
    await expect.poll(() => place(other), { timeout: POLL_MS }).toBe(from);
    const shown = (await window())!;
    await expect.poll(async () => Math.round((await window(other))?.from ?? 0), { timeout: POLL_MS }).toBe(Math.floor(shown.from));
    expect(Math.abs((await window(other))!.to - shown.to)).toBeLessThan(2);
    expect(await other.getByTestId('tab-devices').getAttribute('aria-selected')).toBe('true');
    expect(await other.getByTestId('event-filter').inputValue()).toBe('uart0');
    await expect.poll(() => other.getByTestId('event-count').innerText(), { timeout: POLL_MS }).toBe(await page.getByTestId('event-count').innerText());
    await other.close();
    await page.getByTestId('event-filter').fill('');
    await page.getByRole('slider', { name: 'Timeline cursor' }).focus();
    await page.keyboard.press('f');
  }, TIMEOUT_MS);

  it('keeps a bookmark, and deletes it', async () => {
    await goTo(from);
    await page.getByRole('slider', { name: 'Timeline cursor' }).focus();
    await page.keyboard.press('b');
    await expect.poll(() => page.getByTestId('notes').innerText()).toMatch(new RegExp(`@${from.toLocaleString('en-US')}\\s+bookmark`));
    await page.getByRole('button', { name: /^Delete the note/ }).click();
    await expect.poll(() => page.getByTestId('notes').innerText()).toContain('No notes yet');
  }, TIMEOUT_MS);

  it('plays at the speed that is chosen, and the console and the machine follow', async () => {
    await goTo(0);
    expect(await page.getByTestId('console').innerText()).not.toContain('lab kernel ready');
    await page.getByLabel('Playing speed, instructions a second').selectOption('64000000');
    await page.getByRole('slider', { name: 'Timeline cursor' }).focus();
    await page.keyboard.press(' ');
    await shows(node.last);
    await expect.poll(() => page.getByTestId('console').innerText(), { timeout: POLL_MS }).toContain('lab kernel ready');
    await page.getByLabel('Playing speed, instructions a second').selectOption('1000');
    await goTo(from);
    await page.getByRole('slider', { name: 'Timeline cursor' }).focus();
    await page.keyboard.press(' ');
    await expect.poll(() => place(), { timeout: POLL_MS }).toBeGreaterThan(from);
    await page.keyboard.press(' ');
    const at = await place();
    expect(at).toBeLessThan(from + 60_000);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await place()).toBe(at);
  }, TIMEOUT_MS);

  it('says what to do where something is wrong', async () => {
    const missing = await lab.open('/#/recording/traces%3Ano-such-recording');
    const alert = missing.getByRole('alert');
    await alert.waitFor({ timeout: POLL_MS });
    expect(await alert.innerText()).toMatch(/no-such-recording|no such|not/i);
    await missing.getByRole('link', { name: 'Show the recordings' }).click();
    await missing.getByText(TRACE).first().waitFor({ timeout: POLL_MS });
    await missing.close();
    await page.getByTestId('tab-memory').click();
    await page.getByTestId('memory-at').fill('no_such_symbol');
    await page.getByTestId('memory-at').press('Enter');
    await expect.poll(() => page.getByTestId('memory').innerText(), { timeout: POLL_MS }).toMatch(/no_such_symbol[^]*Give an address, a register or a symbol/);
    expect(lab.errors).toEqual([]);
  }, TIMEOUT_MS);

  it.skipIf(SHOTS === undefined)('has its picture taken', async () => {
    await goTo(from);
    for (const scheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme: scheme });
      for (const [width, height] of [[1280, 800], [3840, 2160]]) {
        await page.setViewportSize({ width, height });
        for (const panel of PANELS) {
          if (width === 3840 && panel === 'registers') continue;
          await page.getByTestId(`tab-${panel}`).click();
          await page.locator('lab-code [aria-busy=false]').waitFor({ timeout: POLL_MS });
          await page.screenshot({ path: join(SHOTS!, `run-${panel}-${scheme}-${width}.png`) });
        }
      }
    }
  }, TIMEOUT_MS);
});
