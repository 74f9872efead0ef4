package provider

import (
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"

	configv1alpha1 "github.com/packetyard/packetyard/api/config/v1alpha1"
	"github.com/packetyard/packetyard/internal/gardener/account"
)

// readConfig reads the extension's configuration file. Without a file it is empty. Fields that do not exist are errors.
func readConfig(file string) (*configv1alpha1.ControllerConfiguration, error) {
	config := &configv1alpha1.ControllerConfiguration{}
	if file == "" {
		return config, nil
	}
	content, err := os.ReadFile(file) //nolint:gosec // Whoever runs the extension names the file.
	if err != nil {
		return nil, fmt.Errorf("reading --config-file: %w", err)
	}
	scheme := runtime.NewScheme()
	if err := configv1alpha1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("registering the type of the configuration: %w", err)
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	kind := configv1alpha1.GroupVersion.WithKind("ControllerConfiguration")
	object, found, err := decoder.Decode(content, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("reading --config-file %s, which has to be a %s of %s: %w", file, kind.Kind, kind.GroupVersion(), err)
	}
	config, ok := object.(*configv1alpha1.ControllerConfiguration)
	if !ok {
		return nil, fmt.Errorf("reading --config-file %s: it is a %s, and has to be a %s of %s", file, found.Kind, kind.Kind, kind.GroupVersion())
	}
	if problems := validate(config); len(problems) > 0 {
		return nil, fmt.Errorf("--config-file %s: %w", file, problems.ToAggregate())
	}
	return config, nil
}

func validate(config *configv1alpha1.ControllerConfiguration) field.ErrorList {
	var problems field.ErrorList
	for name, address := range map[string]string{"apiURL": config.Packet.APIURL, "metadataURL": config.Packet.MetadataURL} {
		if address != "" {
			problems = append(problems, account.ValidateAPIURL(address, field.NewPath("packet", name))...)
		}
	}
	if capacity := config.ETCD.Storage.Capacity; capacity != nil && capacity.Sign() <= 0 {
		problems = append(problems, field.Invalid(field.NewPath("etcd", "storage", "capacity"), capacity.String(), "must be more than 0"))
	}
	if health := config.HealthCheckConfig; health != nil && health.SyncPeriod.Duration < 0 {
		problems = append(problems, field.Invalid(field.NewPath("healthCheckConfig", "syncPeriod"), health.SyncPeriod.Duration.String(), "must not be negative"))
	}
	return problems
}
