package validator

import (
	"context"
	"fmt"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	gardenerutils "github.com/gardener/gardener/pkg/utils/gardener"

	"github.com/packetyard/packetyard/api/packet/v1alpha1"
	"github.com/packetyard/packetyard/api/packet/validation"
	"github.com/packetyard/packetyard/internal/gardener/account"
	"github.com/packetyard/packetyard/internal/gardener/decode"
)

// shoots validates Shoots. Of one that is there already it looks at what changes only: rules that are new must not keep it from being
// changed elsewhere, or deleted.
type shoots struct{ reader client.Reader }

// Validate implements extensionswebhook.Validator.
func (s *shoots) Validate(ctx context.Context, newObj, oldObj client.Object) error {
	shoot, old, err := typed[*gardencorev1beta1.Shoot](newObj, oldObj)
	if err != nil {
		return err
	}
	switch {
	case shoot.DeletionTimestamp != nil,
		shoot.Spec.Provider.Type != account.Type,
		len(shoot.Spec.Provider.Workers) == 0,
		old != nil && apiequality.Semantic.DeepEqual(shoot.Spec, old.Spec):
		return nil
	}
	problems := s.infrastructure(shoot, old)
	problems = append(problems, controlPlane(shoot, old)...)
	workers, err := s.workers(ctx, shoot, old)
	if err != nil {
		return err
	}
	problems = append(problems, workers...)
	if old != nil {
		mistakes, err := s.sameProject(ctx, shoot, old)
		if err != nil {
			return err
		}
		problems = append(problems, mistakes...)
	}
	return problems.ToAggregate()
}

func (s *shoots) infrastructure(shoot, old *gardencorev1beta1.Shoot) field.ErrorList {
	if old != nil && equal(shoot.Spec.Provider.InfrastructureConfig, old.Spec.Provider.InfrastructureConfig) &&
		equal(shoot.Spec.Networking, old.Spec.Networking) {
		return nil
	}
	at := field.NewPath("spec", "provider", "infrastructureConfig")
	config, err := decode.InfrastructureConfig(shoot.Spec.Provider.InfrastructureConfig)
	if err != nil {
		return unreadable(at, err)
	}
	problems := validation.ValidateInfrastructureConfig(config, shoot.Spec.Networking, at)
	problems = append(problems, validation.ValidateNetworking(shoot.Spec.Networking, config, old == nil, field.NewPath("spec", "networking"))...)
	if old == nil || len(old.Spec.Provider.Workers) == 0 {
		return problems
	}
	before, err := decode.InfrastructureConfig(old.Spec.Provider.InfrastructureConfig)
	if err != nil {
		// What was there cannot be read, so anything that can be is better.
		return problems
	}
	var nodes *string
	if old.Spec.Networking != nil {
		nodes = old.Spec.Networking.Nodes
	}
	return append(problems, validation.ValidateInfrastructureConfigUpdate(config, before, nodes, at)...)
}

func controlPlane(shoot, old *gardencorev1beta1.Shoot) field.ErrorList {
	if old != nil && equal(shoot.Spec.Provider.ControlPlaneConfig, old.Spec.Provider.ControlPlaneConfig) &&
		shoot.Spec.Kubernetes.Version == old.Spec.Kubernetes.Version {
		return nil
	}
	at := field.NewPath("spec", "provider", "controlPlaneConfig")
	config, err := decode.ControlPlaneConfig(shoot.Spec.Provider.ControlPlaneConfig)
	if err != nil {
		return unreadable(at, err)
	}
	return validation.ValidateControlPlaneConfig(config, shoot.Spec.Kubernetes.Version, at)
}

// workers validates the worker pools that are new or changed.
func (s *shoots) workers(ctx context.Context, shoot, old *gardencorev1beta1.Shoot) (field.ErrorList, error) {
	if old != nil && equal(shoot.Spec.Provider.Workers, old.Spec.Provider.Workers) && shoot.Spec.Region == old.Spec.Region {
		return nil, nil
	}
	profile, err := gardenerutils.GetCloudProfile(ctx, s.reader, shoot)
	if err != nil {
		return nil, fmt.Errorf("reading the CloudProfile of the Shoot: %w", err)
	}
	images, err := decode.CloudProfileConfig(profile.Spec.ProviderConfig)
	if err != nil {
		return nil, fmt.Errorf("spec.providerConfig of the CloudProfile %s, which the Shoot has: %w", profile.Name, err)
	}
	var problems field.ErrorList
	at := field.NewPath("spec", "provider", "workers")
	configs := make([]*v1alpha1.WorkerConfig, len(shoot.Spec.Provider.Workers))
	for i := range shoot.Spec.Provider.Workers {
		worker, path := &shoot.Spec.Provider.Workers[i], at.Index(i)
		before := workerNamed(old, worker.Name)
		isNew := before == nil
		if isNew {
			before = &gardencorev1beta1.Worker{}
		}
		config, err := decode.WorkerConfig(worker.ProviderConfig)
		switch {
		case err == nil:
			configs[i] = config
			if isNew || !equal(worker.ProviderConfig, before.ProviderConfig) {
				problems = append(problems, validation.ValidateWorkerConfig(config, path.Child("providerConfig"))...)
			}
		case isNew || !equal(worker.ProviderConfig, before.ProviderConfig):
			problems = append(problems, unreadable(path.Child("providerConfig"), err)...)
		}
		if isNew || !equal(worker.Zones, before.Zones) {
			problems = append(problems, validation.ValidateZones(worker.Zones, shoot.Spec.Region, &profile.Spec, path.Child("zones"))...)
		}
		if isNew || !equal(worker.Machine, before.Machine) {
			problems = append(problems, validation.ValidateMachineImage(&worker.Machine, &profile.Spec, images, path.Child("machine"))...)
		}
		if isNew || !equal(worker.Volume, before.Volume) || !equal(worker.DataVolumes, before.DataVolumes) {
			problems = append(problems, validation.ValidateVolumes(worker, path)...)
		}
	}
	return append(problems, validation.ValidateSharedReservations(configs, at)...), nil
}

// sameProject refuses another Packet project for a Shoot that is there: what it has in the old one would be out of reach, and paid for.
func (s *shoots) sameProject(ctx context.Context, shoot, old *gardencorev1beta1.Shoot) (field.ErrorList, error) {
	if equal(shoot.Spec.SecretBindingName, old.Spec.SecretBindingName) && equal(shoot.Spec.CredentialsBindingName, old.Spec.CredentialsBindingName) {
		return nil, nil
	}
	before, err := projectOf(ctx, s.reader, old)
	if client.IgnoreNotFound(err) != nil {
		return nil, err
	}
	is, err := projectOf(ctx, s.reader, shoot)
	if err != nil {
		return nil, err
	}
	if before == "" || is == before {
		return nil, nil
	}
	at, name := field.NewPath("spec", "secretBindingName"), shoot.Spec.SecretBindingName
	if shoot.Spec.CredentialsBindingName != nil {
		at, name = field.NewPath("spec", "credentialsBindingName"), shoot.Spec.CredentialsBindingName
	}
	return field.ErrorList{field.Invalid(at, *name, fmt.Sprintf("its Secret is for the project %s, but the Shoot's machines are in the project %s: only the token may be another", is, before))}, nil
}

func workerNamed(shoot *gardencorev1beta1.Shoot, name string) *gardencorev1beta1.Worker {
	if shoot == nil {
		return nil
	}
	for i := range shoot.Spec.Provider.Workers {
		if shoot.Spec.Provider.Workers[i].Name == name {
			return &shoot.Spec.Provider.Workers[i]
		}
	}
	return nil
}

// unreadable is what is wrong with a configuration that could not be read. The error names the field in it.
func unreadable(at *field.Path, err error) field.ErrorList {
	return field.ErrorList{&field.Error{Type: field.ErrorTypeInvalid, Field: at.String(), BadValue: field.OmitValueType{}, Detail: err.Error()}}
}

func equal(a, b any) bool { return apiequality.Semantic.DeepEqual(a, b) }
