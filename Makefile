# Packetyard: the Packet API and its Kubernetes stack, on one machine.
#
# `make help` lists the targets. Everything is built with the Go tool chain
# alone; what is built lands in bin/, what Go compiles lands in Go's own cache.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := all

# Static binaries run in every machine, whatever C library its host has.
export CGO_ENABLED ?= 0

# golangci-lint's cache knows files by their path: shared with another checkout,
# it tells of findings in files that are not there, and misses their comments.
export GOLANGCI_LINT_CACHE ?= $(CURDIR)/bin/tools/golangci-lint-cache

BIN      := $(CURDIR)/bin
TOOLS    := $(BIN)/tools
IMAGE    := $(BIN)/machine-image
ASSETS   := $(BIN)/envtest
LDFLAGS  := -s -w

# IMG is the name of the provider's image in provider-components.yaml.
IMG ?= packetyard/manager:dev

# API_SERVER_IMG is the name of the Packet API server's image, as its chart has it.
API_SERVER_IMG ?= packetyard/packet-api-server:dev

# KUBERNETES_VERSION is stamped into the Kubernetes binaries of the machine
# image. It is the version of k8s.io/kubernetes in machine/go.mod.
KUBERNETES_VERSION := $(shell sed -n 's|^[[:space:]]*k8s.io/kubernetes \(v[0-9.]*\).*|\1|p' machine/go.mod)
KUBE_VERSION_PKG   := k8s.io/component-base/version
KUBE_LDFLAGS       := $(LDFLAGS) \
	-X $(KUBE_VERSION_PKG).gitVersion=$(KUBERNETES_VERSION) \
	-X $(KUBE_VERSION_PKG).gitMajor=$(word 1,$(subst ., ,$(KUBERNETES_VERSION:v%=%))) \
	-X $(KUBE_VERSION_PKG).gitMinor=$(word 2,$(subst ., ,$(KUBERNETES_VERSION:v%=%))) \
	-X $(KUBE_VERSION_PKG).gitTreeState=clean

GOLANGCI_VERSION := v2.12.2
CONTROLLER_GEN_VERSION := v0.21.0

# Arguments for `packetyard up`, for example UP_ARGS="--workers 3".
UP_ARGS ?=

## ---- what most people need ----

.PHONY: help
help: ## Show what there is to make.
	@awk 'BEGIN {FS = ":.*## "} \
		/^## ----/ {gsub(/^## -+ | -+$$/, ""); printf "\n%s\n", $$0} \
		/^[a-zA-Z0-9_-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: all
all: build ## Build everything: bin/manager, bin/clusterctl, provider-components.yaml and the rest.

.PHONY: up
up: hostcheck ## Build what is needed and run `packetyard up`: a cluster with Ready nodes.
	@$(MAKE) --no-print-directory build
	@$(BIN)/packetyard up $(UP_ARGS)

.PHONY: down
down: ## End the yard and remove all that it made.
	@if [ -x $(BIN)/packetyard ]; then $(BIN)/packetyard down; else echo "Nothing is built, so nothing runs."; fi

.PHONY: test
test: assets ## Run the tests, with a kube-apiserver and an etcd built from source.
	KUBEBUILDER_ASSETS=$(ASSETS) PACKETYARD_IMAGE=$(IMAGE) go test $(TEST_ARGS) ./...
	cd machine && go test $(TEST_ARGS) ./...

.PHONY: e2e
e2e: build e2e-build ## Run `packetyard up`, the checks of a whole cluster, and `packetyard down`.
	PACKETYARD_BIN=$(BIN) $(BIN)/e2e.test -test.v -test.timeout 30m $(E2E_ARGS)

.PHONY: bench
bench: assets ## Run the benchmarks of every component and print their figures.
	KUBEBUILDER_ASSETS=$(ASSETS) go test -run '^$$' -bench . -benchmem -timeout 60m $(BENCH_ARGS) ./pkg/... ./internal/... ./cmd/...

# FUZZTIME is how long each fuzz target looks for what breaks it.
FUZZTIME ?= 10s

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (10s).
	hack/fuzz.sh $(FUZZTIME)

.PHONY: clean
clean: ## Remove what was built. The yard's state and Go's caches stay.
	rm -rf $(BIN) provider-components.yaml

## ---- the parts ----

.PHONY: build
build: programs kube image components ## Build every binary, the machine image and provider-components.yaml.

# The tool chain is looked at before anything is built, and the host before
# `up` builds anything, because a build takes minutes.
.PHONY: preflight
preflight:
	@hack/preflight.sh

.PHONY: hostcheck
hostcheck: preflight
	@go run ./hack/hostcheck

.PHONY: programs
programs: preflight ## Build the programs of this repository into bin/.
	@mkdir -p $(BIN)
	go build -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/...

.PHONY: kube
kube: preflight ## Build Kubernetes and etcd for the machines (the first time takes minutes).
	@mkdir -p $(IMAGE)
	cd machine && go build -ldflags '$(KUBE_LDFLAGS)' -o $(IMAGE)/kube ./cmd/kube

.PHONY: image
image: programs kube ## Lay out the machine image in bin/machine-image.
	@mkdir -p $(IMAGE)/images
	@ln -f $(BIN)/machine-init $(IMAGE)/init
	@ln -f $(BIN)/manager $(IMAGE)/images/manager
	@ln -f $(BIN)/packet-cloud-controller-manager $(IMAGE)/images/packet-cloud-controller-manager

.PHONY: assets
assets: kube ## Lay out kube-apiserver, etcd and kubectl for the tests in bin/envtest.
	@mkdir -p $(ASSETS)
	@for program in kube-apiserver etcd kubectl; do ln -sf $(IMAGE)/kube $(ASSETS)/$$program; done

.PHONY: image-packet-api-server
image-packet-api-server: programs ## Make the API server's container image, bin/packet-api-server.oci.tar (API_SERVER_IMG= names it).
	go run ./hack/ociimage -binary $(BIN)/packet-api-server -name '$(API_SERVER_IMG)' -output $(BIN)/packet-api-server.oci.tar
	@echo "bin/packet-api-server.oci.tar is $(API_SERVER_IMG): docker load -i, podman load -i, or skopeo copy oci-archive:"

.PHONY: components
components: ## Write provider-components.yaml, all that a bootstrap cluster needs (IMG= names the image).
	@mkdir -p $(BIN)
	go run ./hack/components -image '$(IMG)' -output provider-components.yaml
	@cp provider-components.yaml $(BIN)/provider-components.yaml

.PHONY: e2e-build
e2e-build:
	go test -c -tags e2e -o $(BIN)/e2e.test ./test/e2e

## ---- keeping it right ----

.PHONY: generate
generate: ## Write all generated code, manifests and documents anew.
	hack/generate.sh

.PHONY: verify
verify: lint ## Check formatting, vet, lint, and that generated files are current.
	hack/verify.sh

.PHONY: fmt
fmt: ## Format the code.
	gofmt -w $$(git ls-files '*.go')

.PHONY: lint
lint: $(TOOLS)/golangci-lint-$(GOLANGCI_VERSION) ## Run go vet and golangci-lint on both modules.
	go vet ./...
	go vet -tags e2e ./test/...
	cd machine && go vet ./...
	$< run ./...
	cd machine && $< run --config ../.golangci.yaml ./...

$(TOOLS)/golangci-lint-$(GOLANGCI_VERSION):
	@mkdir -p $(TOOLS)
	cd $(TOOLS) && GOFLAGS=-mod=mod GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	@mv $(TOOLS)/golangci-lint $@
