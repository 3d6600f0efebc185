/** Integer instructions do what an Intel CPU does: against this CPU where it can be asked, and against stored outcomes everywhere. */
import { describe, expect, it } from 'vitest';
import { formatCase, formatOutcome, parseLine } from './case.ts';
import { check, compare, summarize } from './compare.ts';
import { EngineRunner, loadCore } from './engine-runner.ts';
import { readFixtures } from './fixtures.ts';
import { FORMS } from './forms.ts';
import { generate } from './generate.ts';
import { hostCpu, nativeUnavailable } from './native-runner.ts';

const SEED = 1;
const COUNT = 30_000;
const SHOWN = 20;

describe('integer instructions', () => {
  it('give the stored outcomes', () => {
    const engine = new EngineRunner(loadCore());
    const { cpu, all } = readFixtures();
    expect(cpu).toMatch(/Intel/);
    expect(all.length).toBeGreaterThan(2000);
    const wrong = all.flatMap((f) => {
      const text = check(engine, f.case, f.outcome, 0, true);
      return text === undefined ? [] : [`${text}\n    node dist/test/conformance/cli.js case '${formatCase(f.case)} => ${formatOutcome(f.case, f.outcome)}'`];
    });
    expect(wrong.slice(0, SHOWN).join('\n')).toBe('');
  });

  it.skipIf(nativeUnavailable() !== undefined)(`do what this CPU does (${COUNT} cases)`, () => {
    const report = compare({ seed: SEED, count: COUNT });
    expect(report.failures.length, summarize(report, SHOWN)).toBe(0);
    const leftOut = [...report.leftOut.values()].reduce((a, b) => a + b, 0);
    expect(leftOut).toBeLessThanOrEqual(hostCpu().vendor === 'GenuineIntel' ? 0 : COUNT / 50);
  });

  it('that the CPU model does not offer are #UD', () => {
    const engine = new EngineRunner(loadCore());
    //                name      code
    const missing: readonly (readonly [string, string])[] = [
      ['movbe',            '0f38f000'],
      ['movbe store',      '660f38f100'],
      ['adcx',             '660f38f6c0'],
      ['adox',             'f30f38f6c0'],
      ['xgetbv',           '0f01d0'],
      ['xsave',            '0fae20'],
      ['rdfsbase',         'f30faec0'],
      ['rdpid',            'f30fc7f8'],
      ['monitor',          '0f01c8'],
      ['pclmulqdq',        '660f3a44c000'],
      ['aesenc',           '660f38dcc0'],
    ];
    const found = missing.map(([name, code]) => [name, engine.run(parseLine(`64 invalid ${code} @10000400 fill=1 rax=10010000`).case).vector]);
    expect(found).toEqual(missing.map(([name]) => [name, 6]));
  });

  it('are drawn the same from a seed and an index, and a line says all of a case', () => {
    for (let index = 0; index < FORMS.length; index++) {
      const c = generate(SEED, index);
      expect(formatCase(generate(SEED, index))).toBe(formatCase(c));
      expect(formatCase(parseLine(formatCase(c)).case)).toBe(formatCase(c));
    }
  });
});
