# Building: binaries, the machine image, and what tests need.

LDFLAGS := -s -w

# KUBERNETES_VERSION is stamped into the Kubernetes binaries of the machine
# image. It is the version of k8s.io/kubernetes in machine/go.mod.
KUBERNETES_VERSION := $(shell sed -n 's|^[[:space:]]*k8s.io/kubernetes \(v[0-9.]*\).*|\1|p' machine/go.mod)
KUBE_VERSION_PKG   := k8s.io/component-base/version
kube-ldflags = $(LDFLAGS) \
	-X $(KUBE_VERSION_PKG).gitVersion=$(1) \
	-X $(KUBE_VERSION_PKG).gitMajor=$(word 1,$(subst ., ,$(1:v%=%))) \
	-X $(KUBE_VERSION_PKG).gitMinor=$(word 2,$(subst ., ,$(1:v%=%))) \
	-X $(KUBE_VERSION_PKG).gitTreeState=clean

# OS and ARCH, as Go names them, say what `make build` builds for. A host
# without Go, which builds in a container, has uname at least.
HOST_OS   := $(shell go env GOHOSTOS 2>/dev/null || uname -s | tr A-Z a-z)
HOST_ARCH := $(shell go env GOHOSTARCH 2>/dev/null || uname -m | sed -e s/x86_64/amd64/ -e s/aarch64/arm64/)
OS   ?= $(HOST_OS)
ARCH ?= $(HOST_ARCH)

# DOCKERBUILD=true builds in a container of GO_IMAGE instead of with the local
# Go. Docker or Podman, whichever answers, runs it.
DOCKERBUILD ?= false
GO_IMAGE    ?= docker.io/library/golang:$(shell sed -n 's/^go \([0-9]*\.[0-9]*\).*/\1/p' go.mod)
ifeq ($(filter true false,$(DOCKERBUILD)),)
$(error DOCKERBUILD is "$(DOCKERBUILD)": true builds in a container, false with the local Go)
endif

CCM_BINARY := dist/bin/packet-cloud-controller-manager--$(OS)-$(ARCH)

# The machines are Linux's, so all of it is for the Linux that builds it. For
# any other system there is the cloud controller manager.
ifeq ($(DOCKERBUILD),true)
build-parts := build-in-container
else ifeq ($(HOST_OS)/$(OS)/$(ARCH),linux/linux/$(HOST_ARCH))
build-parts := programs kube machine-image components $(CCM_BINARY)
else
build-parts := $(CCM_BINARY)
endif

## ---- the parts ----

.PHONY: build
build: $(build-parts) ## Build all binaries, the machine image and provider-components.yaml (OS=, ARCH=, DOCKERBUILD=true).
	@echo "$(CCM_BINARY) is the cloud controller manager for $(OS)/$(ARCH)."

.PHONY: build-in-container
build-in-container:
	@hack/make/in-container.sh '$(GO_IMAGE)' make build OS='$(OS)' ARCH='$(ARCH)' DOCKERBUILD=false

# What is run afterwards has to be for the host that runs it.
.PHONY: native
native:
	@if [ '$(OS)/$(ARCH)' != '$(HOST_OS)/$(HOST_ARCH)' ]; then \
		echo "make: OS=$(OS) ARCH=$(ARCH): this target runs what it builds, so it builds for $(HOST_OS)/$(HOST_ARCH) only" >&2; exit 1; fi

# The tool chain is looked at before anything is built, and the host before
# `up` builds anything, because a build takes minutes.
.PHONY: preflight
preflight:
	@hack/preflight.sh

.PHONY: hostcheck
hostcheck: preflight
	@go run ./hack/hostcheck

# The Gardener extension has thousands of packages of Gardener's in it, and a
# yard needs none of them: they are built where somebody asks for them.
GARDENER_PROGRAMS := gardener-extension-provider-packet gardener-extension-admission-packet machine-controller-manager-provider-packet
PROGRAMS          := $(filter-out $(GARDENER_PROGRAMS),$(notdir $(wildcard cmd/*)))

.PHONY: programs
programs: preflight ## Build the programs that a yard needs into bin/.
	@mkdir -p $(BIN)
	go build -ldflags '$(LDFLAGS)' -o $(BIN)/ $(PROGRAMS:%=./cmd/%)

.PHONY: kube
kube: preflight ## Build Kubernetes and etcd for the machines (the first time takes minutes).
	@mkdir -p $(MACHINE_IMAGE)/kubernetes
	cd machine && go build -ldflags '$(call kube-ldflags,$(KUBERNETES_VERSION))' -o $(MACHINE_IMAGE)/kube ./cmd/kube
	@echo '$(KUBERNETES_VERSION)' > $(MACHINE_IMAGE)/kubernetes/default

# An older version from the same code: machine/versions has a go.mod for it.
# Machines choose it by installing its packages (docs/machines.md).
KUBE_PREVIOUS_MOD     := versions/v1.35/go.mod
KUBE_PREVIOUS_VERSION := $(shell sed -n 's|^[[:space:]]*k8s.io/kubernetes \(v[0-9.]*\).*|\1|p' machine/$(KUBE_PREVIOUS_MOD))

.PHONY: kube-previous
kube-previous: preflight ## Add an older Kubernetes to the machine image, for upgrades (the first time takes minutes).
	@mkdir -p $(MACHINE_IMAGE)/kubernetes/$(KUBE_PREVIOUS_VERSION)
	cd machine && go build -modfile='$(KUBE_PREVIOUS_MOD)' -tags kubernetes1_35 -ldflags '$(call kube-ldflags,$(KUBE_PREVIOUS_VERSION))' -o $(MACHINE_IMAGE)/kubernetes/$(KUBE_PREVIOUS_VERSION)/kube ./cmd/kube

# A machine runs a pod as a process if the last part of its image's name is the
# name of a file in images/. The manager's is what IMG calls it.
.PHONY: machine-image
machine-image: programs kube ## Lay out the machine image in bin/machine-image.
	@mkdir -p $(MACHINE_IMAGE)/images
	@ln -f $(BIN)/machine-init $(MACHINE_IMAGE)/init
	@ln -f $(BIN)/manager $(MACHINE_IMAGE)/images/manager
	@ln -f $(BIN)/packet-cloud-controller-manager $(MACHINE_IMAGE)/images/packet-cloud-controller-manager
	@name='$(IMG)'; name=$${name##*/}; name=$${name%%[:@]*}; ln -f $(BIN)/manager "$(MACHINE_IMAGE)/images/$$name"

.PHONY: assets
assets: kube ## Lay out kube-apiserver, etcd and kubectl for the tests in bin/envtest.
	@mkdir -p $(ASSETS)
	@for program in kube-apiserver etcd kubectl; do ln -sf $(MACHINE_IMAGE)/kube $(ASSETS)/$$program; done

.PHONY: components
components: ## Write provider-components.yaml, all that a bootstrap cluster needs, and clusterctl's files in bin/ (IMG= names the image).
	@mkdir -p $(BIN)
	go run ./hack/components -image '$(IMG)' -output provider-components.yaml -providers $(BIN)
	@cp provider-components.yaml $(BIN)/provider-components.yaml

# MetalLB's own definitions, out of the module that it is released as.
METALLB_VERSION := v0.16.2
$(BIN)/metallb-crds.yaml: hack/make/build.mk
	@mkdir -p $(BIN)
	@dir=$$(go mod download -json go.universe.tf/metallb@$(METALLB_VERSION) | sed -n 's/^\t"Dir": "\(.*\)",$$/\1/p') && \
		cat "$$dir"/config/crd/bases/metallb.io_{ipaddresspools,bgppeers,bgpadvertisements}.yaml > $@.new && mv $@.new $@

# kube-vip announces the address of a cluster of flavour kube-vip. A module
# without code of its own pins it, because its versions are not ours.
.PHONY: kube-vip
kube-vip: preflight ## Add kube-vip to the machine image, for end-to-end tests.
	@mkdir -p $(MACHINE_IMAGE)/images
	cd hack/kube-vip && go build -ldflags '$(LDFLAGS)' -o $(MACHINE_IMAGE)/images/kube-vip github.com/kube-vip/kube-vip

.PHONY: e2e-build
e2e-build: $(BIN)/metallb-crds.yaml seed-images
	go test -c -tags e2e -o $(BIN)/e2e.test ./test/e2e
	@mkdir -p $(BIN)/gardener && cp example/20-crd-*.yaml example/controller-registration.yaml $(BIN)/gardener/

# dist/bin/<program>--<os>-<arch> is any of our programs for any platform. Go
# knows what is stale, so it is always asked.
.PHONY: FORCE
FORCE:

.PRECIOUS: dist/bin/%
dist/bin/%: FORCE
ifeq ($(DOCKERBUILD),true)
	@hack/make/in-container.sh '$(GO_IMAGE)' make '$@' DOCKERBUILD=false
else
	hack/make/build-program.sh '$@' '$(LDFLAGS)'
endif
