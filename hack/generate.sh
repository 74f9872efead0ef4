#!/usr/bin/env bash
# Writes everything that is generated: deep copies and CRDs, examples,
# templates, and documents. Run it from anywhere; `make generate` does.
set -euo pipefail

cd "$(dirname "$0")/.."

hack/generate-capi.sh
hack/generate-gardener.sh
# The manifests come before the examples, which have copies of them.
go run ./hack/charts
go run ./hack/examples
go run ./hack/ccm-reference
go run ./hack/apicoverage
