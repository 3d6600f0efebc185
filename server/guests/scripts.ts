/**
 * The shell scripts in the initrd of the Linux guest. They run under busybox ash as it is in Debian's busybox-static.
 *
 * A script ends with a newline and has no carriage return. Its bytes are in the initrd, and the hash of the initrd is
 * in every recording, so a change here makes a new guest.
 */

/** /init: the first process. Mounts what programs expect, then keeps one shell on the serial console. */
export const INIT = String.raw`#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mount -t tmpfs tmpfs /tmp
echo "chronovisor: init"

# Debian's kernels find virtio-mmio devices only through ACPI, and have the drivers as modules.
for device in /sys/bus/acpi/devices/LNRO0005*; do
	[ -e "$device" ] && /bin/virtio
	break
done

export PATH=/bin HOME=/ TERM=dumb PS1='# ' PS2='> '
cd /
# "work=mixed" on the kernel's command line arrives as a variable: that workload, no shell.
if [ -n "$work" ]; then
	/bin/work "$work" </dev/ttyS0 >/dev/ttyS0 2>&1
	poweroff -f
fi
# A session of its own gives the shell a controlling terminal, hence job control without complaints.
setsid -c /bin/sh </dev/ttyS0 >/dev/ttyS0 2>&1
echo "chronovisor: the shell has ended, powering off"
poweroff -f
`;

/** /bin/virtio: loads the virtio modules that are in /lib/modules, in the order of the file `order`. */
export const VIRTIO = String.raw`#!/bin/sh
while read -r module; do
	insmod "/lib/modules/$module" || echo "chronovisor: cannot load $module"
done </lib/modules/order
`;

/** /bin/work: the workloads. Each ends with one line "work: NAME CHECKSUM", the same on every machine. */
export const WORK = String.raw`#!/bin/sh
# work cpu|mem|io|fork|syscall|mixed: a fixed amount of work and one checksum line each.

usage() {
	echo "usage: work cpu|mem|io|fork|syscall|mixed" >&2
	exit 2
}

# The first word of what sha256sum prints about standard input.
sum() {
	set -- $(sha256sum)
	echo "$1"
}

# MIB: hash and compress so many MiB of zeros.
cpu() {
	hash=$(head -c $(($1 * 1048576)) /dev/zero | sum)
	packed=$(head -c $(($1 * 1048576)) /dev/zero | gzip -c | sum)
	echo "work: cpu $hash $packed"
}

# LINES BLOCKS: write a file of numbers to tmpfs, copy it with its first BLOCKS blocks of 4 KiB in reverse order, sort it.
mem() {
	mkdir -p /tmp/job
	seq 1 "$1" >/tmp/job/a
	cp /tmp/job/a /tmp/job/b
	block=0
	while [ "$block" -lt "$2" ]; do
		dd if=/tmp/job/a of=/tmp/job/b bs=4096 count=1 skip="$block" seek=$(($2 - 1 - block)) conv=notrunc 2>/dev/null
		block=$((block + 1))
	done
	shuffled=$(sum </tmp/job/b)
	sorted=$(sort -r /tmp/job/a | sum)
	rm -r /tmp/job
	echo "work: mem $shuffled $sorted"
}

# KIB: write so much to the disk (its old content there is lost), read it back past the page cache and compare. Without a
# disk the same goes to a file on tmpfs.
io() {
	mkdir -p /tmp/job
	seq 1 $(($1 * 200)) | head -c $(($1 * 1024)) >/tmp/job/pattern
	expected=$(sum </tmp/job/pattern)
	target=/dev/vda
	[ -b "$target" ] || target=/tmp/job/disk
	dd if=/tmp/job/pattern of="$target" bs=4096 conv=fsync,notrunc 2>/dev/null
	sync
	echo 3 >/proc/sys/vm/drop_caches
	actual=$(dd if="$target" bs=4096 count=$(($1 / 4)) 2>/dev/null | sum)
	rm -r /tmp/job
	if [ "$actual" != "$expected" ]; then
		echo "work: io FAILED on $target: wrote $expected, read $actual"
		exit 1
	fi
	echo "work: io $actual"
}

# COUNT: so many fork + exec + wait.
fork() {
	child=0
	while [ "$child" -lt "$1" ]; do
		/bin/true
		echo "$child $?"
		child=$((child + 1))
	done >/tmp/job.fork
	echo "work: fork $(sum </tmp/job.fork)"
	rm /tmp/job.fork
}

# COUNT: so many reads and writes of one byte.
syscall() {
	dd if=/dev/zero of=/dev/null bs=1 count="$1" 2>/tmp/job.dd
	echo "work: syscall $(head -n 2 /tmp/job.dd | sum)"
	rm /tmp/job.dd
}

case "$1" in
cpu) cpu 16 ;;
mem) mem 400000 512 ;;
io) io 4096 ;;
fork) fork 200 ;;
syscall) syscall 20000 ;;
mixed)
	cpu 1
	mem 40000 32
	io 512
	fork 20
	syscall 2000
	echo "work: mixed done"
	;;
*) usage ;;
esac
`;
