package packetserver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Control changes how a server behaves, by its routes under /_packetyard. Its
// methods return an error with the server's own text for what it refuses.
type Control struct {
	base, token string
	client      *http.Client
}

// NewControl controls the server at a URL without a path, as
// http://127.0.0.1:8080, that was started with --control. The token is that
// of its credentials.json.
func NewControl(base, token string) *Control {
	return &Control{base: strings.TrimSuffix(base, "/") + "/_packetyard/", token: token, client: &http.Client{Timeout: 5 * time.Minute}}
}

// Reset removes all records and machines, fault rules and the request log.
// The server's own project and token stay.
func (c *Control) Reset(ctx context.Context) error {
	return c.do(ctx, http.MethodPost, "reset", nil, nil)
}

// Seeded is what was made of a seed, by project.
type Seeded struct {
	Projects []struct {
		ID   string `json:"id"`
		Name string `json:"name"`
		// Made lists IDs by kind, as devices or ips, in the order of the seed.
		Made map[string][]string `json:"made"`
	} `json:"projects"`
}

// Seed makes all that a YAML document says, or nothing.
func (c *Control) Seed(ctx context.Context, document string) (seeded Seeded, err error) {
	err = c.do(ctx, http.MethodPost, "seed", []byte(document), &seeded)
	return seeded, err
}

// Snapshot returns all records, for Restore.
func (c *Control) Snapshot(ctx context.Context) (snapshot json.RawMessage, err error) {
	err = c.do(ctx, http.MethodGet, "snapshot", nil, &snapshot)
	return snapshot, err
}

// Restore makes the records those of a snapshot. The server's own project and
// token are there afterwards in any case.
func (c *Control) Restore(ctx context.Context, snapshot json.RawMessage) error {
	return c.do(ctx, http.MethodPut, "snapshot", snapshot, nil)
}

// Clock is the time that devices live in.
type Clock struct {
	Now     time.Time `json:"now"`
	Stopped bool      `json:"stopped"`
}

// Clock tells the time.
func (c *Control) Clock(ctx context.Context) (clock Clock, err error) {
	err = c.do(ctx, http.MethodGet, "clock", nil, &clock)
	return clock, err
}

// Advance turns the clock forward. It goes on, or stands still, as before.
func (c *Control) Advance(ctx context.Context, by time.Duration) (Clock, error) {
	return c.turn(ctx, map[string]any{"advance": by.String()})
}

// StopClock makes the clock stand still, or go on from where it stands.
func (c *Control) StopClock(ctx context.Context, stop bool) (Clock, error) {
	return c.turn(ctx, map[string]any{"stop": stop})
}

func (c *Control) turn(ctx context.Context, change map[string]any) (clock Clock, err error) {
	body, err := json.Marshal(change)
	if err != nil {
		return clock, fmt.Errorf("encoding a change of the clock: %w", err)
	}
	err = c.do(ctx, http.MethodPost, "clock", body, &clock)
	return clock, err
}

// ApproveIPReservation gives a reservation that is pending its block, whatever
// the quota says.
func (c *Control) ApproveIPReservation(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodPost, "ip-reservations/"+url.PathEscape(id)+"/approve", nil, nil)
}

// DenyIPReservation leaves a reservation that is pending without a block for
// good.
func (c *Control) DenyIPReservation(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodPost, "ip-reservations/"+url.PathEscape(id)+"/deny", nil, nil)
}

// do sends a request to a control route, and decodes the answer.
func (c *Control) do(ctx context.Context, method, path string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("making the request %s %s: %w", method, path, err)
	}
	req.Header.Set("X-Auth-Token", c.token)
	answer, err := c.client.Do(req)
	if err != nil {
		return fmt.Errorf("asking the server to control it: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		return fmt.Errorf("reading the answer of %s %s: %w", method, path, err)
	}
	if answer.StatusCode >= 300 {
		var refusal struct {
			Errors []string `json:"errors"`
		}
		_ = json.Unmarshal(data, &refusal)
		return fmt.Errorf("%s %s: %s: %s", method, path, answer.Status, strings.Join(refusal.Errors, "; "))
	}
	if into == nil || len(data) == 0 {
		return nil
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("reading the answer of %s %s: %w", method, path, err)
	}
	return nil
}

func query(operation, caller string) string {
	values := url.Values{}
	if operation != "" {
		values.Set("operation", operation)
	}
	if caller != "" {
		values.Set("caller", caller)
	}
	return values.Encode()
}
