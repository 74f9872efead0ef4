# From a commit to images in a registry: docs/development/releasing.md.

# What confirms, and the names of what is pushed. hack/release reads them from
# its environment, where no quoting can go wrong, and refuses what is missing.
export CONFIRM BRANCH_NAME RELEASE_TAG

# CI_TESTS are the test targets that `make ci` runs.
CI_TESTS ?= test e2e

# What is pushed later has to fit every node of a cluster.
ci-platforms := $(if $(filter file,$(origin PLATFORMS)),linux/amd64$(comma)linux/arm64,$(PLATFORMS))

# File and repository of each image, as hack/release takes them.
shipped-images = $(foreach program,$(IMAGES),'dist/images/$(program).oci.tar=$(image-name-$(program))')

## ---- shipping ----

.PHONY: ci
ci: ## Build, run all tests, and make all images (PLATFORMS=, CI_TESTS=).
	@$(MAKE) --no-print-directory build
	@for tests in $(CI_TESTS); do $(MAKE) --no-print-directory "$$tests"; done
	@$(MAKE) --no-print-directory images PLATFORMS='$(ci-platforms)'

.PHONY: cd
cd: ## Push the images of `make ci` as branch and commit: CONFIRM=true BRANCH_NAME=main.
	@go run ./hack/release cd $(shipped-images)

.PHONY: prerelease
prerelease: ## Write a release into README.md and deploy/release: RELEASE_TAG=v1.2.3.
	@go run ./hack/release prerelease '$(registry-prefix)$(IMAGE)'

.PHONY: release
release: ## Push the images of `make ci` as a release: CONFIRM=true RELEASE_TAG=v1.2.3.
	@go run ./hack/release release $(shipped-images)
