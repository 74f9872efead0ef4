package bastion_test

import (
	"context"
	"testing"
	"time"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/gardener/bastion"
	"github.com/packetyard/packetyard/internal/gardener/infrastructure/infrastructuretest"
)

// patience is how long the controller may take on a machine that has other things to do.
const patience = 3 * time.Minute

// The controller takes up a Bastion by the annotation that Gardener sets, comes back by itself until the device serves, and lets the
// Bastion go when the device is gone.
func TestController(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	h := &host{Shoot: seed.NewShoot(t, server.URL, server.Token, withMachines), network: &infrastructuretest.Network{}}
	mgr, err := manager.New(seed.Config, manager.Options{
		Scheme:     seed.Scheme,
		Logger:     logr.Discard(),
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Cache:      cache.Options{DefaultNamespaces: map[string]cache.Config{h.Namespace: {}}},
		Controller: config.Controller{SkipNameValidation: ptr.To(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := bastion.AddToManager(ctx, mgr, bastion.AddOptions{}); err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(running) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("running the controller: %v", err)
		}
	}()

	h.bastion = newBastion(h.Namespace)
	h.bastion.Annotations = map[string]string{v1beta1constants.GardenerOperation: v1beta1constants.GardenerOperationReconcile}
	kube, err := client.NewWithWatch(seed.Config, client.Options{Scheme: seed.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	changes, err := kube.Watch(ctx, &extensionsv1alpha1.BastionList{}, client.InNamespace(h.Namespace))
	if err != nil {
		t.Fatal(err)
	}
	defer changes.Stop()
	until := func(what string, so func(watch.Event, *extensionsv1alpha1.Bastion) bool) {
		t.Helper()
		last := extensionsv1alpha1.BastionStatus{}
		for change := range changes.ResultChan() {
			if seen, ok := change.Object.(*extensionsv1alpha1.Bastion); ok {
				if so(change, seen) {
					return
				}
				last = seen.Status
			}
		}
		t.Fatalf("not %s within %s: %+v", what, patience, last)
	}
	if err := kube.Create(ctx, h.bastion); err != nil {
		t.Fatal(err)
	}
	until("serving", func(_ watch.Event, seen *extensionsv1alpha1.Bastion) bool {
		last := seen.Status.LastOperation
		return last != nil && last.State == gardencorev1beta1.LastOperationStateSucceeded && seen.Status.Ingress != nil && seen.Status.LastError == nil
	})
	if devices := h.devices(t); len(devices) != 1 {
		t.Errorf("there are %d devices, want one", len(devices))
	}
	if err := kube.Delete(ctx, h.bastion); err != nil {
		t.Fatal(err)
	}
	until("gone", func(change watch.Event, _ *extensionsv1alpha1.Bastion) bool { return change.Type == watch.Deleted })
	if devices := h.devices(t); len(devices) != 0 {
		t.Errorf("there are still %+v", devices)
	}
}
