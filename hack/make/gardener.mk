# The Gardener extension: the targets that its contributors know.

# How the extension is run away from a pod. KUBECONFIG says which cluster is
# the seed.
IGNORE_OPERATION_ANNOTATION ?= true
LEADER_ELECTION             ?= false
LEADER_ELECTION_NAMESPACE   ?= garden
EXTENSION_NAMESPACE         ?=
CONFIG_FILE                 ?= example/00-componentconfig.yaml

# url: the API server reaches this machine by WEBHOOK_CONFIG_URL. service: it
# reaches it by the extension's Service in EXTENSION_NAMESPACE, behind which
# hack/hook-me.sh has a tunnel.
WEBHOOK_CONFIG_MODE ?= url
WEBHOOK_CONFIG_PORT ?= 8443
WEBHOOK_CONFIG_URL  ?= host.docker.internal:$(WEBHOOK_CONFIG_PORT)
ifeq ($(filter url service,$(WEBHOOK_CONFIG_MODE)),)
$(error WEBHOOK_CONFIG_MODE is "$(WEBHOOK_CONFIG_MODE)": url or service)
endif

# The guide has always spelt it so; both are taken.
ifdef WEBHOOK_CONFIG_SERICE_PORT
WEBHOOK_CONFIG_SERVICE_PORT ?= $(WEBHOOK_CONFIG_SERICE_PORT)
endif
WEBHOOK_CONFIG_SERVICE_PORT ?= 443

ifeq ($(WEBHOOK_CONFIG_MODE),service)
webhook-flags := --webhook-config-namespace=$(EXTENSION_NAMESPACE) --webhook-config-service-port=$(WEBHOOK_CONFIG_SERVICE_PORT)
else
webhook-flags := --webhook-config-url=$(WEBHOOK_CONFIG_URL)
endif

extension-flags = --config-file=$(CONFIG_FILE) \
	--ignore-operation-annotation=$(IGNORE_OPERATION_ANNOTATION) \
	--leader-election=$(LEADER_ELECTION) \
	--heartbeat-namespace=$(or $(EXTENSION_NAMESPACE),$(LEADER_ELECTION_NAMESPACE)) \
	--webhook-config-server-host=0.0.0.0 \
	--webhook-config-server-port=$(WEBHOOK_CONFIG_PORT) \
	--webhook-config-mode=$(WEBHOOK_CONFIG_MODE) \
	$(webhook-flags) $(EXTENSION_ARGS)

DLV_VERSION := v1.27.2

## ---- the Gardener extension ----

.PHONY: gardener
gardener: preflight ## Build the extension, its admission component and the machine driver into bin/.
	@mkdir -p $(BIN)
	go build -ldflags '$(LDFLAGS)' -o $(BIN)/ $(GARDENER_PROGRAMS:%=./cmd/%)

# A machine runs a pod as a process if the last part of its image's name is the
# name of a file in images/. Gardener's own programs are built from the versions
# in go.mod, whose image vector names their images.
.PHONY: seed-images
seed-images: gardener ## Add what a seed's pods run to the machine image, for end-to-end tests.
	@mkdir -p $(MACHINE_IMAGE)/images
	go build -ldflags '$(LDFLAGS)' -o $(MACHINE_IMAGE)/images/resource-manager github.com/gardener/gardener/cmd/gardener-resource-manager
	go build -tags e2e -ldflags '$(LDFLAGS)' -o $(MACHINE_IMAGE)/images/node-agent ./test/e2e/nodeagent
	go build -ldflags '$(LDFLAGS)' -o $(BIN)/ github.com/gardener/machine-controller-manager/cmd/machine-controller-manager
	@for program in machine-controller-manager gardener-extension-provider-packet machine-controller-manager-provider-packet; do \
		ln -f "$(BIN)/$$program" "$(MACHINE_IMAGE)/images/$$program"; done

.PHONY: start
start: ## Run the extension here: KUBECONFIG=, IGNORE_OPERATION_ANNOTATION=, WEBHOOK_CONFIG_MODE=, EXTENSION_NAMESPACE=.
	@if [ '$(WEBHOOK_CONFIG_MODE)' = service ] && [ -z '$(EXTENSION_NAMESPACE)' ]; then \
		echo "make start: WEBHOOK_CONFIG_MODE=service needs EXTENSION_NAMESPACE, such as extension-provider-packet-9r7xh: kubectl get ns tells" >&2; exit 1; fi
	LEADER_ELECTION_NAMESPACE=$(LEADER_ELECTION_NAMESPACE) GARDENER_SHOOT_CLIENT=external \
		go run ./cmd/gardener-extension-provider-packet $(extension-flags)

.PHONY: start-provider-packet
start-provider-packet: start ## The same as start.

.PHONY: start-admission
start-admission: ## Run the admission component here: GARDEN_KUBECONFIG=, WEBHOOK_CONFIG_URL=.
	LEADER_ELECTION_NAMESPACE=$(LEADER_ELECTION_NAMESPACE) \
		go run ./cmd/gardener-extension-admission-packet --leader-election=$(LEADER_ELECTION) \
		--webhook-config-server-host=0.0.0.0 --webhook-config-server-port=$(WEBHOOK_CONFIG_PORT) \
		--webhook-config-mode=$(WEBHOOK_CONFIG_MODE) $(webhook-flags) $(ADMISSION_ARGS)

.PHONY: debug
debug: $(TOOLS)/dlv-$(DLV_VERSION) ## Run the extension in the debugger, with the variables of start.
	LEADER_ELECTION_NAMESPACE=$(LEADER_ELECTION_NAMESPACE) GARDENER_SHOOT_CLIENT=external \
		$< debug ./cmd/gardener-extension-provider-packet -- $(extension-flags)

# The port of the extension's pods, which its Service leads to.
CLUSTER_PORT ?= 10250

.PHONY: hook-me
hook-me: ## Bring the cluster's requests to `make start`, in mode service: EXTENSION_NAMESPACE=, WEBHOOK_CONFIG_PORT=.
	hack/hook-me.sh packet '$(EXTENSION_NAMESPACE)' '$(WEBHOOK_CONFIG_PORT)' '$(CLUSTER_PORT)'

.PHONY: show-chart
show-chart: ## Show what the chart in example/controller-registration.yaml consists of.
	@grep chart example/controller-registration.yaml | awk '{print $$2}' | base64 -d | tar tzvf -

.PHONY: install-requirements
install-requirements: $(TOOLS)/golangci-lint-$(GOLANGCI_VERSION) $(TOOLS)/dlv-$(DLV_VERSION) assets ## Build the tools that development needs.

.PHONY: install
install: ## Install the extension's programs where `go install` puts them.
	go install -ldflags '$(LDFLAGS)' $(GARDENER_PROGRAMS:%=./cmd/%)

.PHONY: check
check: lint ## Run go vet and golangci-lint, as lint does.

.PHONY: check-generate
check-generate: ## Check formatting, and that generated files are current.
	hack/verify.sh

.PHONY: format
format: fmt ## Format the code, as fmt does.

.PHONY: tidy revendor
tidy revendor: ## Bring go.mod and go.sum up to date. Nothing is vendored any more.
	go mod tidy
	cd machine && go mod tidy

.PHONY: test-cov
test-cov: ## Run the tests and write coverage.out.
	@$(MAKE) --no-print-directory test TEST_ARGS='-coverprofile=$(CURDIR)/coverage.out $(TEST_ARGS)'

.PHONY: test-clean
test-clean: ## Remove what test-cov wrote.
	rm -f coverage.out

.PHONY: verify-extended
verify-extended: install-requirements check-generate check test-cov test-clean ## All checks, with the tools built first.

.PHONY: docker-images
docker-images: images ## Make all images, as images does.

.PHONY: docker-login
docker-login: ## Log in to REGISTRY with Docker or Podman.
	@engine=$$(hack/make/container-engine.sh) && [ -n '$(REGISTRY)' ] || { echo "make docker-login: set REGISTRY, and have Docker or Podman running" >&2; exit 1; }; \
		"$$engine" login '$(REGISTRY)'

$(TOOLS)/dlv-%:
	@mkdir -p $(TOOLS)
	cd $(TOOLS) && GOFLAGS=-mod=mod GOBIN=$(TOOLS) go install github.com/go-delve/delve/cmd/dlv@$*
	@mv $(TOOLS)/dlv $@
