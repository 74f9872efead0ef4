# Generated files, formatting and linters.

# golangci-lint's cache knows files by their path: shared with another checkout,
# it tells of findings in files that are not there, and misses their comments.
export GOLANGCI_LINT_CACHE ?= $(CURDIR)/bin/tools/golangci-lint-cache

GOLANGCI_VERSION := v2.12.2

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
