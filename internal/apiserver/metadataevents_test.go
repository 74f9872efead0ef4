package apiserver_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// newestEvent is what a machine said last.
func newestEvent(t testing.TB, c *packet.Client, id string) packet.Event {
	t.Helper()
	events, err := c.DeviceEvents(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return events[0]
}

// TestUserState reports as the documentation, Ignition and Talos do.
func TestUserState(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	service := startMetadata(t, server)
	c := server.Client(t)
	device := activeDevice(t, c, server.ProjectID, order("states"))
	machine := service.from(device.IPAddresses[0].Address)
	document := machine.metadata(t)
	userState := strings.TrimPrefix(at(t, document, "user_state_url").(string), service.base)
	// Ignition takes the one URL from the other.
	ignition := strings.TrimSuffix(strings.TrimPrefix(at(t, document, "phone_home_url").(string), service.base), "/phone-home") + "/events"

	for what, test := range map[string]struct {
		path, body  string
		kind, state string
		text        string
	}{
		"documented": {userState, `{"state":"failed","code":1042,"message":"kubeadm: it broke"}`, "user.1042", "failed", "kubeadm: it broke"},
		"Ignition":   {ignition, `{"state":"running","message":"[fetch] Ignition is running"}`, "user.1000", "running", "[fetch] Ignition is running"},
		"Ignition that failed": {ignition, `{"state":"failed","message":"[disks] Ignition error: no disk"}`, "user.1002", "failed",
			"[disks] Ignition error: no disk"},
		"Talos":             {userState, `{"type":"activate","msg":"Talos is ready."}`, "user.1001", "succeeded", "Talos is ready."},
		"Talos that failed": {userState, `{"type":"failure","msg":"Talos staged upgrade failed."}`, "user.1002", "failed", "Talos staged upgrade failed."},
		"Talos on the way":  {userState, `{"type":"configLoaded","msg":"loaded"}`, "user.1000", "running", "loaded"},
		"the last code":     {userState, `{"state":"succeeded","code":1099}`, "user.1099", "succeeded", ""},
		// What is too long is cut between two characters.
		"too long": {userState, `{"state":"running","message":"é` + strings.Repeat("x", 4095) + `"}`, "user.1000", "running", strings.Repeat("x", 4095)},
	} {
		machine.post(t, test.path, test.body, 204)
		if got := newestEvent(t, c, device.ID); got.Type != test.kind || got.State != test.state || got.Body != test.text {
			t.Errorf("%s: the event is %.200v, want %s %s %.80q", what, got, test.kind, test.state, test.text)
		}
	}

	before := newestEvent(t, c, device.ID)
	for body, status := range map[string]int{
		`failed`:                         400,
		``:                               400,
		`[]`:                             400,
		`{"state":"running","code":"x"}`: 400,
		`{"state":"running","message":"` + strings.Repeat("x", 64<<10) + `"}`: 400,
		`{}`:                              422,
		`{"state":"odd"}`:                 422,
		`{"state":"failed","code":7}`:     422,
		`{"state":"failed","code":999}`:   422,
		`{"state":"failed","code":1100}`:  422,
		`{"state":"failed","code":-1001}`: 422,
	} {
		machine.post(t, userState, body, status)
	}
	if after := newestEvent(t, c, device.ID); after.ID != before.ID {
		t.Errorf("what was refused made the event %+v", after)
	}
	machine.get(t, userState, 404)
}

// TestPhoneHomeTakesWhatAgentsSend phones home as curl, cloud-init and others
// do, on a machine that reports itself.
func TestPhoneHomeTakesWhatAgentsSend(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{Driver: newRack()})
	service := startMetadata(t, server)
	c := server.Client(t)
	for hostname, body := range map[string]string{
		"curl":       "",
		"cloud-init": "pub_key_rsa=x&hostname=cloud-init&instance_id=i-1&fqdn=cloud-init",
		"json":       `{"instance_id":"i-1"}`,
	} {
		device, err := c.CreateDevice(t.Context(), server.ProjectID, order(hostname))
		if err != nil {
			t.Fatal(err)
		}
		machine := service.from(device.IPAddresses[0].Address)
		for range 2 { // A machine phones home at every boot.
			machine.post(t, "/phone-home", body, 204)
		}
		waitForState(t, c, device.ID, packet.StateActive)
		phoned := 0
		events, err := c.DeviceEvents(t.Context(), device.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, event := range events {
			if event.Type == packet.EventPhonedHome {
				phoned++
			}
		}
		if phoned != 1 {
			t.Errorf("%s: it phoned home %d times by the events, want once", hostname, phoned)
		}
	}
}

// TestUserStatesAreBounded has a machine report without end.
func TestUserStatesAreBounded(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	service := startMetadata(t, server)
	device := activeDevice(t, server.Client(t), server.ProjectID, order("chatty"))
	err := server.Change(t.Context(), func(tx *store.Tx) error {
		for range 99 {
			tx.Events.Create(tx, &store.Event{ID: uuid.NewString(), DeviceID: device.ID, Type: "user.1000"})
		}
		return nil
	})
	for range 9 {
		err = errors.Join(err, server.Change(t.Context(), func(tx *store.Tx) error {
			for range 100 {
				tx.Events.Create(tx, &store.Event{ID: uuid.NewString(), DeviceID: device.ID, Type: "user.1000"})
			}
			return nil
		}))
	}
	if err != nil {
		t.Fatal(err)
	}
	machine := service.from(device.IPAddresses[0].Address)
	machine.post(t, "/events", `{"state":"running"}`, 204)
	machine.post(t, "/events", `{"state":"running"}`, 429)
	machine.post(t, "/phone-home", "", 204)
}
