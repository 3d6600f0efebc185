/**
 * The initrd of the Linux guest: a plain, uncompressed cpio archive (the kernel unpacks it 45 M instructions sooner than a
 * gzip one) with a static busybox, its applets as links, the scripts of scripts.ts and the kernel's virtio modules.
 */
import { type CpioMember, writeCpio } from './cpio.ts';
import { INIT, VIRTIO, WORK } from './scripts.ts';

/** What goes into an initrd besides the scripts. */
export interface InitrdParts {
  /** The static busybox executable. */
  readonly busybox: Uint8Array;
  /** Kernel modules in an order in which each finds its dependencies loaded. */
  readonly modules: readonly { readonly name: string; readonly bytes: Uint8Array }[];
}

/**
 * The modules the guest may need, in loading order. HW_RANDOM and the hvc console core are built into Debian's kernels.
 * Source: the `depends=` fields of linux-image-6.1.0-56-cloud-amd64 and -amd64; `moduleDependencies` checks them at fetch time.
 */
export const VIRTIO_MODULES: readonly string[] = [
  'virtio_ring',
  'virtio',
  'virtio_mmio',
  'virtio_blk',
  'virtio_console',
  'failover',
  'net_failover',
  'virtio_net',
  'virtio-rng',
  'virtio_balloon',
];

/** The applets of Debian's busybox-static 1:1.35.0-4+deb12u1 (`busybox --list`), without `busybox` itself. */
export const BUSYBOX_APPLETS: readonly string[] =
  (
    '[ [[ acpid adjtimex ar arch arp arping ascii ash awk base64 basename bc blkdiscard blockdev brctl bunzip2 ' +
    'bzcat bzip2 cal cat chgrp chmod chown chroot chvt clear cmp cp cpio crc32 crond crontab cttyhack cut date dc ' +
    'dd deallocvt depmod devmem df diff dirname dmesg dnsdomainname dos2unix dpkg dpkg-deb du dumpkmap dumpleases ' +
    'echo ed egrep env expand expr factor fallocate false fatattr fdisk fgrep find findfs fold free freeramdisk ' +
    'fsfreeze fstrim ftpget ftpput getopt getty grep groups gunzip gzip halt head hexdump hostid hostname httpd ' +
    'hwclock i2cdetect i2cdump i2cget i2cset i2ctransfer id ifconfig ifdown ifup init insmod ionice ip ipcalc ' +
    'ipneigh kill killall klogd last less link linux32 linux64 linuxrc ln loadfont loadkmap logger login logname ' +
    'logread losetup ls lsmod lsscsi lzcat lzma lzop md5sum mdev microcom mim mkdir mkdosfs mke2fs mkfifo mknod ' +
    'mkpasswd mkswap mktemp modinfo modprobe more mount mt mv nameif nc netstat nl nologin nproc nsenter nslookup ' +
    'nuke od openvt partprobe passwd paste patch pidof ping ping6 pivot_root poweroff printf ps pwd rdate ' +
    'readlink realpath reboot renice reset resume rev rm rmdir rmmod route rpm rpm2cpio run-init run-parts sed ' +
    'seq setkeycodes setpriv setsid sh sha1sum sha256sum sha3sum sha512sum shred shuf sleep sort ssl_client ' +
    'start-stop-daemon stat strings stty su sulogin svc svok swapoff swapon switch_root sync sysctl syslogd tac ' +
    'tail tar taskset tc tee telnet telnetd test tftp time timeout top touch tr traceroute traceroute6 true ' +
    'truncate ts tty tunctl ubirename udhcpc udhcpd uevent umount uname uncompress unexpand uniq unix2dos unlink ' +
    'unlzma unshare unxz unzip uptime usleep uudecode uuencode vconfig vi w watch watchdog wc wget which who ' +
    'whoami xargs xxd xz xzcat yes zcat'
  ).split(' ');

const encoder = new TextEncoder();

/** The bytes of the initrd. The same parts give the same bytes. */
export function makeInitrd(parts: InitrdParts): Uint8Array {
  const directory = (path: string, mode = 0o755): CpioMember => ({ kind: 'directory', path, mode });
  const script = (path: string, text: string): CpioMember => ({
    kind: 'file',
    path,
    mode: 0o755,
    bytes: encoder.encode(text),
  });
  const members: CpioMember[] = [
    directory('bin'),
    directory('dev'),
    directory('lib'),
    directory('lib/modules'),
    directory('proc'),
    directory('root', 0o700),
    directory('sys'),
    directory('tmp', 0o1777),
    { kind: 'character-device', path: 'dev/console', mode: 0o600, major: 5, minor: 1 },
    { kind: 'character-device', path: 'dev/null', mode: 0o666, major: 1, minor: 3 },
    { kind: 'character-device', path: 'dev/ttyS0', mode: 0o600, major: 4, minor: 64 },
    { kind: 'file', path: 'bin/busybox', mode: 0o755, bytes: parts.busybox },
    script('init', INIT),
    script('bin/virtio', VIRTIO),
    script('bin/work', WORK),
  ];
  for (const applet of BUSYBOX_APPLETS) {
    members.push({ kind: 'link', path: `bin/${applet}`, target: 'busybox' });
  }
  for (const module of parts.modules) {
    members.push({ kind: 'file', path: `lib/modules/${module.name}.ko`, mode: 0o644, bytes: module.bytes });
  }
  const order = parts.modules.map((module) => `${module.name}.ko\n`).join('');
  members.push({ kind: 'file', path: 'lib/modules/order', mode: 0o644, bytes: encoder.encode(order) });
  return writeCpio(members);
}

/**
 * The names of the modules that the module `bytes` depends on, from the `depends=` string in its .modinfo section
 * (scripts/mod/modpost.c, add_depends). Names have underscores where file names may have dashes.
 */
export function moduleDependencies(bytes: Uint8Array): readonly string[] {
  const key = encoder.encode('\0depends=');
  for (let at = 0; at + key.length < bytes.length; at++) {
    let matched = 0;
    while (matched < key.length && bytes[at + matched] === key[matched]) matched++;
    if (matched < key.length) continue;
    const start = at + key.length;
    const end = bytes.indexOf(0, start);
    const list = new TextDecoder().decode(bytes.subarray(start, end < 0 ? bytes.length : end));
    return list === '' ? [] : list.split(',');
  }
  return [];
}
