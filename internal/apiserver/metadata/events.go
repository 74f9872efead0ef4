package metadata

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/packetyard/packetyard/internal/apiserver/lifecycle"
	"github.com/packetyard/packetyard/internal/apiserver/store"
)

const (
	// maxBody is more than any machine has to say.
	maxBody = 64 << 10
	// maxMessage is how much of a message is kept, from its end: the last
	// lines of a console are those that say what went wrong.
	maxMessage = 4 << 10
	// maxEvents is how many events a device may have before no more is taken
	// of what it says, so that a script in a loop does not fill the store.
	maxEvents = 1000
)

// The codes of user states, and those that are recorded for who sends none.
const (
	firstCode, lastCode                     = 1000, 1099
	codeRunning, codeSucceeded, codeFailure = 1000, 1001, 1002
)

// stateCode is the code of a state that came without one.
func stateCode(state string) (int, bool) {
	code, known := map[string]int{"running": codeRunning, "succeeded": codeSucceeded, "failed": codeFailure}[state]
	return code, known
}

func (s *service) registerEvents(mux *http.ServeMux) {
	mux.HandleFunc("POST /phone-home", s.phoneHome)
	// Ignition makes the second of phone_home_url, and older releases of others
	// took that as the beginning.
	for _, path := range []string{"/events", "/phone-home/events"} {
		mux.HandleFunc("POST "+path, s.userState)
	}
}

// phoneHome records that a machine is up. What cloud-init and others send
// with it (their keys, host name, instance ID) is known already.
func (s *service) phoneHome(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, maxBody))
	s.record(w, r, func(tx *store.Tx, row *store.Row[store.Device]) error {
		lifecycle.PhonedHome(tx, row, s.Clock.Now())
		return nil
	})
}

// report is what a machine says of its user data.
type report struct {
	State   string `json:"state"`
	Code    int    `json:"code"`
	Message string `json:"message"`
	// Type and Msg are what Talos sends instead.
	Type string `json:"type"`
	Msg  string `json:"msg"`
}

// complete fills in what a report leaves out, and refuses what it cannot be.
func (r *report) complete() error {
	if r.State == "" && r.Type != "" {
		// Talos sends the kind of an event: activate, when the node is up, or
		// failure, or something that it did on the way.
		r.Message = r.Msg
		switch r.Type {
		case "failure":
			r.State = "failed"
		case "activate":
			r.State = "succeeded"
		default:
			r.State = "running"
		}
	}
	code, known := stateCode(r.State)
	if !known {
		return fmt.Errorf("state %q is not one of: running, succeeded, failed", shorten(r.State))
	}
	if r.Code == 0 {
		r.Code = code
	}
	if r.Code < firstCode || r.Code > lastCode {
		return fmt.Errorf("code %d is not from %d to %d", r.Code, firstCode, lastCode)
	}
	// The cut may go through a character.
	r.Message = strings.ToValidUTF8(r.Message[max(0, len(r.Message)-maxMessage):], "")
	return nil
}

func shorten(text string) string { return text[:min(len(text), 40)] }

// userState records what a machine says of its user data.
func (s *service) userState(w http.ResponseWriter, r *http.Request) {
	var input report
	if err := decode(r.Body, &input); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	if err := input.complete(); err != nil {
		refuse(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	s.record(w, r, func(tx *store.Tx, row *store.Row[store.Device]) error {
		if tx.Events.Count(store.OfDevice(row.Value.ID)) >= maxEvents {
			return errTooManyEvents
		}
		// The device must not be gone by the time that its event is written.
		tx.Devices.Require(tx, row)
		lifecycle.UserState(tx, row.Value, input.Code, input.State, input.Message, s.Clock.Now())
		return nil
	})
}

// errTooManyEvents tells a machine that it has said enough.
var errTooManyEvents = fmt.Errorf("the device has %d events", maxEvents)

func decode(body io.Reader, into any) error {
	data, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	if err == nil && len(data) > maxBody {
		err = errors.New("it is longer")
	}
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		return fmt.Errorf("The request body must be a JSON object {state, code, message} of at most %d bytes", maxBody) //nolint:staticcheck // It is a whole sentence for a client.
	}
	return nil
}

// record changes something about the device that asks.
func (s *service) record(w http.ResponseWriter, r *http.Request, fn func(*store.Tx, *store.Row[store.Device]) error) {
	known := false
	err := s.Store.Update(r.Context(), func(tx *store.Tx) error {
		row := identify(tx.Snapshot, r.RemoteAddr)
		if known = row != nil; !known {
			return nil
		}
		return fn(tx, row)
	})
	switch {
	case errors.Is(err, errTooManyEvents):
		refuse(w, http.StatusTooManyRequests, fmt.Sprintf("The device has %d events already, and no more of its own are taken", maxEvents))
	case err != nil:
		s.failed(w, r, err)
	case !known:
		notFound(w)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}
