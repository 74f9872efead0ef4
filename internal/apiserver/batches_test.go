package apiserver_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// hostnamesOf are the host names of a batch's devices, in its order.
func hostnamesOf(t *testing.T, c *packet.Client, batch packet.Batch) string {
	t.Helper()
	var names []string
	for _, reference := range batch.Devices {
		device, err := c.Device(t.Context(), reference.Href[strings.LastIndex(reference.Href, "/")+1:])
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, device.Hostname)
	}
	return strings.Join(names, " ")
}

func batchOf(quantity int, hostname string, hostnames ...string) packet.BatchCreate {
	return packet.BatchCreate{DeviceCreate: order(hostname), Quantity: quantity, Hostnames: hostnames}
}

func TestBatchNamesItsDevices(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	batches, err := c.CreateDeviceBatch(t.Context(), server.ProjectID,
		batchOf(3, "web-{{index}}"), batchOf(2, "", "a", "b"), batchOf(2, "", "node{{index}}.example.com"), batchOf(2, "same"))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"web-01 web-02 web-03", "a b", "node01.example.com node02.example.com", "same same"} {
		if batches[i].State != packet.BatchCompleted || batches[i].Quantity != len(batches[i].Devices) {
			t.Errorf("batch %d is %+v", i, batches[i])
		}
		if got := hostnamesOf(t, c, batches[i]); got != want {
			t.Errorf("batch %d has %q, want %q", i, got, want)
		}
	}
	_, object := raw(t, server, "GET", "/projects/"+server.ProjectID+"/batches?include=devices", "")
	list := object["batches"].([]any)
	if device := list[0].(map[string]any)["devices"].([]any)[0].(map[string]any); len(list) != 4 || device["hostname"] != "web-01" {
		t.Errorf("%d batches, the first device is %v", len(list), device)
	}
}

func TestBatchIsDeletedWithItsDevices(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	batches, err := c.CreateDeviceBatch(t.Context(), server.ProjectID, batchOf(60, "many-{{index}}"), batchOf(1, "stays"))
	if err != nil {
		t.Fatal(err)
	}
	for i, devices := range []bool{true, false} {
		if err := c.DeleteBatch(t.Context(), batches[i].ID, devices); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Batch(t.Context(), batches[i].ID); !packet.IsNotFound(err) {
			t.Errorf("a batch that was deleted: %v", err)
		}
	}
	until(t, "deleting the devices of a batch", func() bool {
		devices, err := c.Devices(t.Context(), server.ProjectID, packet.DeviceFilter{})
		if err != nil {
			t.Fatal(err)
		}
		return len(devices) == 1 && devices[0].Hostname == "stays"
	})

	locked := batchOf(2, "locked")
	locked.Locked = true
	batches, err = c.CreateDeviceBatch(t.Context(), server.ProjectID, locked)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteBatch(t.Context(), batches[0].ID, true); err == nil || !strings.Contains(err.Error(), "locked") {
		t.Errorf("deleting locked devices: %v", err)
	}
	if batch, err := c.Batch(t.Context(), batches[0].ID); err != nil || len(batch.Devices) != 2 {
		t.Errorf("the batch that was not deleted is %+v, %v", batch, err)
	}
}

// TestBatchWithoutRoomMakesNothing asks for more than there is.
func TestBatchWithoutRoomMakesNothing(t *testing.T) {
	server := limited(t, apiserver.Capacity{Servers: 3})
	c := server.Client(t)
	if _, err := c.CreateDeviceBatch(t.Context(), server.ProjectID, batchOf(4, "x")); err == nil || !strings.Contains(err.Error(), "503") ||
		!strings.Contains(err.Error(), "batches[0].quantity 4 is more than the 3 provisionable c3.small.x86 servers") {
		t.Errorf("a batch of 4 with 3 servers: %v", err)
	}
	reserved := batchOf(2, "x")
	reserved.HardwareReservationID = packet.NextAvailableHardware
	if _, err := c.CreateDeviceBatch(t.Context(), server.ProjectID, reserved); err == nil || !strings.Contains(err.Error(), "more than the 0") {
		t.Errorf("a batch on reserved hardware without any: %v", err)
	}
	if devices, err := c.Devices(t.Context(), server.ProjectID, packet.DeviceFilter{}); err != nil || len(devices) != 0 {
		t.Errorf("%d devices (%v) of batches that were refused", len(devices), err)
	}
	// Two batches that fit by themselves alone: the second says why it failed,
	// and keeps what it made.
	batches, err := c.CreateDeviceBatch(t.Context(), server.ProjectID, batchOf(2, "first"), batchOf(2, "second"))
	if err != nil {
		t.Fatal(err)
	}
	if batches[0].State != packet.BatchCompleted || batches[1].State != packet.BatchFailed || len(batches[1].Devices) != 1 ||
		!strings.Contains(batches[1].ErrorMessages[0], "no provisionable c3.small.x86 servers") {
		t.Errorf("two batches of 2 with 3 servers are %+v", batches)
	}
}

func TestBadBatches(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	const device = `"plan":"c3.small.x86","operating_system":"ubuntu_24_04","metro":"da"`
	for body, texts := range map[string][]string{
		`{}`:                            {"batches can't be blank"},
		`{"batches":[{"quantity":-1}]}`: {"batches[0].quantity -1 is not from 1 to 100", "batches[0].plan can't be blank", "batches[0].operating_system", "batches[0].Facility"},
		`{"batches":[{` + device + `,"quantity":101}]}`:                                                    {"batches[0].quantity 101 is not from 1 to 100"},
		`{"batches":[{` + device + `,"quantity":60},{` + device + `,"quantity":60}]}`:                      {"batches has 120 devices, it must have at most 100"},
		`{"batches":[{` + device + `,"quantity":3,"hostnames":["a","b"]}]}`:                                {"batches[0].hostnames has 2 names"},
		`{"batches":[{` + device + `,"hostname":"a_b"}]}`:                                                  {`hostname "a_b"`},
		`{"batches":[{` + device + `,"quantity":2,"hardware_reservation_id":"` + server.ProjectID + `"}]}`: {"is one server, and quantity is 2"},
		`{"batches":[` + strings.Repeat(`{},`, 20) + `{}]}`:                                                {"batches has 21 batches, it must have at most 20"},
	} {
		answer, object := raw(t, server, "POST", "/projects/"+server.ProjectID+"/devices/batch", body)
		got := errorsOf(object)
		if answer.StatusCode != http.StatusUnprocessableEntity || len(got) != len(texts) {
			t.Errorf("%.100s: %d %q, want %q", body, answer.StatusCode, got, texts)
			continue
		}
		for i, text := range texts {
			if !strings.Contains(got[i], text) {
				t.Errorf("%.100s: %q, want %q", body, got[i], text)
			}
		}
	}
}

// TestBatchIsFinishedByTheNextServer has a batch that a server began and did
// not live to finish.
func TestBatchIsFinishedByTheNextServer(t *testing.T) {
	dir := t.TempDir()
	server := apiservertest.Start(t, apiservertest.Options{DataDir: dir})
	const id = "11111111-2222-4333-8444-555555555556"
	var hostnames []string
	for i := range 5 {
		hostnames = append(hostnames, fmt.Sprintf("late-%d", i))
	}
	first := activeDevice(t, server.Client(t), server.ProjectID, order("late-0"))
	clock := newClock()
	server.Stop(t)

	// The clock of the next one stands still, so it looks once.
	server = apiservertest.Start(t, apiservertest.Options{DataDir: dir, Clock: clock})
	err := server.Change(t.Context(), func(tx *store.Tx) error {
		tx.Batches.Create(tx, &store.Batch{
			ID: id, ProjectID: server.ProjectID, Order: order(""), Hostnames: hostnames, DeviceIDs: []string{first.ID},
			State: store.BatchQueued, CreatedAt: clock.Now(), UpdatedAt: clock.Now(),
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	c := server.Client(t)
	clock.advanceUntil(t, func() bool {
		batch, err := c.Batch(t.Context(), id)
		return err == nil && batch.State == packet.BatchCompleted
	})
	batch, err := c.Batch(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if got := hostnamesOf(t, c, *batch); got != strings.Join(hostnames, " ") {
		t.Errorf("the batch has %q, want %q", got, hostnames)
	}
	if devices, err := c.Devices(t.Context(), server.ProjectID, packet.DeviceFilter{}); err != nil || len(devices) != len(hostnames) {
		t.Errorf("%d devices (%v), want %d", len(devices), err, len(hostnames))
	}
}
