/** Speedscope's own file format: one profile weighted by cost, if there is one, and one by count; by whole call stacks of tasks where the profile has them. https://github.com/jlfwong/speedscope/wiki/Importing-from-custom-sources */
import type { ExitProfile, StackWeight } from '../../engine/analysis/exit-profile/profile.ts';

export function speedscopeText(profile: ExitProfile, exporter: string, withSleep: boolean): string {
  const frames = new Map<string, number>();
  const indexOf = (name: string): number => {
    const known = frames.get(name);
    if (known !== undefined) return known;
    frames.set(name, frames.size);
    return frames.size - 1;
  };
  const stacks = profile.stacks.filter(({ isIdle }) => withSleep || !isIdle);
  const profileOf = (name: string, unit: 'none' | 'nanoseconds', weightOf: (stack: StackWeight) => number): object => {
    const used = stacks.filter((stack) => weightOf(stack) > 0);
    const weights = used.map((stack) => Math.round(weightOf(stack)));
    return { type: 'sampled', name, unit, startValue: 0, endValue: weights.reduce((sum, weight) => sum + weight, 0), samples: used.map((stack) => stack.frames.map(indexOf)), weights };
  };
  const profiles = [
    ...(profile.unit === undefined ? [] : [profileOf(`${profile.source.name}: ${profile.unit} of exits`, profile.unit === 'ns' ? 'nanoseconds' : 'none', ({ cost }) => cost ?? 0)]),
    profileOf(`${profile.source.name}: exits`, 'none', ({ count }) => count),
  ];
  return `${JSON.stringify({
    $schema: 'https://www.speedscope.app/file-format-schema.json',
    shared: { frames: [...frames.keys()].map((name) => ({ name })) },
    profiles,
    name: profile.source.name,
    activeProfileIndex: 0,
    exporter,
  })}\n`;
}
