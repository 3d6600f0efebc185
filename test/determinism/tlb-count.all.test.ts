/**
 * Counted TLB misses are those of a TLB that sees every access: the counting core, which leaves out what its filter knows to be hits, with engine/regimes/tlb-model.ts,
 * against a core without any software TLB and a model that keeps lists of pages. And counting changes nothing: both replay what the usual core recorded.
 */
import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { beforeAll, expect, test } from 'vitest';
import type { TlbListener } from '../../engine/cpu/core.ts';
import { TLB_FETCH, TLB_FLUSH_ALL, TLB_FLUSH_LOCAL, TLB_GLOBAL, TLB_SHIFT, TLB_USER } from '../../engine/cpu/layout.ts';
import { Replayer } from '../../engine/recording/replayer.ts';
import { TLBS } from '../../engine/regimes/costs/tlbs.ts';
import { type TlbArray, type TlbCounts, type TlbGeometry, TlbModel } from '../../engine/regimes/tlb-model.ts';
import { countingCoreFile } from '../../server/store/core-module.ts';
import { type Case, labCases, tinyCases } from './cases.ts';
import { buildCore } from './core-variant.ts';
import { assertProperty, identical, open, record } from './runs.ts';

const FILE = 'test/determinism/tlb-count.all.test.ts';

interface Page {
  readonly number: number;
  readonly shift: number;
  readonly isGlobal: boolean;
}

/** Lists of pages, the most recent first. */
class ListedTlb implements TlbListener {
  told = 0;
  private readonly geometry: TlbGeometry;
  private readonly lists = new Map<string, Page[]>();
  private readonly walks = new Map<number, number>();
  private secondLevelHits = 0;

  constructor(geometry: TlbGeometry) {
    this.geometry = geometry;
  }

  access(pageLow: number, pageHigh: number, kind: number): void {
    this.told++;
    const shift = kind >>> TLB_SHIFT;
    const number = Number(((BigInt(pageHigh) << 32n) | BigInt(pageLow)) >> BigInt(shift - 12));
    const page: Page = { number, shift, isGlobal: (kind & TLB_GLOBAL) !== 0 };
    const { geometry } = this;
    const isFetch = (kind & TLB_FETCH) !== 0;
    const first: keyof TlbGeometry = shift === 12 ? (isFetch ? 'fetch' : 'data') : isFetch ? 'fetchLarge' : shift === 30 ? 'dataHuge' : 'dataLarge';
    if (this.use(first, geometry[first], page)) return;
    if ((shift === 12 || (shift < 30 && geometry.sharedHoldsLarge)) && this.use('shared', geometry.shared, page)) this.secondLevelHits++;
    else this.walks.set(kind & (TLB_FETCH | TLB_USER), (this.walks.get(kind & (TLB_FETCH | TLB_USER)) ?? 0) + 1);
  }

  private use(name: string, { entries, ways }: TlbArray, page: Page): boolean {
    const key = `${name} ${page.number % (entries / ways)}`;
    const list = this.lists.get(key) ?? [];
    const at = list.findIndex(({ number, shift }) => number === page.number && shift === page.shift);
    const kept = at < 0 ? page : list[at];
    this.lists.set(key, [kept, ...list.filter((each) => each !== kept)].slice(0, ways));
    return at >= 0;
  }

  flush(what: number, pageLow: number, pageHigh: number): void {
    const page = (BigInt(pageHigh) << 32n) | BigInt(pageLow);
    for (const [key, list] of this.lists) {
      this.lists.set(key, list.filter(({ number, shift, isGlobal }) => (what === TLB_FLUSH_ALL ? false : what === TLB_FLUSH_LOCAL ? isGlobal : BigInt(number) !== page >> BigInt(shift - 12))));
    }
  }

  counts(): TlbCounts {
    const of = (kind: number): number => this.walks.get(kind) ?? 0;
    const [dataKernel, dataUser, fetchKernel, fetchUser] = [0, TLB_USER, TLB_FETCH, TLB_FETCH | TLB_USER].map(of);
    return { secondLevelHits: this.secondLevelHits, walks: dataKernel + dataUser + fetchKernel + fetchUser, dataKernel, dataUser, fetchKernel, fetchUser };
  }
}

/** So small that everything misses sometimes, as far as the filter allows it. */
const SMALL: TlbGeometry = {
  ...TLBS[0], id: 'small', data: { entries: 16, ways: 1 }, dataLarge: { entries: 8, ways: 1 }, dataHuge: { entries: 1, ways: 1 }, fetch: { entries: 32, ways: 2 }, fetchLarge: { entries: 2, ways: 2 },
  shared: { entries: 32, ways: 2 }, sharedHoldsLarge: true,
};
const geometries = fc.constantFrom<TlbGeometry>(SMALL, ...TLBS);

let counting: WebAssembly.Module;
let telling: WebAssembly.Module;
let left = 0;
let walks = 0;

beforeAll(() => {
  counting = new WebAssembly.Module(readFileSync(countingCoreFile()));
  telling = buildCore([['paddr: u32, global: bool): void {', 'paddr: u32, global: bool): void { if (e != 0) return;']], ['--use', 'COUNT_TLB=1']);
}, 120_000);

function countsAgree(one: Case, geometry: TlbGeometry): void {
  const { bytes, end } = record(one);
  const replayed = (module: WebAssembly.Module, tlb: TlbListener): void => {
    const replayer = new Replayer({ reader: open(bytes), images: one.images, module });
    replayer.machine.core.tlb = tlb;
    expect(identical(replayer.run(), 'replay that counts TLB misses').digest).toBe(end.digest);
  };
  const model = new TlbModel(geometry);
  let told = 0;
  replayed(counting, {
    access: (low, high, kind) => {
      told++;
      model.access(low, high, kind);
    },
    flush: (what, low, high) => model.flush(what, low, high),
  });
  const listed = new ListedTlb(geometry);
  replayed(telling, listed);
  expect(model.counts()).toEqual(listed.counts());
  left += listed.told - told;
  walks += model.counts().walks;
}

test('tiny guests', () => {
  assertProperty(FILE, fc.property(tinyCases(60_000), geometries, countsAgree), 100, 60_000);
  expect(left).toBeGreaterThan(0);
}, 120_000);

test('the lab kernel and its bugs', () => {
  walks = 0;
  assertProperty(FILE, fc.property(labCases(1_000_000), geometries, countsAgree), 15, 60_000);
  expect(walks).toBeGreaterThan(0);
}, 180_000);
