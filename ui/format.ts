/** Numbers as people read them. */

const GROUPED = new Intl.NumberFormat('en-US');

export function formatCount(value: number): string {
  return GROUPED.format(value);
}

export function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes / 1024;
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${value >= 100 || Number.isInteger(value) ? value.toFixed(0) : value.toFixed(1)} ${units[unit]}`;
}

/** 118_548_042 -> 118.5 M */
export function formatInstructions(value: number): string {
  if (value < 1e3) return String(value);
  const [divisor, letter] = value < 1e6 ? [1e3, 'k'] : value < 1e9 ? [1e6, 'M'] : [1e9, 'G'];
  const scaled = value / divisor;
  return `${scaled >= 100 ? scaled.toFixed(0) : scaled.toFixed(1)} ${letter}`;
}

export function formatNs(ns: number): string {
  if (ns < 1e3) return `${ns} ns`;
  if (ns < 1e6) return `${(ns / 1e3).toFixed(2)} µs`;
  if (ns < 1e9) return `${(ns / 1e6).toFixed(2)} ms`;
  return `${(ns / 1e9).toFixed(3)} s`;
}

export function formatDate(ms: number): string {
  return new Date(ms).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
}

const END_TEXTS: Readonly<Record<string, string>> = {
  shutdown: 'powered off',
  reset: 'reset itself',
  limit: 'stopped at a limit',
  user: 'stopped by hand',
  error: 'stopped on an error',
  truncated: 'cut off',
  'triple-fault': 'triple fault',
  halted: 'halted for good',
};

/** How a run ended, in words. The debug exit port gives (code << 1) | 1; of the lab kernel 0 is success and 1 a panic. */
export function describeEnd(end: { readonly reason: string; readonly detail: string } | undefined): { readonly text: string; readonly tone: 'good' | 'bad' | 'warn' } {
  if (end === undefined) return { text: 'cut off', tone: 'warn' };
  if (end.reason === 'debug-exit') {
    const code = Number(end.detail) >> 1;
    return code === 0 ? { text: 'powered off, code 0', tone: 'good' } : { text: `ended with code ${code}`, tone: 'bad' };
  }
  const text = END_TEXTS[end.reason] ?? end.reason;
  // A guest that is not told how to power off halts for good, too.
  return { text, tone: end.reason === 'shutdown' || end.reason === 'reset' ? 'good' : ['limit', 'user', 'halted'].includes(end.reason) ? 'warn' : 'bad' };
}

/** The guest itself failed, as a panic does: somewhere before, something went wrong. */
export function isGuestFailure(end: { readonly reason: string; readonly detail: string } | undefined): boolean {
  return end !== undefined && (end.reason === 'debug-exit' || end.reason === 'triple-fault') && describeEnd(end).tone === 'bad';
}
