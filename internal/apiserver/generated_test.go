package apiserver_test

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
)

func escapeQuery(text string) string { return url.QueryEscape(text) }

// operations finds the operation of a route in the API's document.
func documentedOperation(doc *openapi3.T, route apiserver.Route) (*openapi3.Operation, openapi3.Parameters) {
	item := doc.Paths.Value(route.Path)
	operation := item.GetOperation(route.Method)
	return operation, append(append(openapi3.Parameters{}, item.Parameters...), operation.Parameters...)
}

func bodySchema(operation *openapi3.Operation) *openapi3.SchemaRef {
	if operation.RequestBody == nil || operation.RequestBody.Value == nil {
		return nil
	}
	if media := operation.RequestBody.Value.Content.Get("application/json"); media != nil {
		return media.Schema
	}
	return nil
}

// fillPath puts IDs in the place of a path's parameters.
func fillPath(path string, id func(i int) string) string {
	parts := strings.Split(path, "/")
	filled := 0
	for i, part := range parts {
		if strings.HasPrefix(part, "{") {
			parts[i] = id(filled)
			filled++
		}
	}
	return strings.Join(parts, "/")
}

// send sends a request without any client's own ideas, and returns the status
// and the body of the answer.
func send(t testing.TB, server *apiservertest.Server, token, method, path string, body []byte) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer.StatusCode, string(text)
}

// TestGeneratedRequests sends requests made of the API's document to every
// operation, right ones and broken ones, and expects the server to blame
// itself for none. 501 and 503 say what the server does not have.
func TestGeneratedRequests(t *testing.T) {
	const rounds = 30
	server := apiservertest.Start(t, apiservertest.Options{})
	doc := loadDocument(t)
	random := rand.New(rand.NewPCG(1, 2))
	objects := makeObjects(t, server, server.Token, server.ProjectID)
	var known []string
	for _, id := range objects {
		known = append(known, id)
	}
	for _, route := range apiserver.Routes() {
		operation, parameters := documentedOperation(doc, route)
		schema := bodySchema(operation)
		for round := range rounds {
			g := &generator{random: random, ids: append([]string{uuid.NewString()}, known...)}
			if round%2 == 1 {
				g.breaks = 0.3
			}
			path := fillPath(route.Path, func(i int) string {
				if id := objects[kindOf(route)]; i == 0 && id != "" && random.IntN(4) > 0 && route.Method != http.MethodDelete {
					return id
				}
				return []string{uuid.NewString(), "not-a-uuid", known[random.IntN(len(known))]}[random.IntN(3)]
			})
			if query := g.query(parameters); query != "" {
				path += "?" + query
			}
			var body []byte
			if schema != nil {
				var err error
				if body, err = json.Marshal(g.value(schema, "", 0)); err != nil {
					t.Fatal(err)
				}
			}
			status, text := send(t, server, server.Token, route.Method, path, body)
			switch {
			case status == http.StatusNotImplemented, status == http.StatusServiceUnavailable:
			case status >= 500:
				t.Errorf("%s: %s %s with %.500s: %d %s", route.Operation, route.Method, path, body, status, text)
			}
			if status >= 400 {
				var refusal struct{ Errors []string }
				if err := json.Unmarshal([]byte(text), &refusal); err != nil || len(refusal.Errors) == 0 {
					t.Errorf("%s: %d with a body that lists no errors: %.300s", route.Operation, status, text)
				}
			}
		}
	}
}
