/** All regimes and platforms by name, and how a name becomes a projection. */
import { Costs, DEFAULT_CPU } from './costs/cost-table.ts';
import { FULL } from './full.ts';
import { HW, HW_SHADOW } from './hw.ts';
import { CONTAINER, NATIVE } from './native.ts';
import { PARA } from './para/projection.ts';
import { completeOptions, RegimeError, type Cycles, type Options, type OptionValue, type Projection, type Regime } from './regime.ts';
import { PLATFORMS } from './platforms/platforms.ts';
import type { Platform } from './platforms/platform.ts';

export const REGIMES: readonly Regime[] = [NATIVE, CONTAINER, FULL, PARA, HW, HW_SHADOW];

/** A regime with its options chosen: what a comparison has one column for. */
export interface Candidate {
  /** Of the platform, or the regime. */
  readonly id: string;
  readonly title: string;
  readonly regime: Regime;
  readonly options: Options;
  readonly cpu: string;
  readonly notes: readonly string[];
  readonly platform: Platform | undefined;
}

export interface CandidateChanges {
  /** Before that of the platform. */
  readonly cpu?: string | undefined;
  readonly options?: Readonly<Record<string, OptionValue>>;
}

/** Throws RegimeError for a name that nobody has. own: platforms of the user, which come first. */
export function candidate(id: string, changes: CandidateChanges = {}, own: readonly Platform[] = []): Candidate {
  const platform = [...own, ...PLATFORMS].find((each) => each.id === id);
  const regimeId = platform?.regime ?? id;
  const regime = REGIMES.find((each) => each.id === regimeId);
  if (regime === undefined) {
    if (platform !== undefined) throw new RegimeError(`platform ${id}: there is no regime "${platform.regime}"; there are ${REGIMES.map((each) => each.id).join(', ')}`);
    throw new RegimeError(`there is no regime or platform "${id}"; there are ${[...REGIMES, ...own, ...PLATFORMS].map((each) => each.id).join(', ')}`);
  }
  const where = platform === undefined ? `regime ${id}` : `platform ${id}`;
  return {
    id, regime, platform,
    title: platform?.title ?? regime.title,
    options: completeOptions(regime, { ...platform?.options, ...changes.options }, where),
    cpu: changes.cpu ?? platform?.cpu ?? DEFAULT_CPU,
    notes: [...regime.limits, ...(platform?.notes ?? [])],
  };
}

export function costsOf({ cpu, platform }: Candidate, changes?: ReadonlyMap<string, Cycles>): Costs {
  return new Costs(cpu, platform?.costs, changes);
}

export function projectionOf(chosen: Candidate, costs = costsOf(chosen)): Projection {
  return chosen.regime.project(chosen.options, costs);
}

/** The same with other values of one option: one candidate each. For "what would remove it". */
export function variants(chosen: Candidate): { readonly option: string; readonly title: string; readonly from: OptionValue; readonly to: OptionValue; readonly candidate: Candidate }[] {
  return chosen.regime.options.flatMap((spec) => {
    if (spec.isFeature !== true) return [];
    const from = chosen.options[spec.name];
    // KPTI can be taken away, but nobody adds it to save something.
    if (spec.name === 'guestKpti' && from === false) return [];
    const others: readonly OptionValue[] = spec.kind === 'switch' ? [from !== true] : spec.kind === 'choice' ? spec.values.filter((value) => value !== from) : [];
    return others.map((to) => ({ option: spec.name, title: spec.title, from, to, candidate: { ...chosen, options: { ...chosen.options, [spec.name]: to } } }));
  });
}
