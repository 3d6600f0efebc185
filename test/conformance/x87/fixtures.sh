#!/bin/sh
# Writes the stored results again, from the CPU this runs on. Meant for an Intel CPU: others differ where the manual leaves it open.
#   test/conformance/x87/fixtures.sh
set -e
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
gcc -O2 -o "$work/generate" generate.c
{
  "$work/generate" x87 20261 1100
  # More of what has corners of its own: D9 F0..FF, and the stores, decimals and environments
  for form in D9-f0 D9-f1 D9-f2 D9-f3 D9-f4 D9-f5 D9-f8 D9-f9 D9-fa D9-fb D9-fc D9-fd D9-fe D9-ff D9-2 DD-2 DF-6 DF-4; do
    "$work/generate" $form 5 20
  done
  for form in D9-4 DD-6 DD-4 D9-6; do "$work/generate" $form 5 12; done
} > x87.txt
"$work/generate" mmx 20262 700 > mmx.txt
