import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { NOTES_MAX, NOTE_LENGTH_MAX, Notes, notesPath } from './notes.ts';

let folder: string;
let log: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'chronovisor-notes-'));
  log = join(folder, 'a.cvlog');
});
afterAll(() => rmSync(folder, { recursive: true }));

const note = (id: string, position: number, text = id): { id: string; position: number; text: string; changedMs: number } => ({ id, position, text, changedMs: 1 });

it('keeps what two writers write, note by note', () => {
  expect(new Notes(log, 'A')).toMatchObject({ list: [], problem: undefined });
  const [one, other] = [new Notes(log, 'A'), new Notes(log, 'A')];
  expect(one.set(note('x', 20))).toBe(true);
  // Each request reads the file anew.
  expect(new Notes(log, 'A').set(note('y', 10))).toBe(true);
  expect(new Notes(log, 'A').list.map(({ id }) => id)).toEqual(['y', 'x']);
  expect(other.list).toEqual([]);
  expect(new Notes(log, 'A').set(note('x', 30, 'later'))).toBe(true);
  expect(new Notes(log, 'A').list).toEqual([note('y', 10), note('x', 30, 'later')]);
  expect(new Notes(log, 'A').delete('y')).toBe(true);
  expect(new Notes(log, 'A').delete('y')).toBe(false);
  expect(readdirSync(folder)).toEqual(['a.cvlog.notes']);
});

it('uses nothing of another recording, and nothing that makes no sense', () => {
  expect(new Notes(log, 'B')).toMatchObject({ list: [], problem: expect.stringContaining('another recording') as string });
  writeFileSync(notesPath(log), '{');
  expect(new Notes(log, 'A')).toMatchObject({ list: [], problem: expect.stringContaining('cannot be read') as string });
  for (const text of ['null', '[]', '{"format":2,"recording":"A","notes":[]}', '{"format":1,"recording":"A"}']) {
    writeFileSync(notesPath(log), text);
    expect(new Notes(log, 'A').problem, text).toContain('no file of notes');
  }
  const bad = [null, 1, {}, note('', 1), note('../x', 1), note('a', -1), note('a', 0.5), note('a', 1, ''), note('a', 1, 'x'.repeat(NOTE_LENGTH_MAX + 1)), { ...note('a', 1), changedMs: '1' }];
  writeFileSync(notesPath(log), JSON.stringify({ format: 1, recording: 'A', notes: [...bad, note('good', 1)] }));
  expect(new Notes(log, 'A')).toMatchObject({ list: [note('good', 1)], problem: expect.stringContaining(`${bad.length} notes`) as string });
});

it('has a bound', () => {
  writeFileSync(notesPath(log), JSON.stringify({ format: 1, recording: 'A', notes: Array.from({ length: NOTES_MAX + 1 }, (_, i) => note(`n${i}`, i)) }));
  const notes = new Notes(log, 'A');
  expect(notes.list).toHaveLength(NOTES_MAX);
  expect(notes.set(note('more', 1))).toBe(false);
  expect(notes.set(note('n3', 5))).toBe(true);
  writeFileSync(notesPath(log), ' '.repeat(9 << 20));
  expect(new Notes(log, 'A').problem).toContain('bytes');
  expect(readFileSync(notesPath(log)).length).toBe(9 << 20);
});
