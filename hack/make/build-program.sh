#!/usr/bin/env bash
# Builds one of our programs for any platform:
#
#   hack/make/build-program.sh dist/bin/<program>--<os>-<arch> <linker flags>
set -euo pipefail

cd "$(dirname "$0")/../.."
output=$1
ldflags=$2

file=${output##*/}
program=${file%--*}
platform=${file##*--}
os=${platform%%-*}
arch=${platform#*-}
if [ "$file" != "$program--$os-$arch" ] || [ -z "$program" ] || [ -z "$os" ] || [ -z "$arch" ]; then
  echo "make: ${output}: programs are named <program>--<os>-<arch>, for example packet-cloud-controller-manager--linux-arm64" >&2
  exit 1
fi
if [ ! -d "cmd/$program" ]; then
  echo "make: ${output}: there is no program ${program}; there are $(ls cmd | xargs)" >&2
  exit 1
fi

hack/preflight.sh go
if ! GOOS=$os GOARCH=$arch go build -n unsafe >/dev/null 2>&1; then
  echo "make: OS=${os} ARCH=${arch} is nothing that Go builds for. It builds for $(go tool dist list | xargs)." >&2
  exit 1
fi
mkdir -p "$(dirname "$output")"
GOOS=$os GOARCH=$arch go build -ldflags "$ldflags" -o "$output" "./cmd/$program"
