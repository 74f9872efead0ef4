package apiserver_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
)

// TestMetadataListenAddress asks at the address that machines of somebody
// else's making are given. Nobody has the address that the test asks from.
func TestMetadataListenAddress(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{Configure: func(cfg *apiserver.Config) { cfg.MetadataListenAddress = "127.0.0.1:0" }})
	answer, err := http.Get("http://" + server.MetadataAddress() + "/metadata")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusNotFound || !strings.HasPrefix(answer.Header.Get("Content-Type"), "application/json") {
		t.Errorf("a stranger is answered %s, %s", answer.Status, answer.Header.Get("Content-Type"))
	}
	if server := apiservertest.Start(t, apiservertest.Options{}); server.MetadataAddress() != "" {
		t.Errorf("a server that was not asked to serves metadata at %s", server.MetadataAddress())
	}
}
