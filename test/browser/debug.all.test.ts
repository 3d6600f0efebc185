/** Promise: the run page is a place to walk in: the same places as the engine's own walks, in both directions, without a server's help. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { guestSymbols } from '../../engine/debug/guest-symbols.ts';
import { readRegister } from '../../engine/debug/inspect.ts';
import { execs } from '../../engine/debug/queries.ts';
import { TimeTravel } from '../../engine/debug/time-travel.ts';
import { LogReader } from '../../engine/log/reader.ts';
import { MemorySource } from '../../engine/log/storage.ts';
import { NO_BROWSER } from './chromium.ts';
import { type Lab, ROOT, startLab } from './lab.ts';
import { goToLastWriter } from './last-writer.ts';

const TIMEOUT_MS = 45_000;
const TRACE = 'bug-lost-update';
/** In `accounting_exit`, which the planted bug is in. */
const FUNCTION = 'accounting_exit';

describe.skipIf(NO_BROWSER)('walking in a recording in Chromium', () => {
  let lab: Lab;
  let page: Page;
  let node: TimeTravel;
  let entry: bigint;

  beforeAll(async () => {
    const reader = LogReader.open(new MemorySource(readFileSync(`${ROOT}traces/${TRACE}.cvlog`)));
    const kernel = reader.image(reader.header.images[0].sha256)!;
    node = new TimeTravel({ reader, images: { kernel }, module: await WebAssembly.compile(readFileSync(`${ROOT}dist/engine/cpu/core.wasm`)) });
    entry = guestSymbols(node, kernel).table.find(FUNCTION).address;
    lab = await startLab([{ name: 'traces', path: `${ROOT}traces` }]);
    page = await lab.open(`/#/recording/traces%3A${TRACE}`);
    await page.locator('[data-testid=code][data-rip] [aria-current=step]').waitFor({ timeout: TIMEOUT_MS });
  }, TIMEOUT_MS * 2);
  afterAll(async () => lab?.close());

  const place = async (): Promise<number> => Number((await page.getByTestId('position').inputValue()).replace(/[@,]/g, ''));
  const shows = (position: number): Promise<unknown> => expect.poll(place, { timeout: TIMEOUT_MS / 2 }).toBe(position);

  it('runs back to a breakpoint, and shows its hits over the whole run', async () => {
    await page.getByTestId('tab-points').click();
    await page.getByTestId('point-text').fill(FUNCTION);
    await page.keyboard.press('Enter');
    await page.locator('[data-testid=points] li[data-done=true]').waitFor({ timeout: TIMEOUT_MS });
    node.seek(node.last);
    const stop = node.reverseContinue([{ kind: 'breakpoint', address: entry }]);
    await page.getByTestId('reverse-continue').click();
    await shows(stop.position);
    await expect.poll(() => page.getByTestId('code').getAttribute('data-rip')).toBe(`0x${entry.toString(16)}`);
    expect(await page.getByTestId('walk').innerText()).toContain(FUNCTION);
    const hits = [...execs(node, [entry], { from: 0, to: node.last + 1 })];
    expect(hits.length).toBeGreaterThan(10);
    expect(await page.locator('[data-testid=points] li').getAttribute('data-hits')).toBe(String(hits.length));
    node.seek(stop.position);
  }, TIMEOUT_MS);

  it('shows the text of the source beside the code', async () => {
    const line = page.locator('[data-testid=code] tr.source', { has: page.getByTestId('source-line') }).first();
    await line.waitFor();
    const [, file, number] = /^(\S+?):(\d+)/.exec((await line.innerText()).trim())!;
    const text = readFileSync(`${ROOT}engine/guests/${file}`, 'utf8').split('\n')[Number(number) - 1].trim();
    expect(text).not.toBe('');
    expect(await line.getByTestId('source-line').innerText()).toBe(text);
  }, TIMEOUT_MS);

  it('stops at a breakpoint with a condition only where it holds, and says what is wrong with one', async () => {
    const from = await place();
    const all = [...execs(node, [entry], { from: 0, to: node.last + 1 })].map(({ position }) => position);
    const valueAt = (at: number, name: string): bigint => (node.seek(at), readRegister(node.machine, name)!);
    // One that is not always the same there.
    const register = ['rdi', 'rsi', 'rdx', 'rcx', 'rax', 'rbx', 'rsp', 'r12'].find((name) => new Set(all.map((at) => valueAt(at, name))).size > 1)!;
    const wanted = valueAt(all[2], register);
    const expected = all.filter((at) => valueAt(at, register) === wanted);
    await page.getByTestId('point-text').fill(`${FUNCTION} if ${register} == 0x${wanted.toString(16)}`);
    await page.getByTestId('point-text').press('Enter');
    const listed = page.locator('[data-testid=points] li', { hasText: ' if ' });
    await listed.and(page.locator('[data-done=true]')).waitFor({ timeout: TIMEOUT_MS });
    expect(await listed.getAttribute('data-hits')).toBe(String(expected.length));
    // Only this one stops.
    await page.locator('[data-testid=points] li input').first().uncheck();
    await page.getByTestId('reverse-continue').click();
    await shows(expected.findLast((at) => at < from)!);
    await listed.getByRole('button', { name: /^Remove/ }).click();
    await page.locator('[data-testid=points] li input').first().check();
    await page.getByTestId('point-text').fill(`${FUNCTION} if no_such_symbol > 1`);
    await page.getByTestId('point-text').press('Enter');
    await expect.poll(() => page.getByTestId('points').innerText()).toContain('no_such_symbol');
    await page.getByTestId('position').fill(String(from));
    await page.getByTestId('position').press('Enter');
    await shows(from);
    node.seek(from);
  }, TIMEOUT_MS);

  it('steps by instruction and out of a function, and back', async () => {
    const from = await place();
    await page.getByTestId('step').click();
    await shows(from + 1);
    await page.getByTestId('reverse-step').click();
    await shows(from);
    await page.getByTestId('tab-stack').click();
    const stack = page.locator('[data-testid=stack][data-position]');
    await stack.waitFor({ timeout: TIMEOUT_MS });
    expect(await stack.innerText()).toMatch(/accounting_exit[^]*process_exit[^]*syscall/);
    await page.getByTestId('reverse-out').click();
    await expect.poll(() => page.getByTestId('walk').innerText(), { timeout: TIMEOUT_MS }).toContain('process_exit');
    await page.getByTestId('step').click();
    await shows(from);
    await page.getByRole('slider', { name: 'Timeline cursor' }).focus();
    await page.keyboard.press('Home');
    await shows(0);
    await page.keyboard.press('z');
    await shows(from);
  }, TIMEOUT_MS);

  it('finds the last writer of a byte of the stack, where a watchpoint stops, too', async () => {
    await shows(await goToLastWriter(page, node, await place(), TIMEOUT_MS));
  }, TIMEOUT_MS);

  it('shows the page walk and the devices there', async () => {
    await page.getByTestId('tab-paging').click();
    await expect.poll(() => page.getByTestId('paging').innerText()).toMatch(/PML4[^]*PDPT[^]*PD[^]*physical|physical[^]*PML4[^]*PDPT[^]*PD/);
    await page.getByTestId('tab-devices').click();
    await expect.poll(() => page.getByTestId('devices').innerText()).toMatch(/timers[^]*pit[^]*uart/);
  }, TIMEOUT_MS);

  it('keeps a note over a reload, finds it in the palette, and comes back to the moment and the panel of the link', async () => {
    const at = await place();
    await page.getByTestId('tab-notes').click();
    await page.getByTestId('note-text').fill('the counter was read here');
    await page.keyboard.press('Enter');
    await expect.poll(() => page.url()).toContain(`at=${at}`);
    await expect.poll(() => page.url()).toContain('panel=notes');
    await page.reload();
    await expect.poll(() => page.getByTestId('notes').innerText(), { timeout: TIMEOUT_MS }).toContain('the counter was read here');
    await shows(at);
    await page.keyboard.press('Home');
    await shows(0);
    await page.keyboard.press('Control+k');
    await page.keyboard.type('counter was');
    await page.keyboard.press('Enter');
    await shows(at);
  }, TIMEOUT_MS);

  it('has no serious violation of accessibility rules in any panel', async () => {
    await page.evaluate(readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8'));
    for (const tab of ['registers', 'stack', 'memory', 'paging', 'devices', 'points', 'origin', 'notes', 'recording']) {
      await page.getByTestId(`tab-${tab}`).click();
      await page.locator('lab-code [aria-busy=false]').waitFor();
      const violations = await page.evaluate(async (isFirst) => {
        const { axe } = globalThis as unknown as { axe: { run(context: unknown): Promise<{ violations: { id: string; impact: string; nodes: { html: string }[] }[] }> } };
        // All of the page once, then what is in front.
        const { violations: found } = await axe.run(isFirst ? document : { include: [{ fromShadowDom: ['lab-app', 'lab-run', '.side'] }] });
        return found.filter(({ impact }) => impact === 'serious' || impact === 'critical').map(({ id, nodes }) => `${id}: ${nodes[0].html}`);
      }, tab === 'registers');
      expect(violations, tab).toEqual([]);
    }
    expect(lab.errors).toEqual([]);
  }, TIMEOUT_MS);
});
