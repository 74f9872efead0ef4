package apiserver

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/internal/machines/none"
)

// newTestServer makes a server that does not run.
func newTestServer(t *testing.T, log *bytes.Buffer) *Server {
	t.Helper()
	server, err := New(t.Context(), Config{
		ListenAddress: "127.0.0.1:0", DataDir: t.TempDir(), Driver: none.New(), Control: true,
		Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return server
}

// TestFailuresOfHandlers has handlers do what they must not do, and expects
// that the client learns nothing of it and the log all.
func TestFailuresOfHandlers(t *testing.T) {
	var log bytes.Buffer
	server := newTestServer(t, &log)
	r := newRouter(server.api, server.edge)
	for name, c := range map[string]struct {
		handle handler
		status int
		logged string
	}{
		"a panic":       {func(*API, *request) (response, error) { panic("a nil map, for example") }, 500, "a nil map, for example"},
		"an error":      {func(*API, *request) (response, error) { return response{}, errors.New("etcd is full") }, 500, "etcd is full"},
		"etcd is away":  {func(*API, *request) (response, error) { return response{}, fmt.Errorf("x: %w", store.ErrUnavailable) }, 503, "waited too long"},
		"time is over":  {func(*API, *request) (response, error) { return response{}, context.DeadlineExceeded }, 503, "waited too long"},
		"gone":          {func(*API, *request) (response, error) { return response{}, context.Canceled }, 500, ""},
		"a large value": {func(*API, *request) (response, error) { return response{}, store.ErrTooLarge }, 413, ""},
	} {
		log.Reset()
		answer := httptest.NewRecorder()
		req := httptest.NewRequest(http.MethodGet, "/metal/v1/plans", nil)
		req.Header.Set("X-Auth-Token", server.credentials.APIToken)
		r.serve(answer, req, &operation{Route: Route{Method: "GET", Path: "/plans", Operation: "test", handle: c.handle}, reads: true})
		if answer.Code != c.status || !strings.HasPrefix(answer.Body.String(), `{"errors":[`) {
			t.Errorf("%s: %d %s, want %d", name, answer.Code, answer.Body, c.status)
		}
		if c.logged != "" && (strings.Contains(answer.Body.String(), c.logged) || !strings.Contains(log.String(), c.logged)) {
			t.Errorf("%s: the client was told %s and the log says %q", name, answer.Body, log.String())
		}
		if c.logged == "" && strings.Contains(log.String(), "level=ERROR") {
			t.Errorf("%s: the log says %q", name, log.String())
		}
		if strings.Contains(log.String(), server.credentials.APIToken) {
			t.Errorf("%s: the token is in the log", name)
		}
	}
}

// TestASlowBodyIsAnswered sends half of a body and waits.
func TestASlowBodyIsAnswered(t *testing.T) {
	var log bytes.Buffer
	server := newTestServer(t, &log)
	slow := newHTTPServer(t.Context(), server.Handler())
	slow.ReadTimeout = 50 * time.Millisecond
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = slow.Serve(listener) }()
	defer func() { _ = slow.Close() }()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, err = fmt.Fprintf(conn, "POST /metal/v1/projects/%s/devices HTTP/1.1\r\nHost: x\r\nX-Auth-Token: %s\r\nContent-Length: 100\r\n\r\n{",
		server.credentials.ProjectID, server.credentials.APIToken)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if body, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusRequestTimeout || !strings.Contains(string(body), `{"errors":["The request body did not arrive in time"]}`) {
		t.Errorf("%s %s, want 408", answer.Status, body)
	}
}

func TestRequestIDs(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := newRequestID()
		parsed, err := uuid.Parse(id)
		if err != nil || parsed.Version() != 4 || parsed.Variant() != uuid.RFC4122 || seen[id] {
			t.Fatalf("%q is no version 4 UUID, or was there before: %v", id, err)
		}
		seen[id] = true
	}
}

// TestAChangeThatDiedIsUndone starts a server where an earlier one ended in
// the middle of exchanging its records.
func TestAChangeThatDiedIsUndone(t *testing.T) {
	var log bytes.Buffer
	first := newTestServer(t, &log)
	before, err := first.saveRecords(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// What a process does that is killed: it never comes back from fn.
	died := errors.New("killed")
	func() {
		defer func() { _ = recover() }()
		_ = first.undoable(t.Context(), before, func() error {
			if err := first.store.Replace(t.Context(), before.Version, nil); err != nil {
				t.Error(err)
			}
			panic(died)
		})
	}()
	cfg := first.cfg
	cfg.ListenAddress = "127.0.0.1:0"
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	after, err := second.saveRecords(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(after.Records) != fmt.Sprint(before.Records) || len(after.Records) == 0 {
		t.Errorf("there are %d records, and were %d", len(after.Records), len(before.Records))
	}
}
