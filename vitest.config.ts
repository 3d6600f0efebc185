import { defineConfig } from 'vitest/config';

// `npm test` runs the quick suites, `npm run test:all` those that take longer (*.all.test.ts).
const slow = process.env.CHRONOVISOR_TESTS === 'all';

export default defineConfig({
  test: {
    include: [slow ? '**/*.all.test.ts' : '**/*.test.ts'],
    exclude: ['**/node_modules/**', 'dist/**', 'build/**', ...(slow ? [] : ['**/*.all.test.ts'])],
    benchmark: { exclude: ['**/node_modules/**', 'dist/**', 'build/**'] },
    // Guests run for seconds; a machine under load may take several times as long.
    testTimeout: slow ? 1_200_000 : 120_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 30_000 } },
    setupFiles: ['test/jit/setup.ts'],
    pool: 'forks',
    maxWorkers: 2,
  },
});
