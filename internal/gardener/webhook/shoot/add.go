// Package shoot changes what Gardener puts into Shoots of type packet, by a mutating webhook in the Shoot.
package shoot

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	extensionswebhook "github.com/gardener/gardener/extensions/pkg/webhook"
	"github.com/gardener/gardener/extensions/pkg/webhook/shoot"
	"github.com/gardener/gardener/pkg/component/kubernetes/proxy"
)

// Options has nothing to tell yet.
type Options struct{}

// New makes the webhook "shoot". It sees the ConfigMaps of kube-proxy.
//
// They must not pass it by: they are immutable, so a configuration that came without the change would stay.
func New(mgr manager.Manager, _ Options) (*extensionswebhook.Webhook, error) {
	return shoot.New(mgr, shoot.Args{
		Types:          []extensionswebhook.Type{{Obj: &corev1.ConfigMap{}}},
		Mutator:        &mutator{configs: proxy.NewConfigCodec()},
		ObjectSelector: &metav1.LabelSelector{MatchLabels: proxy.GetLabels()},
		FailurePolicy:  ptr.To(admissionregistrationv1.Fail),
	})
}
