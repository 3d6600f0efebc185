/** 20 readers of one recording while it is written; readers.all.test.ts has 200. */
import { it } from 'vitest';
import { readWhileWritten } from './readers.ts';

it('20 readers see the same recording while it is written', () => readWhileWritten(20, 20_000_000));
