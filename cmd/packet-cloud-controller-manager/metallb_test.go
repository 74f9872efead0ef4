package main

import (
	"context"
	"fmt"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

const metalLBNamespace = "metallb-system"

// installMetalLB makes what is there where MetalLB is installed: its
// namespace and its custom resources.
func (w *world) installMetalLB(ctx context.Context) {
	w.t.Helper()
	_, err := w.kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metalLBNamespace}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		w.t.Fatal(err)
	}
	definitions := filepath.FromSlash("../../internal/ccm/loadbalancers/testdata/crds")
	if _, err := envtest.InstallCRDs(started.server.Config, envtest.CRDInstallOptions{Paths: []string{definitions}, ErrorIfPathMissing: true}); err != nil {
		w.t.Fatal(err)
	}
}

// checkMetalLB finds what is wrong if MetalLB is not configured for so many
// nodes, each with two peers, and services.
func (w *world) checkMetalLB(nodes, services int) error {
	client, err := metadata.NewForConfig(started.server.Config)
	if err != nil {
		return err
	}
	for resource, want := range map[schema.GroupVersionResource]int{
		{Group: "metallb.io", Version: "v1beta1", Resource: "ipaddresspools"}:    services,
		{Group: "metallb.io", Version: "v1beta2", Resource: "bgppeers"}:          2 * nodes,
		{Group: "metallb.io", Version: "v1beta1", Resource: "bgpadvertisements"}: 1,
	} {
		list, err := client.Resource(resource).Namespace(metalLBNamespace).List(w.t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		if len(list.Items) != want {
			return fmt.Errorf("%d %s, want %d", len(list.Items), resource.Resource, want)
		}
	}
	return nil
}
