package machineos

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/machineos/metadata"
	"github.com/packetyard/packetyard/internal/machineos/testmachine"
)

func TestMain(m *testing.M) { testmachine.Main(m) }

const instanceID = "11111111-2222-3333-4444-555555555555"

// provider is the metadata service's HTTP, and what it was told.
type provider struct {
	*httptest.Server
	userData string

	mu     sync.Mutex
	refuse bool
	phoned int
	states []metadata.UserState
}

func newProvider(t *testing.T, userData string) *provider {
	t.Helper()
	p := &provider{userData: userData}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metadata", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{
			"id": instanceID, "hostname": "node-1", "plan": "c3.small.x86", "metro": "da",
			"phone_home_url": p.URL + "/phone-home", "user_state_url": p.URL + "/events",
		})
	})
	mux.HandleFunc("GET /userdata", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(p.userData)) })
	mux.HandleFunc("POST /phone-home", func(http.ResponseWriter, *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.phoned++
	})
	mux.HandleFunc("POST /events", func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.refuse {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		var state metadata.UserState
		if err := json.NewDecoder(r.Body).Decode(&state); err != nil {
			t.Error(err)
		}
		p.states = append(p.states, state)
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

// boot runs a machine's setting up, on a disk that may have been used, until
// it is done or the machine is ended by end.
func (p *provider) boot(t *testing.T, root string, end func(*Machine, context.CancelFunc)) (*Machine, string) {
	t.Helper()
	var console strings.Builder
	m := New(Options{Root: root, MetadataURL: p.URL, Console: &console, Now: time.Now})
	reaping, stopReaping := context.WithCancel(context.Background())
	reaped := make(chan struct{})
	go func() {
		m.reaper.Run(reaping)
		close(reaped)
	}()
	ctx, cancel := context.WithCancel(t.Context())
	m.units = m.newUnits(ctx)
	if end != nil {
		go end(m, cancel)
	}
	m.setUp(ctx)
	cancel()
	stopReaping()
	<-reaped
	return m, console.String()
}

func (p *provider) told() (int, []metadata.UserState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.phoned, append([]metadata.UserState(nil), p.states...)
}

func TestUserDataRunsOnce(t *testing.T) {
	p := newProvider(t, "#!/bin/sh\necho run >> "+filepath.Join(t.TempDir(), "runs")+"\n")
	runs := strings.TrimSpace(strings.Fields(p.userData)[4])
	root := t.TempDir()
	for range 2 {
		m, console := p.boot(t, root, nil)
		if m.userData.Load() != stateSucceeded {
			t.Errorf("user data is %v, console:\n%s", m.userData.Load(), console)
		}
	}
	if content, err := os.ReadFile(runs); err != nil || string(content) != "run\n" {
		t.Errorf("user data ran %q, %v", content, err)
	}
	phoned, states := p.told()
	if phoned != 2 {
		t.Errorf("phoned home %d times in two boots", phoned)
	}
	if len(states) != 2 || states[0].Code != 1000 || states[0].State != "running" || states[1].Code != 1001 || states[1].State != "succeeded" {
		t.Errorf("states are %+v", states)
	}
}

func TestFailureIsReportedWithTheConsole(t *testing.T) {
	p := newProvider(t, "#cloud-config\nruncmd:\n- i=0; while [ $i -lt 100 ]; do i=$((i+1)); echo line $i; done\n- printf '\\033[1;31mit went wrong\\033[0m\\n'; exit 6\n")
	m, console := p.boot(t, t.TempDir(), nil)
	if m.userData.Load() != stateFailed || !strings.Contains(console, "line 1\n") {
		t.Errorf("user data is %v, console:\n%s", m.userData.Load(), console)
	}
	_, states := p.told()
	if len(states) != 2 || states[1].Code != 1002 || states[1].State != "failed" {
		t.Fatalf("states are %+v", states)
	}
	message := states[1].Message
	if !strings.Contains(message, "\nit went wrong\n") || !strings.Contains(message, "exit status 6") {
		t.Errorf("message is %q", message)
	}
	if lines := strings.Count(message, "\n") + 1; lines != reportedLines || len(message) > reportedBytes {
		t.Errorf("message has %d lines and %d bytes", lines, len(message))
	}
}

func TestInterruptedUserDataIsNotRunAgain(t *testing.T) {
	p := newProvider(t, "#!/bin/sh\necho begun\nexec sleep 1000\n")
	root := t.TempDir()
	m, console := p.boot(t, root, func(m *Machine, powerOff context.CancelFunc) {
		for !strings.Contains(m.console.Tail(10, 1000), "begun") {
			<-time.After(5 * time.Millisecond)
		}
		powerOff()
	})
	if m.userData.Load() != stateRunning {
		t.Errorf("user data is %v, console:\n%s", m.userData.Load(), console)
	}
	m, console = p.boot(t, root, nil)
	if m.userData.Load() != stateFailed || strings.Contains(console, "begun") {
		t.Errorf("after the next boot user data is %v, console:\n%s", m.userData.Load(), console)
	}
	_, states := p.told()
	if last := states[len(states)-1]; last.Code != 1002 || !strings.Contains(last.Message, "interrupted") {
		t.Errorf("states are %+v", states)
	}
}

func TestReportThatDidNotGetThroughIsMadeUpFor(t *testing.T) {
	p := newProvider(t, "#!/bin/sh\n")
	p.refuse = true
	root := t.TempDir()
	p.boot(t, root, func(m *Machine, powerOff context.CancelFunc) {
		for m.userData.Load() != stateSucceeded {
			<-time.After(5 * time.Millisecond)
		}
		powerOff()
	})
	p.mu.Lock()
	p.refuse = false
	p.mu.Unlock()
	p.boot(t, root, nil)
	if _, states := p.told(); len(states) != 1 || states[0].Code != 1001 {
		t.Errorf("states are %+v", states)
	}
}

func TestNoUserData(t *testing.T) {
	p := newProvider(t, "")
	m, console := p.boot(t, t.TempDir(), nil)
	phoned, states := p.told()
	if m.userData.Load() != "none" || phoned != 1 || len(states) != 0 {
		t.Errorf("user data is %v, phoned %d times, states %+v, console:\n%s", m.userData.Load(), phoned, states, console)
	}
}
