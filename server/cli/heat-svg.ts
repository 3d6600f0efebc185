/** A heat map page x time as one SVG that needs nothing else, for light and dark: dark is often written. Rows are page frames, the lowest at the top. */
import type { HeatMap } from '../../engine/analysis/dirty/folds.ts';
import { virtualTime } from './format.ts';

const PLOT = { left: 110, top: 56, width: 1000, height: 512 } as const;
/** Steps of the scale, which is logarithmic. */
const LEVELS = 8;

const STYLE = [
  'svg { --ground: #ffffff; --ink: #1b1f24; --faint: #57606a; --cell: #0072b2; }',
  '@media (prefers-color-scheme: dark) { svg { --ground: #0d1117; --ink: #e6edf3; --faint: #9aa4af; --cell: #58a6ff; } }',
  'text { font: 12px system-ui, "Segoe UI", "DejaVu Sans", Arial, sans-serif; fill: var(--ink); } .title { font-size: 16px; font-weight: 600; } .faint { fill: var(--faint); } .end { text-anchor: end; }',
  '.ground { fill: var(--ground); } .frame { fill: none; stroke: var(--faint); } path { fill: var(--cell); }',
  ...Array.from({ length: LEVELS }, (_, level) => `.l${level} { fill-opacity: ${((level + 1) / LEVELS).toFixed(3)}; }`),
];

export function heatSvg(map: HeatMap, title: string, notes: readonly string[]): string {
  const { rows, columns, counts, most } = map;
  const cellWidth = PLOT.width / Math.max(1, columns);
  const cellHeight = PLOT.height / Math.max(1, rows);
  const number = (value: number): string => String(Number(value.toFixed(2)));
  // One path a level, a rectangle a run of equal cells.
  const paths: string[][] = Array.from({ length: LEVELS }, () => []);
  const levelOf = (count: number): number => (count === 0 ? -1 : most <= 1 ? LEVELS - 1 : Math.min(LEVELS - 1, Math.floor((Math.log(count) / Math.log(most)) * LEVELS)));
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; ) {
      const level = levelOf(counts[row * columns + column]);
      let end = column + 1;
      while (end < columns && levelOf(counts[row * columns + end]) === level) end++;
      if (level >= 0) paths[level].push(`M${number(PLOT.left + column * cellWidth)} ${number(PLOT.top + row * cellHeight)}h${number((end - column) * cellWidth)}v${number(cellHeight)}h-${number((end - column) * cellWidth)}z`);
      column = end;
    }
  }
  const bottom = PLOT.top + PLOT.height;
  const height = bottom + 44 + notes.length * 18;
  const text = (x: number, y: number, content: string, kind = ''): string => `<text x="${x}" y="${y}"${kind === '' ? '' : ` class="${kind}"`}>${escaped(content)}</text>`;
  const pageAt = (row: number): string => `0x${(row * map.pagesPerRow * 4096).toString(16)}`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${PLOT.left + PLOT.width + 20} ${height}" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<style>${STYLE.join(' ')}</style>`,
    `<rect class="ground" width="100%" height="100%"/>`,
    text(PLOT.left, 24, title, 'title'),
    text(PLOT.left, 44, `a row is ${map.pagesPerRow} page${map.pagesPerRow === 1 ? '' : 's'}, a column ${virtualTime(map.columnNs)}; the darkest cell has ${most} first writes, the scale is logarithmic`, 'faint'),
    ...paths.flatMap((path, level) => (path.length === 0 ? [] : [`<path class="l${level}" d="${path.join('')}"/>`])),
    `<rect class="frame" x="${PLOT.left}" y="${PLOT.top}" width="${PLOT.width}" height="${PLOT.height}"/>`,
    ...[0, 0.25, 0.5, 0.75, 1].flatMap((share) => [
      text(PLOT.left - 8, PLOT.top + share * PLOT.height + 4, pageAt(Math.round(share * rows)), 'faint end'),
      `<text x="${PLOT.left + share * PLOT.width}" y="${bottom + 18}" class="faint" text-anchor="${share === 0 ? 'start' : share === 1 ? 'end' : 'middle'}">${virtualTime(share * columns * map.columnNs)}</text>`,
    ]),
    ...notes.map((note, i) => text(PLOT.left, bottom + 40 + i * 18, note, 'faint')),
    '</svg>',
    '',
  ].join('\n');
}

function escaped(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}
