package apiserver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/packetyard/packetyard/internal/apiserver"
)

// document is the final public OpenAPI document of the API, which the module
// of the last official SDK carries.
var document = sync.OnceValues(func() (*openapi3.T, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/equinix/equinix-sdk-go").Output()
	if err != nil {
		return nil, err
	}
	loader := openapi3.NewLoader()
	loader.IsExternalRefsAllowed = true
	return loader.LoadFromFile(filepath.Join(strings.TrimSpace(string(out)), "spec/services/metalv1/oas3.patched/openapi3.yaml"))
})

func loadDocument(t testing.TB) *openapi3.T {
	t.Helper()
	doc, err := document()
	if err != nil {
		t.Fatalf("loading the API's OpenAPI document: %v", err)
	}
	return doc
}

// checker is a transport that checks every answer of the API against the
// document.
type checker struct {
	t   testing.TB
	doc *openapi3.T

	mu sync.Mutex
	// seen counts the operations that were checked.
	seen map[string]int
	// saw, where it is set, is told of every answer that was checked.
	saw func(operation string, status int)
}

func newChecker(t testing.TB) *checker {
	return &checker{t: t, doc: loadDocument(t), seen: map[string]int{}}
}

// isErrorStatus tells the statuses that may come from every operation, whether
// the document repeats them or not.
func isErrorStatus(status int) bool {
	return slices.Contains([]int{400, 401, 403, 404, 405, 413, 415, 422, 429, 501, 503}, status)
}

func (c *checker) RoundTrip(req *http.Request) (*http.Response, error) {
	answer, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	answer.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	c.check(req, answer, body)
	return answer, nil
}

func (c *checker) check(req *http.Request, answer *http.Response, body []byte) {
	what := req.Method + " " + req.URL.Path
	if got := answer.Header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		c.t.Errorf("%s: Content-Type is %q", what, got)
	}
	if answer.Header.Get("X-Request-Id") == "" {
		c.t.Errorf("%s: no X-Request-Id", what)
	}
	route, params := c.route(req)
	if route == nil {
		c.t.Errorf("%s is no operation of the document", what)
		return
	}
	c.mu.Lock()
	c.seen[route.Operation.OperationID]++
	c.mu.Unlock()
	if c.saw != nil {
		c.saw(operationName(route), answer.StatusCode)
	}
	if answer.StatusCode >= 400 {
		var refusal struct{ Errors []string }
		if err := json.Unmarshal(body, &refusal); err != nil || len(refusal.Errors) == 0 {
			c.t.Errorf("%s: %d with the body %.300s, which lists no errors", what, answer.StatusCode, body)
		}
		if route.Operation.Responses.Status(answer.StatusCode) == nil && isErrorStatus(answer.StatusCode) {
			return
		}
	}
	err := openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route},
		Status:                 answer.StatusCode,
		Header:                 answer.Header,
		Body:                   io.NopCloser(bytes.NewReader(withoutNullPages(body))),
		Options:                &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	})
	if err != nil {
		c.t.Errorf("%s: the answer is not as documented: %.1000v\n%.300s", what, err, body)
	}
}

// withoutNullPages drops what the service was known to do other than its own
// document says: where there is no next page, meta.next is null, and a
// quantity comes back as it was sent.
func withoutNullPages(body []byte) []byte {
	var object map[string]any
	if json.Unmarshal(body, &object) != nil {
		return body
	}
	if meta, ok := object["meta"].(map[string]any); ok {
		for _, name := range []string{"next", "previous"} {
			if meta[name] == nil {
				delete(meta, name)
			}
		}
	}
	// A capacity check echoes the quantity as it was sent: a number for packngo.
	servers, _ := object["servers"].([]any)
	for _, server := range servers {
		if server, ok := server.(map[string]any); ok && server["quantity"] != nil {
			server["quantity"] = fmt.Sprint(server["quantity"])
		}
	}
	changed, err := json.Marshal(object)
	if err != nil {
		return body
	}
	return changed
}

// route finds the operation of a request. The most literal path wins.
func (c *checker) route(req *http.Request) (*routers.Route, map[string]string) {
	segments := strings.Split(strings.Trim(strings.TrimPrefix(req.URL.Path, "/metal/v1"), "/"), "/")
	var best *routers.Route
	var bestParams map[string]string
	for path, item := range c.doc.Paths.Map() {
		operation := item.GetOperation(req.Method)
		if operation == nil && req.Method == http.MethodPatch {
			// Packngo means PUT.
			operation = item.Put
		}
		template := strings.Split(strings.Trim(path, "/"), "/")
		if operation == nil || len(template) != len(segments) {
			continue
		}
		params := map[string]string{}
		matches := true
		for i := range template {
			if strings.HasPrefix(template[i], "{") {
				params[strings.Trim(template[i], "{}")] = segments[i]
			} else if template[i] != segments[i] {
				matches = false
			}
		}
		if matches && (best == nil || len(params) < len(bestParams)) {
			best = &routers.Route{Spec: c.doc, Path: path, PathItem: item, Method: req.Method, Operation: operation}
			bestParams = params
		}
	}
	return best, bestParams
}

// operationName is the name of an operation in the server's table.
func operationName(route *routers.Route) string {
	if route.Operation.OperationID == "" {
		// The document has no name for one of them.
		return "findBgpDynamicNeighborById"
	}
	return route.Operation.OperationID
}

func TestRoutesAreThoseOfTheDocument(t *testing.T) {
	doc := loadDocument(t)
	documented := map[string]string{}
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			documented[method+" "+path] = operation.OperationID
		}
	}
	for _, route := range apiserver.Routes() {
		key := route.Method + " " + route.Path
		operation, ok := documented[key]
		switch {
		case !ok:
			t.Errorf("the table has %s (%s) twice, or the document does not have it", key, route.Operation)
		case operation != route.Operation && operation != "":
			t.Errorf("%s is called %s, in the document %s", key, route.Operation, operation)
		}
		delete(documented, key)
	}
	for key, operation := range documented {
		t.Errorf("the table lacks %s (%s)", key, operation)
	}
}
