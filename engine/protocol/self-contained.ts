/**
 * A recording as one HTML file: the built page (`standalone.html`, which holds pages, workers and core) with the recording put where the mark is, as data blocks.
 *
 *     <script type="application/json" id="recording">{"format":1,"name":"...","notes":[...]}</script>
 *     <script type="text/plain" data-part="log">BASE64</script>            the log; each that it goes on from as "parent"; images that no log holds as "image"
 *
 * Written by the command line and by pages, read by pages. The file needs no network and no server: its content security policy forbids both.
 */
import { base64Pieces } from './base64.ts';

/** In the built page: where the recording goes. */
export const RECORDING_MARK = '<!--chronovisor:recording-->';
const FORMAT = 1;
/** Of log, parents and images: what a browser still opens as one file. */
export const SELF_CONTAINED_BYTES_MAX = 256 << 20;

export interface SelfContainedNote {
  readonly position: number;
  readonly text: string;
}

/** What a file says of its recording; the bytes are in parts of their own. */
export interface SelfContainedHead {
  /** For a person: the name of the log's file. */
  readonly name: string;
  readonly notes: readonly SelfContainedNote[];
  /** Where the cursor stands when it is opened; the end, if this is not said. */
  readonly at?: number | undefined;
}

export interface SelfContained extends SelfContainedHead {
  readonly log: Uint8Array;
  readonly parents: readonly Uint8Array[];
  readonly images: readonly Uint8Array[];
}

export type SelfContainedPart = 'log' | 'parent' | 'image';

/** The file in pieces. Throws RangeError for a template without the mark. */
export function* selfContainedPieces(template: string, { name, notes, at, log, parents, images }: SelfContained): Generator<string> {
  const mark = template.indexOf(RECORDING_MARK);
  if (mark < 0) throw new RangeError('the page has no place for a recording');
  yield template.slice(0, mark);
  const head = JSON.stringify({ format: FORMAT, name, notes: notes.map(({ position, text }) => ({ position, text })), ...(at !== undefined && { at }) });
  // Nothing that a person wrote may end the block.
  yield `<script type="application/json" id="recording">${head.replaceAll('<', '\\u003c')}</script>\n`;
  yield* part('log', log);
  for (const parent of parents) yield* part('parent', parent);
  for (const image of images) yield* part('image', image);
  yield template.slice(mark + RECORDING_MARK.length);
}

function* part(kind: SelfContainedPart, bytes: Uint8Array): Generator<string> {
  yield `<script type="text/plain" data-part="${kind}">`;
  yield* base64Pieces(bytes);
  yield '</script>\n';
}

/** Undefined: a later version wrote it, or it is damaged. */
export function parseSelfContainedHead(json: string): SelfContainedHead | undefined {
  let head: unknown;
  try {
    head = JSON.parse(json);
  } catch {
    return undefined;
  }
  const { format, name, notes, at } = (typeof head === 'object' && head !== null ? head : {}) as Record<string, unknown>;
  if (format !== FORMAT || typeof name !== 'string' || !Array.isArray(notes)) return undefined;
  return { name, notes: (notes as readonly unknown[]).filter(isNote), at: isPosition(at) ? at : undefined };
}

function isNote(note: unknown): note is SelfContainedNote {
  const { position, text } = (typeof note === 'object' && note !== null ? note : {}) as Record<string, unknown>;
  return isPosition(position) && typeof text === 'string';
}

function isPosition(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
