#!/usr/bin/env bash
# Builds the lab kernel and its variants: the same bytes each time with the same compiler.
#
#   build.sh          writes images/*.elf, images/user/*.elf and images/manifest.json
#   build.sh --check  builds elsewhere and compares with images/manifest.json; exit code 1 when a file differs, 3 when this
#                     compiler is not the one that made the images
set -euo pipefail
export LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")"

IMAGE_BYTES_MAX=$((150 * 1024))
MEMORY_MIB=64
COMMAND_LINE='run="work mixed; poweroff"'
VARIANTS=(
  "lab-kernel||The lab's small guest kernel: processes, paging, a timer tick, virtio, workloads"
  "bug-lost-update|BUG_LOST_UPDATE|Planted bug: a system call takes from a list that the timer interrupt puts on"
  "bug-stray-write|BUG_STRAY_WRITE|Planted bug: an off-by-one write in the console driver counts in the next object"
  "bug-use-after-free|BUG_USE_AFTER_FREE|Planted bug: an exiting process frees an alarm that still runs"
)
# Builds for a hypervisor; they boot under it only, so that they are a list of their own in the manifest.
PARAVIRTUAL=(
  "lab-pv|PV|The lab kernel, built for the paravirtual interface of pv-abi.h"
)
# What a build for a hypervisor has in kernel/pv instead.
NATIVE_ONLY=" boot.S disk.c hvc.c labports.c lapic.c pic.c rng.c uart.c virtio.c "
PROGRAMS=(init work crash true)
COMMON=(-std=gnu11 -O2 -gdwarf-4 -g1 -ffreestanding -fno-pic -fno-pie -fno-stack-protector -fcf-protection=none
  -fno-asynchronous-unwind-tables -fno-ident -fno-strict-aliasing -fno-delete-null-pointer-checks
  -fno-tree-loop-distribute-patterns -fno-omit-frame-pointer -Wall -Wextra -Werror
  "-ffile-prefix-map=$PWD=engine/guests")
KERNEL_FLAGS=(-mcmodel=kernel -mno-red-zone -mgeneral-regs-only)
USER_FLAGS=(-march=x86-64)
LINK=(-nostdlib --build-id=none -z noexecstack -z max-page-size=4096 --no-warn-rwx-segments)

check=false
case "${1-}" in
  "") ;;
  --check) check=true ;;
  *) echo "usage: build.sh [--check]" >&2; exit 2 ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
out=$work/images
mkdir -p "$out/user" "$work/objects"

compiler="$(gcc --version | head -1); $(as --version | head -1)"

# compile OBJECT SOURCE FLAG...
compile() {
  local object=$1 source=$2
  shift 2
  gcc "${COMMON[@]}" "$@" -c "$source" -o "$object"
}

build_programs() {
  local source object program
  for source in user/*.c user/*.S lib/*.c; do
    object=$work/objects/user-$(basename "$source").o
    compile "$object" "$source" "${USER_FLAGS[@]}"
  done
  for program in "${PROGRAMS[@]}"; do
    local objects=("$work"/objects/user-{start.S,user.c,string.c,format.c}.o "$work/objects/user-$program.c.o")
    [[ $program == work ]] && objects+=("$work"/objects/user-work_*.c.o)
    ld "${LINK[@]}" -T user/user.ld -o "$out/user/$program.elf" "${objects[@]}"
    strip -o "$work/objects/$program.stripped" "$out/user/$program.elf"
  done
}

# Each loaded byte lies in the file at a fixed distance from its physical address: what the Multiboot header promises.
check_flat() {
  local offset paddr distance=
  while read -r _ offset _ paddr _; do
    if [[ -n $distance && $((paddr - offset)) -ne $distance ]]; then
      echo "$1: segments are not flat" >&2
      exit 1
    fi
    distance=$((paddr - offset))
  done < <(readelf -lW "$1" | grep '^ *LOAD')
}

build_variant() {
  local name=$1 define=$2 source object objects=() sources=(kernel/*.c kernel/*.S lib/*.c) link=()
  [[ $define == PV ]] && sources+=(kernel/pv/*.c kernel/pv/*.S) && link=(-e pv_start)
  for source in "${sources[@]}"; do
    [[ $define == PV && $source != kernel/pv/* && $NATIVE_ONLY == *" $(basename "$source") "* ]] && continue
    object=$work/objects/$name-$(echo "$source" | tr / -).o
    compile "$object" "$source" "${KERNEL_FLAGS[@]}" ${define:+"-D$define"} "-Wa,-I$work/objects"
    objects+=("$object")
  done
  ld "${LINK[@]}" "${link[@]}" -T kernel/kernel.ld -o "$out/$name.elf" "${objects[@]}"
  check_flat "$out/$name.elf"
  local bytes
  bytes=$(stat -c %s "$out/$name.elf")
  if ((bytes > IMAGE_BYTES_MAX)); then
    echo "$name.elf has $bytes bytes, more than $IMAGE_BYTES_MAX" >&2
    exit 1
  fi
}

sha256() { sha256sum "$1" | cut -d' ' -f1; }

# write_images ENTRY...
write_images() {
  local entry name description separator=''
  for entry in "$@"; do
    IFS='|' read -r name _ description <<<"$entry"
    printf '%s\n    {\n      "name": "%s",\n      "file": "%s.elf",\n      "description": "%s",\n' "$separator" "$name" "$name" "$description"
    printf '      "sha256": "%s",\n      "bytes": %d,\n' "$(sha256 "$out/$name.elf")" "$(stat -c %s "$out/$name.elf")"
    printf '      "memoryMib": %d,\n      "commandLine": "%s"\n    }' "$MEMORY_MIB" "${COMMAND_LINE//\"/\\\"}"
    separator=,
  done
}

write_manifest() {
  local separator='' program
  {
    printf '{\n  "compiler": "%s",\n  "images": [' "$compiler"
    write_images "${VARIANTS[@]}"
    printf '\n  ],\n  "paravirtual": ['
    write_images "${PARAVIRTUAL[@]}"
    printf '\n  ],\n  "programs": ['
    separator=''
    for program in "${PROGRAMS[@]}"; do
      printf '%s\n    { "name": "%s", "file": "user/%s.elf", "sha256": "%s", "bytes": %d }' "$separator" "$program" "$program" \
        "$(sha256 "$out/user/$program.elf")" "$(stat -c %s "$out/user/$program.elf")"
      separator=,
    done
    printf '\n  ]\n}\n'
  } >"$out/manifest.json"
}

build_programs
for entry in "${VARIANTS[@]}" "${PARAVIRTUAL[@]}"; do
  IFS='|' read -r name define _ <<<"$entry"
  build_variant "$name" "$define"
done
write_manifest

if $check; then
  if ! grep -qF "\"compiler\": \"$compiler\"" images/manifest.json; then
    echo "not compared: the images were made by another compiler" >&2
    grep '"compiler"' images/manifest.json >&2
    echo "  here:      \"$compiler\"" >&2
    exit 3
  fi
  diff -rq "$out" images && echo "the images are what the sources make"
else
  mkdir -p images/user
  cp "$out"/*.elf "$out/manifest.json" images/
  cp "$out"/user/*.elf images/user/
  (cd images && stat -c '%s %n' *.elf user/*.elf)
fi
