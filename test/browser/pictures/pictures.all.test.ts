/** Promise: the pictures of README.md are of the real pages, small, and nothing but SVG. */
import { readFileSync } from 'node:fs';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NO_BROWSER } from '../chromium.ts';
import { type Lab, ROOT, startLab } from '../lab.ts';
import { PICTURES, draw } from './make.ts';

const TIMEOUT_MS = 60_000;
const BYTES_MAX = 300_000;

describe.skipIf(NO_BROWSER)('pictures of the pages', () => {
  let lab: Lab;
  let page: Page;

  beforeAll(async () => {
    lab = await startLab([{ name: 'traces', path: `${ROOT}traces` }]);
    page = await lab.browser.newPage();
  }, TIMEOUT_MS);
  afterAll(async () => lab?.close());

  const textsOf = (svg: string): Promise<readonly string[]> => {
    return page.evaluate((source) => {
      const parsed = new DOMParser().parseFromString(source, 'image/svg+xml');
      if (parsed.querySelector('parsererror') !== null) throw new Error(parsed.documentElement.textContent ?? '');
      return [...parsed.querySelectorAll('text')].map(({ textContent }) => textContent ?? '');
    }, svg);
  };

  it.each(PICTURES)('$name', async (picture) => {
    const drawn = await draw(lab, picture);
    const kept = readFileSync(`${ROOT}ui/pictures/${picture.name}.svg`, 'utf8');
    for (const svg of [drawn, kept]) {
      expect(svg.length).toBeLessThan(BYTES_MAX);
      expect(svg).not.toMatch(/<image|<script|href=|data:|undefined|NaN/);
      const texts = await textsOf(svg);
      expect(texts).toContain('bug-lost-update');
      for (const words of picture.name === 'run' ? ['work syscall', '@57,612,185', 'syscall_dispatch+0x4a5', 'work fork (guest)'] : ['hw-shadow', 'Phases, from mark to mark']) expect(texts, words).toContain(words);
    }
    expect(readFileSync(`${ROOT}README.md`, 'utf8')).toContain(`ui/pictures/${picture.name}.svg`);
  }, 2 * TIMEOUT_MS);
});
