package main

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzConfig reads anything as the file of --config: what names no setting, or
// has no value for it, is an error, and nothing else happens.
func FuzzConfig(f *testing.F) {
	for _, seed := range []string{
		"listen-address: 127.0.0.1:0\n", "etcd-endpoints: [http://a:1, http://b:2]\n", "rate-limit: -1\n", "control: maybe\n", "a: {b: c}\n", "[]", "log-level: ~\n",
	} {
		f.Add([]byte(seed))
	}
	path := filepath.Join(f.TempDir(), "config.yaml")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		_ = readConfig(path, command().Flags())
	})
}
