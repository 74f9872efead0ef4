#!/usr/bin/env bash
# Runs a command on this checkout in a container:
#
#   hack/make/in-container.sh <image> <command> [<argument>...]
#
# as the user who calls it, so that what it writes is theirs, and with caches
# of its own that outlive it.
set -euo pipefail

cd "$(dirname "$0")/../.."
image=$1
shift

if ! engine=$(hack/make/container-engine.sh); then
  echo "make: DOCKERBUILD=true builds in a container of ${image}, and neither Docker nor Podman answers here: start one of them, or leave DOCKERBUILD out to build with the local Go." >&2
  exit 1
fi

cache="${XDG_CACHE_HOME:-$HOME/.cache}/packetyard/container-build"
mkdir -p "$cache"
options=(--rm --user "$(id -u):$(id -g)" --security-opt label=disable
  --volume "$PWD:/src" --workdir /src --volume "$cache:/cache"
  --env HOME=/cache --env GOCACHE=/cache/build --env GOMODCACHE=/cache/modules)
# Where modules come from is the user's decision, in a container too.
for name in GOPROXY GONOSUMDB GOSUMDB GOPRIVATE GONOPROXY HTTPS_PROXY NO_PROXY; do
  if [ -n "${!name:-}" ]; then
    options+=(--env "$name")
  fi
done
# Without root, Podman's user in the container is not the user outside unless
# it is told so.
if [ "$engine" = podman ] && [ "$(id -u)" != 0 ]; then
  options+=(--userns keep-id)
fi
exec "$engine" run "${options[@]}" "$image" "$@"
