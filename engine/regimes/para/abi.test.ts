import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import * as abi from './abi.ts';

it('has the numbers of pv-abi.h, all of them and no other', () => {
  const header = readFileSync(new URL('../../guests/pv-abi.h', import.meta.url), 'utf8');
  const defined = [...header.matchAll(/^#define (\w+) (-?(?:0x[0-9a-f]+|\d+))\b/gm)].map(([, name, value]): [string, bigint] => [name, value.startsWith('-') ? -BigInt(value.slice(1)) : BigInt(value)]);
  expect(new Set(defined.map(([name]) => name)).size).toBe(defined.length);
  expect(Object.fromEntries(Object.entries(abi).map(([name, value]) => [name, BigInt(value)]))).toEqual(Object.fromEntries(defined));
});
