package apiserver_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// FuzzControl sends any bytes to the control routes that take a body: seeds,
// snapshots, rules for faults, the clock.
func FuzzControl(f *testing.F) {
	server := startControlled(f)
	routes := [][2]string{
		{http.MethodPost, "seed"}, {http.MethodPut, "snapshot"}, {http.MethodPost, "faults"}, {http.MethodPost, "clock"},
		{http.MethodPost, "projects/" + server.ProjectID + "/bgp-ranges"},
	}
	for at, body := range []string{
		seedYAML, `{"records":{}}`, `{"operation":"findPlans","probability":0.5,"status":503,"latency":"1ms"}`, `{"advance":"1h"}`, `{"range":"203.0.113.0/24"}`,
	} {
		f.Add(uint8(at), []byte(body))
	}
	f.Add(uint8(0), []byte("projects:\n- name: &a a\n  devices: [*a]\n"))
	f.Add(uint8(2), []byte(`{"probability":1e999}`))
	f.Fuzz(func(t *testing.T, at uint8, body []byte) {
		route := routes[int(at)%len(routes)]
		req := httptest.NewRequestWithContext(t.Context(), route[0], "http://packet.test/_packetyard/"+route[1], bytes.NewReader(body))
		req.Header.Set("X-Auth-Token", server.Token)
		answer := httptest.NewRecorder()
		server.Handler().ServeHTTP(answer, req)
		if answer.Code >= 500 && answer.Code != http.StatusServiceUnavailable || answer.Body.Len() > 0 && !json.Valid(answer.Body.Bytes()) {
			t.Fatalf("%s %s with %q: %d %s", route[0], route[1], body, answer.Code, answer.Body)
		}
	})
}

// FuzzMetadata sends anything to the metadata service, from the address of a
// machine and from one that nobody has.
func FuzzMetadata(f *testing.F) {
	z := newFuzzed(f)
	device, err := z.server.Client(f).Device(f.Context(), z.objects["devices"])
	if err != nil {
		f.Fatal(err)
	}
	sources := []string{device.IPAddresses[0].Address + ":40000", "203.0.113.9:40000"}
	for _, seed := range [][3]string{
		{"GET", "/metadata", ""}, {"GET", "/2009-04-04/meta-data/public-keys/0/openssh-key", ""}, {"GET", "/userdata", ""},
		{"POST", "/phone-home", ""}, {"POST", "/events", `{"state":"running","message":"x"}`}, {"POST", "/events", `{"type":"a","msg":"b"}`},
		{"POST", "/userstate", `{"state":"running","code":1000,"message":"x"}`}, {"POST", "/events", `{"code":1e99}`},
	} {
		f.Add(seed[0], seed[1], []byte(seed[2]))
	}
	f.Fuzz(func(t *testing.T, method, path string, body []byte) {
		if method == "" || strings.ContainsFunc(method, func(r rune) bool { return r < 'A' || r > 'Z' }) {
			return // net/http refuses such a method before the server sees it.
		}
		for _, source := range sources {
			req := httptest.NewRequestWithContext(t.Context(), method, "http://metadata.packet.net/", bytes.NewReader(body))
			req.URL = &url.URL{Scheme: "http", Host: "metadata.packet.net", Path: "/" + strings.TrimPrefix(path, "/")}
			req.RemoteAddr = source
			answer := httptest.NewRecorder()
			z.server.MetadataHandler().ServeHTTP(answer, req)
			if answer.Code >= 500 {
				t.Fatalf("%s %s with %q from %s: %d %s", method, path, body, source, answer.Code, answer.Body)
			}
			if source == sources[1] && bytes.Contains(answer.Body.Bytes(), []byte(device.ID)) {
				t.Fatalf("%s %s tells a stranger of the machine: %s", method, path, answer.Body)
			}
		}
	})
}
