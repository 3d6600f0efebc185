import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type KernelSymbol, findKallsyms, tableOf } from './kallsyms.ts';

type Layout = '4.6' | '6.2' | '6.5' | 'whole addresses';
const BASE = 0xffff_ffff_8100_0000n;

/** The sections that scripts/kallsyms.c writes, in memory at an offset. Every letter is a token that stands for itself, and a few tokens are longer. */
function build(symbols: readonly KernelSymbol[], layout: Layout, options: { readonly at?: number; readonly bytes?: number; readonly perCpu?: boolean } = {}): Uint8Array {
  const { at = 0x2000, bytes = 1 << 20, perCpu = true } = options;
  const ram = new Uint8Array(bytes);
  const view = new DataView(ram.buffer);
  const longer = new Map([[128, 'sys_'], [129, '__x64_'], [130, 'kernel'], [200, 'tt']]);
  const texts = Array.from({ length: 256 }, (_, code) => longer.get(code) ?? String.fromCharCode(code < 0x21 || code > 0x7e ? 0x41 + (code % 26) : code));
  let here = at;
  const align = (): void => void (here = Math.ceil(here / 8) * 8);
  const offsets = (): void => {
    align();
    for (const { address } of symbols) {
      if (!perCpu) view.setUint32(here, Number(address - BASE), true);
      else view.setInt32(here, address < BASE ? Number(address) : Number(BASE - 1n - address), true);
      here += 4;
    }
    align();
    view.setBigUint64(here, BASE, true);
    here += 8;
  };
  const sequence = (): void => {
    align();
    for (let i = 0; i < symbols.length; i++) {
      ram.set([(i >> 16) & 255, (i >> 8) & 255, i & 255], here);
      here += 3;
    }
  };
  if (layout === 'whole addresses') {
    for (const { address } of symbols) {
      view.setBigUint64(here, address, true);
      here += 8;
    }
  } else if (layout !== '6.5') offsets();
  align();
  view.setUint32(here, symbols.length, true);
  here += 4;
  align();
  const names = here;
  const markers: number[] = [];
  symbols.forEach(({ name, type }, i) => {
    if (i % 256 === 0) markers.push(here - names);
    const codes: number[] = [];
    for (let text = type + name; text !== ''; ) {
      const long = [...longer].find(([, each]) => text.startsWith(each));
      codes.push(long?.[0] ?? text.charCodeAt(0));
      text = text.slice(long?.[1].length ?? 1);
    }
    if (codes.length < 128) ram[here++] = codes.length;
    else ram.set([0x80 | (codes.length & 127), codes.length >> 7], (here += 2) - 2);
    ram.set(codes, here);
    here += codes.length;
  });
  align();
  for (const marker of markers) {
    view.setUint32(here, marker, true);
    here += 4;
  }
  if (layout === '6.2') sequence();
  align();
  const starts: number[] = [];
  const tokens = here;
  for (const text of texts) {
    starts.push(here - tokens);
    for (const letter of text) ram[here++] = letter.charCodeAt(0);
    ram[here++] = 0;
  }
  align();
  for (const start of starts) {
    view.setUint16(here, start, true);
    here += 2;
  }
  if (layout === '6.5') {
    offsets();
    sequence();
  }
  return ram;
}

const word = fc.stringMatching(/^[a-z_][a-z0-9_.]{0,30}$/);
const kernels = fc
  .record({ names: fc.array(fc.tuple(word, fc.constantFrom('T', 't', 'D', 'b', 'R'), fc.nat(0x4000)), { minLength: 300, maxLength: 900 }), perCpu: fc.nat(20) })
  .map(({ names, perCpu }) => {
    let address = BASE;
    const symbols: KernelSymbol[] = Array.from({ length: perCpu }, (_, i) => ({ name: `per_cpu_${i}`, type: 'A', address: BigInt(i * 0x40) }));
    for (const [name, type, distance] of names) symbols.push({ name, type, address: (address += BigInt(distance)) });
    symbols.push({ name: '_end', type: 'B', address: address + 0x1000n });
    return symbols;
  });

const SYMBOLS: readonly KernelSymbol[] = [
  { name: 'current_task', type: 'A', address: 0x1fb80n },
  ...Array.from({ length: 600 }, (_, i) => ({ name: i === 0 ? '_text' : i === 300 ? `${'long_'.repeat(40)}name` : `__x64_sys_call${i}`, type: i % 2 === 0 ? 'T' : 't', address: BASE + BigInt(i) * 0x40n })),
];

describe('kallsyms', () => {
  for (const layout of ['4.6', '6.2', '6.5', 'whole addresses'] as const) {
    it(`are found in the layout of ${layout}`, () => {
      const symbols = layout === 'whole addresses' ? SYMBOLS.slice(1) : SYMBOLS;
      expect(findKallsyms(build(symbols, layout))).toEqual(symbols);
    });
  }

  it('are found without absolute per-CPU symbols, and anywhere', () => {
    for (const at of [0, 0x10_0008, 0x7_7770]) expect(findKallsyms(build(SYMBOLS.slice(1), '6.5', { at, bytes: 2 << 20, perCpu: false }))).toEqual(SYMBOLS.slice(1));
  });

  it('are whatever a kernel has', () => {
    fc.assert(
      fc.property(kernels, fc.constantFrom('4.6', '6.2', '6.5'), fc.nat(4096), (symbols, layout: Layout, at) => {
        expect(findKallsyms(build(symbols, layout, { at: at * 8, bytes: 1 << 18 }))).toEqual(symbols);
      }),
      { numRuns: 40 },
    );
  });

  it('are not taken from what disagrees with itself', () => {
    const ram = build(SYMBOLS, '4.6');
    const view = new DataView(ram.buffer);
    const count = 0x2000 + Math.ceil((SYMBOLS.length * 4) / 8) * 8 + 8;
    expect(view.getUint32(count, true)).toBe(SYMBOLS.length);
    const spoilt = (change: (view: DataView, bytes: Uint8Array) => void): readonly KernelSymbol[] | undefined => {
      const copy = ram.slice();
      change(new DataView(copy.buffer), copy);
      return findKallsyms(copy);
    };
    expect(spoilt((each) => each.setUint32(count, SYMBOLS.length - 1, true))).toBeUndefined();
    expect(spoilt((each) => each.setUint32(0x2000 + 40, 5, true))).toBeUndefined();
    expect(spoilt((each) => each.setBigUint64(count - 8, 0x1000n, true))).toBeUndefined();
    expect(spoilt((_, bytes) => bytes.fill(0, count, count + 4))).toBeUndefined();
    expect(findKallsyms(new Uint8Array(1 << 16))).toBeUndefined();
    expect(findKallsyms(new Uint8Array(0))).toBeUndefined();
    expect(findKallsyms(ram.subarray(0, count + 3000))).toBeUndefined();
  });

  it('in damaged memory are the symbols or none, never a crash', () => {
    const ram = build(SYMBOLS, '6.2', { bytes: 1 << 17 });
    let found = 0;
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(ram.length - 1), fc.nat(255)), { minLength: 1, maxLength: 40 }), (flips) => {
        const bytes = ram.slice();
        for (const [at, value] of flips) bytes[at] = value;
        const symbols = findKallsyms(bytes);
        if (symbols !== undefined) {
          found++;
          expect(symbols.length).toBe(SYMBOLS.length);
        }
      }),
      { numRuns: 200 },
    );
    expect(found).toBeGreaterThan(0);
  });

  it('are given up in memory that is made to look like many tables', () => {
    const bytes = new Uint8Array(4 << 20);
    const table = build(SYMBOLS.slice(0, 300), '6.5', { at: 0, bytes: 1 << 16 });
    table.fill(0xff, table.length - 600);
    // Many token tables, and before them nothing but counts that are plausible.
    const view = new DataView(bytes.buffer);
    for (let at = 0; at < bytes.length; at += 8) view.setUint32(at, 1 << 20, true);
    for (let at = 1 << 20; at + 0x8000 < bytes.length; at += 0x8000) bytes.set(table.subarray(0, 0x7000), at);
    expect(() => findKallsyms(bytes)).not.toThrow();
  });

  it('tell addresses as the kernel does, and per-CPU variables by name alone', () => {
    const table = tableOf([
      { name: 'current_task', type: 'A', address: 0x1fb80n },
      { name: '_text', type: 'T', address: BASE },
      { name: 'startup_64', type: 'T', address: BASE },
      { name: 'jiffies', type: 'D', address: BASE + 0x1000n },
    ]);
    expect(table.tell(BASE + 0x10n)).toBe('_text+0x10');
    expect(table.find('startup_64').address).toBe(BASE);
    expect(table.find('current_task')).toMatchObject({ kind: 'absolute', address: 0x1fb80n });
    expect(table.tell(0x1fb88n)).toBe('0x1fb88');
    expect(table.find('jiffies').kind).toBe('object');
  });
});
