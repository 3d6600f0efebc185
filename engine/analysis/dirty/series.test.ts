import { describe, expect, it } from 'vitest';
import { SeriesError, parseSeries, seriesText } from './series.ts';
import { windowCount } from './truth.ts';

const parse = (text: string, more = {}): ReturnType<typeof parseSeries> => parseSeries(text, { name: 'own.csv', ...more });

describe('parseSeries', () => {
  it('reads epochs of a dirty log', () => {
    const truth = parse('# memory=1MiB epoch=50ms\ntime_ms,page,pages\n50,10,3\n100,0xb,1\n\n150,11,1\n');
    expect([truth.pages, truth.beginNs, truth.endNs, truth.times]).toEqual([256, 0, 150e6, 'epoch end']);
    expect(windowCount(truth, 0, 50e6)).toEqual({ atLeast: 3, atMost: 3, isExact: true });
    expect(windowCount(truth, 50e6, 150e6)).toEqual({ atLeast: 1, atMost: 1, isExact: true });
    expect(windowCount(truth, 20e6, 90e6)).toEqual({ atLeast: 0, atMost: 3, isExact: false });
  });

  it('reads single writes, by address, in any order, and what it writes', () => {
    const truth = parse('time_us,address\n7,0x3000\n5,0x1fff\n', { memoryBytes: 65_536 });
    expect(Array.from(truth.timeline.page)).toEqual([1, 3]);
    expect(Array.from(truth.timeline.atNs)).toEqual([5000, 7000]);
    const again = parse([...seriesText(truth)].join('\n'));
    expect(Array.from(again.timeline.page)).toEqual([1, 3]);
    expect(again.pages).toBe(16);
  });

  it('says which line is wrong, and what to do', () => {
    const cases: readonly (readonly [string, RegExp])[] = [
      ['', /no header/],
      ['when,page\n1,2', /line 1: no column for the time/],
      ['time_s,what\n1,2', /no column for the page/],
      ['# memory=1MiB\ntime_s,page\n1,2\n2,minus', /line 4: "minus" is no page/],
      ['# memory=1MiB\ntime_s,page\n1,2\n-2,1', /line 4: "-2" is no time/],
      ['time_s,page\n1,2', /memory/],
      ['# memory=1MiB\ntime_s,page\n1,256', /beyond the memory/],
      ['# memory=1MiB\ntime_s,page\n', /no row/],
      ['# memory=1MiB\ntime_s,page,pages\n1,2,0', /at least one/],
    ];
    for (const [text, pattern] of cases) {
      expect(() => parse(text), text).toThrow(SeriesError);
      expect(() => parse(text), text).toThrow(pattern);
    }
  });
});
