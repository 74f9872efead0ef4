#!/usr/bin/env bash
# Generates what the Gardener extension and the machine driver need from their Go types: deep copies. `make generate` calls it; the
# results are committed. Needs the Go module proxy once, for the pinned controller-gen.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

CGO_ENABLED=0 go run sigs.k8s.io/controller-tools/cmd/controller-gen@v0.21.0 \
	object paths=./api/packet/v1alpha1/... paths=./api/config/v1alpha1/... paths=./api/machineclass/v1alpha1/...

# MetalLB's definitions, in the version of internal/gardener/imagevector/images.yaml.
metallb=$(sed -n '/name: metallb-controller/,/tag:/s/^ *tag: "\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' internal/gardener/imagevector/images.yaml)
module=$(go mod download -json "go.universe.tf/metallb@$metallb" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
CGO_ENABLED=0 go run ./hack/metallb-crds "$module" charts/internal/shoot-crds/templates

# The definitions that example/ has of Gardener's custom resources.
CGO_ENABLED=0 go run ./hack/gardener-crds "$(go list -m -f '{{.Dir}}' github.com/gardener/gardener)" \
	"$(go list -m -f '{{.Dir}}' github.com/gardener/etcd-druid/api)" example

# What registers the extension, with its chart inside.
CGO_ENABLED=0 go run ./hack/gardener-registration
