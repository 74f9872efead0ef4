// Package decode reads what people and the extension write into the free-form fields of Gardener's resources: providerConfig,
// providerStatus and state. It is strict: a field that is not known, one that is given twice, or an object of another kind or
// version is an error that names it, where Gardener itself takes anything.
package decode

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	strictjson "sigs.k8s.io/json"

	"github.com/packetyard/packetyard/api/packet/v1alpha1"
)

// CloudProfileConfig reads the providerConfig of a CloudProfile or NamespacedCloudProfile.
func CloudProfileConfig(raw *runtime.RawExtension) (*v1alpha1.CloudProfileConfig, error) {
	return decode[v1alpha1.CloudProfileConfig](raw, "CloudProfileConfig")
}

// InfrastructureConfig reads the infrastructureConfig of a Shoot, which is the providerConfig of its Infrastructure.
func InfrastructureConfig(raw *runtime.RawExtension) (*v1alpha1.InfrastructureConfig, error) {
	return decode[v1alpha1.InfrastructureConfig](raw, "InfrastructureConfig")
}

// InfrastructureStatus reads the providerStatus of an Infrastructure, which is the infrastructureProviderStatus of ControlPlane
// and Worker.
func InfrastructureStatus(raw *runtime.RawExtension) (*v1alpha1.InfrastructureStatus, error) {
	return decode[v1alpha1.InfrastructureStatus](raw, "InfrastructureStatus")
}

// InfrastructureState reads the state of an Infrastructure.
func InfrastructureState(raw *runtime.RawExtension) (*v1alpha1.InfrastructureState, error) {
	return decode[v1alpha1.InfrastructureState](raw, "InfrastructureState")
}

// ControlPlaneConfig reads the controlPlaneConfig of a Shoot, which is the providerConfig of its ControlPlane.
func ControlPlaneConfig(raw *runtime.RawExtension) (*v1alpha1.ControlPlaneConfig, error) {
	return decode[v1alpha1.ControlPlaneConfig](raw, "ControlPlaneConfig")
}

// WorkerConfig reads the providerConfig of a worker pool.
func WorkerConfig(raw *runtime.RawExtension) (*v1alpha1.WorkerConfig, error) {
	return decode[v1alpha1.WorkerConfig](raw, "WorkerConfig")
}

// WorkerStatus reads the providerStatus of a Worker.
func WorkerStatus(raw *runtime.RawExtension) (*v1alpha1.WorkerStatus, error) {
	return decode[v1alpha1.WorkerStatus](raw, "WorkerStatus")
}

// Encode writes an object of api/packet/v1alpha1 as JSON, with the apiVersion and the kind that it has, whether or not the object
// tells them. The object is not changed. Any other type is an error.
func Encode(obj runtime.Object) (*runtime.RawExtension, error) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("encoding %T: %w", obj, err)
	}
	kinds, _, err := scheme.ObjectKinds(obj)
	if err != nil {
		return nil, fmt.Errorf("encoding %T: %w", obj, err)
	}
	written := obj.DeepCopyObject()
	written.GetObjectKind().SetGroupVersionKind(kinds[0])
	data, err := json.Marshal(written)
	if err != nil {
		return nil, fmt.Errorf("encoding %T: %w", obj, err)
	}
	return &runtime.RawExtension{Raw: data}, nil
}

// decode reads an object of this kind. Nothing at all is an empty object: every one of these fields can be left out.
func decode[T any, P interface {
	*T
	runtime.Object
}](raw *runtime.RawExtension, kind string) (*T, error) {
	want := v1alpha1.GroupVersion.WithKind(kind)
	into := P(new(T))
	data, err := contents(raw)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", kind, err)
	}
	if len(data) > 0 {
		// The kind comes first: what is wrong with the fields of another kind's object says nothing.
		if err := checkKind(data, want); err != nil {
			return nil, fmt.Errorf("reading %s: %w", kind, err)
		}
		mistakes, err := strictjson.UnmarshalStrict(data, into)
		if err := errors.Join(append(mistakes, err)...); err != nil {
			return nil, fmt.Errorf("reading %s: %w", kind, err)
		}
	}
	into.GetObjectKind().SetGroupVersionKind(want)
	return into, nil
}

// contents is the JSON of a free-form field, empty where there is none.
func contents(raw *runtime.RawExtension) ([]byte, error) {
	switch {
	case raw == nil:
		return nil, nil
	case len(raw.Raw) == 0 && raw.Object != nil:
		return json.Marshal(raw.Object)
	}
	data := bytes.TrimSpace(raw.Raw)
	if bytes.Equal(data, []byte("null")) {
		return nil, nil
	}
	return data, nil
}

// checkKind tells whether JSON is an object of this kind and version.
func checkKind(data []byte, want schema.GroupVersionKind) error {
	is := metav1.TypeMeta{}
	if err := json.Unmarshal(data, &is); err != nil {
		return fmt.Errorf("this is not a JSON object with apiVersion and kind: %w", err)
	}
	if is.APIVersion != want.GroupVersion().String() {
		return fmt.Errorf("apiVersion is %q, but must be %q", is.APIVersion, want.GroupVersion().String())
	}
	if is.Kind != want.Kind {
		return fmt.Errorf("kind is %q, but must be %q", is.Kind, want.Kind)
	}
	return nil
}
