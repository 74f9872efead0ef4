package apiserver

import (
	"net/http"
	"slices"
	"strings"
)

// handler answers one operation.
type handler func(*API, *request) (response, error)

// router finds the operation that a request asks for. What is done with the
// request then is in exchange.go.
type router struct {
	api  *API
	edge edge
	mux  *http.ServeMux
	// unknown is for what is no path of the API.
	unknown *operation
	// chunks are what long answers are put together in.
	chunks chunks
	pages  pages
}

// operation is a route with what is the same for all its requests.
type operation struct {
	Route
	// parameter is the name of the path's first parameter, empty for none.
	parameter string
	// reads is true where nothing can change, so that nothing is audited.
	reads    bool
	measured operationMetrics
}

func newRouter(api *API, edge edge) *router {
	r := &router{api: api, edge: edge, mux: http.NewServeMux()}
	for _, route := range Routes() {
		op := &operation{
			Route:     route,
			parameter: firstParameter(route.Path),
			reads:     route.Method == http.MethodGet || changesNothing(route.Operation),
		}
		// The API is served with and without its prefix, since packngo was used
		// with both.
		path := muxPath(route.Path)
		for _, method := range route.methods() {
			for _, pattern := range []string{method + " " + prefix + path, method + " " + path} {
				r.mux.HandleFunc(pattern, func(w http.ResponseWriter, req *http.Request) { r.serve(w, req, op) })
			}
		}
	}
	r.unknown = &operation{Route: Route{Operation: "unknown"}, reads: true}
	r.mux.HandleFunc(everything, r.serveUnknown)
	return r
}

// everything is the mux's pattern for the paths that no other is for.
const everything = "/"

// muxPath names the only parameter of a path id, which is what handlers ask
// for, whatever the document calls it.
func muxPath(path string) string {
	if strings.Count(path, "{") != 1 {
		return path
	}
	first, end := strings.IndexByte(path, '{'), strings.IndexByte(path, '}')
	return path[:first] + "{id}" + path[end+1:]
}

// firstParameter is what muxPath calls the first parameter of a path.
func firstParameter(path string) string {
	_, rest, _ := strings.Cut(muxPath(path), "{")
	name, _, _ := strings.Cut(rest, "}")
	return name
}

// ServeHTTP serves the API. Paths that are not as they are written in the API
// name nothing in it: net/http would redirect them, with a page of HTML.
func (r *router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if path := req.URL.Path; path == "" || path[0] != '/' || strings.Contains(path, "//") || strings.Contains(path, "/.") {
		r.serve(w, req, r.unknown)
		return
	}
	r.mux.ServeHTTP(w, req)
}

// serveUnknown refuses what is no operation: a path of the API with a method
// that it does not have, or none of its paths.
func (r *router) serveUnknown(w http.ResponseWriter, req *http.Request) {
	allowed := r.methods(req)
	if len(allowed) == 0 {
		r.serve(w, req, r.unknown)
		return
	}
	r.serve(w, req, &operation{Route: Route{Operation: "unknown", handle: wrongMethod(allowed)}, reads: true})
}

// methods are those that a path has an operation for.
func (r *router) methods(req *http.Request) []string {
	var allowed []string
	for _, method := range []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
	} {
		probe := &http.Request{Method: method, URL: req.URL, Host: req.Host}
		if _, pattern := r.mux.Handler(probe); pattern != everything {
			allowed = append(allowed, method)
		}
	}
	return allowed
}

// wrongMethod says which methods there are (RFC 9110, section 15.5.6).
func wrongMethod(allowed []string) handler {
	return func(_ *API, r *request) (response, error) {
		if slices.Contains(allowed, r.http.Method) {
			return response{}, errNotFound()
		}
		list := strings.Join(allowed, ", ")
		return response{}, &apiError{
			status:   http.StatusMethodNotAllowed,
			messages: []string{"Method " + shortened(r.http.Method) + " is not one of those that this path has: " + list},
			header:   http.Header{"Allow": {list}},
		}
	}
}
