import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { EXIT_REASONS } from '../log/events.ts';
import { labImage } from '../../test/determinism/cases.ts';
import { core, open } from '../../test/determinism/runs.ts';
import { ExpressionError, parseExpression } from './expression.ts';
import { ExpressionView } from './expression-view.ts';
import { readLinear, readRegister } from './inspect.ts';
import { SymbolTable, parseElfSymbols } from './symbols.ts';
import { TimeTravel } from './time-travel.ts';

let travel: TimeTravel;
let symbols: SymbolTable;
beforeAll(() => {
  const kernel = labImage('bug-lost-update');
  travel = new TimeTravel({ reader: open(new Uint8Array(readFileSync(new URL('../../traces/bug-lost-update.cvlog', import.meta.url)))), images: { kernel }, module: core() });
  symbols = parseElfSymbols(kernel);
  travel.seek(300_000);
});

const value = (text: string): bigint | undefined => parseExpression(text, symbols).value(new ExpressionView(travel.machine));

describe('an expression', () => {
  it.each([
    ['1 + 2 * 3', 7n], ['(1 + 2) * 3', 9n], ['10 - 4 - 3', 3n], ['0x10 == 16', 1n], ['1_000 < 0xFFFF', 1n], ['-3 < 2', 1n], ['!0 && !(5 > 6)', 1n], ['1 || 0 && 0', 1n],
    ['6 & 3 == 2', 1n], ['1 << 4 | 1', 17n], ['2 ^ 3', 1n], ['0xff >> 4', 15n], ['1 << 200', undefined], ['!!7', 1n], ['3 <= 3 && 3 >= 3 && 3 != 4', 1n],
  ] as const)('%s', (text, expected) => expect(value(text)).toBe(expected)); // prettier-ignore

  it('reads registers, the position, and symbols as addresses', () => {
    const rax = readRegister(travel.machine, 'rax');
    expect(value('rax')).toBe(rax);
    expect(value('RAX + 1')).toBe((rax ?? 0n) + 1n);
    expect(value('position')).toBe(300_000n);
    expect(value('cpl')).toBe(readRegister(travel.machine, 'cpl'));
    expect(value('current')).toBe(symbols.find('current').address);
    expect(value('accounting.c:free_list == heap.c:free_list')).toBe(0n);
  });

  it('reads memory, linear and physical, signed and unsigned', () => {
    const { address } = symbols.find('accounting_call');
    const code = travel.machine.core.readPhysical(Number(address - 0xffffffff80000000n), 8);
    const word = Buffer.from(code).readBigUInt64LE();
    for (const text of ['[accounting_call]', '[accounting_call]:8', 'u64(accounting_call)', 'p64(accounting_call - 0xffffffff80000000)']) expect(value(text)).toBe(word);
    expect(value('u8(accounting_call)')).toBe(word & 0xffn);
    expect(value('[accounting_call + 1]:2')).toBe((word >> 8n) & 0xffffn);
    expect(value('s64(accounting_call)')).toBe(BigInt.asIntN(64, word));
    // Across the end of a page.
    const across = Buffer.from(readLinear(travel.machine, address - 0x63n, 8)).readBigUInt64LE();
    expect(across).not.toBe(0n);
    expect(value('u64(accounting_call - 0x63)')).toBe(across);
    // What is not mapped has no value, which decides nothing.
    expect(value('u64(0x123456789000)')).toBeUndefined();
    expect(value('!u64(0x123456789000)')).toBeUndefined();
    expect(value('0 && u64(0x123456789000)')).toBe(0n);
    expect(value('u64(0x123456789000) || 1')).toBe(1n);
    expect(value('p8(0x7fffffffffffffff)')).toBeUndefined();
  });

  it('counts lists', () => {
    expect(value('length(u64(accounting.c:free_list)) + length(u64(accounting.c:pending_list), 0)')).toBe(64n);
    expect(value('length(0)')).toBe(0n);
    expect(value('length(1)')).toBeUndefined();
  });

  it('changes nothing', () => {
    const { digest } = travel.machine.digest();
    for (const text of ['u64(u64(current) + 560)', 'length(u64(accounting.c:free_list))', 'u64(0x400000)', 'rax']) value(text);
    expect(travel.machine.digest().digest).toBe(digest);
  });

  it('says what it is about', () => {
    const of = (text: string): unknown => {
      const { registers, readsMemory, rip } = parseExpression(text, symbols);
      return [[...registers], readsMemory, rip];
    };
    expect(of('u64(current) == 1')).toEqual([[], true, undefined]);
    expect(of('rip == 0x10 && u64(rsp) == 1')).toEqual([['rip', 'rsp'], true, 0x10n]);
    expect(of('rip == 0x10 || rax == 1')).toEqual([['rip', 'rax'], false, undefined]);
  });

  it('counts events of the log, from the position after each', () => {
    const { reader } = travel;
    const counted = (text: string, position: number): bigint | undefined => {
      travel.seek(position);
      return parseExpression(text, symbols, reader).value(new ExpressionView(travel.machine));
    };
    const [first, second] = [...reader.events({ kinds: ['exit'] })].filter((event) => event.kind === 'exit' && event.reason === EXIT_REASONS.cpuid);
    const text = 'events("exit cpuid")';
    expect([first.position, first.position + 1, second.position + 1].map((at) => counted(text, at))).toEqual([0n, 1n, 2n]);
    expect(counted(`${text} == 2 && events('console nothing prints this') == 0`, second.position + 1)).toBe(1n);
    for (const words of ['exit nonsense', 'interrupt 256', 'nonsense', 'event', 'console']) expect(() => parseExpression(`events("${words}")`, symbols, reader)).toThrow(ExpressionError);
    travel.seek(300_000);
  });

  it.each([
    ['', 1, 'a value is missing'], ['1 +', 4, 'a value is missing'], ['rax = 1', 5, 'a comparison is written =='], ['(1', 1, '"(" is not closed'], ['1)', 2, '")" where an operator'],
    ['u64(1', 4, '"(" is not closed'], ['[1]:3', 5, '1, 2, 4 or 8'], ['nonsense > 1', 1, 'there is no symbol "nonsense"'], ['1 < 2 < 3', 7, 'cannot be chained'], ['0x', 1, 'is no number'],
    ['12ab', 1, 'is no number'], ['rax == "x"', 8, 'where a value'], ['sqrt(4)', 1, 'there is no function'], ['free_list', 1, '3 symbols'], ['1 2', 3, 'where an operator'], ['length(1;2)', 9, 'means nothing'],
    ['events("exit")', 1, 'and here is none'], ['events(exit)', 8, 'has a text'], ['events("exit', 8, 'means nothing'],
  ] as const)('"%s" is wrong at column %i', (text, column, message) => {
    let error: unknown;
    try {
      parseExpression(text, symbols);
    } catch (thrown) {
      error = thrown;
    }
    if (!(error instanceof ExpressionError)) throw error;
    expect([error.column, error.message]).toEqual([column, expect.stringContaining(message)]);
  }); // prettier-ignore

  it('is not too long or too deep', () => {
    expect(() => parseExpression('1+'.repeat(3000), symbols)).toThrow('characters');
    expect(() => parseExpression(`${'('.repeat(500)}1`, symbols)).toThrow('lie in one another');
    expect(() => parseExpression(`${'!'.repeat(4000)}1`, symbols)).toThrow('lie in one another');
  });
});
