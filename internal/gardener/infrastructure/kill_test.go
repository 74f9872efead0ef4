package infrastructure_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/gardener/infrastructure/infrastructuretest"
)

// wantOne fails unless there is one of each, and the Infrastructure knows it.
func wantOne(t *testing.T, s *shoot) {
	t.Helper()
	p, state := s.project(t), s.state(t)
	if len(p.keys) != 1 || len(p.vlans) != 1 || len(p.reserved) != 1 {
		t.Fatalf("the project has %d keys, %d VLANs and %d reservations, want one of each", len(p.keys), len(p.vlans), len(p.reserved))
	}
	if state.SSHKeyID != p.keys[0].ID || state.VLANID != p.vlans[0].ID || state.PrivateReservationID != p.reserved[0].ID {
		t.Errorf("the state is %+v", state)
	}
}

// Whichever request to the Packet API is the last one that a process sends, the next process makes nothing twice, and deletes
// everything.
func TestKilledAtEveryRequest(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	for killed, last := false, 1; last == 1 || killed; last++ {
		t.Run(fmt.Sprint("request ", last), func(t *testing.T) {
			s := newShoot(t, server, everything)
			s.network.Break(infrastructuretest.KilledAt(last))
			killed = s.reconcile(t) != nil
			s.network.Break(nil)
			s.mustReconcile(t)
			wantOne(t, s)
		})
	}
	for killed, last := false, 1; last == 1 || killed; last++ {
		t.Run(fmt.Sprint("request of a deletion ", last), func(t *testing.T) {
			s := newShoot(t, server, everything)
			s.mustReconcile(t)
			s.network.Break(infrastructuretest.KilledAt(last))
			killed = s.remove(t) != nil
			s.network.Break(nil)
			if err := s.remove(t); err != nil {
				t.Fatal(err)
			}
			if p := s.project(t); len(p.keys)+len(p.vlans)+len(p.reserved) != 0 {
				t.Errorf("something is left over: %+v", p)
			}
		})
	}
}

// dying is a client of the Kubernetes API that writes a status a number of times and no more. The last write can be lost on its
// way, or its answer.
func dying(t *testing.T, writes int, loseAnswer bool) client.Client {
	t.Helper()
	kube, err := client.NewWithWatch(rest.CopyConfig(seed.Config), client.Options{Scheme: seed.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	return interceptor.NewClient(kube, interceptor.Funcs{
		SubResourcePatch: func(ctx context.Context, c client.Client, name string, object client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
			count++
			if count < writes {
				return c.SubResource(name).Patch(ctx, object, patch, options...)
			}
			if count == writes && loseAnswer {
				_ = c.SubResource(name).Patch(ctx, object.DeepCopyObject().(client.Object), patch, options...)
			}
			return errors.New("killed by the test")
		},
	})
}

// The same for every write to the Kubernetes API.
func TestKilledAtEveryWrite(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	for _, loseAnswer := range []bool{false, true} {
		for killed, last := false, 1; last == 1 || killed; last++ {
			t.Run(fmt.Sprintf("write %d, answer lost %v", last, loseAnswer), func(t *testing.T) {
				s := newShoot(t, server, everything)
				s.use(dying(t, last, loseAnswer))
				killed = s.reconcile(t) != nil
				s.use(seed.Client)
				s.mustReconcile(t)
				wantOne(t, s)
				// The new key is there before the old one goes, whenever the process dies.
				s.change(t, func(infra *extensionsv1alpha1.Infrastructure) {
					infra.Spec.SSHPublicKey = []byte(infrastructuretest.OtherKey)
				})
				s.use(dying(t, last, loseAnswer))
				_ = s.reconcile(t)
				s.use(seed.Client)
				s.mustReconcile(t)
				wantOne(t, s)
			})
		}
	}
}

// One request after the other goes wrong, and each is tried once per reconciliation.
func TestEveryRequestFailsOnce(t *testing.T) {
	s := newShoot(t, apiservertest.Start(t, apiservertest.Options{}), everything)
	for failing := 1; ; failing++ {
		s.network.Break(infrastructuretest.KilledAt(failing))
		if s.reconcile(t) == nil {
			break
		}
	}
	s.network.Break(nil)
	s.mustReconcile(t)
	wantOne(t, s)
}

// The Worker adds its machines' addresses while the Infrastructure is reconciled. Neither write may undo the other.
func TestWorkerWritesAtTheSameTime(t *testing.T) {
	s := newShoot(t, apiservertest.Start(t, apiservertest.Options{}), `"networks":{"vlan":{}}`)
	kube, err := client.NewWithWatch(rest.CopyConfig(seed.Config), client.Options{Scheme: seed.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	for write, met := 1, true; met; write++ {
		s.changeStatus(t, func(status *extensionsv1alpha1.InfrastructureStatus) {
			*status = extensionsv1alpha1.InfrastructureStatus{}
		})
		count := 0
		s.use(interceptor.NewClient(kube, interceptor.Funcs{
			SubResourcePatch: func(ctx context.Context, c client.Client, name string, object client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
				if count++; count == write {
					latest := &extensionsv1alpha1.Infrastructure{}
					if err := seed.Client.Get(ctx, client.ObjectKeyFromObject(object), latest); err != nil {
						return err
					}
					if latest.Status.Networking == nil {
						latest.Status.Networking = &extensionsv1alpha1.InfrastructureStatusNetworking{}
					}
					latest.Status.Networking.Nodes = append(latest.Status.Networking.Nodes, "10.200.0.0/25")
					if err := seed.Client.Status().Update(ctx, latest); err != nil {
						return err
					}
				}
				return c.SubResource(name).Patch(ctx, object, patch, options...)
			},
		}))
		s.mustReconcile(t)
		want := []string{block(s.project(t).given[0]), "10.200.0.0/25"}
		met = count >= write
		if nodes := s.infra.Status.Networking.Nodes; met && !slices.Equal(nodes, want) {
			t.Errorf("at write %d of %d the nodes' addresses become %v, want %v", write, count, nodes, want)
		}
	}
}
