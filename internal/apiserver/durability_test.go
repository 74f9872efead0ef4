package apiserver_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/machines/none"
	"github.com/packetyard/packetyard/pkg/packet"
)

// allDevices reads the devices as JSON, to compare before with after.
func allDevices(t testing.TB, server *apiservertest.Server) string {
	t.Helper()
	devices, err := server.Client(t).Devices(t.Context(), server.ProjectID, packet.DeviceFilter{})
	if err != nil {
		t.Fatal(err)
	}
	ips, err := server.Client(t).IPReservations(t.Context(), server.ProjectID, packet.Include("assignments"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := server.Client(t).ProjectSSHKeys(t.Context(), server.ProjectID)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.MarshalIndent([]any{devices, ips, keys}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestRestartLosesNothing(t *testing.T) {
	dir := t.TempDir()
	server := apiservertest.Start(t, apiservertest.Options{DataDir: dir})
	c := server.Client(t)
	create := order("kept")
	create.Userdata, create.Tags, create.CustomData = "#!/bin/sh\n", []string{"x"}, json.RawMessage(`{"a":1}`)
	device := activeDevice(t, c, server.ProjectID, create)
	if _, err := c.CreateProjectSSHKey(t.Context(), server.ProjectID, packet.SSHKeyCreate{Label: "k", Key: testKey}); err != nil {
		t.Fatal(err)
	}
	reservation, err := c.CreateIPReservation(t.Context(), server.ProjectID, packet.IPReservationCreate{
		Type: packet.IPTypePublicIPv4, Quantity: 1, Metro: "da", Tags: []string{"endpoint"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.AssignIP(t.Context(), device.ID, reservation.Address); err != nil {
		t.Fatal(err)
	}
	before := allDevices(t, server)
	server.Stop(t)

	again := apiservertest.Start(t, apiservertest.Options{DataDir: dir})
	if again.Token != server.Token || again.ProjectID != server.ProjectID {
		t.Errorf("after a restart the token or the project is another")
	}
	if after := allDevices(t, again); after != before {
		t.Errorf("after a restart there is\n%s\nand before there was\n%s", after, before)
	}
}

func TestCredentials(t *testing.T) {
	dir := t.TempDir()
	options := apiservertest.Options{DataDir: dir, Token: "fixed-token", ProjectID: "b03a20c3-7400-449c-ac65-3268917ad3a7"}
	server := apiservertest.Start(t, options)
	path := filepath.Join(dir, apiserver.CredentialsFile)
	read := func() (credentials packet.Credentials) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &credentials); err != nil {
			t.Fatal(err)
		}
		return credentials
	}
	want := packet.Credentials{APIURL: server.URL, APIToken: "fixed-token", ProjectID: options.ProjectID}
	if got := read(); got != want {
		t.Errorf("credentials are %+v, want %+v", got, want)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the mode of the credentials is %v (%v), want 0600", info.Mode(), err)
	}
	server.Stop(t)

	// The token itself is nowhere in the store.
	err = filepath.WalkDir(filepath.Join(dir, "etcd"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if strings.Contains(string(data), "fixed-token") {
			t.Errorf("%s holds the token", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}

	// Without the file there is another token, for the same project.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	server = apiservertest.Start(t, apiservertest.Options{DataDir: dir})
	if server.Token == "fixed-token" || server.ProjectID != options.ProjectID {
		t.Errorf("without its file the server has the credentials %v", server.Credentials())
	}
	if _, err := server.Client(t).Project(t.Context(), server.ProjectID); err != nil {
		t.Error(err)
	}
	server.Stop(t)
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = apiserver.New(t.Context(), apiserver.Config{ListenAddress: "127.0.0.1:0", DataDir: dir, Driver: none.New()})
	if err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("credentials that are no JSON: %v, want an error with the path", err)
	}
}

func TestWrongConfiguration(t *testing.T) {
	t.Parallel() // It waits for an etcd that is not there.
	for text, cfg := range map[string]apiserver.Config{
		"data directory is empty":       {Driver: none.New()},
		"machine driver is missing":     {DataDir: t.TempDir()},
		`listen address "here"`:         {DataDir: t.TempDir(), Driver: none.New(), ListenAddress: "here"},
		`profile "quick" is not one of`: {DataDir: t.TempDir(), Driver: none.New(), Profile: "quick"},
		`project ID "p1" is not a UUID`: {DataDir: t.TempDir(), Driver: none.New(), ProjectID: "p1"},
		"an HTTP header cannot carry":   {DataDir: t.TempDir(), Driver: none.New(), Token: "a b"},
		"connecting to etcd at http://127.0.0.1:1": {DataDir: t.TempDir(), Driver: none.New(), ListenAddress: "127.0.0.1:0",
			EtcdEndpoints: []string{"http://127.0.0.1:1"}},
	} {
		if _, err := apiserver.New(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v, want an error with %q", err, text)
		}
	}
}

// blocks collects all blocks of addresses that are in somebody's hands, and
// complains about those that overlap.
func checkBlocks(t testing.TB, devices []packet.Device, reservations []packet.IPReservation) {
	t.Helper()
	holders := map[string]string{}
	take := func(address, holder string) {
		if other, taken := holders[address]; taken {
			t.Errorf("%s is handed out to %s and to %s", address, other, holder)
		}
		holders[address] = holder
	}
	for _, device := range devices {
		if len(device.IPAddresses) != 3 {
			t.Errorf("device %s has %d addresses, want 3", device.ID, len(device.IPAddresses))
		}
		for _, ip := range device.IPAddresses {
			take(ip.Address, "device "+device.ID)
			take(ip.Gateway, "gateway of "+device.ID)
		}
	}
	private := map[string]int{}
	for _, r := range reservations {
		block := netip.MustParsePrefix(fmt.Sprintf("%s/%d", r.Network, r.CIDR))
		switch {
		case r.Type == packet.IPTypePrivateIPv4 || r.Type == packet.IPTypePublicIPv6:
			take(block.String(), "reservation "+r.ID)
			private[r.Type+r.Metro.Code]++
		case !r.Management:
			for address := block.Addr(); block.Contains(address); address = address.Next() {
				take(address.String(), "reservation "+r.ID)
			}
		}
	}
	if private[packet.IPTypePublicIPv6+"da"] > 1 {
		t.Errorf("the project has %d IPv6 blocks in one metro, want 1", private[packet.IPTypePublicIPv6+"da"])
	}
}

// TestNothingIsHandedOutTwice has two servers on one etcd give out addresses
// at the same time, and checks that each sees what the other did.
func TestNothingIsHandedOutTwice(t *testing.T) {
	endpoints := apiservertest.StartEtcd(t)
	first := apiservertest.Start(t, apiservertest.Options{EtcdEndpoints: endpoints})
	second := apiservertest.Start(t, apiservertest.Options{EtcdEndpoints: endpoints, Token: first.Token, ProjectID: first.ProjectID})
	const workers, rounds = 8, 12
	var wait sync.WaitGroup
	for i := range workers {
		here, there := first.Client(t), second.Client(t)
		if i%2 == 1 {
			here, there = there, here
		}
		wait.Go(func() {
			for j := range rounds {
				device, err := here.CreateDevice(t.Context(), first.ProjectID, order(fmt.Sprintf("n-%d-%d", i, j)))
				if err != nil {
					t.Errorf("creating a device: %v", err)
					return
				}
				if _, err := there.Device(t.Context(), device.ID); err != nil {
					t.Errorf("the other server does not know a device that was just made: %v", err)
				}
				reservation, err := there.CreateIPReservation(t.Context(), first.ProjectID, packet.IPReservationCreate{
					Type: packet.IPTypePublicIPv4, Quantity: 1 << (j % 2), Metro: "da"})
				if err != nil {
					t.Errorf("reserving: %v", err)
					return
				}
				if j%3 == 0 {
					if err := here.DeleteIP(t.Context(), reservation.ID); err != nil {
						t.Errorf("the other server does not know a reservation that was just made: %v", err)
					}
				}
			}
		})
	}
	wait.Wait()
	devices, err := second.Client(t).Devices(t.Context(), first.ProjectID, packet.DeviceFilter{})
	if err != nil {
		t.Fatal(err)
	}
	if len(devices) != workers*rounds {
		t.Errorf("%d devices, want %d", len(devices), workers*rounds)
	}
	reservations, err := first.Client(t).IPReservations(t.Context(), first.ProjectID)
	if err != nil {
		t.Fatal(err)
	}
	checkBlocks(t, devices, reservations)
}

// TestAnAddressIsAssignedOnce has many clients want the same address.
func TestAnAddressIsAssignedOnce(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	device := activeDevice(t, c, server.ProjectID, order("wanted"))
	reservation, err := c.CreateIPReservation(t.Context(), server.ProjectID, packet.IPReservationCreate{
		Type: packet.IPTypePublicIPv4, Quantity: 1, Metro: "da"})
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	won := make(chan string, 16)
	for range 16 {
		wait.Go(func() {
			assignment, err := c.AssignIP(t.Context(), device.ID, reservation.Address)
			switch {
			case err == nil:
				won <- assignment.ID
			case !packet.IsUnprocessable(err):
				t.Errorf("assigning: %v, want 422 for all but one", err)
			}
		})
	}
	wait.Wait()
	if len(won) != 1 {
		t.Errorf("%d clients were given the address, want 1", len(won))
	}
}
