package loadbalancers

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/cloud-provider/api"

	"github.com/packetyard/packetyard/pkg/packet"
)

// A Service with a bad annotation gets an event that says what is wrong, and
// keeps what it has. Nothing is asked of the API but the list that is shared.
func TestABadAnnotationChangesNothing(t *testing.T) {
	w := newWorld(t)
	denied := w.reserveByHand(packet.IPReservationCreate{Metro: "sv", Tags: []string{"elsewhere"}})
	for name, test := range map[string]struct {
		change func(*corev1.Service)
		want   []string
	}{
		"metro and facility": {annotated(AnnotationEIPMetro, "da", AnnotationEIPFacility, "da11"), []string{AnnotationEIPMetro, AnnotationEIPFacility, "one of them"}},
		"metro":              {annotated(AnnotationEIPMetro, "Dallas, Texas"), []string{AnnotationEIPMetro, "dallas, texas", "da11"}},
		"empty metro":        {annotated(AnnotationEIPMetro, " "), []string{AnnotationEIPMetro, "empty"}},
		"type":               {annotated(AnnotationEIPType, "public"), []string{AnnotationEIPType, `"public"`, "public_ipv4", "global_ipv4", "private_ipv4", "public_ipv6"}},
		"two types":          {annotated(AnnotationEIPType, "public_ipv4,global_ipv4"), []string{AnnotationEIPType, "one of a family"}},
		"type of no family":  {annotated(AnnotationEIPType, "public_ipv6"), []string{AnnotationEIPType, "spec.ipFamilies", "IPv6"}},
		"global in a metro":  {annotated(AnnotationEIPType, "global_ipv4", AnnotationEIPMetro, "da"), []string{"global_ipv4", "no metro"}},
		"reservation ID":     {annotated(AnnotationReservationID, "all"), []string{AnnotationReservationID, `"all"`, "UUID"}},
		"no reservation":     {annotated(AnnotationReservationID, "1d4cb5c5-2dbc-4a36-9e3a-6cc2b4b1a5a6"), []string{AnnotationReservationID, "1d4cb5c5"}},
		"no tag":             {annotated(AnnotationReservationTag, "a,,b"), []string{AnnotationReservationTag, "separated by commas"}},
		"tag of none":        {annotated(AnnotationReservationTag, "nobody"), []string{AnnotationReservationTag, "nobody"}},
		"tag in other metro": {annotated(AnnotationReservationTag, "elsewhere", AnnotationEIPMetro, "da"), []string{denied.ID, "metro sv", "exclude"}},
		"ID and tag":         {annotated(AnnotationReservationID, denied.ID, AnnotationReservationTag, "x"), []string{"more than one way", AnnotationReservationID, AnnotationReservationTag}},
		"address and tag": {func(s *corev1.Service) {
			s.Spec.LoadBalancerIP = "198.18.9.9"
			annotated(AnnotationReservationTag, "x")(s)
		},
			[]string{"more than one way", "spec.loadBalancerIP"}},
		"address":               {func(s *corev1.Service) { s.Spec.LoadBalancerIP = "0.0.0.0" }, []string{"spec.loadBalancerIP", `"0.0.0.0"`}},
		"address of no family":  {func(s *corev1.Service) { s.Spec.LoadBalancerIP = "2001:db8::1" }, []string{"2001:db8::1", "spec.ipFamilies"}},
		"node selector":         {annotated(AnnotationNodeSelector, "role in edge"), []string{AnnotationNodeSelector, `"role in edge"`, "label selector"}},
		"node selector with <":  {annotated(AnnotationNodeSelector, "cores>8"), []string{AnnotationNodeSelector, "comparisons"}},
		"empty sharing key":     {annotated(AnnotationSharingKey, ""), []string{AnnotationSharingKey, "empty"}},
		"everything at once":    {annotated(AnnotationEIPMetro, "!", AnnotationEIPType, "x", AnnotationNodeSelector, "=="), []string{AnnotationEIPMetro, AnnotationEIPType, AnnotationNodeSelector}},
		"sharing another metro": {annotated(AnnotationSharingKey, "front", AnnotationEIPMetro, "sv"), []string{AnnotationSharingKey, "front", "metro da"}},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			w.t = t
			w.service("front", annotated(AnnotationSharingKey, "front"), withPort(9999))
			w.address("front")
			w.service("web")
			before := w.address("web")
			annotations := maps.Clone(w.live("web").Annotations)
			reserved := w.elasticAddresses()
			w.reasons()
			w.network.reset()

			changed := w.change("web", test.change)
			err := w.sync("web")
			var later *api.RetryError
			if !errors.As(err, &later) || later.RetryAfter() < time.Minute {
				t.Fatalf("got error %v, want one that is tried again after minutes", err)
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error %q does not mention %s", err, part)
				}
			}
			event := ""
			for len(w.events.Events) > 0 {
				event += <-w.events.Events
			}
			if !strings.Contains(event, ReasonInvalidAnnotation) || !strings.Contains(event, test.want[0]) {
				t.Errorf("got events %q", event)
			}
			after := w.live("web")
			if shown(after) != before || after.ResourceVersion != changed.ResourceVersion {
				t.Errorf("the Service has %q, had %q, or was written to", shown(after), before)
			}
			if now := w.elasticAddresses(); strings.Join(now, " ") != strings.Join(reserved, " ") {
				t.Errorf("reserved are %v, were %v", now, reserved)
			}
			if n := w.network.count("") - w.network.count(listIPs); n != 0 {
				t.Errorf("%d requests besides the list", n)
			}

			// Repaired, it is as before.
			w.change("web", func(s *corev1.Service) {
				s.Annotations, s.Spec.LoadBalancerIP = annotations, before
			})
			if again := w.address("web"); again != before {
				t.Errorf("the repaired Service has %s, had %s", again, before)
			}
			// A mistake must not keep a Service alive.
			w.change("web", test.change)
			w.remove("web")
			w.remove("front")
			if left := w.elasticAddresses(); len(left) != 1 {
				t.Errorf("left are %v", left)
			}
		})
	}
}

// Wrong configuration is refused as a whole, before anything is asked.
func TestABadConfigurationIsRefused(t *testing.T) {
	_, err := New(Config{Metro: "da", Facility: "Da 11", Class: "no class", ClassOnly: true, Setting: Setting{Implementation: MetalLB}})
	if err == nil {
		t.Fatal("it is accepted")
	}
	for _, part := range []string{"API", "ProjectID", "Kubernetes", "Services", "Nodes", "Recorder", "Dynamic", "BGP", "allowed is one of them", `"da 11"`, `"no class"`} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error %q does not mention %s", err, part)
		}
	}
}
