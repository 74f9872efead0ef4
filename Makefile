# Packetyard: the Packet API and its Kubernetes stack, on one machine.
#
# `make help` lists the targets. Everything is built with the Go tool chain
# alone; what is built lands in bin/, what is shipped in dist/, and what Go
# compiles in Go's own cache.
#
# This file has what most people need. The rest is in hack/make, one file for
# each heading of `make help`.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := all

# Static binaries run in every machine, whatever C library its host has.
export CGO_ENABLED ?= 0

BIN           := $(CURDIR)/bin
TOOLS         := $(BIN)/tools
MACHINE_IMAGE := $(BIN)/machine-image
ASSETS        := $(BIN)/envtest

# Arguments for `packetyard up`, for example UP_ARGS="--workers 3".
UP_ARGS ?=

## ---- what most people need ----

.PHONY: help
help: ## Show what there is to make.
	@awk 'BEGIN {FS = ":.*## "} \
		/^## ----/ {gsub(/^## -+ | -+$$/, ""); printf "\n%s\n", $$0} \
		/^[a-zA-Z0-9_-]+:.*## / {printf "  %-24s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# VERIFY=true has `make all` check and test what it built.
VERIFY ?= false

.PHONY: all
all: build gardener ## Build everything: bin/manager, bin/clusterctl, provider-components.yaml and the rest (VERIFY=true: check and test it too).
	@if [ '$(VERIFY)' = true ]; then $(MAKE) --no-print-directory verify test; fi

.PHONY: up
up: native hostcheck ## Build what is needed and run `packetyard up`: a cluster with Ready nodes.
	@$(MAKE) --no-print-directory build
	@$(BIN)/packetyard up $(UP_ARGS)

.PHONY: down
down: ## End the yard and remove all that it made.
	@if [ -x $(BIN)/packetyard ]; then $(BIN)/packetyard down; else echo "Nothing is built, so nothing runs."; fi

# Many tests wait for controllers, so one package more than there are
# processors is tested at a time.
TEST_PACKAGES ?= $(shell echo $$(( $$(nproc) + 1 )))

.PHONY: test
test: assets ## Run the tests, with a kube-apiserver and an etcd built from source.
	KUBEBUILDER_ASSETS=$(ASSETS) PACKETYARD_IMAGE=$(MACHINE_IMAGE) go test -p $(TEST_PACKAGES) -timeout 30m $(TEST_ARGS) ./...
	cd machine && go test -timeout 30m $(TEST_ARGS) ./...

.PHONY: e2e
e2e: native build kube-previous kube-vip e2e-build ## Run `packetyard up`, the checks of a whole cluster, and `packetyard down`.
	PACKETYARD_BIN=$(BIN) $(BIN)/e2e.test -test.v -test.timeout 60m -test.parallel 3 $(E2E_ARGS)

.PHONY: bench
bench: assets ## Run the benchmarks of every component and print their figures.
	KUBEBUILDER_ASSETS=$(ASSETS) go test -run '^$$' -bench . -benchmem -timeout 60m $(BENCH_ARGS) ./pkg/... ./internal/... ./cmd/...

# FUZZTIME is how long each fuzz target looks for what breaks it.
FUZZTIME ?= 10s

.PHONY: fuzz
fuzz: assets ## Run every fuzz target for FUZZTIME (10s).
	KUBEBUILDER_ASSETS=$(ASSETS) hack/fuzz.sh $(FUZZTIME)

.PHONY: clean
clean: ## Remove what was built. The yard's state and Go's caches stay.
	rm -rf $(BIN) dist provider-components.yaml

include hack/make/build.mk
include hack/make/images.mk
include hack/make/shipping.mk
include hack/make/gardener.mk
include hack/make/checks.mk
