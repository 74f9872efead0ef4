package endpoint_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/conditions"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/capitest"
	"github.com/packetyard/packetyard/pkg/packet"
)

// Issue 141 of the predecessor: when the control plane machine that had the address died, the cluster was out of reach.
func TestIssue141AddressLeavesADeadMachine(t *testing.T) {
	for name, die := range map[string]func(*controlPlane, string){
		"its API server is silent": func(c *controlPlane, name string) { c.answer(name, "") },
		"powered off": func(c *controlPlane, name string) {
			if err := c.Packet.DeviceAction(t.Context(), c.device(name), packet.DeviceAction{Type: "power_off"}); err != nil {
				t.Fatal(err)
			}
		},
		"its device is gone": func(c *controlPlane, name string) {
			if err := c.Packet.DeleteDevice(t.Context(), c.device(name), true); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newControlPlane(t)
			c.start("one", "two")
			die(c, "one")
			c.holds("two")
			c.keeps("two")
		})
	}
}

// Issue 163 of the predecessor: a rolling update of the control plane stalled with the address on a machine that was gone.
func TestIssue163AddressGoesBeforeTheMachineDoes(t *testing.T) {
	c := newControlPlane(t)
	c.start("one", "two")
	// Cluster API deletes the Machine first, and keeps it while it drains the node.
	machine := c.owners["one"]
	machine.Finalizers = append(machine.Finalizers, clusterv1.MachineFinalizer)
	if err := c.Client.Update(t.Context(), machine); err != nil {
		t.Fatal(err)
	}
	if err := c.Client.Delete(t.Context(), machine); err != nil {
		t.Fatal(err)
	}
	c.holds("two")
	if state := deviceState(c, "one"); state != packet.StateActive {
		t.Errorf("the device that had the address is %s already, want it to be alive", state)
	}
	c.add("three")
	c.keeps("two")
}

func deviceState(c *controlPlane, name string) packet.DeviceState {
	device, err := c.Packet.Device(c.t.Context(), c.device(name))
	if err != nil {
		c.t.Fatal(err)
	}
	return device.State
}

func TestAddressStaysWhereItIsWell(t *testing.T) {
	c := newControlPlane(t)
	c.start("one", "two")
	c.keeps("one")

	t.Run("and costs nothing", func(t *testing.T) {
		if err := c.Get(c.infrastructure); err != nil {
			t.Fatal(err)
		}
		version, before := c.infrastructure.ResourceVersion, len(c.Network.Requests(http.MethodGet, "/ips/"+c.infrastructure.Status.ElasticIP.ReservationID))
		looks := c.looks()
		c.Eventually(func() error {
			if c.looks() < looks+20 {
				return errors.New("too few looks")
			}
			return nil
		})
		if err := c.Get(c.infrastructure); err != nil || c.infrastructure.ResourceVersion != version {
			t.Errorf("the PacketCluster was written: %v", err)
		}
		if after := len(c.Network.Requests(http.MethodGet, "/ips/"+c.infrastructure.Status.ElasticIP.ReservationID)); after != before {
			t.Errorf("the reservation was read %d times", after-before)
		}
	})
	t.Run("when another falls silent", func(t *testing.T) {
		c.answer("two", "")
		c.keeps("one")
	})
	t.Run("when nobody answers, which may be the network's fault", func(t *testing.T) {
		c.answer("one", "")
		c.keeps("one")
	})
	t.Run("when an impostor answers", func(t *testing.T) {
		_, other := c.Cluster(c.Namespace, "other")
		c.Eventually(func() error {
			return c.Get(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: other.Namespace, Name: "other-ca"}})
		})
		c.answer("two", c.server("other-ca"))
		c.keeps("one")
	})
	t.Run("until one answers", func(t *testing.T) {
		c.answer("two", c.server("demo-ca"))
		c.holds("two")
	})
}

func TestMoveThatFailsHalfWayEndsWithTheAddressAssigned(t *testing.T) {
	for name, verdict := range map[string]capitest.Verdict{
		"the API is down":              {Status: http.StatusServiceUnavailable, Body: `{"errors":["down"]}`},
		"the connection breaks":        {Lose: true},
		"the API asks to wait":         {Status: http.StatusTooManyRequests, Body: `{"errors":["slow down"]}`, Header: map[string]string{"Retry-After": "1"}},
		"a device is said to be gone":  {Status: http.StatusNotFound, Body: `{"errors":["Not found"]}`},
		"the API refuses for a moment": {Status: http.StatusUnprocessableEntity, Body: `{"errors":["Oh snap, something went wrong!"]}`},
	} {
		for what, match := range map[string]func(*http.Request) bool{"taking": releases, "giving": assigns} {
			t.Run(what+" while "+name, func(t *testing.T) {
				c := newControlPlane(t)
				c.start("one", "two")
				c.Network.Break(capitest.First(5, match, verdict))
				c.answer("one", "")
				c.holds("two")
			})
		}
	}
}

// The cloud controller manager of the workload cluster moves the address too.
func TestTwoMoversAgree(t *testing.T) {
	c := newControlPlane(t)
	c.start("one", "two", "three")
	c.Network.Break(capitest.First(1, releases, capitest.Verdict{After: func() {
		if _, err := c.Packet.AssignIP(t.Context(), c.device("two"), c.infrastructure.Spec.ControlPlaneEndpoint.Host); err != nil {
			t.Errorf("moving the address as somebody else: %v", err)
		}
	}}))
	c.answer("one", "")
	c.holds("two")
	c.keeps("two")
}

func TestAddressThatSomebodyTookAwayComesBack(t *testing.T) {
	c := newControlPlane(t)
	c.start("one", "two")
	r, err := c.Packet.IPReservation(t.Context(), c.infrastructure.Status.ElasticIP.ReservationID, packet.Include("assignments"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Packet.DeleteIP(t.Context(), r.Assignments[0].ID); err != nil {
		t.Fatal(err)
	}
	c.Eventually(func() error {
		if holder, err := c.holder(); err != nil || holder == "" {
			return fmt.Errorf("nobody has the address: %w", err)
		}
		return nil
	})
}

func TestStatusThatMoveDroppedIsRebuilt(t *testing.T) {
	c := newControlPlane(t)
	c.start("one")
	c.SetStatus(c.infrastructure, func() {
		c.infrastructure.Status = infrav1.PacketClusterStatus{Initialization: c.infrastructure.Status.Initialization}
	})
	c.Touch(c.infrastructure)
	c.Eventually(func() error {
		if err := c.Get(c.infrastructure); err != nil {
			return err
		}
		if c.infrastructure.Status.ElasticIP == nil {
			return errors.New("the status has no elastic IP yet")
		}
		return nil
	})
	c.holds("one")
}

func TestKubeVIPAddressIsNeverAssigned(t *testing.T) {
	c := newControlPlane(t, func(cluster *infrav1.PacketCluster) { cluster.Spec.VIPManager = infrav1.VIPManagerKubeVIP })
	c.add("one")
	c.Eventually(func() error {
		if err := c.Get(c.machines["one"]); err != nil {
			return err
		}
		if reason := conditions.GetReason(c.machines["one"], infrav1.ElasticIPAssignedCondition); reason != infrav1.ElasticIPNotNeededReason {
			return fmt.Errorf("reason is %q", reason)
		}
		return nil
	})
	c.Never(500*time.Millisecond, func() error {
		if holder, err := c.holder(); err != nil || holder != "" {
			return fmt.Errorf("device %q has the address: %w", holder, err)
		}
		return nil
	})
}
