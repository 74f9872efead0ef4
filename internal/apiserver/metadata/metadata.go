// Package metadata is the service that tells a machine who it is. A machine
// is known by the address that it asks from, and needs no token.
package metadata

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"

	"github.com/packetyard/packetyard/internal/apiserver/catalogue"
	"github.com/packetyard/packetyard/internal/apiserver/lifecycle"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

const (
	// maxBody is more than any machine has to say.
	maxBody = 64 << 10
	// maxMessage is how much of a message is kept, from its end: the last
	// lines of a console are those that say what went wrong.
	maxMessage = 4 << 10
)

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
	row      *store.Row[store.Device]
	// host is what the machine calls this service.
	host string
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
	mux.HandleFunc("POST /phone-home", s.phoneHome)
	mux.HandleFunc("POST /events", s.userState)
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
			found, err = fn(s, &caller{snapshot: snapshot, row: row, host: r.Host})
			return err
		})
		switch {
		case err != nil:
			s.failed(w, r, err)
		case found == nil:
			notFound(w)
		default:
			w.Header().Set("Content-Type", found.contentType)
			_, _ = w.Write(found.body)
		}
	}
}

// identify finds the device that has an address, nil for none.
func identify(snapshot *store.Snapshot, remote string) *store.Row[store.Device] {
	source, err := netip.ParseAddrPort(remote)
	if err != nil {
		return nil
	}
	rows := snapshot.Assignments.In(store.WithAddress(source.Addr().Unmap().WithZone("").String()))
	if len(rows) == 0 {
		return nil
	}
	row, _ := snapshot.Devices.Get(rows[0].Value.DeviceID)
	return row
}

func userdata(_ *service, c *caller) (*answer, error) {
	return plain(c.row.Value.Userdata)
}

// phoneHome records that a machine is up.
func (s *service) phoneHome(w http.ResponseWriter, r *http.Request) {
	s.record(w, r, func(tx *store.Tx, row *store.Row[store.Device]) {
		lifecycle.PhonedHome(tx, row, s.Clock.Now())
	})
}

// userState records what a machine says of its user data.
func (s *service) userState(w http.ResponseWriter, r *http.Request) {
	var input struct {
		State   string `json:"state"`
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil || json.Unmarshal(body, &input) != nil {
		refuse(w, http.StatusBadRequest, fmt.Sprintf("The request body must be a JSON object {state, code, message} of at most %d bytes", maxBody))
		return
	}
	// Some agents send a state and no code.
	codes := map[string]int{"running": 1000, "succeeded": 1001, "failed": 1002}
	if input.Code == 0 {
		input.Code = codes[input.State]
	}
	if _, known := codes[input.State]; !known {
		refuse(w, http.StatusUnprocessableEntity, fmt.Sprintf("state %q is not one of: running, succeeded, failed", input.State))
		return
	}
	if input.Code < 1000 || input.Code > 1099 {
		refuse(w, http.StatusUnprocessableEntity, fmt.Sprintf("code %d is not from 1000 to 1099", input.Code))
		return
	}
	// The cut may have gone through a character.
	message := strings.ToValidUTF8(input.Message[max(0, len(input.Message)-maxMessage):], "")
	s.record(w, r, func(tx *store.Tx, row *store.Row[store.Device]) {
		// The device must not be gone by the time that its event is written.
		tx.Devices.Require(tx, row)
		lifecycle.UserState(tx, row.Value, input.Code, input.State, message, s.Clock.Now())
	})
}

// record changes something about the device that asks.
func (s *service) record(w http.ResponseWriter, r *http.Request, fn func(*store.Tx, *store.Row[store.Device])) {
	known := false
	err := s.Store.Update(r.Context(), func(tx *store.Tx) error {
		row := identify(tx.Snapshot, r.RemoteAddr)
		if known = row != nil; known {
			fn(tx, row)
		}
		return nil
	})
	switch {
	case err != nil:
		s.failed(w, r, err)
	case !known:
		notFound(w)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
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

// sshKeys lists the public keys that the caller lets in.
func (c *caller) sshKeys() []string {
	keys := []string{}
	for _, id := range c.row.Value.SSHKeyIDs {
		if row, ok := c.snapshot.SSHKeys.Get(id); ok {
			keys = append(keys, row.Value.Key)
		}
	}
	return keys
}
