#!/usr/bin/env bash
# Generates what the Cluster API provider needs from its Go types: deep copies, CustomResourceDefinitions and the reference page.
# `make generate` calls it; the results are committed. Needs the Go module proxy once, for the pinned controller-gen.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

controller_gen="sigs.k8s.io/controller-tools/cmd/controller-gen@v0.21.0"

CGO_ENABLED=0 go run "$controller_gen" \
	object paths=./api/infrastructure/v1beta2/...
CGO_ENABLED=0 go run "$controller_gen" \
	crd:crdVersions=v1 paths=./api/infrastructure/v1beta2/... output:crd:artifacts:config=config/crd/bases
CGO_ENABLED=0 go run ./hack/capi-reference
