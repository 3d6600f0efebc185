import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

// `npm test` runs the quick suites, `npm run test:all` those that take longer (*.all.test.ts).
const slow = process.env.CHRONOVISOR_TESTS === 'all';

/**
 * Slow files that take over 100 s, the longest first; they begin before the others. A long file that begins last leaves one worker without work, and on a new machine
 * vitest has nothing but the sizes of the files to go by.
 */
const LONG = [
  'linux/linux', 'linux/paired', 'browser/jit', 'migration/live-check', 'linux/paravirt', 'reverse/reverse', 'debug/linux', 'determinism/determinism', 'branch/branch',
  'browser/large', 'browser/debian', 'crash/crash', 'determinism/tlb-count',
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const index = LONG.findIndex((name) => moduleId.endsWith(`/${name}.all.test.ts`));
      return index < 0 ? LONG.length : index;
    };
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    include: [slow ? '**/*.all.test.ts' : '**/*.test.ts'],
    exclude: ['**/node_modules/**', 'dist/**', 'build/**', ...(slow ? [] : ['**/*.all.test.ts'])],
    benchmark: { exclude: ['**/node_modules/**', 'dist/**', 'build/**'] },
    // Guests run for seconds; a machine under load may take several times as long.
    testTimeout: slow ? 1_200_000 : 120_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 30_000 } },
    setupFiles: ['test/setup.ts'],
    pool: 'forks',
    maxWorkers: 2,
    // A process for each quick file would take a third of the time to start, to import, and to compile what all need. Slow ones hold large guests.
    isolate: slow,
    ...(slow && { sequence: { sequencer: LongestFirst } }),
  },
});
