import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { LogReader } from '../engine/log/reader.ts';
import { MemorySource } from '../engine/log/storage.ts';
import { ModeFold, modesOf } from './vcpu-modes.ts';

const LONG = 0x8001_0033;

describe('modes of the CPU', () => {
  it('of the lab kernel: it begins in protected mode, and turns paging on with EFER.LME set', () => {
    const reader = LogReader.open(new MemorySource(new Uint8Array(readFileSync(new URL('../traces/lab-kernel.cvlog', import.meta.url)))));
    const fold = new ModeFold();
    reader.eventBlocks.forEach((_, i) => fold.add(reader.batch(i)));
    const paging = [...reader.events({ kinds: ['exit'] })].find((event) => event.kind === 'exit' && event.detail.kind === 'cr' && event.detail.cr === 0 && event.detail.access === 'mov-to');
    expect(modesOf(fold.changes, { cr0: 0x11, efer: 0 })).toEqual([
      { position: 0, text: 'protected mode' },
      { position: paging!.position, text: 'long mode' },
    ]);
    // Nobody has seen power-on: nothing is said of it.
    expect(modesOf(fold.changes, undefined).map(({ text }) => text)).toEqual(['long mode']);
  });

  it('follows every step from real mode on, and says a mode once', () => {
    const changes = [
      { position: 5, cr0: 'protected' as const, efer: undefined },
      { position: 6, cr0: 0x8000_0011, efer: undefined },
      { position: 7, cr0: 0x11, efer: undefined },
      { position: 8, cr0: undefined, efer: 0x100 },
      { position: 9, cr0: LONG, efer: undefined },
      { position: 10, cr0: LONG | 8, efer: 0x901 },
    ];
    expect(modesOf(changes, { cr0: 0x10, efer: 0 }).map(({ position, text }) => `${position} ${text}`)).toEqual(['0 real mode', '5 protected mode', '6 protected mode, paged', '7 protected mode', '9 long mode']);
  });
});
