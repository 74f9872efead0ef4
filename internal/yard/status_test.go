package yard

import (
	"bytes"
	"strings"
	"testing"

	"github.com/packetyard/packetyard/internal/machines"
	"github.com/packetyard/packetyard/internal/yard/statedir"
	"github.com/packetyard/packetyard/pkg/packet"
)

const (
	bootstrapID = "00000000-0000-4000-8000-000000000001"
	masterID    = "00000000-0000-4000-8000-000000000002"
	workerID    = "00000000-0000-4000-8000-000000000003"
	straysID    = "00000000-0000-4000-8000-000000000004"
)

// fleet is a bootstrap machine, a control plane, a worker that is not yet a
// node, a Machine without device, and a machine that only the driver knows.
func fleet() []MachineStatus {
	return join(
		[]packet.Device{
			{ID: workerID, Hostname: "demo-worker", State: packet.StateProvisioning, Tags: []string{packet.TagRoleNode}},
			{ID: masterID, Hostname: "demo-master", State: packet.StateActive, Tags: []string{packet.TagRoleMaster}, Plan: &packet.Plan{Slug: "c3.small.x86"}, IPAddresses: []packet.IPAssignment{
				{Address: "2001:db8::1", AddressFamily: 6, Public: true},
				{Address: "10.0.0.1", AddressFamily: 4},
				{Address: "198.18.1.1", AddressFamily: 4, Public: true},
			}},
			{ID: bootstrapID, Hostname: "bootstrap", State: packet.StateActive, Tags: []string{bootstrapTag}},
		},
		[]machines.Status{{ID: masterID, Hostname: "demo-master", Power: machines.PowerOn, MemoryBytes: 600 << 20}, {ID: straysID, Hostname: "stray", Power: machines.PowerOff}},
		[]ClusterMachineState{
			{Cluster: "demo", Name: "demo-worker-new", Phase: "Pending"},
			{Cluster: "demo", Name: "demo-m", Phase: "Running", ControlPlane: true, ProviderID: packet.ProviderID(masterID)},
		},
		[]NodeStatus{
			{Cluster: bootstrapCluster, Name: "bootstrap", Ready: true, Initialized: true, Version: "v1.36.4"},
			{Cluster: "demo", Name: "demo-node", Ready: true, ProviderID: packet.ProviderID(masterID)},
		},
	)
}

func TestJoin(t *testing.T) {
	all := fleet()
	var names []string
	for _, machine := range all {
		names = append(names, machine.Name())
	}
	if got, want := strings.Join(names, " "), "bootstrap demo-master demo-worker stray demo-worker-new"; got != want {
		t.Fatalf("the machines are %s, want %s", got, want)
	}
	bootstrap, master := all[0], all[1]
	if bootstrap.Node == nil || bootstrap.Node.Name != "bootstrap" {
		t.Errorf("the bootstrap machine has the node %+v", bootstrap.Node)
	}
	if master.Machine == nil || master.Machine.Name != "demo-m" || master.Node == nil || master.Node.Name != "demo-node" || master.Power == nil {
		t.Errorf("the control plane is not put together: %+v", master)
	}
	if master.Device.Addresses[0] != "198.18.1.1" {
		t.Errorf("the addresses are %v, want the public one first", master.Device.Addresses)
	}
}

func TestPick(t *testing.T) {
	for name, want := range map[string]string{
		"":            masterID,
		"bootstrap":   bootstrapID,
		"demo-master": masterID,
		"demo-m":      masterID,
		"demo-node":   masterID,
		masterID:      masterID,
		"stray":       straysID,
	} {
		if got, err := pick(fleet(), name); err != nil || got != want {
			t.Errorf("%q is %s, %v; want %s", name, got, err, want)
		}
	}
	_, err := pick(fleet(), "demo-mister")
	if err == nil || !strings.Contains(err.Error(), "bootstrap, demo-master, demo-worker, stray") {
		t.Errorf("got %v, want the names of those that exist", err)
	}
	if got, err := pick(fleet()[:1], ""); err != nil || got != bootstrapID {
		t.Errorf("without a cluster the default is %s, %v; want the bootstrap machine", got, err)
	}
	if _, err := pick(nil, "x"); err == nil {
		t.Error("found a machine where there is none")
	}
}

func TestPrintShowsAllSideBySide(t *testing.T) {
	status := Status{Parts: []Part{{Name: "supervisor", Up: true, Detail: "process 1"}, {Name: "Packet API", Detail: "connection refused"}}, Machines: fleet()}
	var out bytes.Buffer
	if err := status.Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Packet API  DOWN  connection refused",
		"demo-master  active        c3.small.x86  198.18.1.1  on     600 MiB  demo       demo-m           Running  demo-node  not initialised",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, out.String())
		}
	}
}

func TestStatusOfAYardOfWhichNothingRuns(t *testing.T) {
	dir, err := statedir.Create(t.TempDir() + "/yard")
	if err != nil {
		t.Fatal(err)
	}
	status := ReadStatus(t.Context(), dir)
	for _, part := range status.Parts {
		if part.Up || part.Detail == "" {
			t.Errorf("%+v: want it down, and why", part)
		}
	}
	if len(status.Parts) < 4 {
		t.Errorf("only %d parts are told of: %+v", len(status.Parts), status.Parts)
	}
	var out bytes.Buffer
	if err := status.Print(&out); err != nil || !strings.Contains(out.String(), "no machines") {
		t.Errorf("printed %q, %v", out.String(), err)
	}
}
