package ccm

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	v1core "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
	cloudprovider "k8s.io/cloud-provider"
)

// component is the name of this program in events, and its clients' in the
// API server's log.
const component = "packet-cloud-controller-manager"

// kubernetesAccess is what the provider has of Kubernetes.
type kubernetesAccess struct {
	config    *rest.Config
	client    kubernetes.Interface
	recorder  record.EventRecorder
	informers informers.SharedInformerFactory
}

// newKubernetesAccess makes clients, and an event recorder that works until the
// context ends.
func newKubernetesAccess(ctx context.Context, builder cloudprovider.ControllerClientBuilder) (kubernetesAccess, error) {
	config, err := builder.Config(component)
	if err != nil {
		return kubernetesAccess{}, fmt.Errorf("configuring a client of Kubernetes: %w", err)
	}
	client, err := builder.Client(component)
	if err != nil {
		return kubernetesAccess{}, fmt.Errorf("making a client of Kubernetes: %w", err)
	}
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	broadcaster.StartRecordingToSink(&v1core.EventSinkImpl{Interface: client.CoreV1().Events("")})
	context.AfterFunc(ctx, broadcaster.Shutdown)
	return kubernetesAccess{
		config:   config,
		client:   client,
		recorder: broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: component}),
	}, nil
}
