package ccm

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/packetyard/packetyard/pkg/packet"
)

// addressClass is a kind of address that a device can have.
type addressClass string

// The classes. An elastic address can leave its device again and be given to
// another, the others are the device's own.
const (
	privateIPv4        addressClass = "private-ipv4"
	publicIPv4         addressClass = "public-ipv4"
	publicIPv6         addressClass = "public-ipv6"
	elasticPrivateIPv4 addressClass = "elastic-private-ipv4"
	elasticPublicIPv4  addressClass = "elastic-public-ipv4"
	elasticIPv6        addressClass = "elastic-ipv6"
)

func addressClasses() []addressClass {
	return []addressClass{privateIPv4, publicIPv4, publicIPv6, elasticPrivateIPv4, elasticPublicIPv4, elasticIPv6}
}

func joinClasses() string {
	var names []string
	for _, class := range addressClasses() {
		names = append(names, string(class))
	}
	return strings.Join(names, ", ")
}

// The policies that have a name. An IPv6 address is internal though it is
// public: it is what the cluster uses inside, and as an external one it would
// push the public IPv4 address out where --node-ip names it, because the
// framework then keeps one address of each type.
const (
	addressPolicyIPv4      = "private-ipv4=InternalIP,public-ipv4=ExternalIP"
	addressPolicyDualStack = "private-ipv4=InternalIP,public-ipv6=InternalIP,public-ipv4=ExternalIP"
	addressPolicyIPv6      = "public-ipv6=InternalIP"
	addressPolicyPrivate   = "private-ipv4=InternalIP"
)

// addressPolicy says which addresses of a device its node has: those of each
// rule's class, as the rule's type, in the order of the rules.
type addressPolicy []addressRule

type addressRule struct {
	class addressClass
	as    corev1.NodeAddressType
}

// defaultAddressPolicy is the one that is called ipv4.
func defaultAddressPolicy() addressPolicy {
	return addressPolicy{{privateIPv4, corev1.NodeInternalIP}, {publicIPv4, corev1.NodeExternalIP}}
}

func parseAddressPolicy(text string) (addressPolicy, error) {
	rules := text
	switch text {
	case "ipv4":
		rules = addressPolicyIPv4
	case "dual-stack":
		rules = addressPolicyDualStack
	case "ipv6":
		rules = addressPolicyIPv6
	case "private":
		rules = addressPolicyPrivate
	}
	wrong := func(what string) error {
		return fmt.Errorf("is %q, %s: allowed are ipv4, ipv6, dual-stack, private, or a list of <class>=<type> with the classes %s and the types InternalIP and ExternalIP",
			text, what, joinClasses())
	}
	var policy addressPolicy
	for _, rule := range strings.Split(rules, ",") {
		class, as, found := strings.Cut(strings.TrimSpace(rule), "=")
		parsed := addressRule{addressClass(class), corev1.NodeAddressType(as)}
		switch {
		case !found || !slices.Contains(addressClasses(), parsed.class):
			return nil, wrong(fmt.Sprintf("where %q is no rule", rule))
		case parsed.as != corev1.NodeInternalIP && parsed.as != corev1.NodeExternalIP:
			return nil, wrong(fmt.Sprintf("where %q is no type", as))
		case slices.Contains(policy, parsed):
			return nil, wrong(fmt.Sprintf("where %q is there twice", rule))
		}
		policy = append(policy, parsed)
	}
	return policy, nil
}

// typeOf is the type that the policy gives a class, the first if there are
// several, and whether it gives one at all.
func (p addressPolicy) typeOf(class addressClass) (corev1.NodeAddressType, bool) {
	i := slices.IndexFunc(p, func(rule addressRule) bool { return rule.class == class })
	if i < 0 {
		return "", false
	}
	return p[i].as, true
}

// classOf is the class of an address that a device has.
func classOf(assignment packet.IPAssignment) addressClass {
	ip, _ := parseAddress(assignment)
	switch {
	case ip.Is6() && assignment.Management:
		return publicIPv6
	case ip.Is6():
		return elasticIPv6
	case assignment.Management && assignment.Public:
		return publicIPv4
	case assignment.Management:
		return privateIPv4
	case assignment.Public:
		return elasticPublicIPv4
	}
	return elasticPrivateIPv4
}
