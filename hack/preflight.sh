#!/usr/bin/env bash
# Says what the tool chain lacks, before a build finds out the hard way. With
# the argument "go" it looks at Go alone, which is all that a program for
# another system needs.
set -euo pipefail

cd "$(dirname "$0")/.."
wanted=$(sed -n 's/^go \([0-9]*\.[0-9]*\).*/\1/p' go.mod)

if ! command -v go >/dev/null; then
  echo "make: Go is not installed. Packetyard needs Go ${wanted} or newer: https://go.dev/doc/install" >&2
  exit 1
fi
have=$(go env GOVERSION | sed -n 's/^go\([0-9]*\.[0-9]*\).*/\1/p')
if [ "$(printf '%s\n%s\n' "$wanted" "$have" | sort -V | head -n 1)" != "$wanted" ]; then
  echo "make: this is Go ${have}, and Packetyard needs Go ${wanted} or newer: https://go.dev/doc/install" >&2
  exit 1
fi

if [ "${1:-}" = go ]; then
  exit 0
fi

if [ "$(uname -s)" != Linux ]; then
  echo "make: this is $(uname -s). The machines are made of Linux namespaces, so build and run Packetyard on Linux, for example in a virtual machine." >&2
  exit 1
fi

# Compiling Kubernetes fills Go's cache. Running out of space in the middle of
# it gives errors that do not say so.
if [ ! -x bin/machine-image/kube ]; then
  cache=$(go env GOCACHE)
  mkdir -p "$cache"
  free=$(df -Pk "$cache" | awk 'NR == 2 {print int($4 / 1024)}')
  if [ "$free" -lt 6144 ]; then
    echo "make: the first build needs about 6144 MiB in Go's cache, and ${free} MiB are free in ${cache}: free some, or choose another place with GOCACHE." >&2
    exit 1
  fi
fi
