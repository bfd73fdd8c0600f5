import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    environment: 'node',
    reporters: ['default', './test/support/summary-reporter.ts'],
    pool: 'forks',
    restoreMocks: true,
    unstubEnvs: true,
    testTimeout: 30_000,
    hookTimeout: 120_000,
    setupFiles: ['test/support/setup.ts'],
    env: {
      AWS_REGION: 'eu-west-1',
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      POWERTOOLS_LOG_LEVEL: 'SILENT',
    },
    coverage: {
      provider: 'v8',
      include: ['functions/**/*.ts', 'tasks/**/*.ts', 'src/**/*.ts'],
      reporter: ['text-summary', 'json-summary'],
    },
  },
});
