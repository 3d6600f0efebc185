/** Takes a self-contained page apart, before the pages start. */
import { LogReader } from '../../engine/log/reader.ts';
import { MemorySource } from '../../engine/log/storage.ts';
import { bytesOfBase64 } from '../../engine/protocol/base64.ts';
import { RECORDING_MARK, type SelfContainedPart, parseSelfContainedHead } from '../../engine/protocol/self-contained.ts';
import { summarize } from '../../engine/protocol/summary.ts';
import { CORE_VARIABLE } from './core-module.ts';
import { type HeldLog, hold } from './held.ts';

/** Throws Error for a page that was cut off or changed on its way. */
export async function unpack(): Promise<void> {
  const template = templateOf(document.documentElement);
  const core = document.querySelector('script[data-asset="core"]')?.textContent ?? '';
  const workers = new Map<string, string>();
  let sources: Readonly<Record<string, string>> = {};
  for (const block of document.querySelectorAll<HTMLScriptElement>('script[data-asset]')) {
    const name = block.dataset['asset']!;
    if (name === 'core') continue;
    const text = new TextDecoder().decode(await unzipped(bytesOf(block)));
    if (name === 'sources') {
      sources = JSON.parse(text) as Record<string, string>;
      continue;
    }
    // A worker made from text has no folder to fetch its core from.
    workers.set(name, URL.createObjectURL(new Blob([`globalThis.${CORE_VARIABLE} = '${core.trim()}';\n`, text], { type: 'text/javascript' })));
  }
  const head = parseSelfContainedHead(document.querySelector('#recording')?.textContent ?? '');
  if (head === undefined) throw new Error('this page holds no recording that it can read: get the file again');
  const parts = (part: SelfContainedPart): readonly Uint8Array[] => [...document.querySelectorAll(`script[data-part="${part}"]`)].map(bytesOf);
  const logs = [...parts('log'), ...parts('parent')].map((bytes, i): HeldLog => {
    const summary = summarize(LogReader.open(new MemorySource(bytes)), bytes.length);
    return { id: summary.id, name: i === 0 ? head.name : summary.guest, summary, bytes };
  });
  if (logs.length === 0) throw new Error('the recording is missing in this page: get the file again');
  hold({ workers, sources, logs, notes: head.notes, images: parts('image'), at: head.at, template });
  // They are kept as bytes now.
  for (const block of document.querySelectorAll('script[data-part]')) block.textContent = '';
}

function bytesOf(block: Element): Uint8Array {
  const bytes = bytesOfBase64(block.textContent ?? '');
  if (bytes === undefined) throw new Error('this page was cut off or changed on its way: get the file again');
  return bytes;
}

async function unzipped(bytes: Uint8Array): Promise<ArrayBuffer> {
  return new Response(new Blob([bytes as Uint8Array<ArrayBuffer>]).stream().pipeThrough(new DecompressionStream('gzip'))).arrayBuffer();
}

/** The page as it was built. */
function templateOf(root: Element): string {
  const copy = root.cloneNode(true) as Element;
  const parts = copy.querySelectorAll('#recording, script[data-part]');
  parts[0]?.before(document.createComment(RECORDING_MARK.slice(4, -3)));
  for (const part of parts) part.remove();
  return `<!doctype html>\n${copy.outerHTML}\n`;
}
