/** A guest that uses the paravirtual interface of a hypervisor: what the interface does is state, so stops, checkpoints and replays go unnoticed. */
import { describe, expect, it } from 'vitest';
import { RecipeError, decodeRecipe } from '../../engine/recording/recipe.ts';
import { restoreThenRunIsAStraightRun } from '../reverse/restore.ts';
import type { Case } from './cases.ts';
import {
  BACKWARDS, CLOCK_LAST, EOI_WRITES, FEATURES, IPIS_TAKEN, NESTED, NESTED_WANTED, RESULTS, SIGNATURE, TICKS, TICKS_WANTED, WALL_CLOCK, buildParavirtGuest,
} from './paravirt-guest.ts';
import { holds, isTheSameWhereverItStops } from './promises.ts';
import { Walker, open, record } from './runs.ts';

const WALL_CLOCK_S = 1_700_000_000n;

function caseOf(pv: 'kvm' | 'hyperv'): Case {
  return {
    story: pv,
    recipe: {
      guest: pv,
      commandLine: '',
      protocol: 'linux64',
      regime: 'hw',
      machine: { memoryBytes: 4 << 20, seed: '0000000000000001', wallClockNs: `${WALL_CLOCK_S}000000007`, acpi: true, virtio: [], accessCostNs: 1000, counts: true, pv },
      epochInstructions: 30_000,
      digestInstructions: 50_000,
    },
    images: { kernel: buildParavirtGuest(pv) },
    blockBytes: 65_536,
    diskBytes: 0,
    drive: { slices: [100_000], inputs: [], flushEvery: 0, markEvery: 0, instructionsMax: 5_000_000 },
  };
}

/** Near events all over the run, alone and in rows. */
const STOPS = Array.from({ length: 24 }, (_, i) => ({ event: i / 24, delta: (i % 5) - 3, count: i % 4 === 0 ? 40 : 1 }));

describe.each(['kvm', 'hyperv'] as const)('%s', (pv) => {
  const one = caseOf(pv);
  const walker = new Walker(one, []);
  walker.to(5_000_000);
  const { core } = walker.machine;
  const variable = (at: number): number => Number(new DataView(core.readPhysical(at, 8).buffer).getBigUint64(0, true));

  it('does what the guest asks of it', () => {
    expect(walker.ended).toBe(true);
    expect(new TextDecoder().decode(core.readPhysical(SIGNATURE, 12))).toBe(pv === 'kvm' ? 'KVMKVMKVM\0\0\0' : 'Microsoft Hv');
    expect(variable(FEATURES) >>> 31).toBe(1);
    expect([variable(TICKS), variable(NESTED), variable(EOI_WRITES), variable(BACKWARDS)]).toEqual([TICKS_WANTED, NESTED_WANTED, NESTED_WANTED, 0]);
    // The clock was read last a few instructions and one port access before the end.
    const lastNs = variable(CLOCK_LAST) * (pv === 'kvm' ? 1 : 100);
    expect(walker.machine.nowNs() - lastNs).toBeGreaterThan(0);
    expect(walker.machine.nowNs() - lastNs).toBeLessThan(3000);
    const result = (i: number): bigint => new DataView(core.readPhysical(RESULTS + i * 8, 8).buffer).getBigInt64(0, true);
    if (pv === 'kvm') {
      expect(variable(IPIS_TAKEN)).toBe(NESTED_WANTED);
      expect([0, 1, 2, 3].map(result)).toEqual([0n, -95n, 0n, -1000n]);
      expect(new DataView(core.readPhysical(WALL_CLOCK, 12).buffer).getUint32(4, true)).toBe(Number(WALL_CLOCK_S));
    } else {
      expect([0, 1].map(result)).toEqual([0n, 2n]);
    }
  });

  it('every access and every call is an exit in the log, the ends of interrupts by memory are not', () => {
    const { bytes } = record(one);
    const counts = new Map<string, number>();
    const add = (what: string): unknown => counts.set(what, (counts.get(what) ?? 0) + 1);
    for (const event of open(bytes).events({ kinds: ['exit', 'interrupt'] })) {
      if (event.kind === 'interrupt') {
        if (event.phase === 'eoi') add('ended');
      } else if (event.kind === 'exit') {
        if (event.reason === 18) add('call');
        if (event.detail.kind === 'msr' && event.detail.index >= 0x4000_0000 && event.detail.index < 0xc000_0000) add('msr');
        if (event.detail.kind === 'mmio' && Number(event.detail.address) === 0xfee000b0) add('eoi');
      }
    }
    const expected = pv === 'kvm' ? { call: NESTED_WANTED + 4, msr: 3, eoi: NESTED_WANTED } : { call: 2, msr: 6 + NESTED_WANTED * 2 };
    // The last interrupt that was ended by memory may not have come to the APIC.
    const ended = counts.get('ended')!;
    expect(ended - (TICKS_WANTED + NESTED_WANTED)).toBeGreaterThanOrEqual(-1);
    expect(ended).toBeLessThanOrEqual(TICKS_WANTED + NESTED_WANTED);
    counts.delete('ended');
    expect(Object.fromEntries(counts)).toEqual(expected);
  });

  it('is recorded the same twice and in other steps, and replays', () => holds(one, { slices: [1, 7, 1000, 13], cuts: [0.3, 0.8], flips: [] }));
  it('is the same wherever it stops', () => isTheSameWhereverItStops(one, STOPS));
  it('goes on from checkpoints, in a new machine and in a used one', () => restoreThenRunIsAStraightRun(one, STOPS, [3, 0, 5, 1]));

  it('is in the header, and a machine without it is another', () => {
    const { header } = open(record(one).bytes);
    expect(header.config).toMatchObject({ regime: 'hw', options: { pv } });
    expect(decodeRecipe(header)).toMatchObject({ regime: 'hw', machine: { pv } });
    expect(() => decodeRecipe({ ...header, config: { ...header.config, options: { ...header.config.options, pv: 'vmware' } } })).toThrow(RecipeError);
    const { pv: _, ...machine } = one.recipe.machine;
    const bare = new Walker({ ...one, recipe: { ...one.recipe, machine } }, []);
    // The first MSR raises #GP there.
    expect([bare.to(1_000_000), bare.machine.position() < 100]).toEqual([false, true]);
  });
});

it('a recording that is only labelled with a technique is the machine that it always was', () => {
  const { regime: _, ...recipe } = caseOf('kvm').recipe;
  const plain = record({ ...caseOf('kvm'), recipe });
  for (const regime of ['full', 'hw', 'hw-shadow']) expect(record({ ...caseOf('kvm'), recipe: { ...recipe, regime } }).end).toEqual(plain.end);
  expect(open(plain.bytes).header.config.regime).toBe('native');
});
