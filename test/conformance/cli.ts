/**
 * Conformance from the command line, after `npm run build`:
 *
 *   node dist/test/conformance/cli.js run [--seed N] [--count N] [--from N]   compare engine and this CPU
 *   node dist/test/conformance/cli.js case 'LINE'                            one case, as a failure prints it
 *   node dist/test/conformance/cli.js case SEED INDEX                        one case, by its place
 *   node dist/test/conformance/cli.js fixtures                               write fixtures/ anew from this CPU
 */
import { parseArgs } from 'node:util';
import { difference, formatCase, formatOutcome, parseLine, type Case } from './case.ts';
import { compare, summarize } from './compare.ts';
import { EngineRunner, loadCore } from './engine-runner.ts';
import { writeFixtures } from './fixtures.ts';
import { generate } from './generate.ts';
import { nativeUnavailable, NativeRunner } from './native-runner.ts';

function one(c: Case): void {
  console.log(formatCase(c));
  const outcome = new EngineRunner(loadCore()).run(c);
  console.log(`engine: ${formatOutcome(c, outcome)}`);
  if (nativeUnavailable() !== undefined) return;
  const expected = new NativeRunner().run([c])[0]!;
  console.log(`cpu:    ${formatOutcome(c, expected)}`);
  const found = difference(c, expected, outcome, 0);
  console.log(found ?? 'the same');
  if (found !== undefined) process.exitCode = 1;
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { seed: { type: 'string', default: '1' }, count: { type: 'string', default: '30000' }, from: { type: 'string', default: '0' }, show: { type: 'string', default: '40' } },
});
switch (positionals[0]) {
  case 'run': {
    const report = compare({ seed: Number(values.seed), count: Number(values.count), from: Number(values.from) });
    console.log(summarize(report, Number(values.show)));
    if (report.failures.length > 0) process.exitCode = 1;
    break;
  }
  case 'case': {
    const [, first = '', index] = positionals;
    one(index === undefined ? parseLine(first).case : generate(Number(first), Number(index)));
    break;
  }
  case 'fixtures':
    console.log(writeFixtures(new NativeRunner()));
    break;
  default:
    console.log('run | case LINE | case SEED INDEX | fixtures');
    process.exitCode = 2;
}
