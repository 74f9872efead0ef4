package worker

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	machinev1alpha1 "github.com/gardener/machine-controller-manager/pkg/apis/machine/v1alpha1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/gardener/gardener/extensions/pkg/controller"
	"github.com/gardener/gardener/extensions/pkg/controller/worker"
	"github.com/gardener/gardener/extensions/pkg/controller/worker/genericactuator"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"

	"github.com/packetyard/packetyard/internal/gardener/account"
	"github.com/packetyard/packetyard/internal/gardener/decode"
	"github.com/packetyard/packetyard/internal/gardener/faults"
	"github.com/packetyard/packetyard/pkg/packet"
)

const (
	// seenInterval and seenTimeout are how often and how long the cache is asked for what was written a moment ago.
	seenInterval = 50 * time.Millisecond
	seenTimeout  = 10 * time.Second
)

// delegates makes the delegate of one reconciliation.
type delegates struct {
	client   client.Client
	networks *nodeNetworks
	apiURL   string
}

// WorkerDelegate implements genericactuator.DelegateFactory.
func (d *delegates) WorkerDelegate(ctx context.Context, w *extensionsv1alpha1.Worker, cluster *controller.Cluster) (genericactuator.WorkerDelegate, error) {
	if cluster == nil || cluster.Shoot == nil || cluster.CloudProfile == nil {
		return nil, fmt.Errorf("the Cluster of namespace %s has no Shoot or no CloudProfile", w.Namespace)
	}
	profile, err := decode.CloudProfileConfig(cluster.CloudProfile.Spec.ProviderConfig)
	if err != nil {
		return nil, faults.Configuration("CloudProfile %s: providerConfig: %w", cluster.CloudProfile.Name, err)
	}
	infrastructure, err := decode.InfrastructureStatus(w.Spec.InfrastructureProviderStatus)
	if err != nil {
		return nil, fmt.Errorf("infrastructureProviderStatus: %w", err)
	}
	status, err := decode.WorkerStatus(w.Status.ProviderStatus)
	if err != nil {
		return nil, fmt.Errorf("status.providerStatus: %w", err)
	}
	credentials, err := account.Read(ctx, d.client, w.Spec.SecretRef, ptr.Deref(profile.APIURL, ""), d.apiURL)
	if err != nil {
		return nil, err
	}
	return &delegate{
		client:      d.client,
		networks:    d.networks,
		credentials: credentials,
		inputs: &inputs{
			worker:         w,
			cluster:        cluster,
			profile:        profile,
			infrastructure: infrastructure,
			status:         status,
			apiURL:         credentials.APIURL,
		},
	}, nil
}

// delegate is what one reconciliation of a Worker does for Packet. The generic actuator calls its methods one after the other.
type delegate struct {
	client      client.Client
	networks    *nodeNetworks
	credentials packet.Credentials
	inputs      *inputs
	// made is nil until it is asked for.
	made *fleet
	// deployed says that its MachineClasses are there.
	deployed bool
}

var _ genericactuator.WorkerDelegate = &delegate{}

func (d *delegate) fleet(ctx context.Context) (*fleet, error) {
	if d.made != nil {
		return d.made, nil
	}
	d.inputs.userData = map[string][]byte{}
	for _, pool := range d.inputs.worker.Spec.Pools {
		data, err := worker.FetchUserData(ctx, d.client, d.inputs.worker.Namespace, pool)
		if err != nil && d.inputs.worker.DeletionTimestamp == nil {
			return nil, err
		}
		d.inputs.userData[pool.Name] = data
	}
	made, err := generate(d.inputs)
	if err != nil {
		return nil, err
	}
	for _, reason := range made.skipped {
		logf.FromContext(ctx).Info("A pool of the Worker that is deleted keeps the MachineClasses it has", "reason", reason.Error())
	}
	d.made = made
	return made, nil
}

// GenerateMachineDeployments implements genericactuator.WorkerDelegate.
func (d *delegate) GenerateMachineDeployments(ctx context.Context) (worker.MachineDeployments, error) {
	made, err := d.fleet(ctx)
	if err != nil {
		return nil, err
	}
	return made.deployments, nil
}

// DeployMachineClasses implements genericactuator.WorkerDelegate. A Secret comes before its class, which cannot be used without.
// The generic actuator deletes those that no MachineDeployment wants any more.
func (d *delegate) DeployMachineClasses(ctx context.Context) error {
	if d.deployed {
		return nil
	}
	made, err := d.fleet(ctx)
	if err != nil {
		return err
	}
	for _, secret := range made.secrets {
		if err := apply(ctx, d.client, secret); err != nil {
			return fmt.Errorf("applying Secret %s: %w", client.ObjectKeyFromObject(secret), err)
		}
	}
	for _, class := range made.classes {
		if err := apply(ctx, d.client, class); err != nil {
			return fmt.Errorf("applying MachineClass %s: %w", client.ObjectKeyFromObject(class), err)
		}
	}
	d.deployed = true
	return nil
}

// UpdateMachineImagesStatus implements genericactuator.WorkerDelegate.
func (d *delegate) UpdateMachineImagesStatus(ctx context.Context) error {
	made, err := d.fleet(ctx)
	if err != nil {
		return err
	}
	w := d.inputs.worker
	status := d.inputs.status.DeepCopy()
	status.MachineImages = made.images
	if w.Status.ProviderStatus != nil && reflect.DeepEqual(status.MachineImages, d.inputs.status.MachineImages) {
		return nil
	}
	raw, err := decode.Encode(status)
	if err != nil {
		return err
	}
	patch := client.MergeFrom(w.DeepCopy())
	w.Status.ProviderStatus = raw
	if err := d.client.Status().Patch(ctx, w, patch); err != nil {
		return fmt.Errorf("writing the machine images in use into the status: %w", err)
	}
	d.inputs.status = status
	return nil
}

// PreReconcileHook implements genericactuator.WorkerDelegate: it deploys the MachineClasses before the generic actuator looks which
// there are.
//
// Of a class that it has not seen before, the generic actuator wants to see two MachineSets when all of the machines are replaced.
// machine-controller-manager removes the old one with its last machine, so whoever's servers are replaced faster than in five minutes
// would wait for five minutes, and get an error. For every class it waits until the MachineSet of that class is there, which is enough.
func (d *delegate) PreReconcileHook(ctx context.Context) error {
	if err := d.DeployMachineClasses(ctx); err != nil {
		return err
	}
	return d.untilSeen(ctx)
}

// untilSeen waits until the cache has the MachineClasses that were applied. Without an answer in time all is as it would be without
// the wait.
func (d *delegate) untilSeen(ctx context.Context) error {
	for _, class := range d.made.classes {
		err := wait.PollUntilContextTimeout(ctx, seenInterval, seenTimeout, true, func(ctx context.Context) (bool, error) {
			err := d.client.Get(ctx, client.ObjectKeyFromObject(class), &machinev1alpha1.MachineClass{})
			return err == nil, client.IgnoreNotFound(err)
		})
		if err != nil && !wait.Interrupted(err) {
			return fmt.Errorf("reading MachineClass %s: %w", client.ObjectKeyFromObject(class), err)
		}
	}
	return ctx.Err()
}

// PostReconcileHook implements genericactuator.WorkerDelegate: it reports the private blocks that the machines have addresses
// from.
func (d *delegate) PostReconcileHook(ctx context.Context) error {
	if controller.IsHibernationEnabled(d.inputs.cluster) {
		return nil
	}
	api, err := packet.NewClient(packet.Config{BaseURL: d.credentials.APIURL, Token: d.credentials.APIToken, UserAgent: userAgent})
	if err != nil {
		return errors.Join(errors.New("configuration problem: cannot ask the Packet API"), err)
	}
	return d.networks.report(ctx, logf.FromContext(ctx), api, d.credentials.ProjectID, d.inputs.worker, d.inputs.cluster.Shoot.Name)
}

// PreDeleteHook implements genericactuator.WorkerDelegate.
func (*delegate) PreDeleteHook(context.Context) error { return nil }

// PostDeleteHook implements genericactuator.WorkerDelegate.
func (*delegate) PostDeleteHook(context.Context) error { return nil }
