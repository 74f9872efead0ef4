# Container images, made without Docker: hack/ociimage puts a static program
# into an OCI image layout in a tar file. Where Docker or Podman answers, the
# image is loaded into it as well.
#
# To add an image: its program to IMAGES, its name as image-name-<program>, and
# what `hack/ociimage build` has to know about it as image-flags-<program>.

# REGISTRY goes before every name below that is not given whole.
REGISTRY ?=
registry-prefix := $(if $(REGISTRY),$(patsubst %/,%,$(REGISTRY))/)

# IMAGE is the repository of the cloud controller manager's image. It has no
# tag: `make image` makes latest, `make cd` and `make release` make the others.
IMAGE ?= packetyard/packet-cloud-controller-manager
ifneq ($(findstring :,$(notdir $(IMAGE)))$(findstring @,$(IMAGE)),)
$(error IMAGE is "$(IMAGE)": a repository without tag or digest, for example packetyard/packet-cloud-controller-manager)
endif

# IMG is the name of the provider's image, here and in provider-components.yaml.
IMG ?= $(registry-prefix)packetyard/manager:dev

# API_SERVER_IMG is the name of the Packet API server's image, as its chart has it.
API_SERVER_IMG ?= $(registry-prefix)packetyard/packet-api-server:dev

# PLATFORMS are what an image is for, separated by commas. The image is an
# index, from which each node takes its own.
PLATFORMS ?= linux/$(ARCH)
comma := ,
image-platforms := $(subst $(comma), ,$(PLATFORMS))
ifneq ($(filter-out linux/%,$(image-platforms)),)
$(error PLATFORMS is "$(PLATFORMS)": container images are for linux/<arch>, for example linux/amd64,linux/arm64)
endif
ifeq ($(strip $(image-platforms)),)
$(error PLATFORMS is empty: at least one, for example linux/amd64,linux/arm64)
endif

# IMAGES are the programs whose images `make ci` builds and releases have.
IMAGES ?= packet-cloud-controller-manager packet-api-server manager $(GARDENER_PROGRAMS)

image-name-packet-cloud-controller-manager = $(registry-prefix)$(IMAGE):latest
image-name-packet-api-server               = $(API_SERVER_IMG)
image-name-manager                         = $(IMG)

image-name-gardener-extension-provider-packet         = $(registry-prefix)packetyard/gardener-extension-provider-packet:dev
image-name-gardener-extension-admission-packet        = $(registry-prefix)packetyard/gardener-extension-admission-packet:dev
image-name-machine-controller-manager-provider-packet = $(registry-prefix)packetyard/machine-controller-manager-provider-packet:dev

image-flags-packet-cloud-controller-manager = -title 'Packet cloud controller manager'
image-flags-packet-api-server               = -title 'Packet API server' -data /data -expose 8080/tcp
image-flags-manager                         = -title 'Cluster API provider for Packet'
image-flags-gardener-extension-provider-packet         = -title 'Gardener extension for Packet'
image-flags-gardener-extension-admission-packet        = -title 'Gardener admission for Packet'
image-flags-machine-controller-manager-provider-packet = -title 'Machine driver for Packet'

# What the program is given if whoever runs the container gives nothing.
image-arguments-packet-api-server = --listen-address 0.0.0.0:8080 --data-dir /data

## ---- container images ----

.PHONY: image
image: dist/images/packet-cloud-controller-manager.oci.tar ## Make the cloud controller manager's image, tagged latest (IMAGE=, REGISTRY=, PLATFORMS=).
	@hack/make/load-image.sh $< '$(image-name-packet-cloud-controller-manager)'

.PHONY: image-packet-api-server
image-packet-api-server: dist/images/packet-api-server.oci.tar ## Make the API server's image (API_SERVER_IMG= names it).
	@hack/make/load-image.sh $< '$(API_SERVER_IMG)'

# The image first: it refuses a name that is none before anything is written.
.PHONY: docker-build
docker-build: dist/images/manager.oci.tar ## Make the provider's image and provider-components.yaml (IMG= names the image in both).
	@hack/make/load-image.sh $< '$(IMG)'
	@$(MAKE) --no-print-directory components

.PHONY: images
images: $(IMAGES:%=dist/images/%.oci.tar) ## Make all images (IMAGES=).
	@$(foreach program,$(IMAGES),hack/make/load-image.sh dist/images/$(program).oci.tar '$(image-name-$(program))';)

.PHONY: image-name
image-name: ## Print the name of the provider's image.
	@printf '%s\n' '$(IMG)'

.PRECIOUS: dist/images/%.oci.tar
dist/images/%.oci.tar: $(foreach platform,$(image-platforms),dist/bin/%--$(subst /,-,$(platform))) FORCE
	go run ./hack/ociimage -program '$*' -name '$(image-name-$*)' -output '$@' $(image-flags-$*) \
		$(foreach platform,$(image-platforms),-binary '$(platform)=dist/bin/$*--$(subst /,-,$(platform))') \
		-- $(image-arguments-$*)
