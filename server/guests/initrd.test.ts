import { describe, expect, it } from 'vitest';
import { readCpio } from './cpio.ts';
import { BUSYBOX_APPLETS, makeInitrd, moduleDependencies, VIRTIO_MODULES } from './initrd.ts';
import { MANIFEST } from './manifest.ts';
import { INIT, VIRTIO, WORK } from './scripts.ts';

const PARTS = {
  busybox: Uint8Array.of(1, 2, 3),
  modules: VIRTIO_MODULES.map((name) => ({ name, bytes: new TextEncoder().encode(name) })),
};

describe('the initrd', () => {
  it('is the same for the same parts', () => {
    expect(makeInitrd(PARTS)).toEqual(makeInitrd(PARTS));
  });

  it('has what boots: init, busybox, a console, applets, modules in order', () => {
    const members = new Map(readCpio(makeInitrd(PARTS)).map((member) => [member.path, member]));
    expect(members.get('init')).toMatchObject({ kind: 'file', mode: 0o755 });
    expect(members.get('bin/busybox')).toMatchObject({ kind: 'file', mode: 0o755, bytes: PARTS.busybox });
    expect(members.get('bin/sh')).toEqual({ kind: 'link', path: 'bin/sh', target: 'busybox' });
    expect(members.get('dev/console')).toMatchObject({ kind: 'character-device', major: 5, minor: 1 });
    const order = members.get('lib/modules/order');
    expect(order?.kind === 'file' && new TextDecoder().decode(order.bytes)).toBe(`${VIRTIO_MODULES.join('.ko\n')}.ko\n`);
    expect(new Set(BUSYBOX_APPLETS).size).toBe(BUSYBOX_APPLETS.length);
  });

  it('has scripts that a shell can read', () => {
    for (const script of [INIT, VIRTIO, WORK]) {
      expect(script.startsWith('#!/bin/sh\n')).toBe(true);
      expect(script.endsWith('\n')).toBe(true);
      expect(script).not.toMatch(/\r|`|\$\{/);
    }
  });
});

describe('module dependencies', () => {
  it('are read from .modinfo', () => {
    const module = (text: string): Uint8Array => new TextEncoder().encode(`ELF\0license=GPL\0${text}\0name=x\0`);
    expect(moduleDependencies(module('depends=virtio,virtio_ring'))).toEqual(['virtio', 'virtio_ring']);
    expect(moduleDependencies(module('depends='))).toEqual([]);
    expect(moduleDependencies(module('alias=x'))).toEqual([]);
  });
});

describe('the manifest', () => {
  it('pins the kernel image and every module of both flavours, and busybox', () => {
    for (const kernel of Object.values(MANIFEST.kernels)) {
      const names = Object.keys(kernel.files).map((path) => path.replace(/^.*\//, ''));
      for (const module of VIRTIO_MODULES) expect(names).toContain(`${module}.ko`);
      expect(names.some((name) => name.startsWith('vmlinuz-'))).toBe(true);
      for (const hash of [kernel.sha256, ...Object.values(kernel.files)]) expect(hash).toMatch(/^[0-9a-f]{64}$/);
    }
    expect(Object.keys(MANIFEST.busybox.files)).toEqual(['bin/busybox']);
  });
});
