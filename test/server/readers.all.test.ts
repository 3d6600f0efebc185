import { it } from 'vitest';
import { readWhileWritten } from './readers.ts';

it('200 readers see the same recording while it is written', () => readWhileWritten(200, 118_000_000));
