#!/usr/bin/env bash
# Prints docker or podman, whichever answers; fails if neither does. A client
# without its daemon is no engine.
set -euo pipefail

for engine in docker podman; do
  if command -v "$engine" >/dev/null && "$engine" info >/dev/null 2>&1; then
    echo "$engine"
    exit 0
  fi
done
exit 1
