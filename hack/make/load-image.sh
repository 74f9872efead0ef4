#!/usr/bin/env bash
# Loads an image into Docker or Podman where one of them answers, and says how
# to do it elsewhere:
#
#   hack/make/load-image.sh <file> <name>
set -euo pipefail

cd "$(dirname "$0")/../.."
file=$1
name=$2

if engine=$(hack/make/container-engine.sh); then
  "$engine" load --input "$file"
  echo "${file} is ${name}, and ${engine} has it."
else
  echo "${file} is ${name}: docker load -i, podman load -i, ctr images import, or skopeo copy --all oci-archive:"
fi
