#!/usr/bin/env bash
# Writes everything that is generated: deep copies and CRDs, examples,
# templates, and documents. Run it from anywhere; `make generate` does.
set -euo pipefail

cd "$(dirname "$0")/.."

hack/generate-capi.sh
go run ./hack/examples
