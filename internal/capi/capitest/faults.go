package capitest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Fault decides what happens to a request on its way to the Packet API. It is asked for every request, in order.
type Fault func(*http.Request) Verdict

// Verdict is what happens to a request.
type Verdict struct {
	// Status, if set, is answered instead of asking the API, with Body and Header.
	Status int
	Body   string
	Header map[string]string
	// Lose lets the API carry the request out and then breaks the connection, so that the answer is lost.
	Lose bool
	// After is called when the API has carried the request out, before its answer goes on.
	After func()
}

// Network is the way between the provider and the Packet API: it can break, and it remembers what went over it.
type Network struct {
	// URL is what the provider is told to be the API's.
	URL string

	mutex    sync.Mutex
	fault    Fault
	requests []Request
}

// Request is a request that went over the network.
type Request struct {
	Method string
	// Path is without the prefix of the API.
	Path string
	Body string
}

// newNetwork makes a way to an API.
func newNetwork(t testing.TB, api string) *Network {
	t.Helper()
	target, err := url.Parse(api)
	if err != nil {
		t.Fatalf("parsing the API's URL: %v", err)
	}
	n := &Network{}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
			r.Out.Host = target.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		verdict := n.judge(r, strings.TrimPrefix(r.URL.Path, target.Path), string(body))
		if verdict.Status != 0 {
			w.Header().Set("Content-Type", "application/json")
			for name, value := range verdict.Header {
				w.Header().Set(name, value)
			}
			w.WriteHeader(verdict.Status)
			_, _ = io.WriteString(w, verdict.Body)
			return
		}
		if !verdict.Lose && verdict.After == nil {
			proxy.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		proxy.ServeHTTP(answer, r)
		if verdict.After != nil {
			verdict.After()
		}
		if verdict.Lose {
			panic(http.ErrAbortHandler)
		}
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}))
	t.Cleanup(server.Close)
	n.URL = server.URL + target.Path
	return n
}

func (n *Network) judge(r *http.Request, path, body string) Verdict {
	n.mutex.Lock()
	n.requests = append(n.requests, Request{Method: r.Method, Path: path, Body: body})
	fault := n.fault
	n.mutex.Unlock()
	if fault == nil {
		return Verdict{}
	}
	return fault(r)
}

// Break sets what happens to requests from now on; nil mends the network.
func (n *Network) Break(fault Fault) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.fault = fault
}

// Requests are those of a method whose path ends in something.
func (n *Network) Requests(method, pathSuffix string) []Request {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	var found []Request
	for _, request := range n.requests {
		if request.Method == method && strings.HasSuffix(request.Path, pathSuffix) {
			found = append(found, request)
		}
	}
	return found
}

// IsCreation tells whether a request asks for a new device.
func IsCreation(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/devices")
}

// First gives one verdict to the first few requests that match, and lets all others pass.
func First(count int, match func(*http.Request) bool, verdict Verdict) Fault {
	var mutex sync.Mutex
	return func(r *http.Request) Verdict {
		mutex.Lock()
		defer mutex.Unlock()
		if count == 0 || !match(r) {
			return Verdict{}
		}
		count--
		return verdict
	}
}

// Numbered asks for the verdict of each request with its number, the first being 1.
func Numbered(judge func(number int, r *http.Request) Verdict) Fault {
	var count atomic.Int64
	return func(r *http.Request) Verdict { return judge(int(count.Add(1)), r) }
}

// OneInFive has one request in five fail, each time in another way: an error of the API, an answer that is lost after the
// request was carried out, and the demand to wait.
func OneInFive() Fault {
	return Numbered(func(number int, _ *http.Request) Verdict {
		switch number % 15 {
		case 3:
			return Verdict{Status: http.StatusInternalServerError, Body: `{"errors":["oops"]}`}
		case 8:
			return Verdict{Lose: true}
		case 13:
			return Verdict{Status: http.StatusTooManyRequests, Body: `{"errors":["slow down"]}`, Header: map[string]string{"Retry-After": "1"}}
		default:
			return Verdict{}
		}
	})
}

// KilledAfter is what the API sees of a process that is killed: it carries out so many requests, the answer to the last of
// which nobody hears, and gets none after it. The channel closes when that has happened.
func KilledAfter(requests int) (Fault, <-chan struct{}) {
	killed := make(chan struct{})
	return Numbered(func(number int, _ *http.Request) Verdict {
		switch {
		case number < requests:
			return Verdict{}
		case number == requests:
			return Verdict{Lose: true, After: func() { close(killed) }}
		default:
			return Verdict{Status: http.StatusBadGateway}
		}
	}), killed
}
