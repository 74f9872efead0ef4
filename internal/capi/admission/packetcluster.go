package admission

import (
	"fmt"
	"net/netip"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
)

var specPath = field.NewPath("spec")

// packetCluster checks PacketClusters. What may change of one is in its definition.
func packetCluster() validator[*infrav1.PacketCluster] {
	return validator[*infrav1.PacketCluster]{
		spec: func(c *infrav1.PacketCluster) any { return c.Spec },
		check: func(c *infrav1.PacketCluster) field.ErrorList {
			return append(endpoint(c.Spec, specPath), failureDomains(c.Spec, specPath)...)
		},
		warn: func(c *infrav1.PacketCluster) admission.Warnings {
			warnings := clusterWarnings(c.Spec, specPath)
			if c.Spec.VIPManager == infrav1.VIPManagerExternal && c.Spec.ControlPlaneEndpoint.IsZero() {
				warnings = append(warnings, "spec.controlPlaneEndpoint is not set, and with vipManager External nobody but you sets it: "+
					"the cluster waits until you do")
			}
			return warnings
		},
	}
}

// endpoint checks that the host of the control plane endpoint is something that a client can connect to.
func endpoint(spec infrav1.PacketClusterSpec, parent *field.Path) field.ErrorList {
	host := spec.ControlPlaneEndpoint.Host
	if host == "" {
		return nil
	}
	path := parent.Child("controlPlaneEndpoint", "host")
	if address, err := netip.ParseAddr(host); err == nil {
		if address.IsUnspecified() || address.IsMulticast() || address.Zone() != "" {
			return field.ErrorList{field.Invalid(path, host, "must be an address that a client can connect to")}
		}
		return nil
	}
	if problems := validation.IsDNS1123Subdomain(strings.ToLower(strings.TrimSuffix(host, "."))); len(problems) > 0 {
		return field.ErrorList{field.Invalid(path, host, "must be an IP address or a DNS name, without scheme and port: "+strings.Join(problems, "; "))}
	}
	return nil
}

// failureDomains checks that the endpoint can reach wherever control planes are put: an elastic IP of a metro only works there.
func failureDomains(spec infrav1.PacketClusterSpec, parent *field.Path) field.ErrorList {
	if spec.Metro == "" || spec.VIPManager == infrav1.VIPManagerExternal || spec.ElasticIP.Type == infrav1.ElasticIPGlobalIPv4 {
		return nil
	}
	var errs field.ErrorList
	for n, domain := range spec.FailureDomains {
		if domain.Name != spec.Metro && ptr.Deref(domain.ControlPlane, true) {
			errs = append(errs, field.Invalid(parent.Child("failureDomains").Index(n), domain.Name, fmt.Sprintf(
				"cannot hold control planes, since the endpoint is an address of metro %s: "+
					"set controlPlane: false, or elasticIP.type: global_ipv4, or vipManager: External", spec.Metro)))
		}
	}
	return errs
}

// clusterWarnings tell what works and is better done otherwise.
func clusterWarnings(spec infrav1.PacketClusterSpec, parent *field.Path) admission.Warnings {
	if spec.Facility == "" {
		return nil
	}
	return admission.Warnings{facilityWarning(parent, spec.Facility)}
}

func facilityWarning(parent *field.Path, facility string) string {
	return fmt.Sprintf("%s: %s: Packet replaced facilities by metros: set metro instead", parent.Child("facility"), facility)
}
