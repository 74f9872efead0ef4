package apiserver_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
)

// fuzzed is a server whose handler is called directly.
type fuzzed struct {
	server  *apiservertest.Server
	objects map[string]string
}

func newFuzzed(f *testing.F) *fuzzed {
	f.Helper()
	server := apiservertest.Start(f, apiservertest.Options{})
	return &fuzzed{server: server, objects: makeObjects(f, server, server.Token, server.ProjectID)}
}

// ask sends a request and checks what holds for every answer: the server
// blames itself for none, and answers in JSON.
func (z *fuzzed) ask(t *testing.T, method, path, query string, body []byte) (int, []byte) {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, "http://packet.test/metal/v1", bytes.NewReader(body))
	req.URL = &url.URL{Scheme: "http", Host: "packet.test", Path: "/metal/v1" + path, RawQuery: query}
	req.Header.Set("X-Auth-Token", z.server.Token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	answer := httptest.NewRecorder()
	z.server.Handler().ServeHTTP(answer, req)
	if answer.Code >= 500 && answer.Code != http.StatusNotImplemented && answer.Code != http.StatusServiceUnavailable {
		t.Fatalf("%s %s?%s with %q: %d %s", method, path, query, body, answer.Code, answer.Body)
	}
	if answer.Code != http.StatusNoContent && answer.Code != http.StatusMovedPermanently && answer.Code != http.StatusTemporaryRedirect && !json.Valid(answer.Body.Bytes()) {
		t.Fatalf("%s %s?%s with %q: %d, and no JSON: %q", method, path, query, body, answer.Code, answer.Body)
	}
	return answer.Code, answer.Body.Bytes()
}

// FuzzBodies sends any bytes to any operation that takes a body.
func FuzzBodies(f *testing.F) {
	z := newFuzzed(f)
	doc := loadDocument(f)
	var routes []apiserver.Route
	for _, route := range apiserver.Routes() {
		operation, _ := documentedOperation(doc, route)
		schema := bodySchema(operation)
		if !route.Implemented() || schema == nil {
			continue
		}
		g := &generator{random: rand.New(rand.NewPCG(3, uint64(len(routes)))), ids: []string{uuid.NewString()}}
		body, err := json.Marshal(g.value(schema, "", 0))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(len(routes)), body)
		routes = append(routes, route)
	}
	f.Add(uint8(0), []byte(`{"hostname":"a","plan":"c3.small.x86","operating_system":"ubuntu_24_04","metro":"da","ip_addresses":[{"address_family":4,"public":false,"cidr":28}]}`))
	f.Add(uint8(1), []byte("{\"a\":\"\\ud800\"}"))
	f.Fuzz(func(t *testing.T, at uint8, body []byte) {
		route := routes[int(at)%len(routes)]
		z.ask(t, route.Method, pathOf(route, z.objects[kindOf(route)]), "", body)
	})
}

// FuzzPaths asks for anything.
func FuzzPaths(f *testing.F) {
	z := newFuzzed(f)
	for _, route := range apiserver.Routes() {
		f.Add(route.Method, pathOf(route, z.objects[kindOf(route)]))
	}
	f.Add(http.MethodGet, "/devices/%2e%2e/x")
	f.Add(http.MethodPatch, "//")
	f.Fuzz(func(t *testing.T, method, path string) {
		if method == "" || strings.ContainsFunc(method, func(r rune) bool { return r < 'A' || r > 'Z' }) {
			return // net/http refuses such a method before the server sees it.
		}
		z.ask(t, method, "/"+strings.TrimPrefix(path, "/"), "", nil)
	})
}

// FuzzSelection expands and shortens objects in any way.
func FuzzSelection(f *testing.F) {
	z := newFuzzed(f)
	for _, seed := range [][2]string{
		{"project,plan,metro", ""}, {"ip_addresses.parent_block,parent_block", "plan"}, {"project.organization.members", "project"},
		{"...", ",,,"}, {"a.b.c.d", "ip_addresses.assigned_to"}, {"", "provisioning_events.relationships"}, {"href", "href.href"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, include, exclude string) {
		query := url.Values{"include": {include}, "exclude": {exclude}}.Encode()
		for _, path := range []string{"/devices/" + z.objects["devices"], "/projects/" + z.server.ProjectID + "/ips"} {
			if status, body := z.ask(t, http.MethodGet, path, query, nil); status != http.StatusOK {
				t.Fatalf("%s?%s: %d %s", path, query, status, body)
			}
		}
	})
}

// FuzzPages asks for any page of a list, and checks what meta says of it.
func FuzzPages(f *testing.F) {
	z := newFuzzed(f)
	for _, seed := range [][2]string{{"", ""}, {"1", "1"}, {"2", "1"}, {"-1", "0"}, {"100001", "1001"}, {"x", "9999999999999999999"}, {"1e3", " 1"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, page, perPage string) {
		query := url.Values{"page": {page}, "per_page": {perPage}}.Encode()
		status, body := z.ask(t, http.MethodGet, "/projects/"+z.server.ProjectID+"/ips", query, nil)
		if status != http.StatusOK {
			if status != http.StatusUnprocessableEntity {
				t.Fatalf("?%s: %d %s", query, status, body)
			}
			return
		}
		var list struct {
			IPAddresses []json.RawMessage `json:"ip_addresses"`
			Meta        struct {
				CurrentPage int `json:"current_page"`
				LastPage    int `json:"last_page"`
				Total       int
				Next        *struct{ Href string }
			}
		}
		if err := json.Unmarshal(body, &list); err != nil {
			t.Fatal(err)
		}
		if list.Meta.CurrentPage < 1 || list.Meta.LastPage < 1 || len(list.IPAddresses) > list.Meta.Total ||
			(list.Meta.Next != nil) != (list.Meta.CurrentPage < list.Meta.LastPage) {
			t.Fatalf("?%s: %d elements and meta %+v", query, len(list.IPAddresses), list.Meta)
		}
	})
}

// FuzzDeviceFilters looks for devices in any way.
func FuzzDeviceFilters(f *testing.F) {
	z := newFuzzed(f)
	for _, seed := range []string{"search=a", "hostname=object&tag=x", "facility=da11,sv15", "type=spot&reserved=true", "categories=compute", "mac_address=%00", "%zz", "has_termination_time=maybe"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		z.ask(t, http.MethodGet, "/projects/"+z.server.ProjectID+"/devices", query, nil)
	})
}
