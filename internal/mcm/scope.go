package mcm

import (
	"fmt"
	"strings"

	"github.com/gardener/machine-controller-manager/pkg/apis/machine/v1alpha1"
	"github.com/gardener/machine-controller-manager/pkg/util/provider/machinecodes/codes"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"

	machineclassv1alpha1 "github.com/packetyard/packetyard/api/machineclass/v1alpha1"
	"github.com/packetyard/packetyard/pkg/packet"
)

// scope is what of a MachineClass and its Secret is needed to find devices again.
type scope struct {
	credentials packet.Credentials
	// cluster is the tag of the cluster, roles are those of the role: the devices of the MachineClass have all of them.
	cluster string
	roles   []string
}

// has tells whether a device is of the cluster and role. Bastions, which have the tag of the cluster alone, are not.
func (s scope) has(device *packet.Device) bool {
	return packet.HasTags(device.Tags, s.cluster) && packet.HasTags(device.Tags, s.roles...)
}

// scopeOf reads a MachineClass for everything but making a device. A mistake in what only new devices need, such as an
// unknown field, must not keep the old ones from being found and deleted.
func scopeOf(class *v1alpha1.MachineClass, secret *corev1.Secret) (scope, error) {
	spec, problems := decode(class, false)
	if spec != nil {
		var found scope
		found, more := scopeIn(spec, secret)
		if problems = append(problems, more...); len(problems) == 0 {
			return found, nil
		}
	}
	return scope{}, invalid(class, problems)
}

// orderOf reads a MachineClass for making a device, and tells everything that is wrong with it.
func orderOf(class *v1alpha1.MachineClass, secret *corev1.Secret) (*machineclassv1alpha1.ProviderSpec, scope, error) {
	spec, problems := decode(class, true)
	if spec == nil {
		return nil, scope{}, invalid(class, problems)
	}
	found, more := scopeIn(spec, secret)
	problems = append(problems, more...)
	problems = append(problems, validateSpec(spec, secret)...)
	if len(problems) > 0 {
		return nil, scope{}, invalid(class, problems)
	}
	return spec, found, nil
}

// invalid is the error of a MachineClass that cannot be used as it is.
func invalid(class *v1alpha1.MachineClass, problems field.ErrorList) error {
	name := ""
	if class != nil {
		name = class.Name
	}
	return fail(codes.InvalidArgument, "MachineClass %q: %v", name, problems.ToAggregate())
}

// decode reads the providerSpec. It is nil if it cannot be read at all; where strict, what it does not know is a mistake.
func decode(class *v1alpha1.MachineClass, strict bool) (*machineclassv1alpha1.ProviderSpec, field.ErrorList) {
	if class == nil {
		return nil, field.ErrorList{field.Required(field.NewPath("machineClass"), "there is none in the request")}
	}
	if !strings.EqualFold(class.Provider, machineclassv1alpha1.Provider) {
		return nil, field.ErrorList{field.NotSupported(field.NewPath("provider"), class.Provider, []string{machineclassv1alpha1.Provider})}
	}
	at := field.NewPath("providerSpec")
	if len(class.ProviderSpec.Raw) == 0 {
		return nil, field.ErrorList{field.Required(at, "it tells how devices are made")}
	}
	spec := &machineclassv1alpha1.ProviderSpec{}
	unknown, err := kjson.UnmarshalStrict(class.ProviderSpec.Raw, spec)
	if err != nil {
		// What could not be read may be the user data, so it is not repeated.
		return nil, field.ErrorList{field.Invalid(at, "(not shown)", err.Error())}
	}
	var problems field.ErrorList
	if spec.APIVersion != "" && spec.APIVersion != machineclassv1alpha1.APIVersion {
		problems = append(problems, field.NotSupported(at.Child("apiVersion"), spec.APIVersion, []string{machineclassv1alpha1.APIVersion}))
	}
	if spec.Kind != "" && spec.Kind != machineclassv1alpha1.Kind {
		problems = append(problems, field.NotSupported(at.Child("kind"), spec.Kind, []string{machineclassv1alpha1.Kind}))
	}
	if strict {
		for _, mistake := range unknown {
			problems = append(problems, field.Invalid(at, "(not shown)", mistake.Error()))
		}
	}
	return spec, problems
}

// scopeIn finds out who asks the Packet API, and for which devices.
func scopeIn(spec *machineclassv1alpha1.ProviderSpec, secret *corev1.Secret) (scope, field.ErrorList) {
	var problems field.ErrorList
	at := field.NewPath("providerSpec")
	data := map[string][]byte{}
	if secret != nil {
		data = secret.Data
	}
	found := scope{credentials: packet.Credentials{
		// The token goes where its own Secret says, if that says anything.
		APIURL:   first(string(data[machineclassv1alpha1.SecretAPIURL]), spec.APIURL),
		APIToken: first(string(data[machineclassv1alpha1.SecretAPIToken]), string(data[machineclassv1alpha1.SecretAlternateAPIToken])),
		// The devices are where the class had them made, whatever account the Secret is of by now.
		ProjectID: first(spec.ProjectID, string(data[machineclassv1alpha1.SecretProjectID])),
	}}
	problems = append(problems, validateCredentials(found.credentials, spec, at)...)

	for n, tag := range spec.Tags {
		switch {
		case strings.HasPrefix(tag, machineclassv1alpha1.TagPrefixCluster) && found.cluster != "" && found.cluster != tag:
			problems = append(problems, field.Invalid(at.Child("tags").Index(n), tag, fmt.Sprintf("is a second cluster beside %q: each of them would delete the devices of the other", found.cluster)))
		case strings.HasPrefix(tag, machineclassv1alpha1.TagPrefixCluster):
			found.cluster = tag
		case strings.HasPrefix(tag, machineclassv1alpha1.TagPrefixRole):
			found.roles = append(found.roles, tag)
		}
	}
	if len(found.cluster) <= len(machineclassv1alpha1.TagPrefixCluster) {
		problems = append(problems, field.Required(at.Child("tags"), fmt.Sprintf("one tag must begin with %s, followed by the name of the cluster", machineclassv1alpha1.TagPrefixCluster)))
	}
	if len(found.roles) == 0 {
		problems = append(problems, field.Required(at.Child("tags"), fmt.Sprintf("one tag must begin with %s, as %snode does", machineclassv1alpha1.TagPrefixRole, machineclassv1alpha1.TagPrefixRole)))
	}
	return found, problems
}

func first(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
