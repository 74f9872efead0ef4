package infrastructure_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"github.com/gardener/gardener/pkg/component/extensions/infrastructure"
	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/yaml"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	packetinfrastructure "github.com/packetyard/packetyard/internal/gardener/infrastructure"
	"github.com/packetyard/packetyard/internal/gardener/infrastructure/infrastructuretest"
)

// patience is how long the controller may take on a machine that has other things to do.
const patience = 2 * time.Minute

// runController runs the controller for a Shoot's namespace until the test ends.
func runController(t *testing.T, namespace string, options packetinfrastructure.AddOptions) {
	t.Helper()
	mgr, err := manager.New(seed.Config, manager.Options{
		Scheme:     seed.Scheme,
		Logger:     logr.Discard(),
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Cache:      cache.Options{DefaultNamespaces: map[string]cache.Config{namespace: {}}},
		Controller: config.Controller{SkipNameValidation: ptr.To(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := packetinfrastructure.AddToManager(ctx, mgr, options); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("running the controller: %v", err)
		}
	})
}

// until waits for the Infrastructure to become so, by a watch.
func (s *shoot) until(t *testing.T, what string, so func(*extensionsv1alpha1.Infrastructure) bool) {
	t.Helper()
	kube, err := client.NewWithWatch(seed.Config, client.Options{Scheme: seed.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	changes, err := kube.Watch(ctx, &extensionsv1alpha1.InfrastructureList{}, client.InNamespace(s.Namespace))
	if err != nil {
		t.Fatal(err)
	}
	defer changes.Stop()
	for change := range changes.ResultChan() {
		if infra, ok := change.Object.(*extensionsv1alpha1.Infrastructure); ok && so(infra) {
			return
		}
	}
	s.read(t)
	t.Fatalf("not %s within %s: %+v", what, patience, s.infra.Status)
}

func succeeded(operation gardencorev1beta1.LastOperationType) func(*extensionsv1alpha1.Infrastructure) bool {
	return func(infra *extensionsv1alpha1.Infrastructure) bool {
		last := infra.Status.LastOperation
		return last != nil && last.Type == operation && last.State == gardencorev1beta1.LastOperationStateSucceeded
	}
}

// seedManifest is the Infrastructure that the README of the first extension for Packet shows, which people still have.
const seedManifest = `
apiVersion: extensions.gardener.cloud/v1alpha1
kind: Infrastructure
metadata:
  name: infrastructure
spec:
  type: packet
  region: ewr1
  secretRef:
    name: cloudprovider
    namespace: shoot--foobar--packet
  providerConfig:
    apiVersion: packet.provider.extensions.gardener.cloud/v1alpha1
    kind: InfrastructureConfig
  sshPublicKey: c3NoLWVkMjU1MTk=
`

// The old manifest goes through the controller as it is, but for the namespace and the key.
func TestManifestOfTheSeed(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	s := &shoot{Shoot: seed.NewShoot(t, server.URL, server.Token, nil), network: &infrastructuretest.Network{}}
	nodes := s.useMetro(t)
	runController(t, s.Namespace, packetinfrastructure.AddOptions{IgnoreOperationAnnotation: true})

	s.infra = &extensionsv1alpha1.Infrastructure{}
	if err := yaml.UnmarshalStrict([]byte(strings.ReplaceAll(seedManifest, "shoot--foobar--packet", s.Namespace)), s.infra); err != nil {
		t.Fatal(err)
	}
	s.infra.Namespace, s.infra.Spec.SSHPublicKey = s.Namespace, []byte(infrastructuretest.Key)
	if err := seed.Client.Create(t.Context(), s.infra); err != nil {
		t.Fatal(err)
	}
	s.until(t, "created", succeeded(gardencorev1beta1.LastOperationTypeCreate))
	s.read(t)
	written := map[string]any{}
	if err := json.Unmarshal(s.infra.Status.ProviderStatus.Raw, &written); err != nil {
		t.Fatal(err)
	}
	if written["kind"] != "InfrastructureStatus" || written["apiVersion"] != "packet.provider.extensions.gardener.cloud/v1alpha1" {
		t.Errorf("the provider's status is %s", s.infra.Status.ProviderStatus.Raw)
	}
	if key := s.project(t).keys[0]; written["sshKeyID"] != key.ID {
		t.Errorf("the provider's status is %s, the key %s", s.infra.Status.ProviderStatus.Raw, key.ID)
	}
	if !slices.Equal(s.infra.Status.Networking.Nodes, []string{nodes}) {
		t.Errorf("the nodes' addresses are %+v, want %s", s.infra.Status.Networking, nodes)
	}
	s.destroy(t)
	if keys := s.project(t).keys; len(keys) != 0 {
		t.Errorf("there are still %+v", keys)
	}
}

// destroy deletes the Infrastructure and waits until it is gone, as gardenlet does.
func (s *shoot) destroy(t *testing.T) {
	t.Helper()
	component := s.component()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := component.Destroy(ctx); err != nil {
		t.Fatal(err)
	}
	if err := component.WaitCleanup(ctx); err != nil {
		t.Fatalf("waiting for the deletion: %v", err)
	}
	if err := seed.Client.Get(ctx, client.ObjectKeyFromObject(s.infra), s.infra); !apierrors.IsNotFound(err) {
		t.Errorf("the Infrastructure is still there: %v", err)
	}
}

// component is what gardenlet deploys Infrastructures by.
func (s *shoot) component() infrastructure.Interface {
	return infrastructure.New(logr.Discard(), seed.Client, &infrastructure.Values{
		Namespace: s.Namespace, Name: "infrastructure", Type: "packet", Region: "ny",
		ProviderConfig:    infrastructuretest.ProviderConfig("InfrastructureConfig", everything),
		SSHPublicKey:      []byte(infrastructuretest.Key),
		AnnotateOperation: true,
	}, 100*time.Millisecond, time.Minute, patience)
}

// gardenlet's own client deploys an Infrastructure, waits for it and deletes it, with the annotation that it asks by.
func TestAsGardenletDoes(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	s := &shoot{Shoot: seed.NewShoot(t, server.URL, server.Token, nil), network: &infrastructuretest.Network{}}
	runController(t, s.Namespace, packetinfrastructure.AddOptions{})
	component := s.component()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := component.Deploy(ctx); err != nil {
		t.Fatal(err)
	}
	if err := component.Wait(ctx); err != nil {
		t.Fatalf("waiting: %v", err)
	}
	s.read(t)
	wantOne(t, s)
	if nodes := component.NodesCIDRs(); !slices.Equal(nodes, []string{block(s.project(t).reserved[0])}) {
		t.Errorf("gardenlet reads the nodes' addresses %v", nodes)
	}
	s.destroy(t)
	if p := s.project(t); len(p.keys)+len(p.vlans)+len(p.reserved) != 0 {
		t.Errorf("something is left over: %+v", p)
	}
}

// gardenlet gets an error code at once, with a text that the Shoot's owner understands.
func TestGardenletHearsOfWrongCredentials(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	s := &shoot{Shoot: seed.NewShoot(t, server.URL, server.Token, nil), network: &infrastructuretest.Network{}}
	s.Replace(t, "wrong")
	runController(t, s.Namespace, packetinfrastructure.AddOptions{})
	component := s.component()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := component.Deploy(ctx); err != nil {
		t.Fatal(err)
	}
	s.until(t, "failed", func(infra *extensionsv1alpha1.Infrastructure) bool { return infra.Status.LastError != nil })
	s.read(t)
	if codes := s.infra.Status.LastError.Codes; !slices.Equal(codes, []gardencorev1beta1.ErrorCode{gardencorev1beta1.ErrorInfraUnauthenticated}) {
		t.Errorf("the codes are %v: %s", codes, s.infra.Status.LastError.Description)
	}
	if text := s.infra.Status.LastError.Description; !strings.Contains(text, "apiToken") || strings.Contains(text, `"wrong"`) {
		t.Errorf("the text is %q", text)
	}
}
