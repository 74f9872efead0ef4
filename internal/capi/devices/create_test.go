package devices_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/apiserver"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/capi/devices"
	"github.com/packetyard/packetyard/pkg/packet"
)

const publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJxYBWGQT2DVdjjUJQwQ3P2xOrAgYgBKhXhxQ+e4Lnrm someone"

func ptr[T any](value T) *T { return &value }

// create rents a device with a changed specification.
func create(t *testing.T, server *apiservertest.Server, supply *devices.Supply, name string, change func(*infrav1.PacketMachineSpec)) (devices.Created, int, error) {
	t.Helper()
	var creations atomic.Int32
	client, err := packet.NewClient(packet.Config{BaseURL: server.URL, Token: server.Token, QPS: -1, Retries: -1, HTTPClient: &http.Client{
		Transport: transport(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/devices") {
				creations.Add(1)
			}
			return http.DefaultTransport.RoundTrip(r)
		}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	r := request(devices.Identity{Namespace: "ns", Cluster: "demo", Machine: name})
	change(&r.Spec)
	created, err := devices.Create(t.Context(), client, supply, r)
	return created, int(creations.Load()), err
}

type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

// read reads a device as the API has it.
func read(t *testing.T, server *apiservertest.Server, id string) *packet.Device {
	t.Helper()
	device, err := server.Client(t).Device(t.Context(), id, packet.Include("ssh_keys"))
	if err != nil {
		t.Fatal(err)
	}
	return device
}

func TestEveryOptionReachesTheDevice(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	created, _, err := create(t, server, newSupply(t, server), "m", func(s *infrav1.PacketMachineSpec) {
		s.Spot.MaxPrice = "100.5"
		s.CustomData = &apiextensionsv1.JSON{Raw: []byte(`{"rack":"7"}`)}
		s.Storage = &apiextensionsv1.JSON{Raw: []byte(`{"disks":[{"device":"/dev/sda","wipeTable":true,"partitions":[{"label":"ROOT","number":1,"size":"0"}]}],
			"filesystems":[{"mount":{"device":"/dev/sda1","format":"ext4","point":"/"}}]}`)}
		s.Description = "a test"
		s.DeletionProtection = ptr(true)
		s.BillingCycle = "monthly"
		s.Tags = []string{"mine"}
		s.OS, s.IPXEURL, s.AlwaysPXE = infrav1.OSCustomIPXE, "http://example.com/boot.ipxe", ptr(true)
	})
	if err != nil {
		t.Fatal(err)
	}
	device := read(t, server, created.Device.ID)
	if !device.SpotInstance || device.SpotPriceMax == nil || *device.SpotPriceMax != 100.5 {
		t.Errorf("spot is %t up to %v", device.SpotInstance, device.SpotPriceMax)
	}
	var data map[string]string
	if err := json.Unmarshal(device.CustomData, &data); err != nil || data["rack"] != "7" {
		t.Errorf("custom data is %s, %v", device.CustomData, err)
	}
	if !strings.Contains(string(device.Storage), "/dev/sda1") || device.Description == nil || *device.Description != "a test" || !device.Locked ||
		device.BillingCycle != "monthly" || !slices.Contains(device.Tags, "mine") || !device.AlwaysPXE || device.IPXEScriptURL != "http://example.com/boot.ipxe" {
		t.Errorf("device is %+v", device)
	}
}

func TestSSHKeyPolicies(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	supply := newSupply(t, server)
	empty, _, err := create(t, server, supply, "empty", func(s *infrav1.PacketMachineSpec) { s.SSHKeyPolicy = infrav1.SSHKeyPolicyProject })
	if err != nil || len(read(t, server, empty.Device.ID).SSHKeys) != 0 {
		t.Fatalf("of a project without keys: %v, %v", empty.Device, err)
	}
	key, err := server.Client(t).CreateProjectSSHKey(t.Context(), server.ProjectID, packet.SSHKeyCreate{Label: "project", Key: publicKey})
	if err != nil {
		t.Fatal(err)
	}
	supply = newSupply(t, server)
	for name, test := range map[string]struct {
		change func(*infrav1.PacketMachineSpec)
		want   int
	}{
		"default":          {func(*infrav1.PacketMachineSpec) {}, 1},
		"project-and-user": {func(s *infrav1.PacketMachineSpec) { s.SSHKeyPolicy = infrav1.SSHKeyPolicyProjectAndUser }, 1},
		"project":          {func(s *infrav1.PacketMachineSpec) { s.SSHKeyPolicy = infrav1.SSHKeyPolicyProject }, 1},
		"none":             {func(s *infrav1.PacketMachineSpec) { s.SSHKeyPolicy = infrav1.SSHKeyPolicyNone }, 0},
		"by-id":            {func(s *infrav1.PacketMachineSpec) { s.SSHKeys = []string{key.ID} }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			created, _, err := create(t, server, supply, name, test.change)
			if err != nil {
				t.Fatal(err)
			}
			keys := read(t, server, created.Device.ID).SSHKeys
			if len(keys) != test.want {
				t.Errorf("%d keys may log in, want %d: %v", len(keys), test.want, keys)
			}
		})
	}
}

// The Packet API makes a listed key one of the project's, where every later device of the project would have it.
func TestListedKeysGoWithTheLastMachine(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	api, supply := server.Client(t), newSupply(t, server)
	theirs, err := api.CreateProjectSSHKey(t.Context(), server.ProjectID, packet.SSHKeyCreate{Label: "project", Key: publicKey})
	if err != nil {
		t.Fatal(err)
	}
	ours := strings.Replace(publicKey, "4Lnrm", "4Lnrn", 1)
	listed := func(s *infrav1.PacketMachineSpec) {
		s.SSHKeyPolicy, s.SSHKeys = infrav1.SSHKeyPolicyListed, []string{ours, publicKey}
	}
	created, _, err := create(t, server, supply, "m", listed)
	if err != nil {
		t.Fatal(err)
	}
	keys := read(t, server, created.Device.ID).SSHKeys
	if len(keys) != 2 {
		t.Errorf("%d keys may log in, want those that are listed: %v", len(keys), keys)
	}
	id := devices.Identity{Namespace: "ns", Cluster: "demo", Machine: "m"}
	left := func() int {
		t.Helper()
		all, err := api.ProjectSSHKeys(t.Context(), server.ProjectID)
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	finder := newFinder(t, server)
	if err := supply.ReleaseKeys(t.Context(), api, finder, []string{ours, publicKey}); err != nil || left() != 2 {
		t.Errorf("while a device has it: %v, %d keys, want both", err, left())
	}
	if err := api.DeleteDevice(t.Context(), created.Device.ID, true); err != nil {
		t.Fatal(err)
	}
	for {
		if all, _, err := finder.All(t.Context(), id); err != nil {
			t.Fatal(err)
		} else if len(all) == 0 {
			break
		}
	}
	if err := supply.ReleaseKeys(t.Context(), api, finder, []string{ours, publicKey}); err != nil || left() != 1 {
		t.Errorf("afterwards: %v, %d keys, want that of the project alone", err, left())
	}
	if keys, err := api.ProjectSSHKeys(t.Context(), server.ProjectID); err != nil || keys[0].ID != theirs.ID {
		t.Errorf("the project has %v, %v, want the key that it had before", keys, err)
	}
}

func TestAddresses(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	for name, test := range map[string]struct {
		network infrav1.PacketMachineNetwork
		want    map[string]int
	}{
		"default": {infrav1.PacketMachineNetwork{}, map[string]int{"4 public": 31, "4 private": 31, "6 public": 127}},
		"private": {infrav1.PacketMachineNetwork{PrivateOnly: ptr(true)}, map[string]int{"4 private": 31}},
		"sizes": {infrav1.PacketMachineNetwork{Addresses: []infrav1.PacketMachineAddress{
			{Type: infrav1.AddressPublicIPv4, CIDR: 30}, {Type: infrav1.AddressPrivateIPv4, CIDR: 28},
		}}, map[string]int{"4 public": 30, "4 private": 28}},
		"with IPv6": {infrav1.PacketMachineNetwork{Addresses: []infrav1.PacketMachineAddress{
			{Type: infrav1.AddressPublicIPv6, CIDR: 124}, {Type: infrav1.AddressPrivateIPv4},
		}}, map[string]int{"6 public": 124, "4 private": 31}},
	} {
		t.Run(name, func(t *testing.T) {
			created, _, err := create(t, server, newSupply(t, server), "m", func(s *infrav1.PacketMachineSpec) { s.Network = test.network })
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]int{}
			for _, ip := range read(t, server, created.Device.ID).IPAddresses {
				kind := map[int]string{4: "4 ", 6: "6 "}[ip.AddressFamily] + map[bool]string{true: "public", false: "private"}[ip.Public]
				got[kind] = ip.CIDR
			}
			if len(got) != len(test.want) {
				t.Errorf("addresses are %v, want %v", got, test.want)
			}
			for kind, cidr := range test.want {
				if got[kind] != cidr {
					t.Errorf("%s has length %d, want %d", kind, got[kind], cidr)
				}
			}
		})
	}
}

func reserve(t *testing.T, server *apiservertest.Server, quantity int) []string {
	t.Helper()
	ids, err := server.ReserveHardware(t.Context(), apiserver.HardwareReservation{Plan: "c3.small.x86", Metro: "da", Quantity: quantity})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// Each machine of a MachineDeployment has the same list. What is taken already must not cost each of them a call.
func TestReservationsAreTakenInTurn(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	ids := reserve(t, server, 3)
	supply := newSupply(t, server)
	var used []string
	for range ids {
		created, asked, err := create(t, server, supply, "m", func(s *infrav1.PacketMachineSpec) { s.HardwareReservationID = strings.Join(ids, ",") })
		if err != nil || asked != 1 {
			t.Fatalf("%d requests, %v, want 1", asked, err)
		}
		used = append(used, created.Reservation)
	}
	if !slices.Equal(used, ids) {
		t.Errorf("used %v, want %v", used, ids)
	}
	for name, supply := range map[string]*devices.Supply{"taken by us": supply, "taken by others": newSupply(t, server)} {
		_, asked, err := create(t, server, supply, "m", func(s *infrav1.PacketMachineSpec) { s.HardwareReservationID = strings.Join(ids, ",") })
		var none *devices.ReservationsError
		if !errors.As(err, &none) || len(none.Reasons) != 3 || asked != 0 || devices.RefusalOf(err) != devices.ReservationUnavailable {
			t.Errorf("%s: %d requests, %v, want none and an error about all three", name, asked, err)
		}
	}
}

func TestReservationsFallBackToOnDemand(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	taken := reserve(t, server, 1)[0]
	supply := newSupply(t, server)
	if created, _, err := create(t, server, supply, "m0", func(s *infrav1.PacketMachineSpec) { s.HardwareReservationID = "next-available" }); err != nil ||
		read(t, server, created.Device.ID).HardwareReservation == nil {
		t.Fatalf("next-available: %v, %v", created, err)
	}
	for _, wanted := range []string{"next-available", taken, "00000000-0000-4000-8000-000000000001"} {
		created, _, err := create(t, server, supply, "m", func(s *infrav1.PacketMachineSpec) {
			s.HardwareReservationID, s.ReservationFallback = wanted, infrav1.ReservationFallbackOnDemand
		})
		if err != nil || created.Fallback == nil || created.Reservation != "" || read(t, server, created.Device.ID).HardwareReservation != nil {
			t.Errorf("%s: %+v, %v, want a device on demand", wanted, created, err)
		}
		if _, _, err := create(t, server, supply, "m", func(s *infrav1.PacketMachineSpec) { s.HardwareReservationID = wanted }); devices.RefusalOf(err) != devices.ReservationUnavailable {
			t.Errorf("%s without fallback: %v", wanted, err)
		}
	}
}

// The API has no codes for its reasons, so these are its real words.
func TestRefusals(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	if err := server.SetCapacity(t.Context(), apiserver.Capacity{Plan: "m3.large.x86", Servers: 0}); err != nil {
		t.Fatal(err)
	}
	other := reserve(t, server, 1)[0]
	for want, change := range map[devices.Refusal]func(*infrav1.PacketMachineSpec){
		devices.PlanUnknown:            func(s *infrav1.PacketMachineSpec) { s.MachineType = "no.such.plan" },
		devices.OperatingSystemUnknown: func(s *infrav1.PacketMachineSpec) { s.OS = "no_such_os" },
		devices.SSHKeyUnknown:          func(s *infrav1.PacketMachineSpec) { s.SSHKeys = []string{"00000000-0000-4000-8000-000000000001"} },
		devices.SSHKeyInvalid:          func(s *infrav1.PacketMachineSpec) { s.SSHKeys = []string{"no key"} },
		devices.NoCapacity:             func(s *infrav1.PacketMachineSpec) { s.MachineType = "m3.large.x86" },
		devices.SpotPriceTooLow:        func(s *infrav1.PacketMachineSpec) { s.Spot.MaxPrice = "0.000001" },
		devices.StorageInvalid: func(s *infrav1.PacketMachineSpec) {
			s.Storage = &apiextensionsv1.JSON{Raw: []byte(`{"disks":[{"device":"sda"}]}`)}
		},
		devices.ReservationUnavailable: func(s *infrav1.PacketMachineSpec) { s.HardwareReservationID, s.MachineType = other, "m3.small.x86" },
		devices.CreateFailed:           func(s *infrav1.PacketMachineSpec) { s.Features = []string{"warp"} },
		devices.IPReservationUnusable: func(s *infrav1.PacketMachineSpec) {
			s.Network.Addresses = []infrav1.PacketMachineAddress{{Type: infrav1.AddressPrivateIPv4},
				{Type: infrav1.AddressPublicIPv4, ReservationIDs: []string{"00000000-0000-4000-8000-000000000001"}}}
		},
	} {
		t.Run(string(want), func(t *testing.T) {
			_, _, err := create(t, server, newSupply(t, server), "m", change)
			if got := devices.RefusalOf(err); got != want {
				t.Errorf("%v is %q", err, got)
			}
			if want.Advice() == "" || strings.Contains(devices.Words(err), "(request ") {
				t.Errorf("advice is %q, words are %q", want.Advice(), devices.Words(err))
			}
		})
	}
	for want, change := range map[devices.Refusal]func(*devices.Request){
		devices.MetroUnknown:    func(r *devices.Request) { r.Place = devices.Place{Metro: "zz"} },
		devices.FacilityUnknown: func(r *devices.Request) { r.Place = devices.Place{Facility: "zz9"} },
		devices.UserDataTooLong: func(r *devices.Request) { r.UserData = []byte("#!" + strings.Repeat("x", 70<<10)) },
		devices.UserDataInvalid: func(r *devices.Request) { r.UserData = []byte("hello") },
	} {
		r := request(devices.Identity{Namespace: "ns", Cluster: "demo", Machine: "m"})
		change(&r)
		if _, err := devices.Create(t.Context(), server.Client(t), newSupply(t, server), r); devices.RefusalOf(err) != want {
			t.Errorf("%v is %q, want %q", err, devices.RefusalOf(err), want)
		}
	}
	unknown := devices.NewSupply(server.Client(t), "00000000-0000-4000-8000-000000000001", packet.SystemClock{})
	if _, _, err := create(t, server, unknown, "m", func(*infrav1.PacketMachineSpec) {}); devices.RefusalOf(err) != devices.ProjectUnknown {
		t.Errorf("in a project that does not exist: %v is %q", err, devices.RefusalOf(err))
	}
	for _, err := range []error{
		&packet.Error{StatusCode: 503, Messages: []string{"down"}}, &packet.Error{StatusCode: 500, Messages: []string{"no provisionable servers"}},
		&packet.Error{StatusCode: 429, Messages: []string{"rate limit exceeded"}}, &packet.Error{StatusCode: 404, Unparsed: true},
		&packet.TransportError{Err: errors.New("reset")}, errors.New("ours"),
	} {
		if got := devices.RefusalOf(err); got != devices.None {
			t.Errorf("%v is %q, and says nothing about the device", err, got)
		}
	}
}
