import { describe, expect, it } from 'vitest';
import { type VerbSpec, describeVerb, parseArguments } from './arguments.ts';
import { UsageError } from './usage-error.ts';

const SPEC: VerbSpec = {
  name: 'try',
  synopsis: 'FILE [options]',
  summary: 'Tries.',
  operands: { min: 1, max: 1 },
  options: [
    { name: 'output', short: 'o', value: 'FILE', help: 'x' },
    { name: 'until', value: 'TEXT', multiple: true, help: 'x' },
    { name: 'number', value: 'N', help: 'x' },
    { name: 'no-acpi', help: 'x' },
  ],
};
const parse = (...argv: string[]) => parseArguments(SPEC, argv);
const problem = (...argv: string[]): string => {
  try {
    parse(...argv);
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
  return 'none';
};

describe('arguments', () => {
  it('are taken in any order, long and short', () => {
    const parsed = parse('--until', 'a', '-o', 'x', 'file', '--until=b', '--no-acpi');
    expect(parsed.operands).toEqual(['file']);
    expect([parsed.text('output'), parsed.all('until'), parsed.has('no-acpi'), parsed.text('number')]).toEqual(['x', ['a', 'b'], true, undefined]);
    expect(parse('--', '-file').operands).toEqual(['-file']);
    expect(parse('f', '--until', '-x y').text('until')).toBe('-x y');
  });

  it('that are wrong are named, with what was meant', () => {
    expect(problem('f', '--outptu', 'x')).toContain('did you mean --output?');
    expect(problem('f', '--zzzzzzzz')).toBe('try has no option --zzzzzzzz');
    expect(problem('f', '--output')).toContain('needs a value');
    expect(problem('f', '--output', '--no-acpi')).toContain('needs a value');
    expect(problem('f', '--no-acpi=1')).toContain('takes no value');
    expect(problem('f', '-o', 'a', '-o', 'b')).toContain('given twice');
    expect(problem()).toContain('needs more');
    expect(problem('f', 'g')).toContain('"g" is one argument too many');
  });

  it('count in instructions, bytes, seconds and positions', () => {
    const numbers = ['0', '12', '1_000', '5M', '2G'].map((text) => parse('f', '--number', text).count('number'));
    expect(numbers).toEqual([0, 12, 1000, 5e6, 2e9]);
    expect(['128M', '1G', '4096', '64K', '1GiB'].map((text) => parse('f', '--number', text).bytes('number'))).toEqual([128 << 20, 1 << 30, 4096, 65536, 1 << 30]);
    expect(['@12', '1_0'].map((text) => parse('f', '--number', text).position('number'))).toEqual([12, 10]);
    expect(parse('f', '--number', '0.5').seconds('number')).toBe(0.5);
    for (const text of ['', '-1', '1.5', '1e9', 'x', '99999999999999999999', '1_']) {
      expect(() => parse('f', '--number', text).count('number')).toThrow(UsageError);
      expect(() => parse('f', '--number', text).bytes('number')).toThrow(UsageError);
      expect(() => parse('f', '--number', text).position('number')).toThrow(UsageError);
    }
    expect(() => parse('f', '--number', '0').count('number', 1)).toThrow('at least 1');
  });

  it('are all in the help', () => {
    for (const { name } of SPEC.options) expect(describeVerb(SPEC)).toContain(`--${name}`);
  });
});
