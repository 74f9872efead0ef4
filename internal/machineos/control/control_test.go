package control_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/machineos/control"
	"github.com/packetyard/packetyard/internal/machineos/kubelet"
	"github.com/packetyard/packetyard/internal/machineos/process"
)

func TestListenReplacesTheSocketOfAnEarlierBoot(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "run", "init.sock")
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := control.Listen(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
}

func TestRequests(t *testing.T) {
	reaper := process.NewReaper()
	off, reboot := false, false
	server := &control.Server{
		Reaper:   reaper,
		Kubelet:  kubelet.New(kubelet.Config{Root: t.TempDir(), Reaper: reaper, Now: time.Now, Printf: t.Logf}),
		Status:   func() control.Status { return control.Status{UserData: "succeeded", Uptime: "1m0s"} },
		PowerOff: func() { off = true }, Reboot: func() { reboot = true },
	}
	for _, test := range []struct {
		method, path string
		code         int
		body         string
	}{
		{http.MethodGet, "/status", http.StatusOK, `"userData":"succeeded"`},
		{http.MethodPost, "/kubelet/disable", http.StatusNoContent, ""},
		{http.MethodPost, "/kubelet/enable", http.StatusNoContent, ""},
		{http.MethodPost, "/kubelet/sing", http.StatusNotFound, ""},
		{http.MethodGet, "/kubelet/start", http.StatusMethodNotAllowed, ""},
		{http.MethodPost, "/power-off", http.StatusAccepted, ""},
		{http.MethodPost, "/reboot", http.StatusAccepted, ""},
		{http.MethodPost, "/exec", http.StatusUpgradeRequired, "Upgrade"},
	} {
		recorder := httptest.NewRecorder()
		server.Handler().ServeHTTP(recorder, httptest.NewRequest(test.method, test.path, nil))
		if recorder.Code != test.code || !strings.Contains(recorder.Body.String(), test.body) {
			t.Errorf("%s %s: %d %q, want %d", test.method, test.path, recorder.Code, recorder.Body.String(), test.code)
		}
	}
	if !off || !reboot {
		t.Errorf("power off %t, reboot %t, want both asked for", off, reboot)
	}
}
