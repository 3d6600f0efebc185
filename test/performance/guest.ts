/** The guest of the benchmark: Debian's cloud kernel, its initrd, and one script in place of /init that marks the end of each phase. */
import { extractKernel, parseBzImage } from '../../engine/machine/boot/bzimage.ts';
import { writeCpio } from '../../server/guests/cpio.ts';
import { type LinuxGuest, loadLinux } from '../linux/harness.ts';

/** What is timed, in this order. A phase ends when the console shows its mark. */
export const PHASES = [
  { name: 'boot', title: 'boot to init', command: '' },
  { name: 'sha256', title: 'sha256sum, 16 MiB of zeros', command: 'head -c 16777216 /dev/zero | sha256sum' },
  { name: 'gzip-zeros', title: 'gzip, 16 MiB of zeros', command: 'head -c 16777216 /dev/zero | gzip -c | wc -c' },
  { name: 'gzip-binary', title: 'gzip, busybox binary', command: 'gzip -c /bin/busybox | wc -c' },
  { name: 'loop', title: 'shell loop, 20,000', command: 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo $i' },
  { name: 'fork', title: '200 x fork + exec', command: 'i=0; while [ $i -lt 200 ]; do /bin/true; i=$((i+1)); done; echo $i' },
  { name: 'syscall', title: 'dd, 50,000 x 1 byte', command: 'dd if=/dev/zero of=/dev/null bs=1 count=50000 2>/dev/null' },
  { name: 'mem', title: 'tmpfs and sort, 60,000 lines', command: 'seq 1 60000 >/tmp/a; cp /tmp/a /tmp/b; sort -r /tmp/b | sha256sum' },
] as const;

/** What the console shows at the end of a phase. */
const MARK = /^bench: ([a-z0-9-]+)$/;

/** Takes the bytes of a console, and tells the name of a phase when the line that ends it is whole. */
export function findMarks(found: (name: string) => void): (byte: number) => void {
  let line = '';
  return (byte) => {
    if (byte !== 10) {
      line += String.fromCharCode(byte);
      return;
    }
    const name = MARK.exec(line.trim())?.[1];
    line = '';
    if (name !== undefined) found(name);
  };
}

const SCRIPT = `#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mount -t tmpfs tmpfs /tmp
${PHASES.map(({ name, command }) => `${command}\necho "bench: ${name}"\n`).join('')}reboot -f
`;

/** An initrd with the script as /bench: the kernel unpacks archives that follow one another. */
export function withBenchScript(initrd: Uint8Array): Uint8Array {
  const added = writeCpio([{ kind: 'file', path: 'bench', mode: 0o755, bytes: new TextEncoder().encode(SCRIPT) }]);
  return Buffer.concat([initrd, added]);
}

/** The kernel in it is the ELF inside the bzImage: QEMU starts that by the same PVH entry as we do, without the kernel's own decompressor. */
export async function loadBenchGuest(): Promise<LinuxGuest> {
  const guest = await loadLinux('cloud');
  const extraction = extractKernel(parseBzImage(guest.kernel));
  if (extraction.kind !== 'elf') throw new Error('the cloud kernel cannot be unpacked');
  // With reboot=t, `reboot -f` is a triple fault, which QEMU's -no-reboot turns into its exit.
  return { ...guest, initrd: withBenchScript(guest.initrd), kernel: extraction.bytes, commandLine: `${guest.commandLine} rdinit=/bench` };
}
