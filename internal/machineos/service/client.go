// Package service is systemctl and journalctl inside a machine: enough of
// both for kubeadm, for user data, and for people.
package service

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/packetyard/packetyard/internal/machineos/control"
	"github.com/packetyard/packetyard/internal/machineos/units"
)

// client talks to the machine's first process.
type client struct {
	http *http.Client
}

func newClient(socket string) client {
	return client{http: &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, "unix", socket)
		},
	}}}
}

func (c client) status(ctx context.Context) (control.Status, error) {
	var status control.Status
	err := c.do(ctx, http.MethodGet, "/status", &status)
	return status, err
}

// unit asks for a unit that is none of the machine's own.
func (c client) unit(ctx context.Context, name string) (units.Status, error) {
	var status units.Status
	err := c.do(ctx, http.MethodGet, "/units/"+url.PathEscape(name), &status)
	return status, err
}

func (c client) post(ctx context.Context, path string) error {
	return c.do(ctx, http.MethodPost, path, nil)
}

func (c client) do(ctx context.Context, method, path string, answer any) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://machine"+path, nil)
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("failed to connect to the machine's init: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode > 299 {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10))
		return fmt.Errorf("%s: %s", response.Status, strings.TrimSpace(string(text)))
	}
	if answer == nil {
		return nil
	}
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
		return fmt.Errorf("decoding the answer of the machine's init: %w", err)
	}
	return nil
}
