package apiserver

import (
	"context"
	"net/http"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver/store"
)

// savedRecords is a snapshot as the control routes give and take it. Tokens
// are in it as they are stored, hashed; user data and passwords of devices
// are in it as they are.
type savedRecords struct {
	// Version is that of the records' format.
	Version int            `json:"version"`
	SavedAt time.Time      `json:"saved_at"`
	Records []store.Record `json:"records"`
}

func (s *Server) saveRecords(ctx context.Context) (savedRecords, error) {
	records, version, err := s.store.Records(ctx)
	return savedRecords{Version: version, SavedAt: s.cfg.Clock.Now().UTC(), Records: records}, err
}

func (c *control) saveSnapshot(req *http.Request) (any, error) {
	return c.server.saveRecords(req.Context())
}

// restoreSnapshot makes the records those of a snapshot. The server's own
// token and project are there afterwards, also if they are not in it.
func (c *control) restoreSnapshot(req *http.Request) (any, error) {
	var saved savedRecords
	if err := readControl(req, &saved); err != nil {
		return nil, err
	}
	s := c.server
	return nil, s.exclusively(req.Context(), func(ctx context.Context) error {
		before, err := s.saveRecords(ctx)
		if err != nil {
			return err
		}
		return s.undoable(ctx, before, func() error {
			if err := s.store.Replace(ctx, saved.Version, saved.Records); err != nil {
				return refuse(http.StatusUnprocessableEntity, "The snapshot is not restored: %v", err)
			}
			return s.bootstrapAgain(ctx)
		})
	})
}

// reset makes the server what it was after its first start: its user, its
// project and its token, with the credentials that it has, and nothing else.
// Fault rules and the request log are gone too; the clock stays.
func (c *control) reset(req *http.Request) (any, error) {
	s := c.server
	return nil, s.exclusively(req.Context(), func(ctx context.Context) error {
		_, version, err := s.store.Records(ctx)
		if err != nil {
			return err
		}
		if err := s.store.Replace(ctx, version, nil); err != nil {
			return err
		}
		s.edge.faults.clear()
		s.edge.history.clear()
		return s.bootstrapAgain(ctx)
	})
}

// bootstrapAgain sees to it that the credentials that were given out are good.
func (s *Server) bootstrapAgain(ctx context.Context) error {
	cfg := s.cfg
	cfg.Token, cfg.ProjectID = s.credentials.APIToken, s.credentials.ProjectID
	_, err := bootstrap(ctx, cfg, s.store)
	return err
}
