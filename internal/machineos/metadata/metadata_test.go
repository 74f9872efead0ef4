package metadata_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/machineos/metadata"
)

func newClient(t *testing.T, handler http.HandlerFunc) *metadata.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	client := metadata.New(server.URL+"/", t.Logf)
	client.Delay, client.MaxDelay = time.Millisecond, 4*time.Millisecond
	return client
}

func TestServiceThatComesUpLate(t *testing.T) {
	var asked atomic.Int32
	client := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		switch asked.Add(1) {
		case 1:
			// The server restarts while it answers.
			panic(http.ErrAbortHandler)
		case 2:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 3:
			_, _ = w.Write([]byte(`{"id": "cut o`))
		default:
			if r.URL.Path != "/metadata" {
				t.Errorf("path is %s", r.URL.Path)
			}
			_, _ = w.Write([]byte(`{"id": "1", "hostname": "node", "ssh_keys": ["key"], "network": {"addresses": [{"address": "10.0.0.2", "cidr": 31, "public": false}]}}`))
		}
	})
	document, err := client.Metadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if document.ID != "1" || document.Hostname != "node" || document.SSHKeys[0] != "key" || document.Network.Addresses[0].Address != "10.0.0.2" {
		t.Errorf("document is %+v", document)
	}
	if asked.Load() != 4 {
		t.Errorf("asked %d times", asked.Load())
	}
}

func TestUserData(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"some":         {http.StatusOK, "#!/bin/sh\n", "#!/bin/sh\n"},
		"none":         {http.StatusOK, "", ""},
		"none, by 404": {http.StatusNotFound, "not found", ""},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				_, _ = w.Write([]byte(test.body))
			}).UserData(t.Context())
			if err != nil || string(data) != test.want {
				t.Errorf("user data is %q, %v", data, err)
			}
		})
	}
}

func TestReport(t *testing.T) {
	var body string
	client := newClient(t, func(_ http.ResponseWriter, r *http.Request) {
		content, _ := io.ReadAll(r.Body)
		body = r.Method + " " + r.Header.Get("Content-Type") + " " + string(content)
	})
	if err := client.Report(t.Context(), client.BaseURL+"/events", metadata.UserState{State: "failed", Code: 1002, Message: "why"}); err != nil {
		t.Fatal(err)
	}
	if want := `POST application/json {"state":"failed","code":1002,"message":"why"}`; body != want {
		t.Errorf("request is %s, want %s", body, want)
	}
}

func TestEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("power is off")
	client := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
		cancel(reason)
		w.WriteHeader(http.StatusInternalServerError)
	})
	err := client.PhoneHome(ctx, client.BaseURL+"/phone-home")
	if !errors.Is(err, reason) || !strings.Contains(err.Error(), "phoning home") {
		t.Errorf("error is %v", err)
	}
}
