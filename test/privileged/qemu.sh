#!/usr/bin/env bash
# Runs the test kernels in QEMU (TCG), the machine that is not ours. Exit code 0 when every kernel passes.
#
#   qemu.sh [-v] [NAME...]     -v prints every line, not only the failures and the known differences
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/images"
verbose=false
[[ ${1-} == -v ]] && { verbose=true; shift; }
if (($# == 0)); then
  for file in *.elf; do set -- "$@" "${file%.elf}"; done
fi
failures=0
for name in "$@"; do
  code=0
  # One guest instruction is one ns, as on our machine; idle time is jumped over.
  output=$(timeout 30 qemu-system-x86_64 -M microvm,acpi=off,pit=on,pic=on,rtc=on -accel tcg -icount shift=0,sleep=off \
    -cpu qemu64,+smep,+smap,+pdpe1gb,+umip,-svm,-apic -m 32 -nodefaults -display none -no-reboot \
    -device isa-debug-exit,iobase=0xf4,iosize=1 -debugcon stdio -kernel "$name.elf" </dev/null 2>&1) || code=$?
  if [[ $name == triple-fault ]]; then
    # -no-reboot ends QEMU with 0 when the guest resets.
    if ((code == 0)) && [[ $output == *'about to triple fault'* && $output != *survived* ]]; then echo "ok    $name"
    else echo "FAIL  $name: exit code $code"; failures=$((failures + 1)); fi
    continue
  fi
  if ((code == 1)); then echo "ok    $name: $(tail -1 <<<"$output")"
  else echo "FAIL  $name: exit code $code, $(tail -1 <<<"$output")"; failures=$((failures + 1)); fi
  if $verbose; then echo "$output"; else grep -aE '^(not ok|differs)' <<<"$output" || true; fi
done
exit $((failures > 0))
