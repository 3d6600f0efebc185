/** The guests that can be recorded, and those that could be fetched. */
import { GuestError } from '../guests/errors.ts';
import { listGuests, openGuest } from '../guests/store.ts';
import { labImages } from '../store/lab-guests.ts';

export interface GuestRow {
  readonly name: string;
  readonly state: 'ready' | 'to be fetched' | 'damaged';
  readonly description: string;
  readonly memoryBytes?: number;
  readonly commandLine?: string;
  readonly regime?: string;
  readonly problem?: string;
}

const FETCHABLE: Readonly<Record<string, string>> = { linux: "Debian's cloud kernel with busybox", 'linux-full': "Debian's full kernel with busybox" };

/** Hashes nothing: what is damaged shows when it is recorded. */
export async function guestRows(): Promise<readonly GuestRow[]> {
  const rows: GuestRow[] = labImages().map(({ name, description, memoryBytes, commandLine, regime }) => ({ name, state: 'ready', description, memoryBytes, commandLine, ...(regime !== undefined && { regime }) }));
  const stored = await listGuests();
  for (const name of new Set([...Object.keys(FETCHABLE), ...stored])) {
    const description = FETCHABLE[name] ?? '';
    if (!stored.includes(name)) {
      rows.push({ name, state: 'to be fetched', description });
      continue;
    }
    try {
      const { memoryBytes, commandLine } = (await openGuest(name)).guest;
      rows.push({ name, state: 'ready', description, memoryBytes, commandLine });
    } catch (error) {
      if (!(error instanceof GuestError)) throw error;
      rows.push({ name, state: 'damaged', description, problem: error.message });
    }
  }
  return rows;
}
