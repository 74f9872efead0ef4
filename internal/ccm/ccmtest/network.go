// Package ccmtest is what the tests of the cloud controller manager's parts
// share.
package ccmtest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// Network is the way between the cloud controller manager and the Packet API:
// it remembers what goes over it, and can be spoilt.
type Network struct {
	// URL is what to take for the API's.
	URL string

	mu       sync.Mutex
	requests []string
	fault    Fault
}

// Fault spoils a request: it answers, and says so, or lets it pass. The handler
// is the way on to the API.
type Fault func(w http.ResponseWriter, r *http.Request, pass http.Handler) (spoilt bool)

// NewNetwork makes a way to an API, until the test ends.
func NewNetwork(t testing.TB, api string) *Network {
	t.Helper()
	target, err := url.Parse(api)
	if err != nil {
		t.Fatalf("parsing the API's URL: %v", err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = target.Scheme, target.Host, target.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	n := &Network{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.mu.Lock()
		n.requests = append(n.requests, r.Method+" "+strings.TrimPrefix(r.URL.Path, target.Path))
		fault := n.fault
		n.mu.Unlock()
		if fault == nil || !fault(w, r, proxy) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	n.URL = server.URL + target.Path
	return n
}

// Spoil sets what fails from now on, nothing if nil.
func (n *Network) Spoil(f Fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fault = f
}

// Take gives the requests since the last time, as method and path below the
// API's URL.
func (n *Network) Take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	taken := n.requests
	n.requests = nil
	return taken
}

// Refuse answers as the API does when it refuses.
func Refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"errors":["`+text+`"]}`)
}

// OneInFive spoils every fifth request, in turn in one of six ways: too many
// requests, a failure, a connection that is lost before the request is carried
// out and one that is lost after, silence, and half an answer.
func OneInFive() Fault {
	var mu sync.Mutex
	count := 0
	return func(w http.ResponseWriter, r *http.Request, pass http.Handler) bool {
		mu.Lock()
		count++
		n := count
		mu.Unlock()
		if n%5 != 0 {
			return false
		}
		switch n / 5 % 6 {
		case 0:
			Refuse(w, http.StatusTooManyRequests, "Too many requests")
		case 1:
			Refuse(w, http.StatusInternalServerError, "Oh snap")
		case 2:
			panic(http.ErrAbortHandler)
		case 3:
			// It happens, and nobody hears of it.
			pass.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		case 4:
			// Only who has read the request hears that the client has gone.
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		case 5:
			whole := httptest.NewRecorder()
			pass.ServeHTTP(whole, r)
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			w.WriteHeader(whole.Code)
			_, _ = w.Write(whole.Body.Bytes()[:whole.Body.Len()/2])
		}
		return true
	}
}

// Gone is an API that is not there.
func Gone() Fault {
	return func(http.ResponseWriter, *http.Request, http.Handler) bool { panic(http.ErrAbortHandler) }
}
