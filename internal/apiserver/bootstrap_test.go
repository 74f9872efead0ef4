package apiserver_test

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/internal/machines/none"
	"github.com/packetyard/packetyard/pkg/packet"
)

// TestServersThatStartAtOnceMakeOneProject has three first starts on one etcd.
func TestServersThatStartAtOnceMakeOneProject(t *testing.T) {
	endpoints := apiservertest.StartEtcd(t)
	var wait sync.WaitGroup
	servers := make([]*apiserver.Server, 3)
	for i := range servers {
		dir := t.TempDir()
		wait.Go(func() {
			var err error
			servers[i], err = apiserver.New(t.Context(), apiserver.Config{
				ListenAddress: "127.0.0.1:0", DataDir: dir, EtcdEndpoints: endpoints, Driver: none.New(), Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if t.Failed() {
		return
	}
	for _, server := range servers {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if got, want := server.Credentials().ProjectID, servers[0].Credentials().ProjectID; got != want {
			t.Errorf("servers that started at once have the projects %s and %s", got, want)
		}
	}
	records, err := store.Open(t.Context(), store.Config{Endpoints: endpoints, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer records.Close()
	if err := records.Read(t.Context(), func(s *store.Snapshot) error {
		if s.Projects.Len() != 1 || s.Users.Len() != 1 || s.Organizations.Len() != 1 || s.Tokens.Len() != 3 {
			t.Errorf("there are %d projects, %d users, %d organizations and %d tokens, want 1, 1, 1 and one for each server",
				s.Projects.Len(), s.Users.Len(), s.Organizations.Len(), s.Tokens.Len())
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// TestATokenIsInAFileBeforeItIsInTheStore has a server that died after it made
// its first token and before it wrote credentials.json: the next start goes on
// with that token, and none is left that nobody knows.
func TestATokenIsInAFileBeforeItIsInTheStore(t *testing.T) {
	dir := t.TempDir()
	first := apiservertest.Start(t, apiservertest.Options{DataDir: dir})
	first.Stop(t)
	made := filepath.Join(dir, apiserver.CredentialsFile)
	data, err := os.ReadFile(made)
	if err != nil {
		t.Fatal(err)
	}
	var credentials packet.Credentials
	if err := json.Unmarshal(data, &credentials); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(made, made+".new"); err != nil {
		t.Fatal(err)
	}
	again := apiservertest.Start(t, apiservertest.Options{DataDir: dir})
	if again.Token != credentials.APIToken || again.ProjectID != credentials.ProjectID {
		t.Error("the next start has another token or project")
	}
	again.Stop(t)
	if files, err := filepath.Glob(made + "*"); err != nil || len(files) != 1 {
		t.Errorf("the files of credentials are %v (%v), want one", files, err)
	}
	records, err := store.Open(t.Context(), store.Config{DataDir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer records.Close()
	records.Peek(func(s *store.Snapshot) {
		if s.Tokens.Len() != 1 {
			t.Errorf("there are %d tokens, want the one in use", s.Tokens.Len())
		}
	})
}
