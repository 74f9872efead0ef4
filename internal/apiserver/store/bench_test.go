package store_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/addresses"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// manyDevices is how many devices the figures are for.
const manyDevices = 100_000

// addDevice writes what an API server writes for a device: the device, its
// /31 of public addresses, and three assignments.
func addDevice(tx *store.Tx, i int, project string, private, public6 *store.Reservation) {
	now := time.Unix(1_782_820_800, 0).UTC()
	device := &store.Device{
		ID: uuid.NewString(), ProjectID: project, Hostname: fmt.Sprintf("node-%06d.example.org", i), Plan: "c3.small.x86",
		OperatingSystem: "ubuntu_24_04", Metro: "da", Facility: "da11", State: packet.StateQueued, Installation: 1, StepAt: now,
		BillingCycle: "hourly", RootPassword: "ABCDEFGHIJKLMNOPQRSTUVWXYZ", CreatedBy: project, CreatedAt: now, UpdatedAt: now,
		Tags: []string{"cluster", "kubernetes"},
	}
	tx.Devices.Create(tx, device)
	block := netip.PrefixFrom(nth(addresses.Public().Range.Addr(), 2*i), 31)
	if i >= 1<<16 {
		// There are 65536 such blocks, and the figures are for more devices.
		block = netip.PrefixFrom(nth(netip.MustParseAddr("100.64.0.0"), 2*i), 31)
	}
	reservation := &store.Reservation{
		ID: uuid.NewString(), ProjectID: project, Block: block, Type: packet.IPTypePublicIPv4, Metro: "da", Management: true,
		CreatedBy: project, CreatedAt: now,
	}
	tx.RequireFreeBlock(block, 24)
	tx.Reservations.Create(tx, reservation)
	for _, part := range []struct {
		of    *store.Reservation
		block netip.Prefix
	}{
		{reservation, block},
		{public6, netip.PrefixFrom(nth(public6.Block.Addr(), 2*i), 127)},
		{private, netip.PrefixFrom(nth(private.Block.Addr(), 2*i), 31)},
	} {
		host, gateway := addresses.Host(part.block)
		tx.RequireFreeAddress(part.block, part.block.Bits())
		tx.Assignments.Create(tx, &store.Assignment{
			ID: uuid.NewString(), DeviceID: device.ID, ReservationID: part.of.ID, Block: part.block, Address: host, Gateway: gateway,
			Public: part.of != private, Management: true, Metro: "da", CreatedAt: now,
		})
	}
}

func nth(address netip.Addr, n int) netip.Addr {
	data := address.AsSlice()
	for i := len(data) - 1; n > 0; i-- {
		n += int(data[i])
		data[i], n = byte(n), n>>8
	}
	address, _ = netip.AddrFromSlice(data)
	return address
}

// activate does the second write of a device's life.
func activate(tx *store.Tx, row *store.Row[store.Device]) {
	device := *row.Value
	for step := range 10 {
		device.SetStep(step, device.CreatedAt)
	}
	device.State = packet.StateActive
	tx.Devices.Update(tx, row, &device)
}

// fill makes devices with 64 writers and returns how long each took.
func fill(b testing.TB, s *store.Store, n int) []time.Duration {
	project := uuid.NewString()
	private := &store.Reservation{ID: uuid.NewString(), ProjectID: project, Block: netip.MustParsePrefix("10.0.0.0/8"), Metro: "da", Management: true}
	public6 := &store.Reservation{ID: uuid.NewString(), ProjectID: project, Block: netip.MustParsePrefix("2001:db8::/56"), Metro: "da", Management: true}
	update(b, s, func(tx *store.Tx) error {
		tx.Reservations.Create(tx, private)
		tx.Reservations.Create(tx, public6)
		return nil
	})
	const writers = 64
	took := make([][]time.Duration, writers)
	var next atomic.Int64
	var wait sync.WaitGroup
	for w := range writers {
		wait.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				began := time.Now()
				if err := s.Update(context.Background(), func(tx *store.Tx) error {
					addDevice(tx, i, project, private, public6)
					return nil
				}); err != nil {
					b.Error(err)
					return
				}
				took[w] = append(took[w], time.Since(began))
			}
		})
	}
	wait.Wait()
	return slices.Concat(took...)
}

// activateAll does what the lifecycle does to all devices.
func activateAll(b testing.TB, s *store.Store) {
	var ids []string
	s.Peek(func(snapshot *store.Snapshot) {
		for _, row := range snapshot.Devices.All() {
			ids = append(ids, row.Value.ID)
		}
	})
	var wait sync.WaitGroup
	var next atomic.Int64
	for range 256 {
		wait.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(ids)); i = next.Add(1) - 1 {
				if err := s.Update(context.Background(), func(tx *store.Tx) error {
					row, _ := tx.Devices.Get(ids[i])
					activate(tx, row)
					return nil
				}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wait.Wait()
}

// memory is the live heap and the resident memory of the process, in bytes.
func memory() (heap, resident float64) {
	debug.FreeOSMemory()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	data, _ := os.ReadFile("/proc/self/statm")
	var size, pages float64
	_, _ = fmt.Sscan(string(data), &size, &pages)
	return float64(stats.HeapAlloc), pages * float64(os.Getpagesize())
}

// BenchmarkStore has 100,000 devices written, each with its addresses by one
// Update and made active by another, and tells what they cost: in time to
// write, in memory after a collection, and in time to start with them.
func BenchmarkStore(b *testing.B) {
	for range b.N {
		benchmarkStore(b)
	}
	b.ReportMetric(0, "ns/op")
}

func benchmarkStore(b *testing.B) {
	dir := b.TempDir()
	heap0, resident0 := memory()
	openHere := func() *store.Store {
		s, err := store.Open(context.Background(), config(dir))
		if err != nil {
			b.Fatal(err)
		}
		return s
	}
	report := func(suffix string) {
		heap, resident := memory()
		b.ReportMetric((heap-heap0)/manyDevices, "heap-B/device"+suffix)
		b.ReportMetric((resident-resident0)/manyDevices, "RSS-B/device"+suffix)
	}
	s := openHere()
	began := time.Now()
	took := fill(b, s, manyDevices)
	b.ReportMetric(manyDevices/time.Since(began).Seconds(), "writes/s")
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	activateAll(b, s)
	report("")
	s.Close()
	began = time.Now()
	s = openHere()
	b.ReportMetric(float64(time.Since(began).Milliseconds()), "start-ms")
	report("-restarted")
	s.Close()
}
