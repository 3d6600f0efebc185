import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, expect, it } from 'vitest';
import { FileJournal } from './journal.ts';

const folder = mkdtempSync(join(tmpdir(), 'chronovisor-journal-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;
const newPath = (): string => join(folder, `${files++}.handover`);

it('has the last record, after any number of them, for whoever opens it', () => {
  const path = newPath();
  expect(new FileJournal(path).read()).toBeUndefined();
  for (let i = 0; i < 7; i++) {
    new FileJournal(path).write({ i, text: 'é'.repeat(i) });
    expect(new FileJournal(path).read()).toEqual({ i, text: 'é'.repeat(i) });
    expect(readFileSync(path).length).toBe(4096);
  }
});

it('a write that is torn at any byte leaves the record before it', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.nat(2047), fc.nat(255), (count, torn, byte) => {
      const path = newPath();
      const journal = new FileJournal<{ state: string }>(path);
      for (let i = 0; i < count; i++) journal.write({ state: `state ${i}` });
      const before = readFileSync(path);
      journal.write({ state: 'last' });
      const after = readFileSync(path);
      // What the disk took, then what was there; where it was torn is anything.
      const at = (count % 2) * 2048 + torn;
      const mixed = Buffer.concat([after.subarray(0, at), Buffer.of(byte), before.subarray(at + 1)]);
      writeFileSync(path, mixed);
      expect([`state ${count - 1}`, 'last']).toContain(journal.read()?.state);
      if (!mixed.equals(after) && torn < 20) expect(journal.read()?.state).toBe(`state ${count - 1}`);
      rmSync(path);
    }),
    { numRuns: 100 },
  );
});

it('says what is wrong with a file that holds no record, and with a record that is too long', () => {
  const path = newPath();
  writeFileSync(path, 'no record\n');
  expect(() => new FileJournal(path).read()).toThrow(/no whole record/);
  expect(() => new FileJournal(newPath()).write({ text: 'x'.repeat(3000) })).toThrow(/there is room for 2048/);
});
