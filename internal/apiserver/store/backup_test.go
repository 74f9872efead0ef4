package store_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/packetyard/packetyard/internal/apiserver/store"
)

// startEtcd runs an etcd for several stores, until the test ends.
func startEtcd(t testing.TB) []string {
	t.Helper()
	cfg := embed.NewConfig()
	cfg.Dir = t.TempDir()
	cfg.ListenPeerUrls = nil
	cfg.ListenClientUrls = []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	cfg.TickMs, cfg.ElectionMs = 20, 100
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	etcd, err := embed.StartEtcd(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(etcd.Close)
	select {
	case <-etcd.Server.ReadyNotify():
	case <-time.After(time.Minute):
		t.Fatal("etcd did not become ready")
	}
	return []string{"http://" + etcd.Clients[0].Addr().String()}
}

func config(dir string, endpoints ...string) store.Config {
	return store.Config{DataDir: dir, Endpoints: endpoints, Logger: slog.New(slog.DiscardHandler)}
}

// contents are the devices of a project, in their order, with what they have.
func contents(t testing.TB, s *store.Store) string {
	t.Helper()
	var text strings.Builder
	read(t, s, func(snapshot *store.Snapshot) {
		for _, row := range snapshot.Devices.In(store.InProject("p")) {
			data, err := json.Marshal(row.Value)
			if err != nil {
				t.Error(err)
			}
			fmt.Fprintf(&text, "%s events", data)
			for _, event := range snapshot.Events.In(store.OfDevice(row.Value.ID)) {
				fmt.Fprintf(&text, " %s", event.Value.ID)
			}
			text.WriteByte('\n')
		}
		for _, row := range snapshot.Tokens.All() {
			fmt.Fprintln(&text, row.Value.Hash)
		}
	})
	return text.String()
}

// someRecords makes devices, of which the order is neither that of their keys
// nor that of their last change.
func someRecords(t testing.TB, s *store.Store) {
	t.Helper()
	for _, ids := range [][]string{{"m"}, {"z", "b"}, {"a"}, {"k"}} {
		update(t, s, func(tx *store.Tx) error {
			for _, id := range ids {
				tx.Devices.Create(tx, &store.Device{ID: id, ProjectID: "p", Hostname: id, RootPassword: "secret"})
				tx.Events.Create(tx, &store.Event{ID: "event-" + id, DeviceID: id})
			}
			return nil
		})
	}
	update(t, s, func(tx *store.Tx) error {
		row, _ := tx.Devices.Get("z")
		device := *row.Value
		device.SetStep(0, time.Unix(1, 0))
		tx.Devices.Update(tx, row, &device)
		tx.Tokens.Create(tx, &store.Token{Hash: "hash", UserID: "u"})
		return nil
	})
}

func backup(t testing.TB, cfg store.Config) *bytes.Buffer {
	t.Helper()
	var file bytes.Buffer
	summary, err := store.Backup(t.Context(), cfg, &file)
	if err != nil {
		t.Fatal(err)
	}
	if summary.Schema != 2 || summary.Records < 11 || summary.Revision == 0 {
		t.Errorf("the backup is said to be %+v", summary)
	}
	return &file
}

// TestBackupAndRestore goes every way: out of an embedded store, running and
// not, and out of a cluster, into both.
func TestBackupAndRestore(t *testing.T) {
	// The path of the socket would be too long for the kernel.
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	s := open(t, dir)
	someRecords(t, s)
	want := contents(t, s)
	running := backup(t, config(dir))
	s.Close()
	if _, err := os.Stat(filepath.Join(dir, "backup.sock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after the server ended its socket is there: %v", err)
	}
	stopped := backup(t, config(dir))

	endpoints := startEtcd(t)
	for name, file := range map[string]*bytes.Buffer{"running": running, "stopped": stopped} {
		target := t.TempDir()
		if _, err := store.Restore(t.Context(), config(target), file, false); err != nil {
			t.Fatalf("restoring what was backed up %s: %v", name, err)
		}
		again := open(t, target)
		if got := contents(t, again); got != want {
			t.Errorf("backed up %s and restored there is\n%s, want\n%s", name, got, want)
		}
		again.Close()
		if name == "stopped" {
			if _, err := store.Restore(t.Context(), config("", endpoints...), backup(t, config(target)), false); err != nil {
				t.Fatal(err)
			}
		}
	}
	shared, err := store.Open(t.Context(), config("", endpoints...))
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	if got := contents(t, shared); got != want {
		t.Errorf("restored into a cluster there is\n%s, want\n%s", got, want)
	}
	last := t.TempDir()
	if _, err := store.Restore(t.Context(), config(last), backup(t, config("", endpoints...)), false); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, open(t, last)); got != want {
		t.Errorf("out of a cluster there is\n%s, want\n%s", got, want)
	}
}

func TestRestoreSparesWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	someRecords(t, s)
	file := backup(t, config(dir)).Bytes()
	update(t, s, func(tx *store.Tx) error {
		tx.Devices.Create(tx, &store.Device{ID: "later", ProjectID: "p"})
		return nil
	})
	if _, err := store.Restore(t.Context(), config(dir), bytes.NewReader(file), true); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("restoring under a running server: %v", err)
	}
	s.Close()
	if _, err := store.Restore(t.Context(), config(dir), bytes.NewReader(file), false); !errors.Is(err, store.ErrNotEmpty) {
		t.Errorf("restoring over records: %v, want %v", err, store.ErrNotEmpty)
	}
	s = open(t, dir)
	if got := contents(t, s); !strings.Contains(got, "later") {
		t.Errorf("after a refused restore there is\n%s", got)
	}
	s.Close()
	if _, err := store.Restore(t.Context(), config(dir), bytes.NewReader(file), true); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, open(t, dir)); strings.Contains(got, "later") {
		t.Errorf("after the restore there is\n%s", got)
	}
	if aside, err := filepath.Glob(filepath.Join(dir, "etcd.replaced-*")); err != nil || len(aside) != 1 {
		t.Errorf("the earlier records are at %v (%v), want one folder", aside, err)
	}
}

// TestADamagedBackupChangesNothing cuts a backup short, changes it, and gives
// what is none.
func TestADamagedBackupChangesNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	someRecords(t, s)
	file := backup(t, config(dir)).Bytes()
	s.Close()
	zip, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(zip)
	if err != nil {
		t.Fatal(err)
	}
	squeeze := func(text string) []byte {
		var out bytes.Buffer
		zip := gzip.NewWriter(&out)
		if _, err := io.WriteString(zip, text); err != nil || zip.Close() != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	lines := strings.SplitAfter(string(plain), "\n")
	for name, data := range map[string][]byte{
		"empty": {}, "cut": file[:len(file)/2], "text": []byte("hello"),
		"changed":        squeeze(strings.Replace(string(plain), `"secret"`, `"public"`, 1)),
		"without a line": squeeze(strings.Join(append(lines[:3:3], lines[4:]...), "")),
		"without end":    squeeze(strings.Join(lines[:len(lines)-2], "")),
		"with more":      squeeze(string(plain) + "{}\n"),
		"another format": squeeze(strings.Replace(string(plain), "packetyard-backup", "something", 1)),
	} {
		target := t.TempDir()
		if _, err := store.Restore(t.Context(), config(target), bytes.NewReader(data), false); !errors.Is(err, store.ErrBadBackup) {
			t.Errorf("%s: %v, want %v", name, err, store.ErrBadBackup)
		}
		if files, err := os.ReadDir(target); err != nil || len(files) > 0 {
			t.Errorf("%s: it left %v (%v)", name, files, err)
		}
	}
	newer := squeeze(strings.Replace(string(plain), `"schema":2`, `"schema":9`, 1))
	if _, err := store.Verify(bytes.NewReader(newer)); !errors.Is(err, store.ErrNewerSchema) {
		t.Errorf("records of a later version: %v, want %v", err, store.ErrNewerSchema)
	}
}
