package store

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// seed puts entries into the embedded etcd of a data directory.
func seed(t *testing.T, dir string, entries []entry) {
	t.Helper()
	client, stop, err := openEmbedded(t.Context(), Config{DataDir: dir, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if err := writeEntries(t.Context(), client, entries); err != nil {
		t.Fatal(err)
	}
}

// recorded are the records that a server of version 1 wrote: a project with a
// key, addresses and BGP, and four devices. One is active, with userdata, one
// was switched off, one installed twice, and of one the server died while it
// was installed.
func recorded(t *testing.T) []entry {
	t.Helper()
	file, err := os.Open("testdata/v1.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var entries []entry
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var line struct {
			Key     string          `json:"key"`
			Created int64           `json:"created"`
			Value   json.RawMessage `json:"value"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		entries = append(entries, entry{line.Key, line.Created, line.Value})
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return entries
}

func TestMigrationOfRecordedVersion1(t *testing.T) {
	dir := t.TempDir()
	seed(t, dir, recorded(t))
	for range 2 { // The second time there is nothing left to migrate.
		s, err := Open(t.Context(), Config{DataDir: dir, Logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		checkMigrated(t, s)
		s.Close()
	}
	client, stop, err := openEmbedded(t.Context(), Config{DataDir: dir, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	answer, err := client.Get(t.Context(), placeOf(1), clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil || answer.Count != 0 {
		t.Errorf("%d records of version 1 are left (%v)", answer.Count, err)
	}
}

func checkMigrated(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Read(t.Context(), func(snapshot *Snapshot) error {
		var got []string
		for _, row := range snapshot.Devices.In(InProject("b03a20c3-7400-449c-ac65-3268917ad3a7")) {
			d := row.Value
			kinds := map[string]int{}
			for _, event := range snapshot.Events.In(OfDevice(d.ID)) {
				kind, _, _ := strings.Cut(event.Value.Type, ".")
				kinds[fmt.Sprintf("%s/%d", kind, event.Value.Installation)]++
			}
			got = append(got, fmt.Sprintf("%s %s %d steps %v", d.Hostname, d.State, d.StepEvents(), kinds))
			if addresses := len(snapshot.AddressesOf(d.ID)); addresses < 3 {
				t.Errorf("%s has %d addresses", d.Hostname, addresses)
			}
		}
		want := []string{
			"first active 10 steps map[]",
			"second inactive 10 steps map[power/1:3]",
			"third active 10 steps map[provisioning/1:10]",
			"fourth provisioning 3 steps map[]",
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("the devices are\n%q, want\n%q", got, want)
		}
		first := snapshot.Devices.All()[0].Value
		if first.Userdata != "#!/bin/sh\n" || len(first.Tags) != 1 || string(first.CustomData) != `{"a":1}` {
			t.Errorf("the first device is %+v", first)
		}
		if snapshot.Tokens.Len() != 1 || snapshot.BGPSessions.Len() != 1 || snapshot.SSHKeys.Len() != 1 || snapshot.Assignments.Len() != 13 {
			t.Errorf("%d tokens, %d BGP sessions, %d SSH keys, %d assignments",
				snapshot.Tokens.Len(), snapshot.BGPSessions.Len(), snapshot.SSHKeys.Len(), snapshot.Assignments.Len())
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// TestABrokenOffMigrationBeginsAnew has what a migration leaves that died
// before it said that it was done.
func TestABrokenOffMigrationBeginsAnew(t *testing.T) {
	dir := t.TempDir()
	entries := recorded(t)
	half := append(entries, entry{placeOf(2) + "devices/half", 1 << 40, []byte(`{"id":"half"}`)},
		entry{placeOf(2) + "projects/half", 1 << 40, []byte(`{"id":"half"`)})
	seed(t, dir, half)
	s, err := Open(t.Context(), Config{DataDir: dir, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	checkMigrated(t, s)
}

func TestANewerStoreIsRefusedAndKept(t *testing.T) {
	dir := t.TempDir()
	newer := []entry{{schemaKey, 1, []byte("3")}, {placeOf(3) + "devices/d", 2, []byte("who knows")}}
	seed(t, dir, newer)
	_, err := Open(t.Context(), Config{DataDir: dir, Logger: quiet()})
	if !errors.Is(err, ErrNewerSchema) || !strings.Contains(err.Error(), "version 3, and this program knows up to 2") {
		t.Fatalf("opening it: %v, want %v with both versions", err, ErrNewerSchema)
	}
	client, stop, err := openEmbedded(t.Context(), Config{DataDir: dir, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	after, _, err := readEntries(t.Context(), client, top)
	if err != nil || len(after) != len(newer) {
		t.Errorf("after it was refused there are %d keys (%v), want %d", len(after), err, len(newer))
	}
}

// TestABrokenOffRestoreIsNotStarted has what a restore leaves that died on the
// way.
func TestABrokenOffRestoreIsNotStarted(t *testing.T) {
	dir := t.TempDir()
	seed(t, dir, []entry{{schemaKey, 1, []byte(restoring)}, {root + "projects/p", 2, []byte(`{"id":"p"}`)}})
	if _, err := Open(t.Context(), Config{DataDir: dir, Logger: quiet()}); !errors.Is(err, errBrokenOff) {
		t.Errorf("opening it: %v, want %v", err, errBrokenOff)
	}
}
