package apiserver_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// TestReplicasNeverHandOutAServerTwice has clients of two replicas compete for
// the last servers, reserved ones and others, give them back, and compete
// again.
func TestReplicasNeverHandOutAServerTwice(t *testing.T) {
	const servers, clients, rounds = 3, 5, 4
	one, two := replicas(t)
	both := []*apiservertest.Server{one, two}
	project := both[0].ProjectID
	reserveHardware(t, both[0], small(func(r *apiserver.HardwareReservation) { r.Quantity = servers }))
	if err := both[1].SetCapacity(t.Context(), apiserver.Capacity{Metro: "da", Servers: servers}); err != nil {
		t.Fatal(err)
	}
	for range rounds {
		var mu sync.Mutex
		var devices []*packet.Device
		var all sync.WaitGroup
		for _, server := range both {
			c := server.Client(t)
			for range clients {
				for _, reservation := range []string{"", packet.NextAvailableHardware} {
					all.Go(func() {
						device, err := c.CreateDevice(t.Context(), project, onReserved("", reservation))
						if err != nil {
							if !strings.Contains(err.Error(), "no provisionable") && !strings.Contains(err.Error(), "no available hardware") {
								t.Error(err)
							}
							return
						}
						mu.Lock()
						defer mu.Unlock()
						devices = append(devices, device)
					})
				}
			}
		}
		all.Wait()
		onDemand, reserved := 0, map[string]bool{}
		for _, device := range devices {
			if device.HardwareReservation == nil {
				onDemand++
			} else {
				reserved[device.HardwareReservation.Href] = true
			}
		}
		if onDemand != servers || len(reserved) != servers || len(devices) != 2*servers {
			t.Fatalf("%d devices: %d on demand, and on %d reserved servers; there are %d of each", len(devices), onDemand, len(reserved), servers)
		}
		c := both[1].Client(t)
		for _, device := range devices {
			if err := c.DeleteDevice(t.Context(), device.ID, true); err != nil {
				t.Error(err)
			}
		}
		for _, device := range devices {
			waitGone(t, both[0].Client(t), device.ID)
		}
	}
	free, err := both[0].Client(t).HardwareReservations(t.Context(), project)
	if err != nil {
		t.Fatal(err)
	}
	for _, reservation := range free {
		if !reservation.Provisionable || reservation.Device != nil {
			t.Errorf("after its device was deleted a reservation is %+v", reservation)
		}
	}
}

// TestReplicasFinishABatchOnce gives both replicas the same unfinished batch.
func TestReplicasFinishABatchOnce(t *testing.T) {
	endpoints := apiservertest.StartEtcd(t)
	first := apiservertest.Start(t, apiservertest.Options{EtcdEndpoints: endpoints})
	const id, devices = "11111111-2222-4333-8444-555555555557", 12
	err := first.Change(t.Context(), func(tx *store.Tx) error {
		tx.Batches.Create(tx, &store.Batch{
			ID: id, ProjectID: first.ProjectID, Order: order(""), Hostnames: make([]string, devices), State: store.BatchQueued,
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		apiservertest.Start(t, apiservertest.Options{EtcdEndpoints: endpoints, Token: first.Token, ProjectID: first.ProjectID})
	}
	c := first.Client(t)
	until(t, "finishing the batch", func() bool {
		batch, err := c.Batch(t.Context(), id)
		return err == nil && batch.State == packet.BatchCompleted
	})
	list, err := c.Devices(t.Context(), first.ProjectID, packet.DeviceFilter{})
	if err != nil || len(list) != devices {
		t.Errorf("%d devices (%v) of a batch of %d", len(list), err, devices)
	}
}
