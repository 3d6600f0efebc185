/** The guests that there are: the lab's own, those that were fetched, and those that could be. */
import { GuestError } from '../guests/errors.ts';
import type { LinuxFlavour } from '../guests/manifest.ts';
import { listGuests, openGuest } from '../guests/store.ts';
import { labImages } from './lab-guests.ts';

export const FETCHABLE: Readonly<Record<string, { readonly flavour: LinuxFlavour; readonly description: string }>> = {
  linux: { flavour: 'cloud', description: "Debian's cloud kernel with busybox" },
  'linux-full': { flavour: 'full', description: "Debian's full kernel with busybox" },
};

export interface GuestRow {
  readonly name: string;
  readonly state: 'ready' | 'to be fetched' | 'damaged';
  readonly description: string;
  /** Of what it was made: `name version`. */
  readonly packages?: readonly string[];
  readonly memoryBytes?: number;
  readonly commandLine?: string;
  /** The only one that it boots under. */
  readonly regime?: string;
  readonly problem?: string;
}

/** Hashes nothing: what is damaged shows when it is recorded. */
export async function guestRows(): Promise<readonly GuestRow[]> {
  const rows: GuestRow[] = labImages().map(({ name, description, memoryBytes, commandLine, regime }) => ({ name, state: 'ready', description, memoryBytes, commandLine, ...(regime !== undefined && { regime }) }));
  const stored = await listGuests();
  for (const name of new Set([...Object.keys(FETCHABLE), ...stored])) {
    const description = FETCHABLE[name]?.description ?? '';
    if (!stored.includes(name)) {
      rows.push({ name, state: 'to be fetched', description });
      continue;
    }
    try {
      const { memoryBytes, commandLine, packages } = (await openGuest(name)).guest;
      rows.push({ name, state: 'ready', description, memoryBytes, commandLine, packages: packages.map((each) => `${each.name} ${each.version}`) });
    } catch (error) {
      if (!(error instanceof GuestError)) throw error;
      rows.push({ name, state: 'damaged', description, problem: error.message });
    }
  }
  return rows;
}
