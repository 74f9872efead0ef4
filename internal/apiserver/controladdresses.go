package apiserver

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// The people and the switches of the service did what the routes here do: they
// approved requests, checked who owns a block, and reported on BGP sessions.

// approveReservation gives a pending reservation its block, whatever the
// quota says.
func (c *control) approveReservation(req *http.Request) (any, error) {
	a := c.server.api
	choice := a.allocator.Choose()
	defer choice.Release()
	return nil, c.review(req, func(tx *store.Tx, row *store.Row[store.Reservation]) error {
		choice.Release()
		project, ok := tx.Projects.Get(row.Value.ProjectID)
		if !ok {
			return errNotFound()
		}
		// Its key is the block from now on.
		tx.Reservations.Delete(tx, row)
		approved := *row.Value
		return a.allot(tx, choice, project, &approved)
	})
}

// denyReservation leaves a pending reservation without a block for good. Its
// project sees it denied until it deletes it.
func (c *control) denyReservation(req *http.Request) (any, error) {
	return nil, c.review(req, func(tx *store.Tx, row *store.Row[store.Reservation]) error {
		denied := *row.Value
		denied.State = packet.IPStateDenied
		tx.Reservations.Update(tx, row, &denied)
		return nil
	})
}

func (c *control) review(req *http.Request, decide func(*store.Tx, *store.Row[store.Reservation]) error) error {
	defer c.server.edge.gate.enter()()
	return c.server.store.Update(req.Context(), func(tx *store.Tx) error {
		row, ok := tx.Reservations.Get(req.PathValue("id"))
		if !ok {
			return errNotFound()
		}
		if row.Value.State != packet.IPStatePending {
			return refuse(http.StatusUnprocessableEntity, "IP Reservation %s is %s, and only what is pending can be approved or denied",
				row.Value.ID, reservationState(row.Value))
		}
		return decide(tx, row)
	})
}

// addBGPRange lets a project with global BGP announce a block of its own.
func (c *control) addBGPRange(req *http.Request) (any, error) {
	var input struct {
		Range netip.Prefix `json:"range"`
	}
	if err := readControl(req, &input); err != nil {
		return nil, err
	}
	if !input.Range.IsValid() || input.Range != input.Range.Masked() {
		return nil, refuse(http.StatusUnprocessableEntity, "range %q is not the first address of a block with its length, a.b.c.d/length", input.Range)
	}
	defer c.server.edge.gate.enter()()
	added := store.BGPRange{ID: uuid.NewString(), ProjectID: req.PathValue("id"), Range: input.Range}
	err := c.server.store.Update(req.Context(), func(tx *store.Tx) error {
		config, ok := tx.BGPConfigs.Get(added.ProjectID)
		if !ok || config.Value.DeploymentType != packet.BGPGlobal {
			return refuse(http.StatusUnprocessableEntity, "Project %q has no global BGP", shortened(added.ProjectID))
		}
		for _, other := range tx.BGPRanges.All() {
			if other.Value.Range.Overlaps(added.Range) {
				return refuse(http.StatusUnprocessableEntity, "range %q overlaps %q, which project %s announces",
					added.Range, other.Value.Range, other.Value.ProjectID)
			}
		}
		tx.BGPConfigs.Update(tx, config, config.Value)
		tx.BGPRanges.Create(tx, &added)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return bgpRange(&added), nil
}

// reportBGPSession says what the switches know of a session: a status for
// each of them, and the routes that the device announces.
func (c *control) reportBGPSession(req *http.Request) (any, error) {
	var input struct {
		Status        string         `json:"status"`
		LearnedRoutes []netip.Prefix `json:"learned_routes"`
	}
	if err := readControl(req, &input); err != nil {
		return nil, err
	}
	for _, status := range strings.Split(input.Status, ",") {
		if known := []string{"up", "down", "unknown"}; !slices.Contains(known, status) {
			return nil, refuse(http.StatusUnprocessableEntity, "status %q is not one of %s, one for each switch with a comma between them",
				shortened(input.Status), strings.Join(known, ", "))
		}
	}
	defer c.server.edge.gate.enter()()
	return nil, c.server.store.Update(req.Context(), func(tx *store.Tx) error {
		row, ok := tx.BGPSessions.Get(req.PathValue("id"))
		if !ok {
			return errNotFound()
		}
		session := *row.Value
		session.Status = input.Status
		session.LearnedRoutes = nil
		for _, route := range input.LearnedRoutes {
			session.LearnedRoutes = append(session.LearnedRoutes, route.String())
		}
		session.UpdatedAt = c.server.api.clock.Now()
		tx.BGPSessions.Update(tx, row, &session)
		return nil
	})
}
