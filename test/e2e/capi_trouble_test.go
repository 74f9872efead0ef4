//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// controllable is the argument of `up` that makes the Packet API server take
// orders about faults.
func controllable(t *testing.T) string {
	t.Helper()
	settings := filepath.Join(t.TempDir(), "packet-api-server.yaml")
	if err := os.WriteFile(settings, []byte("control: true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return "--api-settings=" + settings
}

// ask sends a request to the API server and returns its answer. The path
// begins with /metal/v1/ or /_packetyard/.
func (y *yard) ask(ctx context.Context, t *testing.T, method, path string, body any) ([]byte, error) {
	t.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	address := strings.TrimSuffix(y.report(t).APIURL(), "/metal/v1") + path
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Auth-Token", y.credentials(t).APIToken)
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %s", method, path, answer.Status, content)
	}
	return content, err
}

// ownToken gives the provider, and with it the cloud controller managers of
// its clusters, a token of their own, so that faults can be theirs alone. It
// returns what fault rules call it.
func (y *yard) ownToken(t *testing.T, management string) string {
	t.Helper()
	const caller = "the provider's"
	answer, err := y.ask(t.Context(), t, http.MethodPost, "/metal/v1/projects/"+y.credentials(t).ProjectID+"/api-keys", map[string]string{"description": caller})
	if err != nil {
		t.Fatal(err)
	}
	var key struct{ Token string }
	if err := json.Unmarshal(answer, &key); err != nil || key.Token == "" {
		t.Fatalf("the new API key has no token, %v", err)
	}
	patch, err := json.Marshal(corev1.Secret{StringData: map[string]string{"apiToken": key.Token}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "patch.json")
	if err := os.WriteFile(file, patch, 0o600); err != nil {
		t.Fatal(err)
	}
	y.kubectl(t, management, "patch", "secret", "packet-api-credentials", "--namespace", providerNamespace, "--patch-file", file)
	return caller
}

// oneInFive makes one call in five of a caller fail, in each of the ways in
// which calls fail: refused for its rate, failed, cut off before it was
// carried out and after.
func (y *yard) oneInFive(t *testing.T, caller string) {
	t.Helper()
	// A rule is asked only where the ones before it let the call pass, so the
	// shares add up to one in five.
	for seed, rule := range []map[string]any{
		{"status": 429, "retry_after": 1, "errors": []string{"Too many requests"}},
		{"status": 500},
		{"reset": true},
		{"reset": true, "after_handling": true},
	} {
		rule["id"], rule["caller"], rule["seed"], rule["probability"] = fmt.Sprintf("trouble-%d", seed), caller, seed+1, 0.06
		if _, err := y.ask(t.Context(), t, http.MethodPost, "/_packetyard/faults", rule); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		content, err := y.ask(context.Background(), t, http.MethodGet, "/_packetyard/faults", nil)
		t.Logf("faults: %s, %v", content, err)
	})
}

// killing kills the provider's manager at random moments until the returned
// function is called.
func (y *yard) killing(t *testing.T, management string, from, to time.Duration) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	kills := 0
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(from + rand.N(to-from)):
			}
			// Without a grace period the kubelet sends SIGKILL.
			if _, err := y.tryKubectl(ctx, management, "delete", "pods", "--all", "--namespace", providerNamespace, "--grace-period=0", "--force"); err == nil {
				kills++
			}
		}
	}()
	end = func() {
		cancel()
		<-done
	}
	t.Cleanup(func() {
		end()
		t.Logf("the manager was killed %d times", kills)
	})
	return end
}
