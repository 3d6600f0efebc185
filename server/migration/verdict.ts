/** The source's word on a migration, given again: after a broken link, or after a crash. */
import { type Duplex, LinkError, Mailbox, frame, withTimeout } from './duplex.ts';
import type { SourceFiles, SourceRecord } from './journal.ts';
import { REFUSED, STARTED, VERDICT, decodeFrames, json, parseJson } from './messages.ts';

/**
 * May the guest go on at the source? An offer that was never decided is withdrawn here, for good: from now on the destination will be told so. Every way to continue a
 * log that was being migrated asks this first.
 */
export function sourceMayRun(files: SourceFiles): boolean {
  const record = files.verdict.read();
  if (record === undefined || record.verdict === 'kept') return true;
  if (record.verdict === 'handed-over') return false;
  files.verdict.write({ ...record, verdict: 'kept' });
  return true;
}

/** Tells the destination. Returns the frames that it still wants (post-copy). Rejects with LinkError if it could not be told. */
export async function tellVerdict(link: Duplex, record: SourceRecord, answerMs?: number): Promise<{ readonly missing: readonly number[]; readonly mailbox: Mailbox }> {
  if (record.verdict === 'offered') throw new Error('a migration that is not decided has no verdict: sourceMayRun() decides it');
  const mailbox = new Mailbox(link);
  await link.write(frame(VERDICT, json({ migration: record.migration, handedOver: record.verdict === 'handed-over' })));
  const answer = await withTimeout(mailbox.take(), answerMs);
  if (answer.kind === REFUSED) throw new LinkError(`the destination did not take it: ${parseJson<{ reason: string }>(answer.payload).reason}`);
  if (answer.kind !== STARTED) throw new LinkError(`a frame of kind ${answer.kind} instead of an answer`);
  return { missing: decodeFrames(answer.payload), mailbox };
}
