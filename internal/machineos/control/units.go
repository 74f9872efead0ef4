package control

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/packetyard/packetyard/internal/machineos/units"
)

// Units are the units that people have written.
type Units interface {
	Start(ctx context.Context, names ...string) error
	Stop(ctx context.Context, name string) error
	// Status returns units.ErrNotFound where there is no such unit.
	Status(name string) (units.Status, error)
	Enable(name string) error
	Disable(name string) error
	Mask(name string) error
	Unmask(name string) error
}

// registerUnits serves GET /units/<name>, and POST /units/<name>/<action>.
func (s *Server) registerUnits(mux *http.ServeMux) {
	if s.Units == nil {
		return
	}
	mux.HandleFunc("GET /units/{name}", func(w http.ResponseWriter, r *http.Request) {
		status, err := s.Units.Status(r.PathValue("name"))
		if err != nil {
			refuseUnit(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(status)
	})
	for action, do := range map[string]func(ctx context.Context, name string) error{
		"start": func(ctx context.Context, name string) error { return s.Units.Start(ctx, name) },
		"stop":  s.Units.Stop,
		"restart": func(ctx context.Context, name string) error {
			if err := s.Units.Stop(ctx, name); err != nil {
				return err
			}
			return s.Units.Start(ctx, name)
		},
		"enable":  func(_ context.Context, name string) error { return s.Units.Enable(name) },
		"disable": func(_ context.Context, name string) error { return s.Units.Disable(name) },
		"mask":    func(_ context.Context, name string) error { return s.Units.Mask(name) },
		"unmask":  func(_ context.Context, name string) error { return s.Units.Unmask(name) },
	} {
		mux.HandleFunc("POST /units/{name}/"+action, func(w http.ResponseWriter, r *http.Request) {
			if err := do(r.Context(), r.PathValue("name")); err != nil {
				refuseUnit(w, err)
				return
			}
			w.WriteHeader(http.StatusNoContent)
		})
	}
}

func refuseUnit(w http.ResponseWriter, err error) {
	code := http.StatusInternalServerError
	if errors.Is(err, units.ErrNotFound) {
		code = http.StatusNotFound
	}
	http.Error(w, err.Error(), code)
}
