import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { syscallName } from './linux.ts';
import { memberOffsets } from './linux-btf.ts';

describe('system calls', () => {
  it('have the names of x86-64', () => {
    const known: readonly (readonly [number, string])[] = [[0, 'read'], [1, 'write'], [59, 'execve'], [60, 'exit'], [158, 'arch_prctl'], [231, 'exit_group'], [257, 'openat'], [318, 'getrandom'], [334, 'rseq'], [424, 'pidfd_send_signal'], [435, 'clone3'], [449, 'futex_waitv'], [462, 'mseal']]; // prettier-ignore
    for (const [number, name] of known) expect(syscallName(number)).toBe(name);
    for (const number of [336, 423, 999, -1, 1.5, NaN, 0x4000_0000]) expect(syscallName(number)).toBe(`syscall_${number}`);
  });

  it('are one each', () => {
    const names = Array.from({ length: 500 }, (_, number) => syscallName(number)).filter((name) => !name.startsWith('syscall_'));
    expect(names.length).toBe(380);
    expect(new Set(names).size).toBe(names.length);
  });
});

/** BTF of: int; struct inner { int x; struct { int tgid; }; }; struct task_struct { int flags; struct { int pid; }; union { struct inner in; int comm; }; } */
function btf(): Uint8Array {
  const texts = '\0int\0task_struct\0flags\0pid\0tgid\0comm\0inner\0x\0';
  const text = (name: string): number => texts.indexOf(`\0${name}\0`) + 1;
  const words: number[] = [];
  const type = (name: number, kind: number, count: number, size: number, ...rest: number[]): void => void words.push(name, (kind << 24) | count, size, ...rest);
  type(text('int'), 1, 0, 4, 32); // 1
  type(0, 4, 1, 4, text('tgid'), 1, 0); // 2
  type(text('inner'), 4, 2, 8, text('x'), 1, 0, 0, 2, 32); // 3
  type(0, 4, 1, 4, text('pid'), 1, 0); // 4
  type(0, 5, 2, 8, 0, 3, 0, text('comm'), 1, 0); // 5
  type(text('task_struct'), 4, 3, 16, text('flags'), 1, 0, 0, 4, 32, 0, 5, 64); // 6
  const bytes = new Uint8Array(24 + words.length * 4 + texts.length);
  const view = new DataView(bytes.buffer);
  [0x0001_eb9f, 24, 0, words.length * 4, words.length * 4, texts.length].forEach((word, i) => view.setUint32(i * 4, word, true));
  words.forEach((word, i) => view.setUint32(24 + i * 4, word, true));
  bytes.set(new TextEncoder().encode(texts), 24 + words.length * 4);
  return bytes;
}

describe('BTF', () => {
  it('tells where members are, in structures without a name, too', () => {
    expect(memberOffsets(btf(), 'task_struct', ['flags', 'pid', 'tgid', 'comm'])).toEqual({ flags: 0, pid: 4, tgid: 12, comm: 8 });
    expect(memberOffsets(btf(), 'task_struct', ['pid', 'x'])).toEqual({ pid: 4, x: 8 });
    expect(memberOffsets(btf(), 'task_struct', ['pid', 'missing'])).toBeUndefined();
    expect(memberOffsets(btf(), 'task', ['pid'])).toBeUndefined();
    expect(memberOffsets(new Uint8Array(10), 'task_struct', ['pid'])).toBeUndefined();
  });

  it('that is damaged tells something or nothing, and never crashes', () => {
    const sound = btf();
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(sound.length - 1), fc.nat(255)), { minLength: 1, maxLength: 10 }), fc.nat(sound.length), (flips, length) => {
        const bytes = sound.slice(0, Math.max(length, 24));
        for (const [at, value] of flips) if (at < bytes.length) bytes[at] = value;
        const found = memberOffsets(bytes, 'task_struct', ['pid', 'tgid']);
        if (found !== undefined) expect(Object.values(found).every((offset) => Number.isSafeInteger(offset) && offset >= 0)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it('that refers to itself ends', () => {
    const bytes = btf();
    const view = new DataView(bytes.buffer);
    // The structure without a name that is the first member of the union becomes the union itself.
    for (let at = 24; at + 12 <= bytes.length; at += 4) if (view.getUint32(at, true) === 0 && view.getUint32(at + 4, true) === 3) view.setUint32(at + 4, 5, true);
    expect(memberOffsets(bytes, 'task_struct', ['pid', 'tgid'])).toBeUndefined();
  });
});
