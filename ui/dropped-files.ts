/** A file that a person dropped on the lab: a kernel is given to the next recording, a recording is kept in the browser. Loaded when it happens. */
import { LogError } from '../engine/log/errors.ts';
import { openLog } from '../engine/log/open-log.ts';
import { MemorySource } from '../engine/log/storage.ts';
import { summarize } from '../engine/protocol/summary.ts';
import { keepRecording } from './library.ts';
import { giveKernel, isKernel } from './recording/given-kernel.ts';

export type TakenFile =
  | { readonly kind: 'kernel' }
  /** id: in this browser. parent: id of the log that it goes on from. warning: why the browser does not keep it. */
  | { readonly kind: 'kept'; readonly id: string; readonly logId: string; readonly parent: string | undefined; readonly warning: string | undefined }
  | { readonly kind: 'refused'; readonly message: string; readonly advice: string };

export async function takeFile(file: File): Promise<TakenFile> {
  try {
    const given = new Uint8Array(await file.arrayBuffer());
    if (isKernel(given)) {
      giveKernel({ name: file.name, kernel: given, initrd: undefined });
      dispatchEvent(new Event('kernel-given'));
      return { kind: 'kernel' };
    }
    const { reader, torn } = openLog(new MemorySource(given));
    const bytes = torn === undefined ? given : given.slice(0, torn.offset);
    const summary = summarize(reader, bytes.length);
    const id = crypto.randomUUID();
    const { problem } = await keepRecording({ id, name: file.name, origin: 'dropped', savedMs: Date.now(), summary }, bytes);
    return { kind: 'kept', id, logId: summary.id, parent: reader.header.parent?.logId, warning: problem };
  } catch (error) {
    return error instanceof LogError
      ? { kind: 'refused', message: `${file.name}: ${error.what}`, advice: error.advice }
      : { kind: 'refused', message: `${file.name} could not be read: ${error instanceof Error ? error.message : String(error)}`, advice: 'try another file' };
  }
}
