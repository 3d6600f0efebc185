import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GuestError, type GuestErrorCode } from './errors.ts';
import { type Guest, guestsFolder, listGuests, openGuest, readGuestImage, sha256, storeGuest, storeImage } from './store.ts';

let guests = '';
beforeEach(async () => {
  guests = await mkdtemp(join(tmpdir(), 'chronovisor-test-'));
});
afterEach(async () => {
  await rm(guests, { recursive: true, force: true });
});

async function codeOf(action: Promise<unknown>): Promise<GuestErrorCode | undefined> {
  try {
    await action;
  } catch (error) {
    if (error instanceof GuestError) return error.code;
    throw error;
  }
  return undefined;
}

const KERNEL = Uint8Array.of(1, 2, 3);

async function storeOne(commandLine = 'quiet'): Promise<{ kept: string | undefined; guest: Guest }> {
  const folder = join(guests, 'one');
  const name = await storeImage(folder, 'vmlinuz', '', KERNEL);
  const guest: Guest = {
    format: 1,
    name: 'one',
    kernel: name,
    initrd: name,
    commandLine,
    memoryBytes: 256 << 20,
    sha256: { [name]: sha256(KERNEL) },
    packages: [],
    recipe: '',
  };
  return { kept: await storeGuest(folder, guest), guest };
}

describe('the store of guests', () => {
  it('is found by environment', () => {
    expect(guestsFolder({ CHRONOVISOR_HOME: '/x' })).toBe('/x/guests');
    expect(guestsFolder({ XDG_DATA_HOME: '/y' })).toBe('/y/chronovisor/guests');
    expect(guestsFolder({ XDG_DATA_HOME: 'relative' })).toMatch(/\.local\/share\/chronovisor\/guests$/);
    expect(guestsFolder({})).toMatch(/\.local\/share\/chronovisor\/guests$/);
  });

  it('gives back what was stored, and leaves no temporary files', async () => {
    const { guest } = await storeOne();
    const stored = await openGuest('one', guests);
    expect(stored.guest).toEqual(guest);
    expect(await readGuestImage(stored, guest.kernel)).toEqual(Buffer.from(KERNEL));
    expect(await listGuests(guests)).toEqual(['one']);
    expect((await readdir(stored.folder)).sort()).toEqual(['guest.json', guest.kernel]);
  });

  it('keeps a description that it replaces, and does nothing for the same one', async () => {
    await storeOne();
    expect((await storeOne()).kept).toBeUndefined();
    const { kept } = await storeOne('debug');
    expect(kept).toMatch(/^guest-[0-9a-f]{12}\.json$/);
    expect(await readFile(join(guests, 'one', kept ?? ''), 'utf8')).toContain('quiet');
    expect((await openGuest('one', guests)).guest.commandLine).toBe('debug');
  });

  it('never overwrites an image, and notices one that has changed', async () => {
    const { guest } = await storeOne();
    await writeFile(join(guests, 'one', guest.kernel), 'something else');
    expect(await codeOf(storeImage(join(guests, 'one'), 'vmlinuz', '', KERNEL))).toBe('store-damaged');
    expect(await codeOf(readGuestImage(await openGuest('one', guests), guest.kernel))).toBe('checksum-wrong');
  });

  it('says what is missing or damaged', async () => {
    expect(await codeOf(openGuest('one', guests))).toBe('guest-unknown');
    expect(await listGuests(join(guests, 'none'))).toEqual([]);
    const { guest } = await storeOne();
    await rm(join(guests, 'one', guest.kernel));
    expect(await codeOf(readGuestImage(await openGuest('one', guests), guest.kernel))).toBe('guest-damaged');
    for (const text of ['{', '[]', '{"format":2}', JSON.stringify({ ...guest, kernel: '../x' })]) {
      await writeFile(join(guests, 'one', 'guest.json'), text);
      expect(await codeOf(openGuest('one', guests))).toBe('guest-damaged');
    }
  });
});
