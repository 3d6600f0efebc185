import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseShow } from './apt.ts';
import { fetchLinux, RECIPE } from './fetch.ts';
import { listGuests } from './store.ts';

// The network is not for unit tests. Here is what happens before and around it; README.md says how the rest was tried.

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'chronovisor-test-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe('fetchLinux', () => {
  it('says which .deb is missing from a folder', async () => {
    await expect(fetchLinux({ debs: folder, guests: folder })).rejects.toMatchObject({
      code: 'deb-missing',
      message: expect.stringContaining('linux-image-6.1.0-56-cloud-amd64 6.1.192-2'),
    });
  });

  it('refuses a .deb with another content than the pinned one, and stores nothing', async () => {
    await writeFile(join(folder, 'linux-image-6.1.0-56-cloud-amd64_6.1.192-2_amd64.deb'), 'not the kernel');
    await expect(fetchLinux({ debs: folder, guests: folder })).rejects.toMatchObject({ code: 'checksum-wrong' });
    expect(await listGuests(folder)).toEqual([]);
  });

  it('names its recipe by a hash', () => {
    expect(RECIPE).toMatch(/^[0-9a-f]{64}$/);
  });
});

describe('apt-cache show', () => {
  it('is read stanza by stanza; packages that no archive has are left out', () => {
    const hash = 'a'.repeat(64);
    const text =
      `Package: one\nVersion: 1:2-3\nDepends: linux-image-6.1.0-57-cloud-amd64 (= 6.1.200-1)\nSHA256: ${hash}\n\n` +
      'Package: one\nVersion: 1\nStatus: install ok installed\n\n';
    expect(parseShow(text)).toEqual([
      { name: 'one', version: '1:2-3', sha256: hash, depends: 'linux-image-6.1.0-57-cloud-amd64 (= 6.1.200-1)' },
    ]);
  });
});
