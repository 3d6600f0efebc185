/**
 * A flame graph as a picture: one SVG that needs nothing else (no script, no font, no style sheet), for light and dark.
 *
 *     reason        ▓▓▓▓▓▓▓▓▓▓ ▓▓▓
 *     function      ░░░░░░░░░░ ░░░ ▒▒▒▒
 *     task          ░░░░░░░░░░░░░░ ▒▒▒▒▒▒▒▒
 *     all           ░░░░░░░░░░░░░░░░░░░░░░░
 *
 * The root is at the bottom. A box is as wide as what its exits weigh: typical cycles under a regime, ns of an imported trace, or how many they are. Boxes of
 * one level stand in the order of their names, and say what they are as a tooltip; those too narrow to be seen are left out, and their sum is told.
 */
import type { ExitProfile } from '../../engine/analysis/exit-profile/profile.ts';
import { charactersIn, cut, escape, wrapped } from './comparison-svg.ts';
import { grouped } from './format.ts';

const WIDTH = 1290;
const MARGIN = 20;
const ROW_HEIGHT = 17;
/** Narrower boxes are not drawn. */
const BOX_WIDTH_MIN = 0.3;
/** Narrower boxes have no text. */
const TEXT_WIDTH_MIN = 24;
const FONT_SIZE = 11;
/** Levels; what is deeper is not drawn. */
const LEVELS_MAX = 200;

/** Okabe and Ito's palette, which colour-blind people can tell apart (jfly.uni-koeln.de/color, 2008). */
const STYLE = [
  'svg { --ground: #ffffff; --ink: #1b1f24; --faint: #57606a; --kernel: #f3cf8e; --user: #b9dfd2; --gate: #d3b3cb; --task: #d8dee4; --exit: #8fc1e3; --line: #ffffff; }',
  '@media (prefers-color-scheme: dark) { svg { --ground: #0d1117; --ink: #e6edf3; --faint: #9aa4af; --kernel: #7a5300; --user: #00573f; --gate: #74416a; --task: #30363d; --exit: #004c78; --line: #0d1117; } }',
  `text { font: ${FONT_SIZE}px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: var(--ink); } .faint { fill: var(--faint); font-size: 12px; }`,
  '.title { font: 600 18px system-ui, "Segoe UI", "DejaVu Sans", Arial, sans-serif; } .ground { fill: var(--ground); } .box { stroke: var(--line); stroke-width: 0.5; }',
  ...['kernel', 'user', 'gate', 'task', 'exit'].map((kind) => `.${kind} { fill: var(--${kind}); }`),
];

const LEGEND = { task: 'task', kernel: 'function', user: 'user code without names', gate: 'system call, interrupt, exception', exit: 'exit: reason, what it is about' } as const;
type Kind = keyof typeof LEGEND;

interface Box {
  readonly label: string;
  readonly kind: Kind;
  weight: number;
  readonly inside: Map<string, Box>;
}

export interface FlameOptions {
  /** HLT and its like, too. */
  readonly withSleep?: boolean;
}

/** Whole file, as text. */
export function flameSvg(profile: ExitProfile, options: FlameOptions = {}): string {
  const { unit, source } = profile;
  const root: Box = { label: 'all', kind: 'task', weight: 0, inside: new Map() };
  let levels = 1;
  for (const { frames, exitFrames, task, count, cost, isIdle } of profile.stacks) {
    const weight = unit === undefined ? count : (cost ?? 0);
    if ((isIdle && options.withSleep !== true) || weight <= 0) continue;
    root.weight += weight;
    let at = root;
    frames.slice(0, LEVELS_MAX).forEach((label, level) => {
      const kind = level === 0 && task !== undefined ? 'task' : level >= frames.length - (exitFrames ?? 0) ? 'exit' : kindOf(label);
      const key = `${kind} ${label}`;
      const box = at.inside.get(key) ?? { label, kind, weight: 0, inside: new Map<string, Box>() };
      at.inside.set(key, box);
      box.weight += weight;
      at = box;
    });
    levels = Math.max(levels, Math.min(frames.length, LEVELS_MAX) + 1);
  }
  const amount = (weight: number): string => `${grouped(Math.round(weight))} ${unit === undefined ? 'exits' : unit}, ${root.weight === 0 ? 0 : ((weight / root.weight) * 100).toFixed(2)} %`;

  const body: string[] = [];
  const used = new Set<Kind>();
  const text = (x: number, y: number, content: string, kind: string, limit = Infinity): void => void body.push(`<text x="${x}" y="${y}" class="${kind}">${escape(cut(content, limit))}</text>`);
  let y = MARGIN + 16;
  const title = `${source.name}: exits by ${profile.hasCallStacks === true ? 'task and call stack' : 'guest function'}`;
  text(MARGIN, y, title, 'title', charactersIn(WIDTH - 2 * MARGIN, 18));
  const subtitle = `${source.under === undefined ? '' : `${source.under}. `}Width: ${unit === undefined ? 'exits' : `${unit} of exits`}, ${amount(root.weight).replace(/,.*$/, '')} in all${options.withSleep === true ? '' : '; sleep is left out'}.`;
  for (const line of wrapped(subtitle, charactersIn(WIDTH - 2 * MARGIN, FONT_SIZE + 1))) text(MARGIN, (y += 18), line, 'faint');
  const legendY = (y += 12);
  const top = legendY + 26;
  const bottom = top + levels * ROW_HEIGHT;

  let hidden = 0;
  const draw = (box: Box, level: number, x: number, width: number): void => {
    used.add(box.kind);
    const boxY = bottom - (level + 1) * ROW_HEIGHT;
    const tooltip = `${box.label}: ${amount(box.weight)}`;
    const shown = width < TEXT_WIDTH_MIN ? '' : cut(box.label, Math.max(1, charactersIn(width - 6, FONT_SIZE * 1.06)));
    body.push(
      `<g><title>${escape(tooltip)}</title><rect x="${round(x)}" y="${boxY}" width="${round(width)}" height="${ROW_HEIGHT - 1}" class="box ${box.kind}"/>${shown === '' ? '' : `<text x="${round(x + 3)}" y="${boxY + 12}">${escape(shown)}</text>`}</g>`,
    );
    let at = x;
    for (const [, inner] of [...box.inside].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const innerWidth = (inner.weight / root.weight) * (WIDTH - 2 * MARGIN);
      if (innerWidth >= BOX_WIDTH_MIN) draw(inner, level + 1, at, innerWidth);
      else if (box.weight > 0) hidden += inner.weight;
      at += innerWidth;
    }
  };
  if (root.weight > 0) draw(root, 0, MARGIN, WIDTH - 2 * MARGIN);
  else text(MARGIN, bottom, 'There is no exit to show.', 'faint');

  let x: number = MARGIN;
  for (const [kind, name] of Object.entries(LEGEND) as [Kind, string][]) {
    if (!used.has(kind)) continue;
    body.push(`<rect x="${x}" y="${legendY}" width="12" height="12" class="${kind}"/>`);
    text(x + 17, legendY + 10, name, 'faint');
    x += 34 + name.length * 8;
  }
  y = bottom + 4;
  const notes = [...profile.notes, ...(hidden > 0 ? [`boxes too narrow to be drawn: ${amount(hidden)}`] : [])];
  for (const line of notes.flatMap((note) => wrapped(`${note}.`, charactersIn(WIDTH - 2 * MARGIN, FONT_SIZE + 1)))) text(MARGIN, (y += 17), line, 'faint');
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

function kindOf(label: string): Kind {
  if (label === '[user]') return 'user';
  return label.startsWith('[') && label !== '[kernel]' ? 'gate' : 'kernel';
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
