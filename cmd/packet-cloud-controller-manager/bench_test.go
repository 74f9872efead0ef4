package main

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/processtest"
)

// BenchmarkCalls counts what the program asks of the API server: the figures
// of `make bench`. It runs the program as a process of its own, between a real
// API server and a real kube-apiserver, on 1,000 nodes and 50 services. It
// takes some minutes of real time, because one of its figures is an idle minute.
func BenchmarkCalls(b *testing.B) {
	for range b.N {
		benchmarkCalls(b, 1000, 50, "kube-vip://", func(*world, int, int) error { return nil })
	}
}

// BenchmarkCallsWithMetalLB is the same with MetalLB, whose configuration has
// an object for each address, and one for each peer of each node.
func BenchmarkCallsWithMetalLB(b *testing.B) {
	for range b.N {
		benchmarkCalls(b, 1000, 50, "metallb:///metallb-system?crdConfiguration=true", (*world).checkMetalLB)
	}
}

// benchmarkCalls counts with an implementation of load balancers that told is
// true of once it has been told of so many nodes and services.
func benchmarkCalls(b *testing.B, nodes, services int, implementation string, told func(w *world, nodes, services int) error) {
	w := newWorld(b)
	w.program = buildProgram(b)
	w.installMetalLB(b.Context())
	ctx := b.Context()
	options := map[string]any{"loadbalancer": implementation, "metro": "da"}
	configured := func(nodes int) func() bool {
		return func() bool { return told(w, nodes, services) == nil }
	}
	devices := w.make(ctx, "bench", nodes)
	p := w.start(options)
	before := w.calls()
	began := time.Now()
	w.register(ctx, devices)
	w.awaitInitialised(ctx)
	took := time.Since(began)
	joined := difference(before, w.calls())
	b.ReportMetric(float64(nodes)/took.Seconds(), "nodes-initialised/s")
	b.ReportMetric(float64(sum(joined)), "calls/join-of-all")
	b.Logf("%d nodes joined in %s: %s", nodes, took.Round(time.Second), show(joined))

	for i := range services {
		w.service(ctx, fmt.Sprintf("bench-%d", i))
	}
	annotated := func() bool {
		for _, node := range w.nodes(ctx) {
			if node.Annotations["metal.equinix.com/bgp-peers-1-peer-ip"] == "" {
				return false
			}
		}
		return true
	}
	processtest.Until(b, 10*time.Minute, "all services have an address", func() bool { return w.served(ctx, services) })
	processtest.Until(b, 10*time.Minute, "all nodes have their peers", annotated)
	processtest.Until(b, 10*time.Minute, "the load balancers are configured", configured(nodes))
	b.Logf("with %d services: %s", services, show(difference(before, w.calls())))
	b.ReportMetric(p.residentMegabytes(b), "MB-resident-at-most")

	// A restart.
	p.Kill()
	before = w.calls()
	p = w.start(options)
	<-time.After(45 * time.Second)
	restart := difference(before, w.calls())
	b.ReportMetric(float64(sum(restart)), "calls/restart")
	b.Logf("restart: %s", show(restart))

	// Idle minutes.
	before = w.calls()
	const minutes = 2
	<-time.After(minutes * time.Minute)
	idle := difference(before, w.calls())
	b.ReportMetric(float64(sum(idle))/minutes, "calls/idle-minute")
	b.Logf("%d idle minutes: %s", minutes, show(idle))

	// One node more.
	device := w.make(ctx, "more", 1)
	before = w.calls()
	w.register(ctx, device)
	w.awaitInitialised(ctx)
	processtest.Until(b, 5*time.Minute, "the new node has its peers", annotated)
	processtest.Until(b, 5*time.Minute, "the load balancers are configured for the new node", configured(nodes+1))
	added := difference(before, w.calls())
	b.ReportMetric(float64(sum(added)), "calls/node-added")
	b.Logf("one node added: %s", show(added))
	b.ReportMetric(p.residentMegabytes(b), "MB-resident-after-restart")
	// What the benchmark itself took says nothing.
	b.ReportMetric(0, "ns/op")
}

func difference(before, after map[string]int) map[string]int {
	calls := map[string]int{}
	for operation, count := range after {
		if count > before[operation] {
			calls[operation] = count - before[operation]
		}
	}
	return calls
}

func sum(calls map[string]int) int {
	total := 0
	for _, count := range calls {
		total += count
	}
	return total
}

func show(calls map[string]int) string {
	text := fmt.Sprintf("%d calls", sum(calls))
	for _, operation := range slices.Sorted(maps.Keys(calls)) {
		text += fmt.Sprintf(", %s %d", operation, calls[operation])
	}
	return text
}
