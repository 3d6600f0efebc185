/** The text of source lines of the lab's guests, beside the pages. Only for recordings of the images that these sources were built into; another build has other lines. */
import manifest from '../../engine/guests/images/manifest.json' with { type: 'json' };
import type { LogSummary } from '../../engine/protocol/summary.ts';
import { heldHere } from '../standalone/held.ts';

/** Address by path. */
const FILES: Readonly<Record<string, string>> = import.meta.glob('../../engine/guests/**/*.{c,h,S}', { query: '?url', import: 'default', eager: true });
const ROOT = '../../engine/guests/';
const IMAGES: ReadonlySet<string> = new Set(manifest.images.map(({ sha256 }) => sha256));

/** True if the text of lines is known. */
export function hasSources(summary: LogSummary): boolean {
  return summary.images.some(({ name, sha256 }) => name === 'kernel' && IMAGES.has(sha256));
}

export class SourceTexts {
  private readonly onChange: () => void;
  /** Undefined: on its way, or not there. */
  private readonly files = new Map<string, readonly string[] | undefined>();

  constructor(onChange: () => void) {
    this.onChange = onChange;
  }

  /** place: `FILE:LINE`. Undefined: not known, or not yet. */
  line(place: string): string | undefined {
    const [, file, line] = /^(.*):(\d+)$/.exec(place) ?? [];
    if (file === undefined) return undefined;
    if (!this.files.has(file)) void this.load(file);
    return this.files.get(file)?.[Number(line) - 1]?.trim();
  }

  private async load(file: string): Promise<void> {
    this.files.set(file, undefined);
    const text = await textOf(file);
    if (text === undefined) return;
    this.files.set(file, text.split('\n'));
    this.onChange();
  }
}

async function textOf(file: string): Promise<string | undefined> {
  const held = heldHere();
  if (held !== undefined) return held.sources[file];
  const url = FILES[ROOT + file];
  const response = url === undefined ? undefined : await fetch(url).catch(() => undefined);
  return response?.ok === true ? response.text() : undefined;
}
