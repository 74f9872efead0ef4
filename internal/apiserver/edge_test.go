package apiserver_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/apiserver/store"
)

// answered is what a raw request got.
type answered struct {
	*http.Response
	body   string
	errors []string
}

// ask sends a request as it is.
func ask(t testing.TB, server *apiservertest.Server, method, path, body string, header map[string]string) answered {
	t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, strings.TrimSuffix(server.URL, "/metal/v1")+path, content)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", server.Token)
	for name, value := range header {
		req.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	result := answered{Response: answer, body: string(data)}
	var refusal struct{ Errors []string }
	if answer.StatusCode >= 400 && method != http.MethodHead {
		if err := json.Unmarshal(data, &refusal); err != nil || len(refusal.Errors) == 0 {
			t.Errorf("%s %s: %d with %q, which is no error in the API's form", method, path, answer.StatusCode, data)
		}
	}
	if got := answer.Header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		t.Errorf("%s %s: Content-Type %q", method, path, got)
	}
	if answer.Header.Get("X-Request-Id") == "" {
		t.Errorf("%s %s: no X-Request-Id", method, path)
	}
	result.errors = refusal.Errors
	return result
}

func TestRefusalsOfTheEdge(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	devices := "/metal/v1/projects/" + server.ProjectID + "/devices"
	const json = "application/json"
	for _, c := range []struct {
		name, method, path, body, contentType, token string
		status                                       int
		text                                         string
	}{
		{"no JSON", "POST", devices, `{"hostname":`, json, "", 400, "The request body is not JSON"},
		{"a list", "POST", devices, `[]`, json, "", 400, "must be an object"},
		{"nothing", "POST", devices, " ", json, "", 400, "The request body is empty"},
		{"another token", "GET", devices, "", "", "guess", 401, "Invalid authentication token"},
		{"no path of the API", "GET", "/metal/v1/nothing", "", "", "", 404, "Not found"},
		{"no path at all", "GET", "/", "", "", "", 404, "Not found"},
		{"a path with two slashes", "GET", "/metal/v1//plans", "", "", "", 404, "Not found"},
		{"a path with dots", "GET", "/metal/v1/devices/../plans", "", "", "", 404, "Not found"},
		{"a project that is none", "GET", "/metal/v1/projects/x/devices", "", "", "", 404, "Not found"},
		{"an operation that is planned", "GET", "/metal/v1/payment-methods/x", "", "", "", 501, "is not implemented"},
		{"a method", "PATCH", devices, "", "", "", 405, "is not one of those that this path has: GET, HEAD, POST"},
		{"a made-up method", "BREW", devices, "", "", "", 405, "GET, HEAD, POST"},
		{"a form", "POST", devices, `hostname=x`, "application/x-www-form-urlencoded", "", 415, `Content-Type "application/x-www-form-urlencoded" is not supported`},
		{"another charset", "POST", devices, `{}`, "application/json; charset=latin1", "", 415, "must be application/json"},
		{"a broken type", "POST", devices, `{}`, "application/json; charset", "", 415, "must be application/json"},
		{"too much", "POST", devices, strings.Repeat(" ", 1<<20) + "{}", json, "", 413, "larger than 1048576 bytes"},
		{"a wrong value", "POST", devices, `{"plan":"x","operating_system":"ubuntu_24_04","metro":"da"}`, json, "", 422, `plan "x" is not one of`},
		{"a wrong value without a type", "POST", devices, `{"plan":"x"}`, "", "", 422, `plan "x" is not one of`},
		{"a wrong value of a kind of JSON", "POST", devices, `{"plan":"x"}`, "application/vnd.api+json; charset=UTF-8", "", 422, `plan "x" is not one of`},
	} {
		header := map[string]string{}
		if c.contentType != "" {
			header["Content-Type"] = c.contentType
		}
		if c.token != "" {
			header["X-Auth-Token"] = c.token
		}
		answer := ask(t, server, c.method, c.path, c.body, header)
		if answer.StatusCode != c.status || !strings.Contains(strings.Join(answer.errors, "; "), c.text) {
			t.Errorf("%s: %d %q, want %d with %q", c.name, answer.StatusCode, answer.body, c.status, c.text)
		}
		if c.token != "" && strings.Contains(answer.body, c.token) {
			t.Errorf("%s: the token is repeated: %s", c.name, answer.body)
		}
		if allow := answer.Header.Get("Allow"); (c.status == http.StatusMethodNotAllowed) != (allow == "GET, HEAD, POST") {
			t.Errorf("%s: Allow is %q", c.name, allow)
		}
	}
}

// TestABodyOfUnknownLengthIsBounded sends more than there may be without
// saying so first.
func TestABodyOfUnknownLengthIsBounded(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/projects/"+server.ProjectID+"/devices",
		io.MultiReader(strings.NewReader(`{"hostname":"`), strings.NewReader(strings.Repeat("x", 2<<20))))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", server.Token)
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("%s, want 413", answer.Status)
	}
}

// TestHeadIsAGetWithoutABody is what load balancers and browsers ask, also
// with a token that may only read.
func TestHeadIsAGetWithoutABody(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	if err := server.AddToken(t.Context(), "reader", store.Token{ID: "r", ProjectID: server.ProjectID, ReadOnly: true}); err != nil {
		t.Fatal(err)
	}
	path := "/metal/v1/projects/" + server.ProjectID
	head := ask(t, server, http.MethodHead, path, "", map[string]string{"X-Auth-Token": "reader"})
	get := ask(t, server, http.MethodGet, path, "", map[string]string{"X-Auth-Token": "reader"})
	if head.StatusCode != http.StatusOK || head.body != "" || head.Header.Get("Content-Length") != get.Header.Get("Content-Length") {
		t.Errorf("HEAD: %d with %d bytes and Content-Length %s, want 200 without any and %d",
			head.StatusCode, len(head.body), head.Header.Get("Content-Length"), len(get.body))
	}
	if put := ask(t, server, http.MethodPut, path, `{"name":"x"}`, map[string]string{"X-Auth-Token": "reader"}); put.StatusCode != http.StatusForbidden {
		t.Errorf("PUT: %d, want 403", put.StatusCode)
	}
}

func TestRateLimit(t *testing.T) {
	clock := newClock()
	server := apiservertest.Start(t, apiservertest.Options{Clock: clock, Configure: func(cfg *apiserver.Config) {
		cfg.RateLimit = apiserver.RateLimit{Requests: 3, Window: time.Minute}
	}})
	if err := server.AddToken(t.Context(), "other", store.Token{ID: "o", ProjectID: server.ProjectID}); err != nil {
		t.Fatal(err)
	}
	const path = "/metal/v1/plans"
	clock.advance(10 * time.Second)
	reset := fmt.Sprint(clock.Now().Add(50 * time.Second).Unix())
	for _, remaining := range []string{"2", "1", "0"} {
		answer := ask(t, server, "GET", path, "", nil)
		if h := answer.Header; answer.StatusCode != http.StatusOK || h.Get("X-RateLimit-Limit") != "3" ||
			h.Get("X-RateLimit-Remaining") != remaining || h.Get("X-RateLimit-Reset") != reset {
			t.Errorf("%d with %v, want 200 with %s of 3 left until %s", answer.StatusCode, h, remaining, reset)
		}
	}
	refused := ask(t, server, "GET", path, "", nil)
	if refused.StatusCode != http.StatusTooManyRequests || refused.Header.Get("Retry-After") != "51" || refused.Header.Get("X-RateLimit-Remaining") != "0" {
		t.Errorf("%d with %v, want 429 and Retry-After 51", refused.StatusCode, refused.Header)
	}
	if other := ask(t, server, "GET", path, "", map[string]string{"X-Auth-Token": "other"}); other.StatusCode != http.StatusOK {
		t.Errorf("another token: %d, want 200", other.StatusCode)
	}
	// Guesses are counted by where they come from.
	for guess := range 4 {
		answer := ask(t, server, "GET", path, "", map[string]string{"X-Auth-Token": fmt.Sprint("guess", guess)})
		if want := map[bool]int{true: 401, false: 429}[guess < 3]; answer.StatusCode != want {
			t.Errorf("guess %d: %d, want %d", guess, answer.StatusCode, want)
		}
	}
	clock.advance(time.Minute)
	if again := ask(t, server, "GET", path, "", nil); again.StatusCode != http.StatusOK {
		t.Errorf("in the next window: %d, want 200", again.StatusCode)
	}
}

func TestAuditLog(t *testing.T) {
	var log bytes.Buffer
	server := apiservertest.Start(t, apiservertest.Options{Configure: func(cfg *apiserver.Config) {
		cfg.AuditLog, cfg.Control = &log, true
	}})
	if err := server.AddToken(t.Context(), "read-only-secret", store.Token{ID: "reader", UserID: "u", ProjectID: server.ProjectID, ReadOnly: true}); err != nil {
		t.Fatal(err)
	}
	project := "/metal/v1/projects/" + server.ProjectID
	ask(t, server, "GET", project, "", nil)
	created := ask(t, server, "POST", project+"/devices",
		`{"plan":"c3.small.x86","operating_system":"ubuntu_24_04","metro":"da","userdata":"#!/bin/sh\nuser-data-secret"}`, nil)
	var device struct{ ID string }
	if err := json.Unmarshal([]byte(created.body), &device); err != nil || created.StatusCode != http.StatusCreated {
		t.Fatalf("%d %s: %v", created.StatusCode, created.body, err)
	}
	ask(t, server, "PUT", "/metal/v1/devices/"+device.ID, `{"userdata":7}`, nil)
	ask(t, server, "PUT", project, `{"name":"x"}`, map[string]string{"X-Auth-Token": "read-only-secret"})
	ask(t, server, "GET", project, "", map[string]string{"X-Auth-Token": "wrong-secret"})
	ask(t, server, "POST", "/_packetyard/clock", `{"advance":"1h"}`, nil)

	type line struct {
		Operation, Method, Object, Created, Result, Token, Project, RequestID string
		Status                                                                int
	}
	var lines []line
	for scanner := bufio.NewScanner(bytes.NewReader(log.Bytes())); scanner.Scan(); {
		var l line
		if err := json.Unmarshal(scanner.Bytes(), &l); err != nil {
			t.Fatalf("%s: %v", scanner.Bytes(), err)
		}
		if l.RequestID == "" {
			t.Errorf("%s: no request ID", scanner.Bytes())
		}
		l.RequestID = ""
		lines = append(lines, l)
	}
	admin := ""
	if len(lines) > 0 {
		admin = lines[0].Token
	}
	want := []line{
		{Operation: "createDevice", Method: "POST", Object: server.ProjectID, Created: device.ID, Result: "done", Token: admin, Status: 201},
		{Operation: "updateDevice", Method: "PUT", Object: device.ID, Result: "refused", Token: admin, Status: 422},
		{Operation: "updateProject", Method: "PUT", Object: server.ProjectID, Result: "refused", Token: "reader", Project: server.ProjectID, Status: 403},
		{Operation: "findProjectById", Method: "GET", Object: server.ProjectID, Result: "refused", Status: 401},
		{Operation: "control:clock", Method: "POST", Result: "done", Status: 200},
	}
	if fmt.Sprint(lines) != fmt.Sprint(want) || admin == "" {
		t.Errorf("the log says\n%+v, want\n%+v", lines, want)
	}
	for _, secret := range []string{server.Token, "read-only-secret", "wrong-secret", "user-data-secret"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log has the secret %q:\n%s", secret, log.String())
		}
	}
}

// TestHeadersAreBounded sends a header that would fill the memory if it were
// read to its end.
func TestHeadersAreBounded(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	conn, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(server.URL, "http://"), "/metal/v1"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() {
		_, _ = io.WriteString(conn, "GET /metal/v1/plans HTTP/1.1\r\nHost: x\r\nX-Long: "+strings.Repeat("x", 1<<20)+"\r\n\r\n")
	}()
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%s, want 431", answer.Status)
	}
}
