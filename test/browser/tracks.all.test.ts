/** Promise: the timeline's tracks of tasks, costs and interrupts say what the engine says. CHRONOVISOR_SHOTS names a folder for pictures of the page, to be looked at. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { currentProcess } from '../../engine/debug/lab-kernel.ts';
import { guestSymbols } from '../../engine/debug/guest-symbols.ts';
import { TimeTravel } from '../../engine/debug/time-travel.ts';
import { LogReader } from '../../engine/log/reader.ts';
import { MemorySource } from '../../engine/log/storage.ts';
import type { RunModel } from '../../ui/run-model.ts';
import { NO_BROWSER } from './chromium.ts';
import { type Lab, ROOT, startLab } from './lab.ts';

const TIMEOUT_MS = 90_000;
const TRACE = 'bug-lost-update';
const SHOTS = process.env['CHRONOVISOR_SHOTS'];

describe.skipIf(NO_BROWSER)('tracks in Chromium', () => {
  let lab: Lab;
  let page: Page;

  beforeAll(async () => {
    lab = await startLab([{ name: 'traces', path: `${ROOT}traces` }]);
    page = await lab.open(`/#/recording/traces%3A${TRACE}?at=0`);
    await page.getByTestId('find-tasks').waitFor({ timeout: TIMEOUT_MS });
  }, TIMEOUT_MS);
  afterAll(async () => lab?.close());

  it('show which task runs when', async () => {
    await page.getByTestId('find-tasks').click();
    await page.getByTestId('find-tasks').waitFor({ state: 'detached' });
    await page.waitForFunction(() => (document.querySelector('lab-app')!.shadowRoot!.querySelector('lab-run') as unknown as { model: RunModel }).model.tasks.kind === 'known', undefined, { timeout: TIMEOUT_MS });
    const { names, positions, tasks } = await page.evaluate(() => {
      const { tasks: view } = (document.querySelector('lab-app')!.shadowRoot!.querySelector('lab-run') as unknown as { model: RunModel }).model;
      if (view.kind !== 'known') throw new Error(view.kind);
      return { names: view.spans.names, positions: [...view.spans.positions], tasks: [...view.spans.tasks] };
    });
    expect(tasks.length).toBeGreaterThan(10);
    const reader = LogReader.open(new MemorySource(readFileSync(`${ROOT}traces/${TRACE}.cvlog`)));
    const kernel = reader.image(reader.header.images[0].sha256)!;
    const travel = new TimeTravel({ reader, images: { kernel }, module: await WebAssembly.compile(readFileSync(`${ROOT}dist/engine/cpu/core.wasm`)) });
    const symbols = guestSymbols(travel, kernel);
    for (let n = 0; n < 12; n++) {
      const i = Math.floor((n * (tasks.length - 1)) / 11);
      // The first and the last moment of a stretch.
      for (const at of [positions[i], positions[i + 1] - 1]) {
        travel.seek(at);
        const process = currentProcess(travel.machine, symbols);
        // A program that begins in a stretch gives it its name.
        if (at > positions[i]) expect(names[tasks[i]], `at @${at}`).toBe(`${process?.name}[${process?.pid}]`);
        else expect(names[tasks[i]], `at @${at}`).toContain(`[${process?.pid}]`);
      }
    }
  }, TIMEOUT_MS);

  it('show what a technique costs', async () => {
    await page.getByTestId('cost-of').selectOption('full');
    await page.waitForFunction(() => (document.querySelector('lab-app')!.shadowRoot!.querySelector('lab-run') as unknown as { model: RunModel }).model.costs.kind === 'known', undefined, { timeout: TIMEOUT_MS });
  }, TIMEOUT_MS);

  it('are gone through by keys, and told to a screen reader', async () => {
    const reader = LogReader.open(new MemorySource(readFileSync(`${ROOT}traces/${TRACE}.cvlog`)));
    const position = async (): Promise<number> => Number((await page.getByTestId('position').inputValue()).replace(/[@,]/g, ''));
    const told = (): Promise<string> => page.getByTestId('track').innerText();
    await page.getByRole('slider', { name: 'Timeline cursor' }).focus();
    await page.keyboard.press('Home');
    for (let i = 0; i < 30 && !(await told()).startsWith('Track interrupt'); i++) await page.keyboard.press('ArrowDown');
    const interrupts = [...reader.events({ kinds: ['interrupt'] })];
    expect(await told()).toBe(`Track interrupt: ${interrupts.length} events, Enter shows its parts`);
    await page.keyboard.press('.');
    await expect.poll(position, { timeout: TIMEOUT_MS }).toBe(interrupts[0].position);
    const [, later] = [...new Set(interrupts.map((event) => event.position as number))];
    for (let i = 0; (await position()) !== later && i < 9; i++) {
      const before = await page.getByTestId('cursor-event').innerText();
      await page.keyboard.press('.');
      await expect.poll(() => page.getByTestId('cursor-event').innerText(), { timeout: TIMEOUT_MS }).not.toBe(before);
    }
    expect(await position()).toBe(later);
    await page.keyboard.press('Enter');
    expect(await told()).toContain('its parts are shown');
    await page.keyboard.press('ArrowDown');
    expect(await told()).toBe('Track vector 32, part of interrupt');
    await page.keyboard.press('ArrowUp');
    await page.keyboard.press('Enter');
    // The mode of the CPU, from its own registers at power-on and the log's events.
    for (let i = 0; i < 30 && !(await told()).startsWith('Track vCPU'); i++) await page.keyboard.press('ArrowUp');
    expect(await told()).toContain('Track vCPU: long mode');
    await page.keyboard.press('Home');
    await expect.poll(told, { timeout: TIMEOUT_MS }).toContain('Track vCPU: protected mode');
  }, TIMEOUT_MS);

  it('show where in memory the guest writes', async () => {
    const heat = await page.evaluate(() => {
      const { heat: map } = (document.querySelector('lab-app')!.shadowRoot!.querySelector('lab-run') as unknown as { model: RunModel }).model;
      return map === undefined ? undefined : { positions: [...map.positions], values: [...map.values], ranges: map.ranges };
    });
    const sets = [...LogReader.open(new MemorySource(readFileSync(`${ROOT}traces/${TRACE}.cvlog`))).events({ kinds: ['dirty'] })].flatMap((event) => (event.kind === 'dirty' ? [event] : []));
    expect(heat?.positions).toEqual([0, ...new Set(sets.map(({ position }) => position as number))]);
    const written = (stretch: number): number => heat!.values.slice(stretch * heat!.ranges, (stretch + 1) * heat!.ranges).reduce((sum, each) => sum + each, 0);
    expect(Math.round(written(0))).toBe(sets[0].pages.length);
    // It is on the canvas: its track has its colour.
    const inks = await page.evaluate(() => {
      const canvas = document.querySelector('lab-app')!.shadowRoot!.querySelector('lab-run')!.shadowRoot!.querySelector('lab-timeline')!.shadowRoot!.querySelector('canvas')!;
      const ink = getComputedStyle(document.documentElement).getPropertyValue('--kind-dirty').trim();
      const { data } = canvas.getContext('2d')!.getImageData(200, 0, canvas.width - 220, canvas.height);
      const [red, green, blue] = [1, 3, 5].map((at) => Number.parseInt(ink.slice(at, at + 2), 16));
      let near = 0;
      for (let i = 0; i < data.length; i += 4) if (Math.abs(data[i] - red) + Math.abs(data[i + 1] - green) + Math.abs(data[i + 2] - blue) < 30) near++;
      return near;
    });
    expect(inks).toBeGreaterThan(500);
  }, TIMEOUT_MS);

  it('show interrupts as arrows where there are few', async () => {
    const reader = LogReader.open(new MemorySource(readFileSync(`${ROOT}traces/${TRACE}.cvlog`)));
    const [, , third] = [...reader.events({ kinds: ['interrupt'] })].filter((event) => event.kind === 'interrupt' && event.phase === 'injected');
    await page.evaluate((at) => {
      const timeline = document.querySelector('lab-app')!.shadowRoot!.querySelector('lab-run')!.shadowRoot!.querySelector('lab-timeline') as unknown as { window: { from: number; to: number } };
      timeline.window = { from: at - 1000, to: at + 3000 };
    }, third.position as number);
    const arrows = () => page.evaluate(() => (document.querySelector('lab-app')!.shadowRoot!.querySelector('lab-run') as unknown as { model: { arrows: { shown: readonly { to: number }[] } } }).model.arrows.shown.map(({ to }) => to));
    await expect.poll(arrows, { timeout: TIMEOUT_MS }).toContain(third.position);
    if (SHOTS !== undefined) {
      for (const scheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme: scheme });
        for (const width of [1280, 3840]) {
          await page.setViewportSize({ width, height: width === 1280 ? 800 : 2160 });
          await page.screenshot({ path: join(SHOTS, `arrows-${scheme}-${width}.png`) });
          await page.keyboard.press('f');
          await page.keyboard.press('f');
          await page.screenshot({ path: join(SHOTS, `tracks-${scheme}-${width}.png`) });
          await page.evaluate((at) => ((document.querySelector('lab-app')!.shadowRoot!.querySelector('lab-run')!.shadowRoot!.querySelector('lab-timeline') as unknown as { window: { from: number; to: number } }).window = { from: at - 1000, to: at + 3000 }), third.position as number);
        }
      }
    }
    expect(lab.errors).toEqual([]);
  }, TIMEOUT_MS);
});
