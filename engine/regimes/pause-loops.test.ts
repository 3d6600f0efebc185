import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PauseLoops, type PauseRule } from './pause-loops.ts';
import { RegimeError } from './regime.ts';

const GIGAHERTZ = 2.5;

/** PAUSEs in a row, so many ns apart, and what happens before the first of them. */
interface Spin {
  readonly before: 'nothing' | 'exit' | 'sleep';
  readonly gapNs: number;
  readonly count: number;
  readonly eachNs: number;
  readonly cpl: number;
}

const told = (loops: PauseLoops, spins: readonly Spin[]): number[] => {
  const exits: number[] = [];
  let at = 0;
  for (const { before, gapNs, count, eachNs, cpl } of spins) {
    if (before !== 'nothing') loops.entered();
    if (before === 'sleep') loops.scheduledIn();
    at += gapNs;
    for (let n = 0; n < count; n++, at += eachNs) if (loops.pause(at, cpl)) exits.push(at);
  }
  return exits;
};

/** From the whole history at each PAUSE, by the manuals' words. */
function lookedUp(rule: PauseRule, spins: readonly Spin[]): number[] {
  const pauses: { readonly cycles: number; entered: boolean }[] = [];
  const exits: number[] = [];
  let [at, doublings, hasEntered] = [0, 0, true];
  for (const { before, gapNs, count, eachNs, cpl } of spins) {
    if (before !== 'nothing') hasEntered = true;
    if (before === 'sleep') doublings = 0;
    at += gapNs;
    for (let n = 0; n < count; n++, at += eachNs) {
      if (rule === 'vmx' && cpl > 0) continue;
      pauses.push({ cycles: at * GIGAHERTZ, entered: hasEntered });
      hasEntered = false;
      const last = pauses.length - 1;
      const isFar = (i: number): boolean => i === 0 || pauses[i].cycles - pauses[i - 1].cycles > 128;
      let first = last;
      while (!isFar(first) && !pauses[first].entered) first--;
      const isExit = rule === 'vmx'
        ? first < last && pauses[last].cycles - pauses[first].cycles > Math.min(4096 * 2 ** doublings, 2 ** 32 - 1)
        : pauses.slice(first).filter((_, i) => !isFar(first + i)).length > Math.min(3000 * 2 ** doublings, 65_535);
      if (!isExit) continue;
      exits.push(at);
      doublings++;
      hasEntered = true;
    }
  }
  return exits;
}

const spins = (countMax: number): fc.Arbitrary<Spin[]> =>
  fc.array(
    fc.record({
      before: fc.constantFrom('nothing', 'nothing', 'exit', 'sleep'),
      gapNs: fc.constantFrom(1, 51, 52, 1000),
      count: fc.integer({ min: 1, max: countMax }),
      eachNs: fc.oneof({ weight: 4, arbitrary: fc.integer({ min: 1, max: 51 }) }, { weight: 1, arbitrary: fc.integer({ min: 40, max: 60 }) }),
      cpl: fc.constantFrom(0, 0, 0, 3),
    }),
    { maxLength: 8 },
  );

describe('pause loops', () => {
  it('agree with a look at the whole history: VT-x', () => {
    let exits = 0;
    fc.assert(fc.property(spins(400), (drawn) => {
      const found = told(new PauseLoops('vmx', GIGAHERTZ), drawn);
      expect(found).toEqual(lookedUp('vmx', drawn));
      exits += found.length;
    }), { numRuns: 100 });
    expect(exits).toBeGreaterThan(10);
  });

  it('agree with a look at the whole history: SVM', () => {
    let exits = 0;
    const long = fc.tuple(spins(200), fc.record({ before: fc.constantFrom('nothing', 'exit', 'sleep'), gapNs: fc.constant(1), count: fc.integer({ min: 2900, max: 3600 }), eachNs: fc.integer({ min: 1, max: 51 }), cpl: fc.constantFrom(0, 3) }), spins(200));
    fc.assert(fc.property(long, ([before, one, after]) => {
      const drawn = [...before, one, ...after] as Spin[];
      const found = told(new PauseLoops('svm', GIGAHERTZ), drawn);
      expect(found).toEqual(lookedUp('svm', drawn));
      exits += found.length;
    }), { numRuns: 4, examples: [[[[], { before: 'nothing', gapNs: 1, count: 3600, eachNs: 1, cpl: 0 }, []]]] });
    expect(exits).toBeGreaterThan(0);
  });

  it('the window doubles with each exit, and is the first one again after a sleep', () => {
    const loops = new PauseLoops('vmx', 1);
    const exits = told(loops, [{ before: 'nothing', gapNs: 0, count: 30_000, eachNs: 1, cpl: 0 }]);
    // An exit is taken by the PAUSE after the window; the next one begins a loop.
    expect(exits).toEqual([4097, 4097 + 8194, 4097 + 8194 + 16_386]);
    loops.scheduledIn();
    loops.entered();
    expect(told(loops, [{ before: 'nothing', gapNs: 40_000, count: 5000, eachNs: 1, cpl: 0 }])).toEqual([44_097]);
  });

  it('user code: none under VT-x; SVM counts it', () => {
    const spin: Spin[] = [{ before: 'nothing', gapNs: 0, count: 5000, eachNs: 4, cpl: 3 }];
    expect(told(new PauseLoops('vmx', GIGAHERTZ), spin)).toEqual([]);
    expect(told(new PauseLoops('svm', GIGAHERTZ), spin)).toHaveLength(1);
  });

  it('goes on from a saved state', () => {
    fc.assert(fc.property(fc.constantFrom<PauseRule>('vmx', 'svm'), spins(400), spins(400), (rule, before, after) => {
      const straight = new PauseLoops(rule, GIGAHERTZ);
      told(straight, before);
      const restored = new PauseLoops(rule, GIGAHERTZ);
      restored.restore(JSON.parse(JSON.stringify(straight.save())) as ReturnType<PauseLoops['save']>);
      expect(told(restored, after)).toEqual(told(straight, after));
    }), { numRuns: 30 });
  });

  it('refuses a CPU without a frequency', () => {
    expect(() => new PauseLoops('vmx', 0)).toThrow(RegimeError);
  });
});
