import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { type Look, lookClosely } from '../runs/look.ts';
import { Catalogue } from './catalogue.ts';

const TRACE = readFileSync(fileURLToPath(new URL('../../traces/bug-lost-update.cvlog', import.meta.url)));
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'chronovisor-catalogue-'));
  writeFileSync(join(folder, 'whole.cvlog'), TRACE);
  writeFileSync(join(folder, 'cut.cvlog'), TRACE.subarray(0, TRACE.length >> 1));
  const damaged = Buffer.from(TRACE);
  damaged.fill(0xff, TRACE.length >> 2, (TRACE.length >> 2) + 100);
  writeFileSync(join(folder, 'damaged.cvlog'), damaged.subarray(0, TRACE.length >> 1));
});
afterAll(() => rmSync(folder, { recursive: true }));

const states = async (catalogue: Catalogue): Promise<Record<string, string>> => Object.fromEntries((await catalogue.list()).map(({ file, state }) => [file, state]));

it('says what became of each recording', async () => {
  const catalogue = new Catalogue([{ name: 'a', path: folder }], { writableFolder: 'a' });
  expect(await states(catalogue)).toEqual({ 'cut.cvlog': 'cut-off', 'damaged.cvlog': 'damaged', 'whole.cvlog': 'complete' });
  expect(await catalogue.find('a:cut')).toMatchObject({ entry: { summary: { guest: 'bug-lost-update', end: undefined }, problem: { advice: expect.stringContaining('--repair') as string }, isWritable: true } });
  const before = await catalogue.find('a:whole');
  expect(await catalogue.find('a:whole')).toBe(before);
  expect(await catalogue.find('a:none')).toBeUndefined();
  writeFileSync(join(folder, 'whole.cvlog'), TRACE.subarray(0, TRACE.length >> 1));
  expect(await catalogue.find('a:whole')).toMatchObject({ entry: { state: 'cut-off' } });
  writeFileSync(join(folder, 'whole.cvlog'), TRACE);
});

it('does not wait for a survey that takes long, and asks for it once', async () => {
  const told = vi.spyOn(console, 'error').mockImplementation(() => undefined);
  let resolve: (look: Look) => void = () => undefined;
  const asked: string[] = [];
  const catalogue = new Catalogue([{ name: 'a', path: folder }], {
    surveyedAtOnce: 0,
    patienceMs: 50,
    lookClosely: (path) => {
      asked.push(path);
      return path.endsWith('damaged.cvlog') ? Promise.reject(new Error('a planned failure')) : new Promise((done) => (resolve = done));
    },
  });
  const [first, second] = await Promise.all([states(catalogue), states(catalogue)]);
  expect(first).toEqual({ 'cut.cvlog': 'cut-off', 'damaged.cvlog': 'damaged', 'whole.cvlog': 'complete' });
  expect(second).toEqual(first);
  expect(asked.filter((path) => path.endsWith('cut.cvlog'))).toHaveLength(1);
  expect(await catalogue.find('a:cut')).toMatchObject({ entry: { summary: undefined, problem: { advice: expect.stringContaining('reload') as string } } });
  resolve(lookClosely(join(folder, 'cut.cvlog')));
  expect(await catalogue.find('a:cut')).toMatchObject({ entry: { state: 'cut-off', summary: { guest: 'bug-lost-update' } } });
  // What failed was told to the operator.
  expect(told).toHaveBeenCalled();
  told.mockRestore();
});
