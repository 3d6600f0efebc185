#!/usr/bin/env bash
# Boots the images in QEMU (TCG) and looks for the text that each must print: the check against a machine that is not ours.
# Exit code 0 when all is as expected. With --keep the outputs stay, in the folder that is named at the end.
#
# QEMU takes the Multiboot header wherever it finds one. For PVH it gets a copy in which the Multiboot magic is cleared.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/images"

work=$(mktemp -d)
[[ ${1-} == --keep ]] && echo "outputs: $work" || trap 'rm -rf "$work"' EXIT
failures=0
cases=0
MIXED='run="work mixed; poweroff"'
EXACT=(-icount shift=0,sleep=off) # 1 ns of guest time an instruction, as on our machine
EXIT_OK=1 # QEMU's exit code is twice the guest's, plus 1
EXIT_PANIC=3

MAGIC_OFFSET=4096
for image in *.elf; do
  magic=$(od -An -tx4 -j $MAGIC_OFFSET -N 4 "$image" | tr -d ' ')
  [[ $magic == 1badb002 ]] || { echo "$image: no Multiboot header at $MAGIC_OFFSET" >&2; exit 1; }
  cp "$image" "$work/$image"
  dd if=/dev/zero of="$work/$image" bs=1 seek=$MAGIC_OFFSET count=4 conv=notrunc status=none
done

# start OUTPUT IMAGE-FILE COMMAND-LINE OPTION...; standard input is the console's
start() {
  local output=$1 image=$2 line=$3
  shift 3
  timeout 120 qemu-system-x86_64 -nodefaults -display none -serial stdio -no-reboot \
    -device isa-debug-exit,iobase=0xf4,iosize=1 -kernel "$image" -append "$line" "$@" >"$output" 2>&1
}

# judge NAME OUTPUT CODE EXPECTED-CODE TEXT...
judge() {
  local name=$1 output=$2 code=$3 expected=$4 text missing=
  shift 4
  cases=$((cases + 1))
  for text in "$@"; do grep -qaF -- "$text" "$output" || missing+=" [$text]"; done
  if [[ $code == "$expected" && -z $missing ]]; then
    echo "ok    $name"
  else
    failures=$((failures + 1))
    echo "FAIL  $name: exit code $code, expected $expected; missing:$missing"
    tail -n 15 "$output" | cut -c1-160 | sed 's/^/      | /'
  fi
}

# try NAME EXPECTED-CODE "TEXT|TEXT..." IMAGE-FILE COMMAND-LINE OPTION...
try() {
  local name=$1 expected=$2 texts=$3 image=$4 line=$5 code=0 output=$work/$cases.out
  shift 5
  start "$output" "$image" "$line" "$@" </dev/null || code=$?
  local wanted
  IFS='|' read -ra wanted <<<"$texts"
  judge "$name" "$output" "$code" "$expected" "${wanted[@]}"
}

SUMS='work cpu: a60d15f10d3789db|work syscall: d9606a3bf68f9ec9|work io: 09aa67b5cdcfb4df|work fork: 178fc0424411e783|work mem: 557146ddaaa1ca18|work parallel: 3cf6dbe436e9a53c|work mixed: c9ac8f359cf1a81e'
PVH=(-M microvm,acpi=off -cpu qemu64 -m 64)
MULTIBOOT=(-M pc -cpu qemu64 -m 64)

try 'lab-kernel, PVH' $EXIT_OK "PVH|lab kernel ready|$SUMS" "$work/lab-kernel.elf" "$MIXED" "${PVH[@]}" "${EXACT[@]}"
try 'lab-kernel, PVH, host time' $EXIT_OK "PVH|$SUMS" "$work/lab-kernel.elf" "$MIXED" "${PVH[@]}"
try 'lab-kernel, Multiboot' $EXIT_OK "Multiboot|$SUMS" lab-kernel.elf "$MIXED" "${MULTIBOOT[@]}" "${EXACT[@]}"
try 'lab-kernel, Multiboot, microvm' $EXIT_OK "Multiboot|$SUMS" lab-kernel.elf "$MIXED" "${PVH[@]}" "${EXACT[@]}"
[[ $(grep -ah '^work .*: ' "$work"/[0-9].out | tr -d '\r' | sort | uniq -c | awk '{print $1}' | sort -u) == 4 ]] ||
  { failures=$((failures + 1)); echo 'FAIL  the four runs have different checksums'; }
try 'no NX, no APIC, no PGE' $EXIT_OK "$SUMS" "$work/lab-kernel.elf" "$MIXED" -M microvm,acpi=off -cpu qemu64,-nx,-apic,-pge -m 64
try '16 MiB' $EXIT_OK '16 MiB|work mixed: ' "$work/lab-kernel.elf" "$MIXED" -M microvm,acpi=off -m 16
try '2 GiB' $EXIT_OK '1024 MiB|work mixed: ' "$work/lab-kernel.elf" "$MIXED" -M microvm,acpi=off -m 2048

for image in bug-*.elf; do
  case $image in
    bug-lost-update.elf) text='PANIC: list corrupted' ;;
    bug-stray-write.elf) text='PANIC: pages of process|work mixed: ' ;;
    bug-use-after-free.elf) text='is no region: magic|work fork: ' ;;
  esac
  try "$image, PVH" $EXIT_PANIC "$text|backtrace:" "$work/$image" "$MIXED" "${PVH[@]}" "${EXACT[@]}"
  try "$image, Multiboot" $EXIT_PANIC "$text|backtrace:" "$image" "$MIXED" "${MULTIBOOT[@]}" "${EXACT[@]}"
  try "$image, host time" $EXIT_PANIC "$text" "$work/$image" "$MIXED" "${PVH[@]}"
done

try 'panic' $EXIT_PANIC 'PANIC: asked for by process 1|backtrace:' "$work/lab-kernel.elf" 'run="panic"' "${PVH[@]}"
try 'panic null' $EXIT_PANIC 'PANIC: #PF in the kernel, error 0, address 0' "$work/lab-kernel.elf" 'run="panic null"' "${PVH[@]}"
try 'panic stack' $EXIT_PANIC 'PANIC: #DF in the kernel' "$work/lab-kernel.elf" 'run="panic stack"' "${PVH[@]}"
try 'crash' $((2 * 5 + 1)) \
  'crash[2]: #PF at|error 4, address 0:|error 7, address 400000|error 15|crash[5]: #DE|#UD|#GP|error 5, address ffffffff80100000|crash: status 142|crash: status 128|crash: status 124' \
  "$work/lab-kernel.elf" \
  'run="crash null; crash text; crash nx; crash div; crash ud; crash gp; crash kernel; crash stack; crash alarm; poweroff 5"' "${PVH[@]}"

# virtio: QEMU puts the windows on the command line itself.
truncate -s 1M "$work/disk.img"
VIRTIO=(-M microvm,acpi=off -global virtio-mmio.force-legacy=false -m 64
  -drive "id=disk,file=$work/disk.img,format=raw,if=none" -device virtio-blk-device,drive=disk
  -device virtio-rng-device -device virtio-serial-device -device virtconsole,chardev=hvc -chardev "file,id=hvc,path=$work/hvc.out")
try 'virtio block, rng, console' $EXIT_OK \
  'disk: 2048 sectors|work io disk: 042f117473450725|disk write 7: 5b8c1da26caafb25|disk read 7: 5b8c1da26caafb25|random: ' \
  "$work/lab-kernel.elf" 'console=hvc0 run="work io; disk write 7; disk read 7; random; poweroff"' "${VIRTIO[@]}"
judge 'virtio console has the same text' "$work/hvc.out" 0 0 'lab kernel ready' 'random: '
[[ $(od -An -tu1 -j $((7 * 512)) -N 3 "$work/disk.img") == '  49  50  51' ]] ||
  { failures=$((failures + 1)); echo 'FAIL  the disk image does not have what was written'; }

# The console in both directions: each line is typed when its prompt is there, as echo mixes with what programs print.
typed() {
  local output=$1 prompts=0 line
  for line in 'echo helllo\b\b\bo there' ps no-such-thing disk random 'sleep 30' 'poweroff 4'; do
    prompts=$((prompts + 1))
    for _ in $(seq 100); do
      (($(grep -oaF '$ ' "$output" 2>/dev/null | wc -l) >= prompts)) && break
      sleep 0.1
    done
    printf "$line\n"
  done
  sleep 2 # QEMU ends by itself; a closed input must not end it earlier
}
output=$work/typed.out
code=0
typed "$output" | start "$output" "$work/lab-kernel.elf" '' "${PVH[@]}" || code=$?
judge 'typed commands' "$output" "$code" $((2 * 4 + 1)) 'lab kernel ready' 'helo there' '  pid parent' 'no such command' \
  'disk: 0 sectors' 'random: error -19'

echo "$((cases - failures)) of $cases as expected"
exit $((failures > 0))
