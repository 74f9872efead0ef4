package loadbalancers

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// fault is how a request to the Packet API goes wrong.
type fault int

const (
	fine fault = iota
	tooMany
	internalError
	// brokenBefore breaks before the API has the request, lostAnswer after.
	brokenBefore
	lostAnswer
	// silenceBefore and silenceAfter leave the client waiting until it gives up.
	silenceBefore
	silenceAfter
	// halfAPage ends in the middle of the answer.
	halfAPage
	faults
)

// network is the way to the Packet API: it counts what goes over it, and can
// break as the test says.
type network struct {
	url string

	mu sync.Mutex
	// fault is asked for each request, nil means that all is fine.
	fault  func(*http.Request) fault
	counts map[string]int
}

func newNetwork(t testing.TB, api string) *network {
	t.Helper()
	target, err := url.Parse(api)
	if err != nil {
		t.Fatal(err)
	}
	n := &network{counts: map[string]int{}}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = target.Scheme, target.Host, target.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.serve(proxy, target.Path, w, r)
	}))
	t.Cleanup(server.Close)
	n.url = server.URL + target.Path
	return n
}

func (n *network) serve(api http.Handler, base string, w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	n.counts[operation(r, base)]++
	judge := n.fault
	n.mu.Unlock()
	verdict := fine
	if judge != nil {
		verdict = judge(r)
	}
	// Read here, so that the end of the client is noticed.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	refuse := func(status int) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"errors":["%s"]}`, http.StatusText(status))
	}
	switch verdict {
	case fine:
		api.ServeHTTP(w, r)
	case tooMany:
		refuse(http.StatusTooManyRequests)
	case internalError:
		refuse(http.StatusInternalServerError)
	case brokenBefore:
		panic(http.ErrAbortHandler)
	case silenceBefore:
		<-r.Context().Done()
	default:
		answer := httptest.NewRecorder()
		api.ServeHTTP(answer, r.WithContext(context.WithoutCancel(r.Context())))
		switch verdict {
		case silenceAfter:
			<-r.Context().Done()
		case halfAPage:
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", strconv.Itoa(answer.Body.Len()+1))
			w.WriteHeader(answer.Code)
			_, _ = w.Write(answer.Body.Bytes()[:answer.Body.Len()/2])
		}
		panic(http.ErrAbortHandler)
	}
}

// operation names a request by its method and the kind of its path.
func operation(r *http.Request, base string) string {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, base), "/")
	for i, part := range parts {
		if len(part) == 36 {
			parts[i] = "{id}"
		}
	}
	return r.Method + " " + strings.Join(parts, "/")
}

const (
	listIPs   = "GET /projects/{id}/ips"
	reserveIP = "POST /projects/{id}/ips"
	releaseIP = "DELETE /ips/{id}"
	readIP    = "GET /ips/{id}"
)

// count is how often something was asked, or everything for "".
func (n *network) count(operation string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	total := 0
	for name, count := range n.counts {
		if operation == "" || name == operation {
			total += count
		}
	}
	return total
}

func (n *network) reset() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.counts = map[string]int{}
}

// breakBy sets how requests go wrong from now on; nil ends it.
func (n *network) breakBy(fault func(*http.Request) fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fault = fault
}

// oneInFive makes one request in five go wrong, in all ways in turn and by
// chance when.
func oneInFive(seed uint64) func(*http.Request) fault {
	var mu sync.Mutex
	chance := rand.New(rand.NewPCG(seed, seed))
	next := tooMany
	return func(*http.Request) fault {
		mu.Lock()
		defer mu.Unlock()
		if chance.IntN(5) > 0 {
			return fine
		}
		verdict := next
		if next++; next == faults {
			next = tooMany
		}
		return verdict
	}
}
