import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { loadCore } from '../../server/store/core-module.ts';
import { ownPackage } from '../../server/store/package-root.ts';
import { LogReader } from '../log/reader.ts';
import { MemorySource } from '../log/storage.ts';
import { AskedRangeError, RANGE_BYTES_MAX, askedRange } from './asked-range.ts';
import { parseElfSymbols } from './symbols.ts';
import { TimeTravel } from './time-travel.ts';

const reader = LogReader.open(new MemorySource(readFileSync(`${ownPackage().root}/traces/bug-lost-update.cvlog`)));
const kernel = reader.image(reader.header.images[0].sha256)!;
const travel = new TimeTravel({ reader, images: { kernel }, module: loadCore() });
const symbols = parseElfSymbols(kernel);

function problemOf(text: string, isPhysical = false): string {
  try {
    askedRange(travel, symbols, text, isPhysical);
    return 'none';
  } catch (error) {
    if (!(error instanceof AskedRangeError)) throw error;
    return error.kind;
  }
}

it('takes a symbol as long as it is, an address as a word, and what comes after the last comma outside of brackets as bytes', () => {
  travel.seek(1_000_000);
  const symbol = symbols.find('ticks');
  expect(askedRange(travel, symbols, 'ticks', false)).toMatchObject({ address: symbol.address, length: symbol.size });
  expect(askedRange(travel, symbols, `0x${symbol.address.toString(16)}`, false).length).toBe(8);
  expect(askedRange(travel, symbols, 'ticks + 4, 0x2', false)).toMatchObject({ address: symbol.address + 4n, length: 2 });
  expect(askedRange(travel, symbols, '0x1000,16', true).ranges).toEqual([{ paddr: 0x1000, length: 16 }]);
});

it('says what is wrong with each', () => {
  travel.seek(1_000_000);
  expect([problemOf(''), problemOf('ticks,0'), problemOf(`ticks,${RANGE_BYTES_MAX + 1}`), problemOf('ticks,many'), problemOf('0-1'), problemOf('0x3fffffff000'), problemOf('u64(0x3fffffff000)')])
    .toEqual(['empty', 'length', 'length', 'length', 'no-address', 'unmapped', 'unreadable']);
  expect(problemOf(`0x${travel.machine.core.ramBytes.toString(16)}`, true)).toBe('beyond');
});
