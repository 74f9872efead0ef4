package packet

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A token that is renewed, as a mounted Secret is, is used without a restart;
// a file that is half written or gone changes nothing.
func TestATokenFileIsReadAgain(t *testing.T) {
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("X-Auth-Token"))
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"errors":["wrong token ` + r.Header.Get("X-Auth-Token") + `"]}`))
	}))
	defer server.Close()
	path := filepath.Join(t.TempDir(), "token")
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	extract := func(content []byte) (string, error) {
		var object struct{ APIKey string }
		if json.Unmarshal(content, &object) != nil {
			return "", errors.New("it is not JSON")
		}
		return object.APIKey, nil
	}
	write(`{"apiKey": "first-token"}`)
	clock := &steppedTokenClock{now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	var log bytes.Buffer
	file, err := NewTokenFile(path, extract, clock, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	client, err := NewClient(Config{BaseURL: server.URL, TokenSource: file, Retries: -1, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name    string
		change  func()
		advance time.Duration
		want    string
	}{
		{name: "at first", want: "first-token"},
		{name: "changed a moment ago", change: func() { write(`{"apiKey": "second-token"}`) }, want: "first-token"},
		{name: "changed", advance: tokenFileInterval, want: "second-token"},
		{name: "half written", change: func() { write(`{"apiKey": "thi`) }, advance: tokenFileInterval, want: "second-token"},
		{name: "without a token", change: func() { write(`{}`) }, advance: tokenFileInterval, want: "second-token"},
		{name: "gone", change: func() { _ = os.Remove(path) }, advance: tokenFileInterval, want: "second-token"},
		{name: "back", change: func() { write(`{"apiKey": "third-token"}`) }, advance: tokenFileInterval, want: "third-token"},
	} {
		if step.change != nil {
			step.change()
		}
		clock.now = clock.now.Add(step.advance)
		_, err := client.Project(t.Context(), "8c5a5a2e-6f1b-4d3c-9b6e-0d2f3a4b5c6d")
		if !IsUnauthorized(err) || got[len(got)-1] != step.want {
			t.Errorf("%s: token %q was sent, want %q (%v)", step.name, got[len(got)-1], step.want, err)
		}
		for _, text := range []string{err.Error(), log.String()} {
			if strings.Contains(text, "-token") {
				t.Errorf("%s: %q shows a token", step.name, text)
			}
		}
	}
	if n := strings.Count(log.String(), "cannot be read again"); n != 1 {
		t.Errorf("a file that stays unreadable was reported %d times, want once", n)
	}
}

func TestATokenFileWithoutATokenIsAnError(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, []byte(" \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{empty, filepath.Join(dir, "absent")} {
		if _, err := NewTokenFile(path, nil, SystemClock{}, nil); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// steppedTokenClock moves when it is told to.
type steppedTokenClock struct {
	SystemClock
	now time.Time
}

func (c *steppedTokenClock) Now() time.Time { return c.now }
