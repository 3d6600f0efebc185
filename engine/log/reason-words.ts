/** Names of exit reasons as people write and read them: `cpuid`, `page-table-write`, `msr`. */
import { EXIT_REASONS, HYPERCALLS, HYPERCALL_REASON } from './events.ts';

/** `externalInterrupt` -> `external-interrupt`. */
const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

export const REASON_NAMES: ReadonlyMap<number, string> = new Map(Object.entries(EXIT_REASONS).map(([name, code]) => [code, kebab(name)]));

/** Words that stand for several reasons. */
const REASON_GROUPS: Readonly<Record<string, readonly number[]>> = {
  msr: [EXIT_REASONS.rdmsr, EXIT_REASONS.wrmsr],
  hypercall: Array.from({ length: HYPERCALLS }, (_, number) => HYPERCALL_REASON + number),
};

export const REASON_WORDS: readonly string[] = [...REASON_NAMES.values(), ...Object.keys(REASON_GROUPS)];

/** Intel's numbers for a word or a number; undefined if there is no such reason. */
export function reasonsOf(word: string): readonly number[] | undefined {
  if (/^\d{1,3}$/.test(word)) return [Number(word)];
  if (Object.hasOwn(REASON_GROUPS, word)) return REASON_GROUPS[word];
  for (const [code, name] of REASON_NAMES) if (name === word || name.replaceAll('-', '') === word.toLowerCase()) return [code];
  return undefined;
}
