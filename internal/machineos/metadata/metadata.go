// Package metadata is the machine's side of the metadata service: who am I,
// what am I to run, and how did it go.
package metadata

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// maxBody bounds what is read of an answer. User data is at most 64 KiB and
// a metadata document a few KiB.
const maxBody = 4 << 20

// Metadata is the part of the metadata document that the machine uses.
type Metadata struct {
	ID              string   `json:"id"`
	Hostname        string   `json:"hostname"`
	Plan            string   `json:"plan"`
	Facility        string   `json:"facility"`
	Metro           string   `json:"metro"`
	Tags            []string `json:"tags"`
	SSHKeys         []string `json:"ssh_keys"`
	PhoneHomeURL    string   `json:"phone_home_url"`
	UserStateURL    string   `json:"user_state_url"`
	OperatingSystem struct {
		Slug    string `json:"slug"`
		Distro  string `json:"distro"`
		Version string `json:"version"`
	} `json:"operating_system"`
	Network struct {
		Addresses []Address `json:"addresses"`
	} `json:"network"`
}

// Address is one address of the machine.
type Address struct {
	Address       string `json:"address"`
	CIDR          int    `json:"cidr"`
	AddressFamily int    `json:"address_family"`
	Public        bool   `json:"public"`
	Management    bool   `json:"management"`
	Gateway       string `json:"gateway"`
}

// UserState tells how the machine's own setting up goes.
type UserState struct {
	// State is running, succeeded or failed.
	State string `json:"state"`
	// Code is 1000 to 1099.
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// Client asks the metadata service, as often as it takes: the service may
// start after the machine, and may restart.
type Client struct {
	// BaseURL is for example http://192.80.8.124.
	BaseURL string
	// HTTP bounds each attempt by its Timeout.
	HTTP *http.Client
	// Delay is how long to wait before the first repetition; it doubles up
	// to MaxDelay.
	Delay, MaxDelay time.Duration
	// Warn is told about the first failure of a kind, and every tenth one after.
	Warn func(format string, args ...any)
}

// New returns a Client with delays that suit a machine's start.
func New(baseURL string, warn func(format string, args ...any)) *Client {
	return &Client{
		BaseURL: strings.TrimRight(baseURL, "/"),
		// No connection is kept: a machine asks twice at its start.
		HTTP:     &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}},
		Delay:    100 * time.Millisecond,
		MaxDelay: 5 * time.Second,
		Warn:     warn,
	}
}

// Metadata reads the metadata document. It ends when it has it or when the
// context ends.
func (c *Client) Metadata(ctx context.Context) (*Metadata, error) {
	var document Metadata
	err := c.retry(ctx, "reading metadata", func() error {
		body, _, err := c.do(ctx, http.MethodGet, c.BaseURL+"/metadata", nil)
		if err != nil {
			return err
		}
		document = Metadata{}
		if err := json.Unmarshal(body, &document); err != nil {
			return fmt.Errorf("decoding it: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &document, nil
}

// UserData reads the user data, which is empty where there is none.
func (c *Client) UserData(ctx context.Context) ([]byte, error) {
	var data []byte
	err := c.retry(ctx, "reading user data", func() error {
		body, status, err := c.do(ctx, http.MethodGet, c.BaseURL+"/userdata", nil)
		if status == http.StatusNotFound {
			data = nil
			return nil
		}
		if err != nil {
			return err
		}
		data = body
		return nil
	})
	return data, err
}

// PhoneHome tells the service that the machine is up.
func (c *Client) PhoneHome(ctx context.Context, url string) error {
	return c.retry(ctx, "phoning home", func() error {
		_, _, err := c.do(ctx, http.MethodPost, url, nil)
		return err
	})
}

// Report tells the service how the machine's setting up goes.
func (c *Client) Report(ctx context.Context, url string, state UserState) error {
	body, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("encoding user state: %w", err)
	}
	return c.retry(ctx, "reporting user state", func() error {
		_, _, err := c.do(ctx, http.MethodPost, url, body)
		return err
	})
}

// do sends one request. The status is 0 where there was no answer.
func (c *Client) do(ctx context.Context, method, url string, body []byte) ([]byte, int, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, 0, err
	}
	request.Header.Set("Accept", "*/*")
	request.Header.Set("User-Agent", "packetyard-init")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.HTTP.Do(request)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return nil, 0, fmt.Errorf("%s %s: reading the answer: %w", method, url, err)
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return nil, response.StatusCode, fmt.Errorf("%s %s: %s", method, url, response.Status)
	}
	return answer, response.StatusCode, nil
}

func (c *Client) retry(ctx context.Context, what string, attempt func() error) error {
	delay := c.Delay
	for failures := 0; ; failures++ {
		err := attempt()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", what, context.Cause(ctx))
		}
		if failures%10 == 0 {
			c.Warn("%s: %v; trying again", what, err)
		}
		// Many machines that start at once must not ask in step.
		timer := time.NewTimer(delay/2 + rand.N(delay/2+1))
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%s: %w (last answer: %w)", what, context.Cause(ctx), err)
		case <-timer.C:
		}
		delay = min(2*delay, c.MaxDelay)
	}
}
