package apiserver

import (
	"time"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/addresses"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// A project is given a private /25 and an IPv6 /56 when it first uses a metro:
// with the first reservation, the first VLAN or the first order of a device
// there, whichever comes first. So they are listed before there is a device,
// and who plans a network can derive its parts from them. They go with the
// last device, unless the project still has something else in the metro, and
// with the last of that.

// metroBlock is one kind of the blocks that a project has in a metro.
type metroBlock struct {
	kind string
	pool addresses.Pool
}

func metroBlocks() []metroBlock {
	return []metroBlock{
		{packet.IPTypePrivateIPv4, addresses.Private()},
		{packet.IPTypePublicIPv6, addresses.PublicIPv6()},
	}
}

// metroUse is the use of a metro by somebody at some time.
type metroUse struct {
	metro, userID string
	at            time.Time
}

// useMetro sees to it that a project has its blocks in a metro. It may be
// called with every use.
func (a *API) useMetro(tx *store.Tx, choice *addresses.Choice, project *store.Row[store.Project], use metroUse) error {
	for _, block := range metroBlocks() {
		if rows := tx.Reservations.In(store.ManagementBlocks(project.Value.ID, use.metro, block.kind)); len(rows) > 0 {
			// It may be given back when the last device goes.
			tx.Reservations.Require(tx, rows[0])
			continue
		}
		if _, err := newMetroBlock(tx, choice, project, block, use); err != nil {
			return err
		}
	}
	return nil
}

// newMetroBlock gives a project another block in a metro.
func newMetroBlock(
	tx *store.Tx, choice *addresses.Choice, project *store.Row[store.Project], block metroBlock, use metroUse,
) (*store.Reservation, error) {
	free, err := choice.Reserve(block.pool, block.pool.Coarsest, tx)
	if err != nil {
		return nil, noAddresses(err)
	}
	tx.RequireFreeBlock(free, block.pool.Coarsest)
	reservation := &store.Reservation{
		ID:         uuid.NewString(),
		ProjectID:  project.Value.ID,
		Block:      free,
		Type:       block.kind,
		Metro:      use.metro,
		Management: true,
		CreatedBy:  use.userID,
		CreatedAt:  use.at,
	}
	tx.Reservations.Create(tx, reservation)
	// Writing the project makes one of two first uses try again, and find the
	// block of the other.
	tx.Projects.Update(tx, project, project.Value)
	return reservation, nil
}

// leaveMetro gives a project's blocks in a metro back with what was the last
// thing that it had there.
func leaveMetro(tx *store.Tx, last *store.Reservation) {
	for _, block := range metroBlocks() {
		for _, row := range tx.Reservations.In(store.ManagementBlocks(last.ProjectID, last.Metro, block.kind)) {
			if tx.UsesBlock(row.Value) || tx.UsesMetro(last.ProjectID, last.Metro, last.ID) {
				return
			}
		}
	}
	if project, ok := tx.Projects.Get(last.ProjectID); ok {
		// Whatever is made in the metro meanwhile writes the project.
		tx.Projects.Require(tx, project)
	}
	for _, block := range metroBlocks() {
		for _, row := range tx.Reservations.In(store.ManagementBlocks(last.ProjectID, last.Metro, block.kind)) {
			tx.RequireUnassigned(row.Value.Block)
			tx.Reservations.Delete(tx, row)
		}
	}
}
