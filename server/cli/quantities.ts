/** Bandwidths and durations as people write them. */
import type { Arguments } from './arguments.ts';

const BYTES: Readonly<Record<string, number>> = {
  bit: 1 / 8, kbit: 1e3 / 8, Mbit: 1e6 / 8, Gbit: 1e9 / 8,
  B: 1, kB: 1e3, MB: 1e6, GB: 1e9, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3,
}; // prettier-ignore
const NS: Readonly<Record<string, number>> = { ns: 1, us: 1e3, ms: 1e6, s: 1e9, min: 60e9 };

/** Bytes a second: `1Gbit`, `100Mbit/s`, `128MiB/s`. Undefined for anything else, and for none at all. */
export function parseBandwidth(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*(k?bit|Mbit|Gbit|[kMG]?B|[KMG]iB)(?:\/s|ps)?$/.exec(text);
  const value = match === null ? 0 : Number(match[1]) * BYTES[match[2]];
  return value > 0 ? value : undefined;
}

/** ns: `300ms`, `100us`, `2s`, `0`. */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  const match = /^(\d+(?:\.\d+)?)\s*(ns|us|ms|s|min)$/.exec(text);
  return match === null ? undefined : Number(match[1]) * NS[match[2]];
}

export function bandwidth(parsed: Arguments, name: string): number | undefined {
  const text = parsed.text(name);
  return text === undefined ? undefined : bandwidthOf(parsed, name, text);
}
export function bandwidthOf(parsed: Arguments, name: string, text: string): number {
  const value = parseBandwidth(text);
  if (value === undefined) throw parsed.wrong(name, text, 'a bandwidth such as 1Gbit, 100Mbit or 128MiB (a second)');
  return value;
}
export function duration(parsed: Arguments, name: string): number | undefined {
  const text = parsed.text(name);
  return text === undefined ? undefined : durationOf(parsed, name, text);
}
export function durationOf(parsed: Arguments, name: string, text: string): number {
  const value = parseDuration(text);
  if (value === undefined) throw parsed.wrong(name, text, 'a duration such as 300ms, 100us or 2s');
  return value;
}

/** A stretch of running time as instructions, which take 1 ns each: `100us`, `5M`, `50_000`. */
export function instructions(parsed: Arguments, name: string, min: number): number | undefined {
  const text = parsed.text(name);
  if (text === undefined) return undefined;
  if (!/[a-z]s$|min$|\ds$/.test(text)) return parsed.count(name, min);
  const value = Math.round(durationOf(parsed, name, text));
  if (value < min) throw parsed.wrong(name, text, `at least ${min} ns`);
  return value;
}
