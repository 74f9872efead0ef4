package bastion

import (
	"context"
	"strings"

	extensionsbastion "github.com/gardener/gardener/extensions/pkg/controller/bastion"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"github.com/gardener/gardener/pkg/extensions"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ConfigValidator checks a Bastion before a device is made for it. It implements Gardener's ConfigValidator.
type ConfigValidator struct{}

var _ extensionsbastion.ConfigValidator = ConfigValidator{}

// Validate returns what is wrong with the Bastion, or with the CloudProfile where that says what bastions are made of.
func (ConfigValidator) Validate(_ context.Context, bastion *extensionsv1alpha1.Bastion, cluster *extensions.Cluster) field.ErrorList {
	spec := field.NewPath("spec")
	_, problems := parseIngress(bastion.Spec.Ingress, spec.Child("ingress"))
	if !strings.HasPrefix(string(bastion.Spec.UserData), shebang) {
		problems = append(problems, field.Invalid(spec.Child("userData"), "(not shown)",
			"must be a script, starting with #!: the packet filter for the ingress is set up before it runs"))
	}
	switch {
	case cluster == nil || cluster.Shoot == nil:
		problems = append(problems, field.Required(field.NewPath("cluster", "shoot"), "the Shoot of the bastion"))
	case cluster.CloudProfile == nil:
		problems = append(problems, field.Required(field.NewPath("cluster", "cloudProfile"), "the CloudProfile of the Shoot"))
	default:
		if _, err := chooseMachine(cluster.CloudProfile); err != nil {
			problems = append(problems, field.Invalid(field.NewPath("cluster", "cloudProfile", "spec", "bastion"), cluster.CloudProfile.Name, err.Error()))
		}
	}
	return problems
}
