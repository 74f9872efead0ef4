package apiserver

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// controlPrefix is where the routes are that are no part of the Packet API.
const controlPrefix = "/_packetyard/"

// controlHandler serves the control routes that are always there.
func (s *Server) controlHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+controlPrefix+"health", func(w http.ResponseWriter, _ *http.Request) {
		writeStatus(w, http.StatusOK, `{"status":"ok"}`)
	})
	mux.HandleFunc("GET "+controlPrefix+"ready", func(w http.ResponseWriter, _ *http.Request) {
		if waiting := s.waitingFor(); waiting != "" {
			writeStatus(w, http.StatusServiceUnavailable, `{"status":"starting","waiting_for":"`+waiting+`"}`)
			return
		}
		writeStatus(w, http.StatusOK, `{"status":"ready"}`)
	})
	mux.Handle("GET "+controlPrefix+"metrics", promhttp.HandlerFor(s.api.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeStatus(w, http.StatusNotFound, `{"errors":["Not found"]}`)
	})
	return mux
}

func writeStatus(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}
