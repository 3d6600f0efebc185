#!/usr/bin/env bash
# Builds the test kernels: the same bytes each time with the same compiler.
#
#   build.sh          writes images/*.elf and images/manifest.json
#   build.sh --check  builds elsewhere and compares; exit code 1 when a file differs, 3 when this compiler is not the one that
#                     made the images
set -euo pipefail
export LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")"

IMAGE_BYTES_MAX=32768
KERNELS64=(exceptions paging segments compatibility interrupts system triple-fault)
KERNELS32=(protected32 paging32)
FLAGS=(-std=gnu11 -Os -ffreestanding -fno-pic -fno-pie -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables
  -fno-ident -fno-strict-aliasing -fno-delete-null-pointer-checks -fno-tree-loop-distribute-patterns -fno-toplevel-reorder
  -mgeneral-regs-only -mno-red-zone -Wall -Wextra -Werror -Wno-unused-function -Wno-unused-variable)
LINK=(-nostdlib --build-id=none -z noexecstack -z max-page-size=4096 --no-warn-rwx-segments --no-warnings -T kernels/kernel.ld)

check=false
case "${1-}" in
  "") ;;
  --check) check=true ;;
  *) echo "usage: build.sh [--check]" >&2; exit 2 ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/images"
compiler="$(gcc --version | head -1); $(as --version | head -1)"

# build NAME 64|32
build() {
  local name=$1 bits=$2 machine=elf_x86_64
  [[ $bits == 32 ]] && machine=elf_i386
  gcc -m"$bits" "${FLAGS[@]}" -c "kernels/$name.c" -o "$work/$name.o"
  gcc -m"$bits" "${FLAGS[@]}" -c "kernels/start$bits.S" -o "$work/start$bits.o"
  ld -m $machine "${LINK[@]}" -o "$work/$name.elf" "$work/start$bits.o" "$work/$name.o"
  objcopy -S -O elf32-i386 "$work/$name.elf" "$work/images/$name.elf"
  local bytes
  bytes=$(stat -c %s "$work/images/$name.elf")
  if ((bytes > IMAGE_BYTES_MAX)); then
    echo "$name.elf has $bytes bytes, more than $IMAGE_BYTES_MAX" >&2
    exit 1
  fi
}
for name in "${KERNELS64[@]}"; do [[ -f kernels/$name.c ]] && build "$name" 64; done
for name in "${KERNELS32[@]}"; do [[ -f kernels/$name.c ]] && build "$name" 32; done

{
  printf '{\n  "compiler": "%s",\n  "images": [' "$compiler"
  separator=''
  for file in "$work"/images/*.elf; do
    printf '%s\n    { "file": "%s", "bytes": %d, "sha256": "%s" }' "$separator" "$(basename "$file")" "$(stat -c %s "$file")" \
      "$(sha256sum "$file" | cut -d' ' -f1)"
    separator=,
  done
  printf '\n  ]\n}\n'
} >"$work/images/manifest.json"

if $check; then
  if ! grep -qF "\"compiler\": \"$compiler\"" images/manifest.json; then
    echo "not compared: the images were made by another compiler" >&2
    exit 3
  fi
  diff -rq "$work/images" images && echo "the images are what the sources make"
else
  mkdir -p images
  rm -f images/*.elf
  cp "$work"/images/* images/
  stat -c '%s %n' images/*.elf
fi
