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
	allocator *addresses.Allocator
	clock     lifecycle.Clock
	metrics   *metrics
	logger    *slog.Logger
}
