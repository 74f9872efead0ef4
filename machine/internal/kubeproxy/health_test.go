package kubeproxy

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestHealthAnswersOnceServicesAreServed(t *testing.T) {
	h := newHealth("", func() time.Time { return time.Unix(1, 0) })
	status := func() int {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/healthz", nil))
		return w.Code
	}
	if got := status(); got != http.StatusServiceUnavailable {
		t.Errorf("before the first update: %d", got)
	}
	h.updated()
	if got := status(); got != http.StatusOK {
		t.Errorf("after the first update: %d", got)
	}
}
