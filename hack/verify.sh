#!/usr/bin/env bash
# Proves that the code is formatted and that everything generated is current.
set -euo pipefail

cd "$(dirname "$0")/.."

unformatted=$(git ls-files '*.go' | xargs gofmt -l)
if [ -n "$unformatted" ]; then
  echo "verify: not formatted (run: make fmt):" >&2
  echo "$unformatted" >&2
  exit 1
fi

# Generated files are made anew in a copy of the tree, so that a difference
# neither hides in the working tree nor changes it.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard | xargs -0 tar cf - --ignore-failed-read 2>/dev/null | tar xf - -C "$copy"
(cd "$copy" && hack/generate.sh)
stale=0
while IFS= read -r -d '' file; do
  if [ -e "$file" ] && ! cmp -s "$file" "$copy/$file"; then
    echo "verify: $file is not current (run: make generate)" >&2
    stale=1
  fi
done < <(git ls-files -z)
exit "$stale"
