package apiserver

import (
	"log/slog"

	"github.com/packetyard/packetyard/internal/apiserver/addresses"
	"github.com/packetyard/packetyard/internal/apiserver/catalogue"
	"github.com/packetyard/packetyard/internal/apiserver/lifecycle"
	"github.com/packetyard/packetyard/internal/apiserver/store"
)

// API is what the handlers work with. It has no state of its own but for what
// spares it conflicts: all is in the store.
type API struct {
	store     *store.Store
	catalogue *catalogue.Catalogue
	// capacity is how many servers there are by store.CapacityID, as the
	// server was started with.
	capacity  map[string]int
	allocator *addresses.Allocator
	clock     lifecycle.Clock
	profile   lifecycle.Profile
	metrics   *metrics
	logger    *slog.Logger
}
