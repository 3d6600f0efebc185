/** The Range header (RFC 9110, section 14), single ranges of bytes only. */

export type RangeAnswer =
  /** No range, or one that may be ignored: several ranges, another unit. */
  | { readonly kind: 'whole' }
  /** last: inclusive. */
  | { readonly kind: 'part'; readonly first: number; readonly last: number }
  | { readonly kind: 'outside' };

export function parseRange(header: string | undefined, length: number): RangeAnswer {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? '');
  if (match === null || (match[1] === '' && match[2] === '')) return { kind: 'whole' };
  const [, from, to] = match;
  if (from === '') {
    const suffix = Number(to);
    return suffix === 0 || length === 0 ? { kind: 'outside' } : { kind: 'part', first: Math.max(0, length - suffix), last: length - 1 };
  }
  const first = Number(from);
  const last = to === '' ? length - 1 : Math.min(Number(to), length - 1);
  if (to !== '' && Number(to) < first) return { kind: 'whole' };
  return first >= length ? { kind: 'outside' } : { kind: 'part', first, last };
}
