package worker

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	machinev1alpha1 "github.com/gardener/machine-controller-manager/pkg/apis/machine/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gardener/gardener/extensions/pkg/controller"
	"github.com/gardener/gardener/extensions/pkg/controller/worker"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"

	machineclassv1alpha1 "github.com/packetyard/packetyard/api/machineclass/v1alpha1"
	"github.com/packetyard/packetyard/api/packet/v1alpha1"
	"github.com/packetyard/packetyard/internal/gardener/decode"
	"github.com/packetyard/packetyard/internal/gardener/faults"
)

// inputs are all that the machines of a Worker are derived from. The same inputs give the same fleet.
type inputs struct {
	worker         *extensionsv1alpha1.Worker
	cluster        *controller.Cluster
	profile        *v1alpha1.CloudProfileConfig
	infrastructure *v1alpha1.InfrastructureStatus
	status         *v1alpha1.WorkerStatus
	apiURL         string
	// userData is what machines begin with, by pool.
	userData map[string][]byte
}

// fleet is what the machines of a Worker are made from.
type fleet struct {
	classes     []*machinev1alpha1.MachineClass
	secrets     []*corev1.Secret
	deployments worker.MachineDeployments
	images      []v1alpha1.MachineImage
	// skipped says of which pools nothing could be made, and why. They are in the way of nothing else but of a deletion.
	skipped []error
}

// generate makes a fleet. Its errors name the pool, the field and the value; most are configuration problems.
//
// A Worker that is deleted needs its classes once more, so that machine-controller-manager has them while it deletes machines. A
// pool that nothing can be made of any more has the classes that it had before, if it ever had any: it is left out.
func generate(in *inputs) (*fleet, error) {
	if in.technicalID() == "" {
		return nil, errors.New("the Shoot has no status.technicalID yet, which its machines are named and tagged by")
	}
	deleting := in.worker.DeletionTimestamp != nil
	if len(in.worker.Spec.SSHPublicKey) > 0 && in.infrastructure.SSHKeyID == "" && !deleting {
		return nil, errors.New("infrastructureProviderStatus has no sshKeyID yet: the Infrastructure has to be reconciled first")
	}
	all := &fleet{}
	for _, pool := range in.worker.Spec.Pools {
		err := in.addPool(all, pool)
		switch {
		case err == nil:
		case deleting:
			all.skipped = append(all.skipped, describe(pool, err))
		default:
			return nil, describe(pool, err)
		}
	}
	return all, nil
}

func (in *inputs) addPool(all *fleet, pool extensionsv1alpha1.WorkerPool) error {
	config, err := decode.WorkerConfig(pool.ProviderConfig)
	if err != nil {
		return faults.Configuration("providerConfig: %w", err)
	}
	if len(in.userData[pool.Name]) == 0 {
		return errors.New("there is no user data for its machines")
	}
	image, err := in.findImage(pool)
	if err != nil {
		return err
	}
	all.images = appendImage(all.images, *image)

	zones := places(in.worker.Spec.Region, in.infrastructure.Metro, pool.Zones)
	for n, p := range zones {
		s := share{zone: int32(n), zones: int32(len(zones))} // #nosec G115 -- a metro has a few facilities.
		spec := in.providerSpec(pool, config, image, p)
		hash, err := in.hashOf(pool, spec)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("%s-%s-z%d", in.technicalID(), pool.Name, n+1)
		class := name + "-" + hash
		machineClass, err := in.machineClass(class, spec)
		if err != nil {
			return err
		}
		machineClass.NodeTemplate = nodeTemplate(pool, config, in.machineType(pool), in.worker.Spec.Region, p)
		all.classes = append(all.classes, machineClass)
		all.secrets = append(all.secrets, in.classSecret(class, pool))
		all.deployments = append(all.deployments, in.machineDeployment(name, class, pool, p, s))
	}
	return nil
}

// machineClass has the name of its Secret, which has the user data. The credentials are in the Secret of the Shoot's account, so
// that new ones reach machine-controller-manager without a reconciliation.
func (in *inputs) machineClass(name string, spec *machineclassv1alpha1.ProviderSpec) (*machinev1alpha1.MachineClass, error) {
	raw, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("writing the providerSpec of MachineClass %s: %w", name, err)
	}
	return &machinev1alpha1.MachineClass{
		TypeMeta:             metav1.TypeMeta{APIVersion: machinev1alpha1.SchemeGroupVersion.String(), Kind: "MachineClass"},
		ObjectMeta:           metav1.ObjectMeta{Name: name, Namespace: in.worker.Namespace},
		SecretRef:            &corev1.SecretReference{Name: name, Namespace: in.worker.Namespace},
		CredentialsSecretRef: in.worker.Spec.SecretRef.DeepCopy(),
		Provider:             machineclassv1alpha1.Provider,
		ProviderSpec:         runtime.RawExtension{Raw: raw},
	}, nil
}

// classSecret has the label by which the generic actuator finds, and deletes, the Secrets of classes that are gone.
func (in *inputs) classSecret(name string, pool extensionsv1alpha1.WorkerPool) *corev1.Secret {
	return &corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: corev1.SchemeGroupVersion.String(), Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{
			Name:      name,
			Namespace: in.worker.Namespace,
			Labels:    map[string]string{v1beta1constants.GardenerPurpose: v1beta1constants.GardenPurposeMachineClass},
		},
		Type: corev1.SecretTypeOpaque,
		Data: map[string][]byte{machineclassv1alpha1.SecretUserData: in.userData[pool.Name]},
	}
}

func (in *inputs) machineDeployment(name, class string, pool extensionsv1alpha1.WorkerPool, p place, s share) worker.MachineDeployment {
	configuration := machineConfiguration(pool, in.machineType(pool))
	labels := p.labels()
	// What the Shoot's owner says of a node goes before what we say of it.
	maps.Copy(labels, pool.Labels)
	deployment := worker.MachineDeployment{
		Name:                         name,
		PoolName:                     pool.Name,
		ClassName:                    class,
		SecretName:                   class,
		Minimum:                      s.of(pool.Minimum),
		Maximum:                      s.of(pool.Maximum),
		Priority:                     pool.Priority,
		Strategy:                     strategyOf(pool, s),
		Labels:                       labels,
		Annotations:                  pool.Annotations,
		Taints:                       pool.Taints,
		MachineConfiguration:         configuration,
		ClusterAutoscalerAnnotations: autoscalerAnnotations(pool, in.cluster.Shoot, configuration.MachineCreationTimeout.Duration),
	}
	if settings := pool.MachineControllerManagerSettings; settings != nil && settings.AutoPreserveFailedMachineMax != nil {
		deployment.AutoPreserveFailedMachineMax = s.of(*settings.AutoPreserveFailedMachineMax)
	}
	return deployment
}

// describe names a pool in errors.
func describe(pool extensionsv1alpha1.WorkerPool, err error) error {
	return fmt.Errorf("worker pool %q: %w", pool.Name, err)
}
