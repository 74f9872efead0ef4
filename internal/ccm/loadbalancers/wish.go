package loadbalancers

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/packetyard/packetyard/pkg/packet"
)

// wish is what a Service asks for. Exactly one of addresses, reservationIDs,
// reservationTags and types says where its addresses come from, except that
// types also narrows down reservations.
type wish struct {
	// addresses are the user's own, one of a family at most.
	addresses []netip.Addr
	// reservationIDs and reservationTags select reservations of the user's.
	reservationIDs  []string
	reservationTags []string
	// types are the kinds of address, in the order of the Service's families.
	types []string
	// explicitTypes tells that the user gave the types.
	explicitTypes bool
	// metro and facility are the Service's own, in lower case: at most one is set.
	metro, facility string
	// families are the Service's: 4, 6 or both, in its order.
	families []int
	// sharingKey is that of the Services to share addresses with.
	sharingKey string
}

// invalidError is a Service that asks for something impossible. Asking again
// is of no use until the Service, or something else, is changed.
type invalidError struct{ err error }

func (e *invalidError) Error() string { return e.err.Error() }
func (e *invalidError) Unwrap() error { return e.err }

func invalid(format string, args ...any) error {
	return &invalidError{err: fmt.Errorf(format, args...)}
}

var locationCode = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)

// typeFamilies are the types of reservation that Services can have, with
// their address family.
var typeFamilies = map[string]int{
	packet.IPTypePublicIPv4:  4,
	packet.IPTypeGlobalIPv4:  4,
	packet.IPTypePrivateIPv4: 4,
	packet.IPTypePublicIPv6:  6,
}

// readWish reads what a Service asks for. The addresses given are those that
// it has from this package, which are not the user's wherever they are
// written. Its error is an invalidError that names everything that is wrong.
func (l *LoadBalancers) readWish(service *corev1.Service, given []netip.Addr) (wish, error) {
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	w := wish{families: families(service)}

	annotation := func(name string) (value string, found bool) {
		value, found = service.Annotations[name]
		value = strings.TrimSpace(value)
		if found && value == "" {
			problem("annotation %s is empty, give it a value or remove it", name)
		}
		return value, found && value != ""
	}
	location := func(name string) string {
		value, found := annotation(name)
		value = strings.ToLower(value)
		if found && !locationCode.MatchString(value) {
			problem("annotation %s is %q, allowed is a code such as da or da11", name, value)
		}
		return value
	}

	var err error
	if w.addresses, err = l.userAddresses(service, given); err != nil {
		problems = append(problems, err)
	}
	w.metro, w.facility = location(l.annotations.EIPMetro), location(l.annotations.EIPFacility)
	if w.metro != "" && w.facility != "" {
		problem("annotations %s and %s are both set, allowed is one of them", l.annotations.EIPMetro, l.annotations.EIPFacility)
	}
	if text, found := annotation(AnnotationEIPType); found {
		w.explicitTypes = true
		if w.types, err = readTypes(text, w.families); err != nil {
			problems = append(problems, err)
		}
	}
	if text, found := annotation(AnnotationReservationID); found {
		for _, id := range splitList(text) {
			if parsed, err := uuid.Parse(id); err != nil || !strings.EqualFold(parsed.String(), id) {
				problem("annotation %s has %q, allowed are UUIDs of IP reservations, separated by commas", AnnotationReservationID, id)
			}
			w.reservationIDs = append(w.reservationIDs, strings.ToLower(id))
		}
	}
	if text, found := annotation(AnnotationReservationTag); found {
		w.reservationTags = splitList(text)
		if slices.Contains(w.reservationTags, "") {
			problem("annotation %s is %q, allowed are tags, separated by commas", AnnotationReservationTag, text)
		}
	}
	w.sharingKey, _ = annotation(AnnotationSharingKey)
	if _, _, err := nodeSelector(service); err != nil {
		problems = append(problems, err)
	}

	sources := 0
	for _, given := range []bool{len(w.addresses) > 0, len(w.reservationIDs) > 0, len(w.reservationTags) > 0} {
		if given {
			sources++
		}
	}
	if sources > 1 {
		problem("the address is given in more than one way, allowed is one of spec.loadBalancerIP (or %s), annotation %s and annotation %s",
			strings.Join(addressAnnotations(l.setting.Implementation), ", "), AnnotationReservationID, AnnotationReservationTag)
	}
	if sources == 0 && !w.explicitTypes {
		for _, family := range w.families {
			w.types = append(w.types, map[int]string{4: packet.IPTypePublicIPv4, 6: packet.IPTypePublicIPv6}[family])
		}
	}
	if sources == 0 {
		if _, _, err := l.location(w); err != nil {
			problems = append(problems, err)
		}
	}
	if len(problems) > 0 {
		return wish{}, &invalidError{err: errors.Join(problems...)}
	}
	return w, nil
}

// location is where to reserve the addresses of a Service, by the order that
// docs/load-balancers.md gives: its metro, its facility, the controller's
// metro, the controller's facility.
func (l *LoadBalancers) location(w wish) (metro, facility string, err error) {
	needed := slices.ContainsFunc(w.types, func(t string) bool { return t != packet.IPTypeGlobalIPv4 })
	switch {
	case !needed && (w.metro != "" || w.facility != ""):
		return "", "", fmt.Errorf("annotation %s is %s, which is in no metro or facility: remove the annotation that gives one",
			AnnotationEIPType, packet.IPTypeGlobalIPv4)
	case !needed:
		return "", "", nil
	case w.metro != "":
		return w.metro, "", nil
	case w.facility != "":
		return "", w.facility, nil
	case l.config.Metro != "":
		return l.config.Metro, "", nil
	case l.config.Facility != "":
		return "", l.config.Facility, nil
	}
	return "", "", fmt.Errorf("nothing says where to reserve an address: set annotation %s, or a metro for the controller", l.annotations.EIPMetro)
}

// families are the address families of a Service, in its order.
func families(service *corev1.Service) []int {
	var families []int
	for _, family := range service.Spec.IPFamilies {
		switch family {
		case corev1.IPv4Protocol:
			families = append(families, 4)
		case corev1.IPv6Protocol:
			families = append(families, 6)
		}
	}
	if len(families) == 0 {
		return []int{4}
	}
	return families
}

func familyOf(address netip.Addr) int {
	if address.Is4() {
		return 4
	}
	return 6
}

func readTypes(text string, families []int) ([]string, error) {
	types := splitList(text)
	seen := map[int]string{}
	for _, t := range types {
		family, known := typeFamilies[t]
		switch {
		case !known:
			return nil, fmt.Errorf("annotation %s has %q, allowed are %s, %s, %s and %s", AnnotationEIPType, t,
				packet.IPTypePublicIPv4, packet.IPTypeGlobalIPv4, packet.IPTypePrivateIPv4, packet.IPTypePublicIPv6)
		case !slices.Contains(families, family):
			return nil, fmt.Errorf("annotation %s has %s, but spec.ipFamilies of the Service has no IPv%d", AnnotationEIPType, t, family)
		case seen[family] != "":
			return nil, fmt.Errorf("annotation %s has %s and %s, allowed is one of a family", AnnotationEIPType, seen[family], t)
		}
		seen[family] = t
	}
	slices.SortFunc(types, func(a, b string) int {
		return slices.Index(families, typeFamilies[a]) - slices.Index(families, typeFamilies[b])
	})
	return types, nil
}

// splitList splits at commas, and trims.
func splitList(text string) []string {
	parts := strings.Split(text, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

// nodeSelector is a Service's own selector of nodes, and whether it has one.
func nodeSelector(service *corev1.Service) (selector labels.Selector, found bool, err error) {
	text, found := service.Annotations[AnnotationNodeSelector]
	if !found {
		return nil, false, nil
	}
	selector, err = labels.Parse(text)
	if err != nil {
		return nil, true, invalid("annotation %s is %q, allowed is a label selector such as role=edge,zone in (a,b): %w", AnnotationNodeSelector, text, err)
	}
	requirements, _ := selector.Requirements()
	for _, requirement := range requirements {
		switch requirement.Operator() {
		case selection.GreaterThan, selection.LessThan:
			return nil, true, invalid("annotation %s is %q, allowed are no comparisons by < and >", AnnotationNodeSelector, text)
		}
	}
	return selector, true, nil
}
