package ccm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	cloudprovider "k8s.io/cloud-provider"
	cloudproviderapi "k8s.io/cloud-provider/api"
	"k8s.io/klog/v2"

	"github.com/packetyard/packetyard/pkg/packet"
)

// The ages that an answer may have.
const (
	// listingTTL is for how long one listing of the project answers for all
	// nodes. Nodes that are not ready are looked at every 5 s: whatever their
	// number, that is one listing in this time. It is also how late a device's
	// power state is seen at most.
	listingTTL = 10 * time.Second
	// statusAgePerPage is how old a listing may be for the addresses of nodes
	// that are initialised, for each page that it takes. It is less than the
	// time between two rounds over all nodes, and keeps what an idle cluster
	// costs at about one request a minute, whatever its size.
	statusAgePerPage = 45 * time.Second
	// clockSkew is how far the clocks of this host and of the API servers of
	// Kubernetes may be apart.
	clockSkew = 5 * time.Second
)

// deviceReader reads one device; *packet.Client is one.
type deviceReader interface {
	Device(ctx context.Context, id string, options ...packet.QueryOption) (*packet.Device, error)
}

// deviceListing is the project's devices; *packet.DeviceCache is one.
type deviceListing interface {
	Recent(ctx context.Context) (*packet.DeviceSnapshot, error)
	Fresh(ctx context.Context) (*packet.DeviceSnapshot, error)
	Since(ctx context.Context, moment time.Time) (*packet.DeviceSnapshot, error)
}

// devices implements cloudprovider.InstancesV2.
//
// NOTE: when InstanceExists says false without an error, the framework deletes
// the Node. So false takes three things: a provider ID that names a device of
// ours, the API's word that the device is not there, and a listing of our
// project. A wrong base URL, a token of another project or a proxy gives the
// second without the third.
type devices struct {
	api     deviceReader
	listing deviceListing
	clock   packet.Clock
	config  config
	notices *notices
	// pages is how many the last listing had.
	pages atomic.Int32
}

var _ cloudprovider.InstancesV2 = (*devices)(nil)

// InstanceExists tells whether a node's device exists. A node of another cloud
// exists as far as we are concerned: it is not ours to delete. So does a node
// that has no provider ID and that no device has the name of: it may be of
// another cloud, or of none.
func (d *devices) InstanceExists(ctx context.Context, node *corev1.Node) (bool, error) {
	device, err := d.find(ctx, node, lastKnown)
	switch {
	case errors.Is(err, packet.ErrForeignProviderID):
		return true, nil
	case errors.Is(err, cloudprovider.InstanceNotFound) && node.Spec.ProviderID == "":
		klog.V(2).InfoS("The node has no provider ID, and no device has its name: it is left alone", "node", klog.KObj(node))
		return true, nil
	case errors.Is(err, cloudprovider.InstanceNotFound):
		klog.V(2).InfoS("The node's device does not exist", "node", klog.KObj(node), "reason", err.Error())
		return false, nil
	case err != nil:
		return false, fmt.Errorf("finding out whether the device of node %s exists: %w", node.Name, err)
	}
	d.notices.state(node, device)
	return true, nil
}

// InstanceShutdown tells whether a node's device is switched off. A device
// that is about to be on or off is neither: the node keeps the taint it has.
func (d *devices) InstanceShutdown(ctx context.Context, node *corev1.Node) (bool, error) {
	device, err := d.find(ctx, node, lastKnown)
	switch {
	case errors.Is(err, packet.ErrForeignProviderID):
		return false, nil
	case errors.Is(err, cloudprovider.InstanceNotFound) && node.Spec.ProviderID == "":
		return false, nil
	case err != nil:
		return false, fmt.Errorf("finding out whether the device of node %s is switched off: %w", node.Name, err)
	}
	return device.State == packet.StateInactive, nil
}

// InstanceMetadata tells what a node's device is like.
//
// For a node of another cloud there are two ways of saying nothing, and the
// framework needs both: it skips a node that waits for its initialisation if
// the metadata is nil, and it dereferences the metadata of any other node.
func (d *devices) InstanceMetadata(ctx context.Context, node *corev1.Node) (*cloudprovider.InstanceMetadata, error) {
	waiting := awaitsInitialisation(node)
	fresh := forStatus
	if waiting {
		fresh = forInitialisation
	}
	device, err := d.find(ctx, node, fresh)
	switch {
	case errors.Is(err, packet.ErrForeignProviderID):
		klog.V(4).InfoS("The node is of another cloud", "node", klog.KObj(node), "providerID", node.Spec.ProviderID)
		if waiting {
			return nil, nil
		}
		return &cloudprovider.InstanceMetadata{ProviderID: node.Spec.ProviderID}, nil
	case errors.Is(err, cloudprovider.InstanceNotFound) && node.Spec.ProviderID != "":
		d.reportReplacement(ctx, node)
		return nil, fmt.Errorf("finding the device of node %s: %w", node.Name, err)
	case err != nil:
		return nil, fmt.Errorf("finding the device of node %s: %w", node.Name, err)
	}
	d.notices.state(node, device)
	addresses, err := nodeAddresses(device, node, d.config.addressPolicy)
	if err != nil {
		return nil, fmt.Errorf("finding the addresses of node %s: %w", node.Name, err)
	}
	metadata := &cloudprovider.InstanceMetadata{
		// A node keeps the provider ID it has, whatever its form.
		ProviderID:       node.Spec.ProviderID,
		NodeAddresses:    addresses,
		Zone:             zone(device),
		Region:           region(device),
		AdditionalLabels: additionalLabels(device, d.config.nodeLabels, d.config.nodeLabelTagPrefix),
	}
	if metadata.ProviderID == "" {
		metadata.ProviderID = packet.ProviderID(device.ID)
	}
	if device.Plan != nil {
		metadata.InstanceType = device.Plan.Slug
	}
	return metadata, nil
}

func awaitsInitialisation(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Spec.Taints, func(taint corev1.Taint) bool {
		return taint.Key == cloudproviderapi.TaintExternalCloudProvider
	})
}

// purpose is what an answer about a device is for, which says how old it may be.
type purpose int

const (
	// lastKnown is for whether a device exists, and runs.
	lastKnown purpose = iota
	// forStatus is for the addresses of a node that is initialised.
	forStatus
	// forInitialisation is for what is written once and for ever.
	forInitialisation
)

// list gives a listing that is good for a purpose.
func (d *devices) list(ctx context.Context, node *corev1.Node, why purpose) (*packet.DeviceSnapshot, error) {
	var listing *packet.DeviceSnapshot
	var err error
	switch why {
	case forStatus:
		age := statusAgePerPage * time.Duration(max(d.pages.Load(), 1))
		listing, err = d.listing.Since(ctx, d.clock.Now().Add(-age))
	case forInitialisation:
		// A node is made by the machine that runs it, so that machine's device
		// is in every listing that began after the node was made. Nodes that
		// join together can share one, unless they have joined just now.
		joined := node.CreationTimestamp.Add(clockSkew)
		if now := d.clock.Now(); !node.CreationTimestamp.IsZero() && joined.Before(now) {
			listing, err = d.listing.Since(ctx, laterOf(joined, now.Add(-listingTTL)))
			break
		}
		listing, err = d.listing.Fresh(ctx)
	default:
		listing, err = d.listing.Recent(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("listing the project's devices: %w", err)
	}
	d.pages.Store(int32(listing.Pages()))
	return listing, nil
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// find gives a node's device. Its errors are packet.ErrForeignProviderID for a
// node of another cloud, cloudprovider.InstanceNotFound for a device that is
// proven not to exist, and others for everything that is not known.
func (d *devices) find(ctx context.Context, node *corev1.Node, why purpose) (*packet.Device, error) {
	if node.Spec.ProviderID == "" {
		return d.findByHostname(ctx, node, why)
	}
	id, err := packet.DeviceID(node.Spec.ProviderID)
	if err != nil {
		return nil, err
	}
	return d.findByID(ctx, id, node, why)
}

func (d *devices) findByID(ctx context.Context, id string, node *corev1.Node, why purpose) (*packet.Device, error) {
	if why == forInitialisation {
		// An ID is no device's but its own, so that no listing is too old to
		// find it in; only whether it was complete by then counts.
		why = lastKnown
	}
	listing, err := d.list(ctx, node, why)
	if err != nil {
		return nil, err
	}
	if device := listing.ByID(id); device != nil && (device.State == packet.StateActive || !awaitsInitialisation(node)) {
		return existing(device)
	}
	device, err := d.api.Device(ctx, id)
	if packet.IsNotFound(err) {
		if _, listErr := d.list(ctx, node, lastKnown); listErr != nil {
			// Not wrapping the 404: on its own it proves nothing.
			return nil, fmt.Errorf("the API denies device %s, but does not list its project either: %w", id, listErr)
		}
		return nil, fmt.Errorf("%w: the API denies device %s", cloudprovider.InstanceNotFound, id)
	}
	if err != nil {
		return nil, err
	}
	return existing(device)
}

// existing takes a device that says of itself that it is deleted at its word.
func existing(device *packet.Device) (*packet.Device, error) {
	if device.State == packet.StateDeleted {
		return nil, fmt.Errorf("%w: device %s is in state %s", cloudprovider.InstanceNotFound, device.ID, device.State)
	}
	return device, nil
}

// findByHostname is for a node that has no provider ID yet, which is found by
// having its device's name.
func (d *devices) findByHostname(ctx context.Context, node *corev1.Node, why purpose) (*packet.Device, error) {
	listing, err := d.list(ctx, node, why)
	if err != nil {
		return nil, err
	}
	if found := living(listing.ByHostname(node.Name)); len(found) == 1 {
		return found[0], nil
	}
	if why != forInitialisation {
		// The device may be newer than the listing.
		if listing, err = d.list(ctx, node, lastKnown); err != nil {
			return nil, err
		}
	}
	return chooseDevice(listing.ByHostname(node.Name), node)
}

// chooseDevice picks the device of a node among those of its name. The API
// lets devices share a name, and they do when one replaces another. A provider
// ID is for ever, so there is no guessing.
func chooseDevice(candidates []*packet.Device, node *corev1.Node) (*packet.Device, error) {
	candidates = living(candidates)
	if len(candidates) > 1 {
		if withAddress := slices.DeleteFunc(slices.Clone(candidates), func(device *packet.Device) bool {
			return !sharesAddress(device, node)
		}); len(withAddress) > 0 {
			candidates = withAddress
		}
	}
	switch len(candidates) {
	case 0:
		return nil, fmt.Errorf("%w: no device of the project has the host name %q", cloudprovider.InstanceNotFound, node.Name)
	case 1:
		return candidates[0], nil
	}
	ids := make([]string, 0, len(candidates))
	for _, device := range candidates {
		ids = append(ids, device.ID)
	}
	return nil, fmt.Errorf("%d devices have the host name %q and nothing tells which is the node's: %s",
		len(candidates), node.Name, strings.Join(ids, ", "))
}

// living leaves out the devices that are gone or going.
func living(devices []*packet.Device) []*packet.Device {
	var left []*packet.Device
	for _, device := range devices {
		if device.State != packet.StateDeleted && device.State != packet.StateDeprovisioning {
			left = append(left, device)
		}
	}
	return left
}
