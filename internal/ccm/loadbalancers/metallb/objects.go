package metallb

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"
)

const apiGroup = "metallb.io"

// kind is one of MetalLB's custom resources.
type kind struct {
	resource schema.GroupVersionResource
	name     string
	// fields are those of the spec that this package decides on; all others
	// are left alone.
	fields []string
}

var (
	poolKind = kind{
		resource: schema.GroupVersionResource{Group: apiGroup, Version: "v1beta1", Resource: "ipaddresspools"},
		name:     "IPAddressPool",
		fields:   []string{"addresses", "autoAssign"},
	}
	peerKind = kind{
		resource: schema.GroupVersionResource{Group: apiGroup, Version: "v1beta2", Resource: "bgppeers"},
		name:     "BGPPeer",
		fields: []string{
			"myASN", "peerASN", "peerAddress", "peerPort", "sourceAddress", "nodeSelectors", "ebgpMultiHop", "password", "passwordSecret",
		},
	}
	advertisementKind = kind{
		resource: schema.GroupVersionResource{Group: apiGroup, Version: "v1beta1", Resource: "bgpadvertisements"},
		name:     "BGPAdvertisement",
		fields:   []string{"ipAddressPools", "ipAddressPoolSelectors", "nodeSelectors"},
	}
)

// The labels of what this package makes. The first is the original's, so that
// what that one made is found and taken over.
const (
	labelProvider      = "cloud-provider"
	labelProviderValue = "equinix-metal"
	labelManagedBy     = "app.kubernetes.io/managed-by"
	// labelPrefixAdvertised begins the labels of a pool by which
	// advertisements select it.
	labelPrefixAdvertised = "advertised.metal.equinix.com/"
)

const (
	// defaultAdvertisement is what the original called the one that it made.
	defaultAdvertisement = "equinix-metal-bgp-adv"
	advertisedByAll      = "all"
	bgpPort              = 179
	maxNameLength        = 253
)

// objects are the desired objects of one kind, by name.
type objects map[string]*unstructured.Unstructured

func (o objects) add(c Config, k kind, name string, extraLabels map[string]string, spec map[string]any) {
	object := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	object.SetGroupVersionKind(k.resource.GroupVersion().WithKind(k.name))
	object.SetNamespace(c.Namespace)
	object.SetName(name)
	labels := map[string]string{labelProvider: labelProviderValue, labelManagedBy: c.FieldManager}
	maps.Copy(labels, extraLabels)
	object.SetLabels(labels)
	o[name] = object
}

// pools are the desired pools. A pool that exists for an address keeps its
// name, because MetalLB refuses two for one address, and to remove one before
// the other is made would end the traffic.
//
// An address that a pool of the user's has gets none: MetalLB refuses pools
// that overlap.
func (c Config) pools(state State, existing objects, users []addressRange) objects {
	byAddress := map[string]*unstructured.Unstructured{}
	for _, name := range slices.Sorted(maps.Keys(existing)) {
		if addresses := blocks(existing[name]); len(addresses) == 1 {
			byAddress[addresses[0]] = existing[name]
		}
	}
	desired := objects{}
	for _, pool := range state.Pools {
		if contained(users, pool.Address) {
			continue
		}
		block := netip.PrefixFrom(pool.Address, pool.Address.BitLen()).String()
		name := nameOf("packet-", pool.Address)
		advertised := map[string]string{}
		if pool.AllNodes {
			advertised[labelPrefixAdvertised+advertisedByAll] = "true"
		}
		for _, selector := range pool.Selectors {
			advertised[labelPrefixAdvertised+selectorID(selector)] = "true"
		}
		if before := byAddress[block]; before != nil {
			name = before.GetName()
			for label, value := range before.GetLabels() {
				if pool.KeepSelectors && isAdvertised(label) {
					advertised[label] = value
				}
			}
		}
		desired.add(c, poolKind, name, advertised, map[string]any{"addresses": []any{block}, "autoAssign": false})
	}
	return desired
}

// advertisements are the desired ones: one for all pools that all nodes
// announce, and one for each selector of nodes. The first is left out if the
// user made one with the label of the provider: that is how to give it other
// properties.
func (c Config) advertisements(state State, pools, existing objects) objects {
	desired := objects{}
	selected := map[string]labels.Selector{}
	for _, pool := range state.Pools {
		for _, selector := range pool.Selectors {
			selected[selectorID(selector)] = selector
		}
	}
	used := map[string]bool{}
	for _, pool := range pools {
		for label := range pool.GetLabels() {
			if id, ok := strings.CutPrefix(label, labelPrefixAdvertised); ok {
				used[id] = true
			}
		}
	}
	for id := range used {
		poolSelector := []any{map[string]any{"matchLabels": map[string]any{labelPrefixAdvertised + id: "true"}}}
		switch {
		case id == advertisedByAll && c.userAdvertises(existing):
		case id == advertisedByAll:
			desired.add(c, advertisementKind, defaultAdvertisement, nil, map[string]any{"ipAddressPoolSelectors": poolSelector})
		case selected[id] != nil:
			desired.add(c, advertisementKind, defaultAdvertisement+"-"+id, nil, map[string]any{
				"ipAddressPoolSelectors": poolSelector, "nodeSelectors": []any{nodeSelector(selected[id])},
			})
		case existing[defaultAdvertisement+"-"+id] != nil:
			// Of a pool that keeps its selectors, which nobody can read any more.
			desired[defaultAdvertisement+"-"+id] = existing[defaultAdvertisement+"-"+id]
		}
	}
	return desired
}

// userAdvertises tells whether the user made an advertisement instead of ours.
func (c Config) userAdvertises(existing objects) bool {
	for name, object := range existing {
		if !c.removable(advertisementKind, object) && name != defaultAdvertisement {
			return true
		}
	}
	return false
}

// removable tells whether an object with the provider's label is one that a
// controller made: this one, or the original, which labelled pools with their
// Service. Users put the provider's label on advertisements and pools too.
func (c Config) removable(k kind, object *unstructured.Unstructured) bool {
	labels := object.GetLabels()
	if labels[labelManagedBy] == c.FieldManager {
		return true
	}
	switch k.name {
	case peerKind.name:
		return true
	case poolKind.name:
		for name, value := range labels {
			if strings.HasPrefix(name, "service-") && strings.HasPrefix(value, "namespace-") {
				return true
			}
		}
	}
	return false
}

// nameOf makes a name of an address. Expanded, because no part of a name may
// end in a dash.
func nameOf(prefix string, address netip.Addr) string {
	return prefix + strings.NewReplacer(".", "-", ":", "-").Replace(address.StringExpanded())
}

func short(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:4])
}

// selectorID is a name for a selector: selectors that are written alike, in
// whatever order, have the same.
func selectorID(selector labels.Selector) string { return short(selector.String()) }

// nodeSelector is a selector in the form of a LabelSelector.
func nodeSelector(selector labels.Selector) map[string]any {
	operators := map[selection.Operator]string{
		selection.In: "In", selection.Equals: "In", selection.DoubleEquals: "In",
		selection.NotIn: "NotIn", selection.NotEquals: "NotIn",
		selection.Exists: "Exists", selection.DoesNotExist: "DoesNotExist",
	}
	requirements, _ := selector.Requirements()
	var expressions []any
	for _, requirement := range requirements {
		expression := map[string]any{"key": requirement.Key(), "operator": operators[requirement.Operator()]}
		if values := requirement.Values().List(); len(values) > 0 {
			list := make([]any, 0, len(values))
			for _, value := range values {
				list = append(list, value)
			}
			expression["values"] = list
		}
		expressions = append(expressions, expression)
	}
	return map[string]any{"matchExpressions": expressions}
}

// isAdvertised tells whether a label is one by which advertisements select a pool.
func isAdvertised(label string) bool { return strings.HasPrefix(label, labelPrefixAdvertised) }
