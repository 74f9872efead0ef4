package apiserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// plantByRequests makes the rest as a client would, so that it is what a
// client would have made, and is refused with the texts that a client gets.
func (g *gardener) plantByRequests(what *seed) error {
	routes := map[string]Route{}
	for _, route := range implemented() {
		routes[route.Operation] = route
	}
	for i, project := range what.Projects {
		made := &g.made.Projects[i]
		send := func(kind string, j int, operation string, body any) error {
			id, err := g.request(routes[operation], made.ID, body)
			if err != nil {
				return at(fmt.Sprintf("projects[%d].%s[%d]", i, kind, j), err)
			}
			if id != "" {
				made.Made[kind] = append(made.Made[kind], id)
			}
			return nil
		}
		for j, key := range project.SSHKeys {
			if err := send("ssh_keys", j, "createProjectSSHKey", key); err != nil {
				return err
			}
		}
		if project.BGP != nil {
			if err := send("bgp", 0, "requestBgpConfig", project.BGP); err != nil {
				return err
			}
		}
		for j, network := range project.VirtualNetworks {
			if err := send("virtual_networks", j, "createVirtualNetwork", network); err != nil {
				return err
			}
		}
		for j, vrf := range project.VRFs {
			if err := send("vrfs", j, "createVrf", vrf); err != nil {
				return err
			}
		}
		for j, reservation := range project.IPs {
			if err := send("ips", j, "requestIPReservation", reservation); err != nil {
				return err
			}
		}
		for j, device := range project.Devices {
			order := device.DeviceCreate
			for n := range max(device.Count, 1) {
				if device.Count > 1 {
					order.Hostname = fmt.Sprintf("%s-%d", device.Hostname, n+1)
				}
				if err := send("devices", j, "createDevice", order); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// at says where in the seed a refusal comes from.
func at(place string, err error) error {
	var refusal *apiError
	if !errors.As(err, &refusal) {
		return fmt.Errorf("%s: %w", place, err)
	}
	placed := &apiError{status: http.StatusUnprocessableEntity}
	for _, message := range refusal.messages {
		placed.messages = append(placed.messages, place+": "+message)
	}
	return placed
}

// request calls the handler of an operation on a project, and returns the ID
// of what it made, empty if it says none.
func (g *gardener) request(route Route, projectID string, body any) (id string, err error) {
	if route.handle == nil {
		return "", refuse(http.StatusUnprocessableEntity, "this server cannot make it")
	}
	data, err := json.Marshal(body)
	if err != nil {
		return "", fmt.Errorf("encoding the request: %w", err)
	}
	req := (&http.Request{
		Method: route.Method,
		URL:    &url.URL{Path: prefix + strings.Replace(route.Path, "{id}", projectID, 1)},
		Header: http.Header{},
		Body:   io.NopCloser(bytes.NewReader(data)),
	}).WithContext(g.ctx)
	req.SetPathValue("id", projectID)
	answer, err := route.handle(g.server.api, &request{ctx: g.ctx, http: req, token: g.admin, maxBody: int64(len(data))})
	if err != nil {
		return "", err
	}
	var shown struct {
		ID string `json:"id"`
	}
	if len(answer.body) > 0 {
		if err := json.Unmarshal(answer.body, &shown); err != nil {
			return "", fmt.Errorf("reading the answer of %s: %w", route.Operation, err)
		}
	}
	return shown.ID, nil
}
