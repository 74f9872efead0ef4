package loadbalancers

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Implementation is what makes nodes answer for a load balancer's addresses.
// It is the scheme of the load balancer setting.
type Implementation string

const (
	// KubeVIP is kube-vip, which reads addresses from Services and its BGP
	// peers from the nodes' annotations.
	KubeVIP Implementation = "kube-vip"
	// MetalLB is MetalLB, of which this package writes the configuration.
	MetalLB Implementation = "metallb"
	// Empty is anything else that reads addresses from Services.
	Empty Implementation = "empty"
)

// emlb was the scheme of the provider's own load balancers, a service that
// ended before the provider did.
const emlb = "emlb"

// Format is how MetalLB is configured.
type Format string

const (
	// FormatAutomatic is FormatResources where the cluster has MetalLB's custom
	// resources, and FormatConfigMap where it has not.
	FormatAutomatic Format = ""
	// FormatResources are the custom resources of MetalLB 0.13.2 and later.
	FormatResources Format = "resources"
	// FormatConfigMap is the ConfigMap of MetalLB up to 0.12.
	FormatConfigMap Format = "configmap"
)

// The defaults of MetalLBSetting.
const (
	DefaultMetalLBNamespace = "metallb-system"
	DefaultMetalLBConfigMap = "config"
)

// MetalLBSetting says how MetalLB is configured.
type MetalLBSetting struct {
	// Namespace is where MetalLB runs.
	Namespace string
	// ConfigMap is the name of its configuration, for FormatConfigMap.
	ConfigMap string
	Format    Format
	// SharedPeers makes one BGPPeer of all nodes that have the same peer,
	// without a source address. MetalLB before 0.16 needs that in its FRR
	// modes: it refuses two peers with one address, whatever their nodes are.
	SharedPeers bool
}

// Setting is the load balancer setting, read by ParseSetting. The zero value
// means that there are no load balancers.
type Setting struct {
	Implementation Implementation
	// MetalLB is set for that implementation only.
	MetalLB MetalLBSetting
}

// Enabled tells whether Services get load balancers at all.
func (s Setting) Enabled() bool { return s.Implementation != "" }

// The parameters of a metallb setting.
const (
	parameterResources = "crdConfiguration"
	parameterPeers     = "peers"
)

// ParseSetting reads the load balancer setting, one of
//
//	(nothing)
//	kube-vip://
//	empty://
//	metallb://[<namespace>[/<ConfigMap>]][?crdConfiguration=true|false][&peers=node|shared]
//
// The namespace may also come after a third slash, as the original had it:
// metallb:///<namespace>/<ConfigMap>. Its error names everything that is wrong.
func ParseSetting(text string) (Setting, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return Setting{}, nil
	}
	setting, err := parseSetting(text)
	if err != nil {
		return Setting{}, fmt.Errorf("load balancer setting %q: %w", text, err)
	}
	return setting, nil
}

func parseSetting(text string) (Setting, error) {
	location, err := url.Parse(text)
	if err != nil {
		// The error of net/url repeats the whole text.
		return Setting{}, errors.New("it is not a URL; allowed are kube-vip://, metallb://<namespace>/<ConfigMap> and empty://")
	}
	setting := Setting{Implementation: Implementation(location.Scheme)}
	switch setting.Implementation {
	case KubeVIP, Empty:
		if location.Host != "" || strings.Trim(location.Path, "/") != "" || location.Opaque != "" || location.RawQuery != "" {
			return Setting{}, fmt.Errorf("scheme %s takes nothing after it, write %s://", location.Scheme, location.Scheme)
		}
		return setting, nil
	case MetalLB:
		setting.MetalLB, err = parseMetalLB(location)
		return setting, err
	case emlb:
		return Setting{}, fmt.Errorf("scheme %s was for a service that has ended, allowed are kube-vip, metallb, empty", emlb)
	}
	return Setting{}, fmt.Errorf("scheme %q is not known, allowed are kube-vip, metallb, empty", location.Scheme)
}

func parseMetalLB(location *url.URL) (MetalLBSetting, error) {
	setting := MetalLBSetting{Namespace: DefaultMetalLBNamespace, ConfigMap: DefaultMetalLBConfigMap}
	var problems []error
	if location.Opaque != "" || location.User != nil || location.Port() != "" || location.Fragment != "" {
		problems = append(problems, errors.New("write metallb://<namespace>/<ConfigMap>"))
	}
	path := strings.Trim(location.Host+location.Path, "/")
	if path != "" {
		names := strings.Split(path, "/")
		if len(names) > 2 {
			problems = append(problems, fmt.Errorf("%q has more than namespace and ConfigMap", path))
		}
		setting.Namespace = names[0]
		if len(names) > 1 {
			setting.ConfigMap = names[1]
		}
	}
	if errs := validation.IsDNS1123Label(setting.Namespace); len(errs) > 0 {
		problems = append(problems, fmt.Errorf("namespace %q: %s", setting.Namespace, strings.Join(errs, "; ")))
	}
	if errs := validation.IsDNS1123Subdomain(setting.ConfigMap); len(errs) > 0 {
		problems = append(problems, fmt.Errorf("ConfigMap %q: %s", setting.ConfigMap, strings.Join(errs, "; ")))
	}

	query, err := url.ParseQuery(location.RawQuery)
	if err != nil {
		problems = append(problems, errors.New("what is after the question mark is not a query"))
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		value := query.Get(name)
		switch name {
		case parameterResources:
			resources, err := strconv.ParseBool(value)
			switch {
			case err != nil:
				problems = append(problems, fmt.Errorf("%s is %q, allowed are true and false", name, value))
			case resources:
				setting.Format = FormatResources
			default:
				setting.Format = FormatConfigMap
			}
		case parameterPeers:
			switch value {
			case "node":
			case "shared":
				setting.SharedPeers = true
			default:
				problems = append(problems, fmt.Errorf("%s is %q, allowed are node and shared", name, value))
			}
		default:
			problems = append(problems, fmt.Errorf("parameter %q is not known, allowed are %s and %s", name, parameterResources, parameterPeers))
		}
	}
	return setting, errors.Join(problems...)
}
