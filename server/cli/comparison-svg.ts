/**
 * A comparison as a picture: one SVG that needs nothing else (no script, no font, no style sheet), for light and dark.
 *
 *     title, what was recorded, assumed share
 *     legend: where the cycles go
 *     group (a recording, phase or workload)
 *       regime  ▓▓▓▓░░░▒▒├──┤      1.234x   1.1x to 1.5x   assumed   what costs most
 *
 * A bar is the slowdown: its grey part the instructions, the rest the cycles of events, both over the cycles of the bare machine. The scale begins at 0 and
 * is the same for all groups. Every number is text too, and each part of a bar has its own as a tooltip.
 */
import type { CycleRange } from '../../engine/analysis/comparison/ledger.ts';
import type { SegmentReport } from '../../engine/analysis/comparison/report.ts';

export interface PictureRow {
  readonly regime: string;
  readonly segment: SegmentReport;
  /** `12 %`, or `-`. */
  readonly assumed: string;
}
export interface PictureGroup {
  readonly name: string;
  /** Of the segment, x CPI. */
  readonly baseCycles: number;
  readonly rows: readonly PictureRow[];
}
export interface Picture {
  readonly title: string;
  /** A line each. */
  readonly subtitles: readonly string[];
  readonly groups: readonly PictureGroup[];
  /** Below the chart, a line each. */
  readonly notes: readonly string[];
}

/** Kinds of events with a colour of their own; the rest is "other". */
const COLOURED = 5;
/** More rows than this make no picture. */
export const PICTURE_ROWS_MAX = 400;

const WIDTH = 1290;
const MARGIN = 20;
const PLOT = { left: 185, right: 630 } as const;
/** Right edges of the columns of numbers; the text column begins at `text`. */
const COLUMN = { slowdown: 700, range: 835, assumed: 905, text: 920 } as const;
const ROW_HEIGHT = 20;
const BAR_HEIGHT = 12;
const GROUP_GAP = 14;
/** Mean advance of a character in the sans-serif fonts of common systems, as a share of the font size; on the wide side. */
const CHARACTER_WIDTH = 0.58;
const FONT_SIZE = 12;
/** Of the longest typical bar: how far the scale follows ranges. Longer ones end in an arrow. */
const RANGE_REACH = 1.5;

/** Okabe and Ito's palette, which colour-blind people can tell apart (jfly.uni-koeln.de/color, 2008). */
const COLOURS = ['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#d55e00'] as const;

const STYLE = [
  'svg { --ground: #ffffff; --ink: #1b1f24; --faint: #57606a; --grid: #d8dee4; --work: #b6bec7; --other: #7d6ba0; }',
  '@media (prefers-color-scheme: dark) { svg { --ground: #0d1117; --ink: #e6edf3; --faint: #9aa4af; --grid: #30363d; --work: #545d68; --other: #a893d1; } }',
  `text { font: ${FONT_SIZE}px system-ui, "Segoe UI", "DejaVu Sans", Arial, sans-serif; fill: var(--ink); }`,
  '.title { font-size: 18px; font-weight: 600; } .group { font-size: 13px; font-weight: 600; } .faint { fill: var(--faint); } .number { text-anchor: end; font-variant-numeric: tabular-nums; }',
  '.middle { text-anchor: middle; } .ground { fill: var(--ground); } .grid { stroke: var(--grid); } .one { stroke: var(--faint); stroke-dasharray: 3 3; }',
  '.range { stroke: var(--ink); stroke-width: 1.5; fill: none; } .work { fill: var(--work); } .other { fill: var(--other); }',
  ...COLOURS.map((colour, i) => `.part${i} { fill: ${colour}; }`),
];

/** Whole file, as text. */
export function comparisonSvg({ title, subtitles, groups, notes }: Picture): string {
  const parts = new Parts(groups);
  const typicalMax = Math.max(1, ...groups.flatMap(({ rows }) => rows.map(({ segment }) => segment.slowdown.typical)));
  const highMax = Math.max(1, ...groups.flatMap(({ rows }) => rows.map(({ segment }) => segment.slowdown.high)));
  const scale = new Scale(Math.max(typicalMax, Math.min(highMax, typicalMax * RANGE_REACH)) * 1.04);
  const body: string[] = [];
  const text = (x: number, y: number, content: string, kind = '', limit = Infinity): void => {
    const shown = cut(content, limit);
    const tooltip = shown === content ? '' : `<title>${escape(content)}</title>`;
    body.push(`<text x="${x}" y="${y}"${kind === '' ? '' : ` class="${kind}"`}>${escape(shown)}${tooltip}</text>`);
  };

  let y = MARGIN + 16;
  text(MARGIN, y, title, 'title', charactersIn(WIDTH - 2 * MARGIN, 18));
  for (const line of subtitles) text(MARGIN, (y += 18), line, 'faint', charactersIn(WIDTH - 2 * MARGIN));

  y += 14;
  let x: number = MARGIN;
  for (const { name, kind } of parts.legend()) {
    const width = 18 + name.length * FONT_SIZE * CHARACTER_WIDTH + 16;
    if (x + width > WIDTH - MARGIN && x > MARGIN) {
      x = MARGIN;
      y += 18;
    }
    body.push(`<rect x="${x}" y="${y}" width="12" height="12" class="${kind}"/>`);
    text(x + 17, y + 10, name);
    x += Math.round(width);
  }

  y += 40;
  text(COLUMN.slowdown, y, 'slowdown', 'number faint');
  text(COLUMN.range, y, 'range', 'number faint');
  text(COLUMN.assumed, y, 'assumed', 'number faint');
  text(COLUMN.text, y, 'what costs most', 'faint');
  for (const tick of scale.ticks) text(round(scale.x(tick)), y, `${tickText(tick)}x`, 'middle faint');
  y += 10;
  for (const { name, baseCycles, rows } of groups) {
    y += GROUP_GAP;
    text(MARGIN, y + 6, name, 'group', charactersIn(WIDTH - 2 * MARGIN, 13));
    y += 12;
    const [top, end] = [y, y + rows.length * ROW_HEIGHT];
    for (const tick of scale.ticks) body.push(`<line x1="${round(scale.x(tick))}" y1="${top}" x2="${round(scale.x(tick))}" y2="${end}" class="grid"/>`);
    for (const row of rows) {
      text(MARGIN + 8, y + 14, row.regime, '', charactersIn(PLOT.left - MARGIN - 16));
      body.push(...barOf(row, baseCycles, parts, scale, y + (ROW_HEIGHT - BAR_HEIGHT) / 2));
      const { slowdown, dominant } = row.segment;
      text(COLUMN.slowdown, y + 14, ratio(slowdown.typical), 'number');
      text(COLUMN.range, y + 14, rangeText(slowdown), 'number');
      text(COLUMN.assumed, y + 14, row.assumed, 'number');
      text(COLUMN.text, y + 14, dominant === undefined ? '-' : `${(dominant.share * 100).toFixed(0)} % ${dominant.name}`, '', charactersIn(WIDTH - MARGIN - COLUMN.text));
      y += ROW_HEIGHT;
    }
    body.push(`<line x1="${round(scale.x(1))}" y1="${top}" x2="${round(scale.x(1))}" y2="${end}" class="one"/>`);
  }
  const bottom = y + 4;
  for (const tick of scale.ticks) text(round(scale.x(tick)), bottom + 15, `${tickText(tick)}x`, 'middle faint');

  y = bottom + 20;
  const wasCut = highMax > scale.max;
  const below = [...notes, ...(wasCut ? ['An arrow: the range goes on beyond the scale; its end is in the column "range".'] : [])];
  for (const line of below.flatMap((each) => wrapped(each, charactersIn(WIDTH - 2 * MARGIN)))) text(MARGIN, (y += 17), line, 'faint');
  const height = y + MARGIN;

  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="title">`,
    `<title id="title">${escape(title)}</title>`,
    `<style>${STYLE.join('\n')}</style>`,
    `<rect width="${WIDTH}" height="${height}" class="ground"/>`,
    ...body,
    '</svg>', '',
  ].join('\n');
}

function barOf({ regime, segment }: PictureRow, baseCycles: number, parts: Parts, scale: Scale, y: number): string[] {
  const { slowdown, nativeCycles } = segment;
  const native = baseCycles + nativeCycles.typical;
  const lines: string[] = [];
  let at = 0;
  for (const { name, kind, cycles } of [{ name: 'instructions', kind: 'work', cycles: native === 0 ? 1 : baseCycles }, ...parts.of(segment)]) {
    const length = cycles / Math.max(native, 1);
    const [from, to] = [scale.x(at), scale.x(at + length)];
    at += length;
    // Thinner than this is not seen, and would make large files.
    if (to - from < 0.05) continue;
    lines.push(`<rect x="${round(from)}" y="${y}" width="${round(to - from)}" height="${BAR_HEIGHT}" class="${kind}"><title>${escape(`${regime}: ${name}: ${ratio(length)}`)}</title></rect>`);
  }
  const middle = y + BAR_HEIGHT / 2;
  const [low, high] = [round(scale.x(Math.min(slowdown.low, scale.max))), round(scale.x(Math.min(slowdown.high, scale.max)))];
  if (high - low < 0.5) return lines;
  const end = slowdown.high > scale.max ? `M${high - 5} ${middle - 4}L${high} ${middle}L${high - 5} ${middle + 4}` : `M${high} ${middle - 3.5}v7`;
  lines.push(`<path d="M${low} ${middle - 3.5}v7M${low} ${middle}H${high}${end}" class="range"/>`);
  return lines;
}

interface Part {
  readonly name: string;
  readonly kind: string;
  readonly cycles: number;
}

/** Which events have a colour: those that cost most in the whole picture, each row counted by what it adds to its own slowdown. */
class Parts {
  private readonly coloured: readonly string[];
  private readonly hasOther: boolean;

  constructor(groups: readonly PictureGroup[]) {
    const weights = new Map<string, number>();
    for (const { baseCycles, rows } of groups) {
      for (const { segment } of rows) {
        for (const { name, cycles } of costsOf(segment)) weights.set(name, (weights.get(name) ?? 0) + cycles / Math.max(1, baseCycles + segment.nativeCycles.typical));
      }
    }
    const sorted = [...weights].filter(([, weight]) => weight > 0).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
    this.coloured = sorted.slice(0, COLOURED).map(([name]) => name);
    this.hasOther = sorted.length > COLOURED;
  }

  /** In the order of the legend. */
  of(segment: SegmentReport): Part[] {
    const costs = costsOf(segment);
    const rest = costs.filter(({ name }) => !this.coloured.includes(name)).reduce((sum, { cycles }) => sum + cycles, 0);
    const own = this.coloured.map((name, i) => ({ name, kind: `part${i}`, cycles: costs.find((each) => each.name === name)?.cycles ?? 0 }));
    return [...own, { name: 'other', kind: 'other', cycles: rest }];
  }

  legend(): { readonly name: string; readonly kind: string }[] {
    return [
      { name: 'instructions', kind: 'work' },
      ...this.coloured.map((name, i) => ({ name, kind: `part${i}` })),
      ...(this.hasOther ? [{ name: 'other', kind: 'other' }] : []),
    ];
  }
}

function costsOf({ reasons, direct }: SegmentReport): { readonly name: string; readonly cycles: number }[] {
  return [...reasons.map(({ name, handler, typical }) => ({ name: `${name} (${handler})`, cycles: typical })), ...direct.map(({ kind, typical }) => ({ name: `${kind}, no exit`, cycles: typical }))];
}

/** Slowdown to x. Begins at 0. */
class Scale {
  readonly max: number;
  readonly ticks: readonly number[];

  constructor(max: number) {
    this.max = max;
    const rough = max / 6;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * ([1, 2, 5].find((each) => each * power >= rough) ?? 10);
    this.ticks = Array.from({ length: Math.floor(max / step) + 1 }, (_, i) => i * step);
  }

  x(slowdown: number): number {
    return PLOT.left + (Math.min(slowdown, this.max) / this.max) * (PLOT.right - PLOT.left);
  }
}

export function ratio(value: number): string {
  return value < 10 ? `${value.toFixed(3)}x` : `${value.toFixed(1)}x`;
}

export function rangeText({ low, high }: CycleRange): string {
  return `${ratio(low)} to ${ratio(high)}`;
}

function tickText(value: number): string {
  return String(Number(value.toPrecision(6)));
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

export function charactersIn(width: number, fontSize = FONT_SIZE): number {
  return Math.floor(width / (fontSize * CHARACTER_WIDTH));
}

export function cut(text: string, characters: number): string {
  const all = [...text];
  return all.length <= characters ? text : `${all.slice(0, characters - 1).join('')}…`;
}

/** Lines of at most so many characters, broken at spaces where there are any. */
export function wrapped(text: string, characters: number): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const last = lines[lines.length - 1];
    if (last !== '' && last.length + 1 + word.length > characters) lines.push(word);
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
  }
  return lines.map((line) => cut(line, characters));
}

/** For text and attributes. What XML 1.0 cannot hold (section 2.2, Char) becomes U+FFFD; half surrogate pairs do so when the text is encoded. */
export function escape(text: string): string {
  const legal = text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '\ufffd');
  return legal.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;').replaceAll("'", '&#39;');
}
