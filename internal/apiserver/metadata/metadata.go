// Package metadata is the service that tells a machine who it is. A machine
// is known by the address that it asks from, and needs no token.
package metadata

import (
	"encoding/json"
	"log/slog"
	"net/http"

	"github.com/packetyard/packetyard/internal/apiserver/catalogue"
	"github.com/packetyard/packetyard/internal/apiserver/lifecycle"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// Hosts are the names by which agents that were built for Packet look for the
// service: Ignition and afterburn by the first, Talos and people by the second.
func Hosts() []string {
	return []string{"metadata.packet.net", "metadata.platformequinix.com"}
}

// Config is what the service works with.
type Config struct {
	Store     *store.Store
	Catalogue *catalogue.Catalogue
	Clock     lifecycle.Clock
	Logger    *slog.Logger
}

type service struct {
	Config
}

// caller is a machine, with what the service knows of it.
type caller struct {
	snapshot *store.Snapshot
	device   *store.Device
	// base is the URL at which the machine found the service.
	base string
}

// Handler serves the metadata of whatever device has the address that a
// request comes from.
func Handler(cfg Config) http.Handler {
	s := &service{Config: cfg}
	mux := http.NewServeMux()
	for _, version := range []string{"", "/api/v1"} {
		mux.HandleFunc("GET "+version+"/metadata", s.read(document))
		mux.HandleFunc("GET "+version+"/userdata", s.read(userdata))
	}
	s.registerEC2(mux)
	s.registerEvents(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { notFound(w) })
	return mux
}

// answer is what a machine is told, as text or JSON.
type answer struct {
	contentType string
	body        []byte
}

func plain(text string) (*answer, error) {
	return &answer{contentType: "text/plain; charset=utf-8", body: []byte(text)}, nil
}

// read makes an HTTP handler of a function of the caller. A nil answer means
// that there is no such thing.
func (s *service) read(fn func(*service, *caller) (*answer, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var found *answer
		err := s.Store.Read(r.Context(), func(snapshot *store.Snapshot) error {
			row := identify(snapshot, r.RemoteAddr)
			if row == nil {
				return nil
			}
			var err error
			found, err = fn(s, &caller{snapshot: snapshot, device: row.Value, base: baseURL(r)})
			return err
		})
		switch {
		case err != nil:
			s.failed(w, r, err)
		case found == nil:
			notFound(w)
		default:
			w.Header().Set("Content-Type", found.contentType)
			// What a machine is told is nobody else's business.
			w.Header().Set("Cache-Control", "no-store")
			_, _ = w.Write(found.body)
		}
	}
}

func baseURL(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

func userdata(_ *service, c *caller) (*answer, error) {
	return plain(c.device.Userdata)
}

func document(s *service, c *caller) (*answer, error) {
	body, err := Document(c.snapshot, s.Catalogue, c.device, c.base)
	if err != nil {
		return nil, err
	}
	return &answer{contentType: "application/json; charset=utf-8", body: body}, nil
}

func (s *service) failed(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() == nil {
		s.Logger.ErrorContext(r.Context(), "A metadata request failed.", "method", r.Method, "path", r.URL.Path, "source", r.RemoteAddr, "error", err)
	}
	refuse(w, http.StatusInternalServerError, "The metadata service failed")
}

func notFound(w http.ResponseWriter) {
	refuse(w, http.StatusNotFound, "Not found")
}

func refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(packet.ErrorBody{Errors: []string{text}})
}
