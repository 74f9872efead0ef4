package ccm

import (
	"context"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"

	"github.com/packetyard/packetyard/pkg/packet"
)

// The reasons of the events on nodes.
const (
	// ReasonReinstalling is a device that is being installed anew. Its node
	// loses what is on its disks, and goes on under its name.
	ReasonReinstalling = "DeviceReinstalling"
	// ReasonReinstalled is a device that runs again after that.
	ReasonReinstalled = "DeviceReinstalled"
	// ReasonReplaced is a node whose device is gone while another device has
	// its name. A provider ID cannot be changed, so the Node must be deleted
	// for the new device to join under this name.
	ReasonReplaced = "DeviceReplaced"
)

// maxNotices bounds what is remembered.
const maxNotices = 10000

// notices tells people, by events on nodes, what happened to devices. It
// remembers what it said, so that a round over all nodes each minute says it
// once. A restart may say it again, which events are counted for.
type notices struct {
	mu       sync.Mutex
	recorder record.EventRecorder
	// said is the last reason, by the node's UID.
	said map[types.UID]string
}

func newNotices() *notices { return &notices{said: map[types.UID]string{}} }

// recordTo sets where events go, which is known only when there is a client of
// Kubernetes. Until then they are logged alone.
func (n *notices) recordTo(recorder record.EventRecorder) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.recorder = recorder
}

// state looks at the state of a node's device.
func (n *notices) state(node *corev1.Node, device *packet.Device) {
	n.mu.Lock()
	defer n.mu.Unlock()
	last := n.said[node.UID]
	switch {
	case device.State == packet.StateReinstalling && last != ReasonReinstalling:
		n.say(node, corev1.EventTypeWarning, ReasonReinstalling,
			"Device %s is being reinstalled: what is on its disks is lost, and the node must join the cluster again", device.ID)
	case device.State == packet.StateActive && last == ReasonReinstalling:
		n.say(node, corev1.EventTypeNormal, ReasonReinstalled, "Device %s was reinstalled", device.ID)
	case device.State == packet.StateActive:
		delete(n.said, node.UID)
	}
}

// replaced tells of a node whose device is gone while another has its name.
func (n *notices) replaced(node *corev1.Node, other *packet.Device) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.said[node.UID] == ReasonReplaced {
		return
	}
	n.say(node, corev1.EventTypeWarning, ReasonReplaced,
		"The device of provider ID %s does not exist any more, and device %s has the node's name. A provider ID cannot be changed: delete the Node, and restart the kubelet for it to join anew",
		node.Spec.ProviderID, other.ID)
}

func (n *notices) say(node *corev1.Node, kind, reason, format string, args ...any) {
	if len(n.said) >= maxNotices {
		clear(n.said)
	}
	n.said[node.UID] = reason
	klog.InfoS("Something happened to the device of a node", "node", klog.KObj(node), "reason", reason)
	if n.recorder != nil {
		n.recorder.Eventf(node, kind, reason, format, args...)
	}
}

// reportReplacement looks whether a node, whose device does not exist, runs on
// another device of its name. Such a node can be ready, and the framework then
// leaves it as it is: with a provider ID that leads nowhere.
func (d *devices) reportReplacement(ctx context.Context, node *corev1.Node) {
	listing, err := d.listing.Recent(ctx)
	if err != nil {
		return
	}
	for _, device := range living(listing.ByHostname(node.Name)) {
		if packet.ProviderID(device.ID) != node.Spec.ProviderID {
			d.notices.replaced(node, device)
			return
		}
	}
}
