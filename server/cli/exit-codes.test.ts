import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { END_REASONS } from '../../engine/log/events.ts';
import { LOG_ERRORS, LogError } from '../../engine/log/errors.ts';
import { StoreError } from '../store/errors.ts';
import { EXIT_CODES, exitCode, exitNameOfEnd, failureOf } from './exit-codes.ts';

describe('exit codes', () => {
  it('are each used once', () => {
    const codes = EXIT_CODES.map(({ status }) => status);
    expect(new Set(codes).size).toBe(codes.length);
    expect(codes.every((code) => code >= 0 && code < 256)).toBe(true);
  });

  it('are those of README.md', () => {
    const readme = readFileSync(new URL('./README.md', import.meta.url), 'utf8');
    const section = readme.slice(readme.indexOf('## Exit codes'));
    const rows = [...section.matchAll(/^\| (\d+) \| (.*) \|$/gm)].map(([, status, meaning]) => ({ status: Number(status), meaning }));
    expect(rows).toEqual(EXIT_CODES.map(({ status, meaning }) => ({ status, meaning })));
  });

  it('tell the ends of a guest apart', () => {
    expect(END_REASONS.map((reason) => [reason, exitCode(exitNameOfEnd(reason, ''))])).toEqual([
      ['shutdown', 0], ['reset', 0], ['limit', 0], ['user', 0], ['error', 7], ['truncated', 4], ['triple-fault', 6], ['debug-exit', 5], ['halted', 0],
    ]); // prettier-ignore
    expect(exitNameOfEnd('debug-exit', '1')).toBe('ok');
    expect(exitNameOfEnd('debug-exit', '3')).toBe('guest-failed');
  });

  it('are found for errors, wrapped or not', () => {
    expect(failureOf(new LogError('LOG_TORN', 1, 2, 'x'))?.status).toBe(LOG_ERRORS.LOG_TORN.status);
    const cause = new StoreError('output-exists', { file: 'a', option: '-o' });
    expect(failureOf(new LogError('LOG_WRITE_FAILED', 0, 0, 'x', { cause }))).toEqual(failureOf(cause));
    expect(failureOf(cause)?.status).toBe(12);
    expect(failureOf(new Error('a bug'))).toBeUndefined();
  });
});
