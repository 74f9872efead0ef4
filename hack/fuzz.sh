#!/usr/bin/env bash
# Runs every fuzz target for the time that the first argument gives. What
# breaks one is written below testdata/fuzz, to be committed with the fix.
set -euo pipefail

cd "$(dirname "$0")/.."

grep -rl --include='*_test.go' '^func Fuzz' pkg internal cmd | xargs -n1 dirname | sort -u | while read -r package; do
  grep -h --include='*_test.go' -o '^func Fuzz[A-Za-z0-9]*' "$package"/*_test.go | sed 's/^func //' | sort | while read -r target; do
    echo "== $package $target"
    go test "./$package" -run '^$' -fuzz "^$target\$" -fuzztime "$1"
  done
done
