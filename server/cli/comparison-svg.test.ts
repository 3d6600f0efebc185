import { describe, expect, it } from 'vitest';
import type { SegmentReport } from '../../engine/analysis/comparison/report.ts';
import { segmentReport } from '../../engine/analysis/comparison/segments.ts';
import { type Picture, comparisonSvg } from './comparison-svg.ts';

const BASE = 1_000_000;

function range(typical: number, spread = 0): { low: number; typical: number; high: number } {
  return { low: typical * (1 - spread), typical, high: typical * (1 + spread) };
}

/** Costs of `kinds` kinds of exits, `cycles` each. */
function segment(kinds: number, cycles: number, spread = 0): SegmentReport {
  const reasons = Array.from({ length: kinds }, (_, i) => ({ reason: i, name: `EXIT_${i}`, handler: 'mmu', count: 1, ...range(cycles + i, spread) }));
  const total = reasons.reduce((sum, { typical }) => sum + typical, 0);
  return segmentReport({ exits: kinds, cycles: range(total, spread), nativeCycles: range(0), reasons, direct: [], haltPollNs: 0 }, BASE, BASE);
}

function picture(rows: readonly (readonly [string, SegmentReport])[], more: Partial<Picture> = {}): string {
  return comparisonSvg({ title: 'a title', subtitles: ['below'], notes: ['a note'], groups: [{ name: 'work', baseCycles: BASE, rows: rows.map(([regime, each]) => ({ regime, segment: each, assumed: '5 %' })) }], ...more });
}

/** Throws at what no XML reader would take: tags that do not match, bare ampersands, characters that are not allowed. */
function checkXml(text: string): void {
  if (/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/.test(text)) throw new Error('a character that XML does not allow');
  const open: string[] = [];
  const rest = text.replace(/^<\?xml [^?]*\?>/, '').replace(/<(\/?)([a-z]+)((?: [a-zA-Z0-9:-]+="[^"<]*")*)(\/?)>/g, (_all, end: string, name: string, _attributes, empty: string) => {
    if (end === '/' && open.pop() !== name) throw new Error(`</${name}> without its beginning`);
    if (end === '' && empty === '') open.push(name);
    return '';
  });
  if (open.length > 0 || /[<>]/.test(rest)) throw new Error(`left over: ${open.join(', ')} ${/[<>].*/.exec(rest)?.[0] ?? ''}`);
  if (/&(?!(amp|lt|gt|quot|#39);)/.test(text)) throw new Error('a bare ampersand');
}

function numberOf(text: string, pattern: RegExp): number {
  return Number(pattern.exec(text)?.[1]);
}

describe('comparisonSvg', () => {
  it('is XML whatever the names are, with no script and nothing from elsewhere', () => {
    const nasty = '</text><script>alert(1)</script> & "\' \u0000\u001b\ufffe \u{1f600}';
    const svg = picture([[nasty, segment(2, 1000)]], { title: nasty, subtitles: [nasty], notes: [nasty] });
    expect(() => checkXml(svg)).not.toThrow();
    expect(svg).not.toContain('<script');
    expect(svg.replace('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:|url\(|@import|@font-face/);
    expect(() => checkXml(svg.replace('&lt;', '<'))).toThrow();
  });

  it('makes the parts of a bar add up to its slowdown, on a scale from 0', () => {
    const one = segment(0, 0);
    const two = segment(8, 125_000);
    const svg = picture([['native', one], ['hw', two]]);
    const bars = [...svg.matchAll(/<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)" height="[\d.]+" class="(\w+)"><title>(\w+): /g)].map(([, x, width, kind, regime]) => ({ x: Number(x), width: Number(width), kind, regime }));
    const lengthOf = (regime: string): number => bars.filter((bar) => bar.regime === regime).reduce((sum, { width }) => sum + width, 0);
    expect(lengthOf('hw') / lengthOf('native')).toBeCloseTo(two.slowdown.typical / one.slowdown.typical, 2);
    // Five kinds have a colour, the other three share one; each part begins where the one before ends.
    expect(bars.filter(({ regime }) => regime === 'hw').map(({ kind }) => kind)).toEqual(['work', 'part0', 'part1', 'part2', 'part3', 'part4', 'other']);
    bars.filter(({ regime }) => regime === 'hw').reduce((end, { x, width }) => {
      expect(x).toBeCloseTo(end, 1);
      return x + width;
    }, numberOf(svg, /<text x="([\d.]+)"[^>]*>0x</));
    for (const text of ['>2.000x<', '>1.000x<', '>a title<', '>below<', '>a note<', '>5 %<']) expect(svg).toContain(text);
  });

  it('keeps one long range from squashing all bars, and says so', () => {
    const long = picture([['hw', segment(1, 100_000, 0.5)], ['full', { ...segment(1, 100_000), slowdown: { low: 1, typical: 1.1, high: 90 } }]]);
    expect(long).toContain('An arrow: the range goes on');
    expect(long).toContain('1.000x to 90.0x');
    expect(picture([['hw', segment(1, 100_000, 0.5)]])).not.toContain('An arrow');
  });

  it('stays inside its frame', () => {
    const svg = picture([['a-platform-with-a-name-that-goes-on-and-on', segment(3, 1e9)]], { notes: ['word '.repeat(200)], title: 'title '.repeat(80) });
    const [width, height] = [numberOf(svg, /width="(\d+)"/), numberOf(svg, /height="(\d+)"/)];
    for (const [, x, y] of svg.matchAll(/<text x="([\d.]+)" y="([\d.]+)"/g)) {
      expect(Number(x)).toBeLessThan(width);
      expect(Number(y)).toBeLessThan(height);
    }
    expect(svg.match(/word word/g)?.length).toBeGreaterThan(4);
    expect(svg).toMatch(/>a-platform-with-[a-z-]*…</);
    expect(svg).toContain('<title>a-platform-with-a-name-that-goes-on-and-on</title>');
  });
});
