import { expect, it } from 'vitest';
import { branchOf } from './branch-texts.ts';

const TEXTS = { name: 'b', at: '@5', registers: '', memory: '', typed: '', until: '', inputs: 'keep' };

it('reads what a person wrote', () => {
  expect(branchOf(TEXTS)).toEqual({ name: 'b', at: '@5' });
  expect(branchOf({ ...TEXTS, registers: ' rax=7 , rip = power_off', memory: 'ticks=00ff, 0x10=AA', typed: 'a\\\\b\\n', until: '@60,000', inputs: 'none' })).toEqual({
    name: 'b', at: '@5', set: { rax: '7', rip: 'power_off' }, write: [{ address: 'ticks', bytes: '00ff' }, { address: '0x10', bytes: 'AA' }], typed: 'a\\b\n', untilPosition: 60000, inputs: 'none',
  }); // prettier-ignore
  expect(branchOf({ ...TEXTS, until: 'panic @5' })).toEqual({ name: 'b', at: '@5', untilText: 'panic @5' });
});

it('says what is wrong', () => {
  for (const registers of ['rax', '=7', 'rax=']) expect(() => branchOf({ ...TEXTS, registers }), registers).toThrow('NAME=VALUE');
  for (const memory of ['ticks=0', 'ticks=xy']) expect(() => branchOf({ ...TEXTS, memory }), memory).toThrow('hexadecimal');
});
