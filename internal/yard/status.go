package yard

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/packetyard/packetyard/internal/machines"
	"github.com/packetyard/packetyard/internal/yard/clusterfile"
	"github.com/packetyard/packetyard/internal/yard/statedir"
	"github.com/packetyard/packetyard/internal/yard/supervisor"
	"github.com/packetyard/packetyard/pkg/packet"
)

// Status is all that can be learnt of a yard, also while parts of it are down.
type Status struct {
	StateDir string `json:"stateDir"`
	Parts    []Part `json:"parts"`
	// Machines has one entry for each machine, whoever knows of it.
	Machines []MachineStatus `json:"machines"`
}

// Part is one part of the yard.
type Part struct {
	Name string `json:"name"`
	Up   bool   `json:"up"`
	// Detail says where it is, or what is wrong with it.
	Detail string `json:"detail,omitempty"`
}

// MachineStatus is a machine as the Packet API, the machine driver, Cluster
// API and Kubernetes see it. What one does not know of is null.
type MachineStatus struct {
	Device  *DeviceStatus        `json:"device"`
	Power   *machines.Status     `json:"power"`
	Machine *ClusterMachineState `json:"machine"`
	Node    *NodeStatus          `json:"node"`
}

// DeviceStatus is what the Packet API says.
type DeviceStatus struct {
	ID       string             `json:"id"`
	Hostname string             `json:"hostname"`
	State    packet.DeviceState `json:"state"`
	Plan     string             `json:"plan"`
	// Addresses are all that are assigned to it, public ones first.
	Addresses []string `json:"addresses"`
	Tags      []string `json:"tags"`
}

// ClusterMachineState is what Cluster API says.
type ClusterMachineState struct {
	Cluster      string `json:"cluster"`
	Namespace    string `json:"namespace"`
	Name         string `json:"name"`
	Phase        string `json:"phase"`
	ControlPlane bool   `json:"controlPlane"`
	ProviderID   string `json:"providerID,omitempty"`
}

// NodeStatus is what the cluster that the node is in says.
type NodeStatus struct {
	Cluster    string `json:"cluster"`
	Name       string `json:"name"`
	Ready      bool   `json:"ready"`
	Version    string `json:"version"`
	ProviderID string `json:"providerID,omitempty"`
	Region     string `json:"region,omitempty"`
	Zone       string `json:"zone,omitempty"`
	// Initialized is false while the cloud controller manager has not
	// initialised the node.
	Initialized bool `json:"initialized"`
}

// bootstrapCluster is how the yard's own cluster is called beside the others.
const bootstrapCluster = "bootstrap"

// patience is how long a part may take to answer until it counts as down.
const patience = 5 * time.Second

// ReadStatus asks every part of the yard.
func ReadStatus(ctx context.Context, dir statedir.Dir) *Status {
	status := &Status{StateDir: dir.Path(), Machines: []MachineStatus{}}
	report, alive, err := supervisor.ReadReport(dir)
	status.part("supervisor", err, alive, fmt.Sprintf("process %d, proxy into the machines' network on %s", report.PID, report.ProxyAddress), "it does not run; `packetyard up` starts it")

	// One part that does not answer must not keep the others waiting.
	var asking sync.WaitGroup
	var devices []packet.Device
	var apiErr, rackErr error
	var powers []machines.Status
	var clusters clustersView
	asking.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		devices, apiErr = listDevices(ctx, dir, report)
	})
	asking.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		powers, rackErr = listMachines(ctx, dir)
	})
	asking.Go(func() { clusters = lookAtClusters(ctx, dir, report) })
	asking.Wait()

	status.part("Packet API", apiErr, true, fmt.Sprintf("%s, process %d, started again %d times", report.APIURL(), report.APIServer.PID, report.APIServer.Restarts), "")
	status.part("machines", rackErr, true, fmt.Sprintf("%d machines", len(powers)), "")
	status.Parts = append(status.Parts, clusters.parts...)
	status.Machines = join(devices, powers, clusters.machines, clusters.nodes)
	return status
}

func (s *Status) part(name string, err error, up bool, detail, otherwise string) {
	switch {
	case err != nil:
		s.Parts = append(s.Parts, Part{Name: name, Detail: err.Error()})
	case !up:
		s.Parts = append(s.Parts, Part{Name: name, Detail: otherwise})
	default:
		s.Parts = append(s.Parts, Part{Name: name, Up: true, Detail: detail})
	}
}

func listDevices(ctx context.Context, dir statedir.Dir, report supervisor.Report) ([]packet.Device, error) {
	api, err := newAPI(dir, report)
	if err != nil {
		return nil, err
	}
	return api.Devices(ctx, api.credentials.ProjectID, packet.DeviceFilter{})
}

// clustersView is what all clusters of a yard say.
type clustersView struct {
	parts    []Part
	machines []ClusterMachineState
	nodes    []NodeStatus
}

func lookAtClusters(ctx context.Context, dir statedir.Dir, report supervisor.Report) clustersView {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var view clustersView
	down := func(name string, err error) clustersView {
		view.parts = append(view.parts, Part{Name: name, Detail: err.Error()})
		return view
	}
	scheme, err := clusterfile.NewScheme()
	if err != nil {
		return down("bootstrap cluster", err)
	}
	bootstrap, err := kubeClientAt(dir.BootstrapKubeconfig(), scheme)
	if err != nil {
		return down("bootstrap cluster", err)
	}
	var nodes corev1.NodeList
	if err := bootstrap.List(ctx, &nodes); err != nil {
		return down("bootstrap cluster", err)
	}
	view.addNodes(bootstrapCluster, nodes.Items)
	view.parts = append(view.parts, Part{Name: "bootstrap cluster", Up: true, Detail: "KUBECONFIG=" + dir.BootstrapKubeconfig()})

	var found clusterv1.MachineList
	var clusters clusterv1.ClusterList
	if err := bootstrap.List(ctx, &clusters); err != nil {
		return down("Cluster API", err)
	}
	if err := bootstrap.List(ctx, &found); err != nil {
		return down("Cluster API", err)
	}
	for _, machine := range found.Items {
		_, controlPlane := machine.Labels[clusterv1.MachineControlPlaneLabel]
		phase := machine.Status.Phase
		if phase == "" {
			phase = string(clusterv1.MachinePhasePending)
		}
		view.machines = append(view.machines, ClusterMachineState{
			Cluster: clusterName(machine.Namespace, machine.Spec.ClusterName), Namespace: machine.Namespace, Name: machine.Name,
			Phase: phase, ControlPlane: controlPlane, ProviderID: machine.Spec.ProviderID,
		})
	}
	for _, cluster := range clusters.Items {
		name := clusterName(cluster.Namespace, cluster.Name)
		part := Part{Name: "cluster " + name}
		workload := workload{scheme: scheme, proxyURL: report.ProxyURL()}
		var nodes corev1.NodeList
		err := workload.connect(ctx, bootstrap, client.ObjectKeyFromObject(&cluster))
		if err == nil {
			err = workload.client.List(ctx, &nodes)
		}
		if err != nil {
			part.Detail = fmt.Sprintf("%s; %v", cluster.Status.Phase, err)
		} else {
			part.Up = true
			part.Detail = fmt.Sprintf("%s, KUBECONFIG=%s", cluster.Status.Phase, dir.Kubeconfig(name))
			view.addNodes(name, nodes.Items)
		}
		view.parts = append(view.parts, part)
	}
	return view
}

func (v *clustersView) addNodes(cluster string, nodes []corev1.Node) {
	for _, node := range nodes {
		status := NodeStatus{
			Cluster: cluster, Name: node.Name, Version: node.Status.NodeInfo.KubeletVersion, ProviderID: node.Spec.ProviderID,
			Region: node.Labels[corev1.LabelTopologyRegion], Zone: node.Labels[corev1.LabelTopologyZone], Initialized: true,
		}
		for _, condition := range node.Status.Conditions {
			if condition.Type == corev1.NodeReady {
				status.Ready = condition.Status == corev1.ConditionTrue
			}
		}
		for _, taint := range node.Spec.Taints {
			if taint.Key == uninitializedTaint {
				status.Initialized = false
			}
		}
		v.nodes = append(v.nodes, status)
	}
}

// join puts what belongs to one machine into one entry.
func join(devices []packet.Device, powers []machines.Status, clusterMachines []ClusterMachineState, nodes []NodeStatus) []MachineStatus {
	all := []MachineStatus{}
	find := func(matches func(MachineStatus) bool) *MachineStatus {
		if i := slices.IndexFunc(all, matches); i >= 0 {
			return &all[i]
		}
		all = append(all, MachineStatus{})
		return &all[len(all)-1]
	}
	for _, device := range devices {
		all = append(all, MachineStatus{Device: deviceStatus(device)})
	}
	for _, power := range powers {
		find(func(m MachineStatus) bool { return m.Device != nil && m.Device.ID == power.ID }).Power = &power
	}
	for _, machine := range clusterMachines {
		find(func(m MachineStatus) bool { return machine.ProviderID != "" && m.providerID() == machine.ProviderID }).Machine = &machine
	}
	for _, node := range nodes {
		find(func(m MachineStatus) bool {
			switch {
			case node.ProviderID != "":
				return m.providerID() == node.ProviderID
			case node.Cluster == bootstrapCluster:
				return m.Device != nil && packet.HasTags(m.Device.Tags, bootstrapTag)
			default:
				return m.Machine != nil && m.Machine.Cluster == node.Cluster && m.Machine.Name == node.Name
			}
		}).Node = &node
	}
	slices.SortStableFunc(all, func(a, b MachineStatus) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.cluster(), b.cluster()), cmp.Compare(a.Name(), b.Name()))
	})
	return all
}

func deviceStatus(device packet.Device) *DeviceStatus {
	status := &DeviceStatus{ID: device.ID, Hostname: device.Hostname, State: device.State, Tags: device.Tags, Addresses: []string{}}
	if device.Plan != nil {
		status.Plan = device.Plan.Slug
	}
	addresses := slices.Clone(device.IPAddresses)
	slices.SortStableFunc(addresses, func(a, b packet.IPAssignment) int {
		order := func(address packet.IPAssignment) int {
			switch {
			case address.Public && address.AddressFamily == 4:
				return 0
			case address.AddressFamily == 4:
				return 1
			}
			return 2
		}
		return cmp.Compare(order(a), order(b))
	})
	for _, address := range addresses {
		status.Addresses = append(status.Addresses, address.Address)
	}
	return status
}

// Name is the best name that a machine is known by.
func (m MachineStatus) Name() string {
	switch {
	case m.Device != nil:
		return m.Device.Hostname
	case m.Machine != nil:
		return m.Machine.Name
	case m.Power != nil:
		return m.Power.Hostname
	case m.Node != nil:
		return m.Node.Name
	}
	return ""
}

// ID is the device's UUID, or empty where there is no device.
func (m MachineStatus) ID() string {
	switch {
	case m.Device != nil:
		return m.Device.ID
	case m.Power != nil:
		return m.Power.ID
	}
	return ""
}

func (m MachineStatus) providerID() string {
	switch {
	case m.ID() != "":
		return packet.ProviderID(m.ID())
	case m.Machine != nil:
		return m.Machine.ProviderID
	}
	return ""
}

func (m MachineStatus) cluster() string {
	switch {
	case m.Machine != nil:
		return m.Machine.Cluster
	case m.Node != nil:
		return m.Node.Cluster
	}
	return ""
}

// rank puts the bootstrap machine first, and control planes before workers.
func (m MachineStatus) rank() int {
	switch {
	case m.Device != nil && packet.HasTags(m.Device.Tags, bootstrapTag):
		return 0
	case m.isControlPlane():
		return 1
	}
	return 2
}

func (m MachineStatus) isControlPlane() bool {
	return m.Machine != nil && m.Machine.ControlPlane || m.Device != nil && packet.HasTags(m.Device.Tags, packet.TagRoleMaster)
}
