package bastion

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	extensionscontroller "github.com/gardener/gardener/extensions/pkg/controller"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"github.com/go-logr/logr"

	"github.com/packetyard/packetyard/internal/gardener/infrastructure"
	"github.com/packetyard/packetyard/pkg/packet"
)

// The tags of bastions' devices, besides those of their Shoot: which Bastion it is, and a hash of what the device was made from.
// They have nothing of the tags by which the machine driver knows its machines, kubernetes.io/cluster/… and kubernetes.io/role/…,
// because it deletes those that no Machine stands for.
const (
	TagPrefixBastion = "gardener-bastion:"
	TagPrefixHash    = "gardener-bastion-hash:"
)

// digits is how much of a hash suffices to tell two things apart.
const digits = 16

// API is what this package needs of the Packet API; packet.Client is one.
type API interface {
	infrastructure.Locations
	Devices(ctx context.Context, projectID string, filter packet.DeviceFilter, options ...packet.QueryOption) ([]packet.Device, error)
	CreateDevice(ctx context.Context, projectID string, create packet.DeviceCreate, options ...packet.QueryOption) (*packet.Device, error)
	DeleteDevice(ctx context.Context, id string, force bool) error
}

// scope is one reconciliation of one Bastion.
type scope struct {
	log     logr.Logger
	api     API
	project string
	bastion *extensionsv1alpha1.Bastion
	cluster *extensionscontroller.Cluster
	owner   infrastructure.Owner
}

func hash(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])[:digits]
}

// tagOf is the tag of a Bastion's device. A long name is cut, and ends in its hash.
func tagOf(name string) string {
	tag := TagPrefixBastion + name
	if len(tag) > packet.MaxTagLength {
		tag = tag[:packet.MaxTagLength-digits-1] + "-" + hash(name)
	}
	return tag
}

// hostname is a label of the DNS for a Bastion.
func (s *scope) hostname() string {
	const longest = 63
	name := "bastion-" + strings.ReplaceAll(s.bastion.Name, ".", "-")
	if len(name) > longest {
		name = name[:longest-digits-1] + "-" + hash(name)
	}
	return name
}

// order is the request for the device. It has an address in the project's private network, by which it reaches the nodes, and
// none of the project's SSH keys.
func (s *scope) order(m machine, metro, userData string) packet.DeviceCreate {
	return packet.DeviceCreate{
		Hostname:        s.hostname(),
		Description:     "Gardener: bastion " + s.bastion.Name + " of " + s.owner.TechnicalID,
		Plan:            m.plan,
		OperatingSystem: m.operatingSystem,
		IPXEScriptURL:   m.ipxeScriptURL,
		Metro:           metro,
		BillingCycle:    "hourly",
		// The CloudProfile may offer other machines one day, which is no reason to replace a device that serves.
		Tags:      append(s.owner.Tags(), tagOf(s.bastion.Name), TagPrefixHash+hash(userData)),
		Userdata:  userData,
		NoSSHKeys: true,
	}
}

// ensure finds or makes the device, and returns its public IPv4 address. While there is none, the error is a waitingError.
func (s *scope) ensure(ctx context.Context, order packet.DeviceCreate) (string, error) {
	devices, err := s.devices(ctx)
	if err != nil {
		return "", err
	}
	var kept *packet.Device
	for n := range devices {
		device := &devices[n]
		if isLeaving(device) {
			continue
		}
		if kept == nil && device.State != packet.StateFailed && packet.HasTags(device.Tags, order.Tags...) {
			kept = device
			continue
		}
		// The ingress has changed, the installation has failed, or a lost answer has led to a second device.
		s.log.Info("Deleting a device that does not serve", "device", device.ID, "state", device.State)
		if err := s.delete(ctx, device); err != nil {
			return "", err
		}
	}
	if kept == nil {
		if kept, err = s.api.CreateDevice(ctx, s.project, order); err != nil {
			return "", fmt.Errorf("making the device of the bastion: %w", err)
		}
		s.log.Info("Made a device", "device", kept.ID)
	}
	address := publicIPv4(kept)
	if kept.State != packet.StateActive || address == "" {
		return "", &waitingError{fmt.Sprintf("the device %s of the bastion is %s (%.0f %%)", kept.ID, kept.State, kept.ProvisioningPercentage)}
	}
	return address, nil
}

// remove deletes all devices of the Bastion. The error is a waitingError until they are gone.
func (s *scope) remove(ctx context.Context) error {
	devices, err := s.devices(ctx)
	if err != nil {
		return err
	}
	for n := range devices {
		if isLeaving(&devices[n]) {
			continue
		}
		if err := s.delete(ctx, &devices[n]); err != nil {
			return err
		}
	}
	if len(devices) > 0 {
		return &waitingError{fmt.Sprintf("the device %s of the bastion is being deleted", devices[0].ID)}
	}
	return nil
}

// devices are those of the Bastion, the oldest first (findProjectDevices).
func (s *scope) devices(ctx context.Context) ([]packet.Device, error) {
	tag := tagOf(s.bastion.Name)
	all, err := s.api.Devices(ctx, s.project, packet.DeviceFilter{Tag: tag})
	if err != nil {
		return nil, fmt.Errorf("listing the devices of the bastion: %w", err)
	}
	ours := slices.DeleteFunc(all, func(d packet.Device) bool {
		return !packet.HasTags(d.Tags, tag) || !s.owner.Has(d.Tags)
	})
	slices.SortFunc(ours, func(a, b packet.Device) int {
		if a.CreatedAt == nil || b.CreatedAt == nil || a.CreatedAt.Equal(b.CreatedAt.Time) {
			return strings.Compare(a.ID, b.ID)
		}
		return a.CreatedAt.Compare(b.CreatedAt.Time)
	})
	return ours, nil
}

// delete gives a device back, also one that is still being installed (deleteDevice).
func (s *scope) delete(ctx context.Context, device *packet.Device) error {
	if err := s.api.DeleteDevice(ctx, device.ID, true); err != nil && !packet.IsNotFound(err) {
		return fmt.Errorf("deleting the device %s of the bastion: %w", device.ID, err)
	}
	return nil
}

// isLeaving tells that a device is being deleted already.
func isLeaving(device *packet.Device) bool {
	return device.State == packet.StateDeprovisioning || device.State == packet.StateDeleted
}

func publicIPv4(device *packet.Device) string {
	for _, address := range device.IPAddresses {
		if address.Public && address.AddressFamily == 4 {
			return address.Address
		}
	}
	return ""
}
