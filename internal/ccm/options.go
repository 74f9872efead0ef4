package ccm

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/packetyard/packetyard/internal/ccm/bgp"
	"github.com/packetyard/packetyard/pkg/packet"
)

// option is one setting: its names, what it means, and how a value is taken.
// Everything about settings comes from the table below, also the flags and
// the reference page.
type option struct {
	// key is its name in the configuration file, and aliases are older ones.
	key     string
	aliases []string
	// flag is empty for secrets, which have no business on a command line.
	flag string
	// env are its variables, in the order in which they are asked.
	env []string
	// fallback is what holds without a value, as a text for people.
	fallback string
	// allowed is the form of a value, and about what it does, for people.
	allowed, about string
	section        section
	// set takes a value that is not empty. Its error tells what is wrong with
	// the value, and for a secret it does not repeat it.
	set func(c *config, value string) error
}

// section groups options on the reference page.
type section string

const (
	sectionAPI          section = "The Packet API"
	sectionNodes        section = "Nodes"
	sectionServices     section = "Services of type LoadBalancer"
	sectionBGP          section = "BGP"
	sectionAnnotations  section = "Names of annotations"
	sectionControlPlane section = "The control plane's elastic IP"
)

// environment gives the variables of an option: PACKET_<suffix>, as releases
// up to 2 called it, and METAL_<suffix>, as later ones did.
func environment(suffix string) []string { return []string{"PACKET_" + suffix, "METAL_" + suffix} }

// options is the table of all settings, in the order of the reference page.
func options() []option {
	return slices.Concat(apiOptions(), nodeOptions(), serviceOptions(), bgpOptions(), annotationOptions(), controlPlaneOptions())
}

func apiOptions() []option {
	return []option{{
		key: "base-url", aliases: []string{"baseURL", "apiURL"}, flag: "packet-api-url", env: environment("API_URL"), section: sectionAPI,
		fallback: "none, required", allowed: "a URL up to and with /metal/v1",
		about: "Where the API is.",
		set:   func(c *config, value string) error { c.credentials.APIURL = value; return nil },
	}, {
		key: "projectID", flag: "packet-project-id", env: environment("PROJECT_ID"), section: sectionAPI,
		fallback: "none, required", allowed: "a UUID",
		about: "The project whose devices are the cluster's nodes.",
		set:   func(c *config, value string) error { c.credentials.ProjectID = value; return nil },
	}, {
		key: "apiKey", env: []string{packet.EnvAPIToken, packet.EnvPacketAPIKey, packet.EnvMetalAPIKey}, section: sectionAPI,
		fallback: "none, required unless apiKeyFile is there", allowed: "a token, printable ASCII",
		about: "The token for the API, sent as X-Auth-Token. If it comes from the configuration file, a change of the file is noticed within seconds.",
		set:   func(c *config, value string) error { c.credentials.APIToken = value; return nil },
	}, {
		key: "apiKeyFile", flag: "packet-api-key-file", env: slices.Concat([]string{"PACKET_API_TOKEN_FILE"}, environment("API_KEY_FILE")), section: sectionAPI,
		fallback: "none", allowed: "the path of a file",
		about: "A file that holds the token and nothing else, instead of apiKey. A change of the file is noticed within seconds.",
		set:   func(c *config, value string) error { c.tokenFile = value; return nil },
	}, {
		key: "apiTimeout", flag: "packet-api-timeout", env: environment("API_TIMEOUT"), section: sectionAPI,
		fallback: packet.DefaultTimeout.String(), allowed: "a duration of 1s to 10m, for example 15s",
		about: "How long the answer to one request may take. What failed is tried again, as far as it can do no harm.",
		set: func(c *config, value string) error {
			timeout, err := time.ParseDuration(value)
			if err != nil || timeout < minAPITimeout || timeout > maxAPITimeout {
				return fmt.Errorf("is %q, allowed are %s to %s", value, minAPITimeout, maxAPITimeout)
			}
			c.apiTimeout = timeout
			return nil
		},
	}, {
		key: "debug", flag: "packet-debug", env: slices.Concat(environment("DEBUG"), []string{envPackngoDebug}), section: sectionAPI,
		fallback: "false", allowed: "true, false; PACKNGO_DEBUG counts as true whatever its value",
		about: "Logs every request to the API: method, path, status, size and time. Tokens and bodies are not logged, because bodies hold passwords.",
		set:   func(c *config, value string) error { return setBool(&c.debug, value) },
	}}
}

func nodeOptions() []option {
	return []option{{
		key: "addressPolicy", flag: "packet-address-policy", env: environment("ADDRESS_POLICY"), section: sectionNodes,
		fallback: "ipv4", allowed: "ipv4, ipv6, dual-stack, private, or a list of <class>=<type>",
		about: "Which addresses of a device its node has, of which type, and in which order. The classes are " + joinClasses() +
			"; the types are InternalIP and ExternalIP. ipv4 is `" + addressPolicyIPv4 + "`, dual-stack is `" + addressPolicyDualStack +
			"`, ipv6 is `" + addressPolicyIPv6 + "`, private is `" + addressPolicyPrivate + "`. Addresses that the kubelet's --node-ip names come first whatever this says.",
		set: func(c *config, value string) (err error) {
			c.addressPolicy, err = parseAddressPolicy(value)
			return err
		},
	}, {
		key: "nodeLabels", flag: "packet-node-labels", env: environment("NODE_LABELS"), section: sectionNodes,
		fallback: strings.Join(defaultNodeLabels(), ","), allowed: "none, or a list of " + strings.Join(nodeLabelNames(), ", "),
		about: "The labels below `" + labelPrefix + "` that a node gets when it is initialised, beside type, region and zone.",
		set:   func(c *config, value string) (err error) { c.nodeLabels, err = parseNodeLabels(value); return err },
	}, {
		key: "nodeLabelTagPrefix", flag: "packet-node-label-tag-prefix", env: environment("NODE_LABEL_TAG_PREFIX"), section: sectionNodes,
		fallback: "none: tags do not become labels", allowed: "a text, for example `label:`",
		about: "Tags of a device of the form <prefix><key>=<value> become labels of its node when it is initialised.",
		set:   func(c *config, value string) error { c.nodeLabelTagPrefix = value; return nil },
	}}
}

func serviceOptions() []option {
	return []option{{
		key: "loadbalancer", flag: "packet-load-balancer", env: environment("LOAD_BALANCER"), section: sectionServices,
		fallback: "none: services are left alone", allowed: "kube-vip://, metallb://<namespace>/<name>?crdConfiguration=true|false, empty://",
		about: "What announces the addresses of services. See docs/load-balancers.md.",
		set:   setLoadBalancer,
	}, {
		key: "loadBalancerClass", flag: "packet-load-balancer-class", env: environment("LOAD_BALANCER_CLASS"), section: sectionServices,
		fallback: "none", allowed: "a name like that of a label",
		about: "The spec.loadBalancerClass of services to serve beside those that have none.",
		set:   setLoadBalancerClass,
	}, {
		key: "loadBalancerClassOnly", flag: "packet-load-balancer-class-only", env: environment("LOAD_BALANCER_CLASS_ONLY"), section: sectionServices,
		fallback: "false", allowed: "true, false",
		about: "Whether services without a class are left to somebody else.",
		set:   func(c *config, value string) error { return setBool(&c.loadBalancerClassOnly, value) },
	}, {
		key: "metro", flag: "packet-metro", env: environment("METRO_NAME"), section: sectionServices,
		fallback: "none", allowed: "the code of a metro, for example da; not together with facility",
		about: "Where addresses are reserved whose service does not say.",
		set:   func(c *config, value string) error { return setCode(&c.metro, value) },
	}, {
		key: "facility", flag: "packet-facility", env: environment("FACILITY_NAME"), section: sectionServices,
		fallback: "none", allowed: "the code of a facility, for example da11; not together with metro",
		about: "Where addresses are reserved whose service does not say.",
		set:   func(c *config, value string) error { return setCode(&c.facility, value) },
	}, {
		key: "loadBalancerID", flag: "packet-load-balancer-id", env: environment("LOAD_BALANCER_ID"), section: sectionServices,
		fallback: "none", allowed: "nothing",
		about: "Was the ID of an Equinix Metal Load Balancer. That service has ended, so a value is refused; the name stays so that the refusal can say why.",
		set: func(*config, string) error {
			return fmt.Errorf("names an Equinix Metal Load Balancer, a service that has ended: leave it empty and use eipTag for the control plane")
		},
	}}
}

func bgpOptions() []option {
	return []option{{
		key: "bgp", flag: "packet-bgp", env: environment("BGP"), section: sectionBGP,
		fallback: "services with a loadbalancer, else off", allowed: "off, services, nodes",
		about: "Which nodes get BGP sessions and annotations: none; the selected ones as long as there is a service of type LoadBalancer; the selected ones always.",
		set: func(c *config, value string) error {
			if err := oneOf(value, string(bgp.ModeOff), string(bgp.ModeServices), string(bgp.ModeNodes)); err != nil {
				return err
			}
			c.bgpMode = bgp.Mode(value)
			return nil
		},
	}, {
		key: "bgpNodeSelector", flag: "packet-bgp-node-selector", env: environment("BGP_NODE_SELECTOR"), section: sectionBGP,
		fallback: "all nodes", allowed: "a label selector, for example `node-role.kubernetes.io/control-plane!=`",
		about: "The nodes that get BGP, and that services are announced from.",
		set: func(c *config, value string) (err error) {
			if c.bgpNodeSelector, err = labels.Parse(value); err != nil {
				return fmt.Errorf("is %q, allowed is a label selector: %w", value, err)
			}
			return nil
		},
	}, {
		key: "bgpAddressFamilies", flag: "packet-bgp-address-families", env: environment("BGP_ADDRESS_FAMILIES"), section: sectionBGP,
		fallback: packet.BGPIPv4, allowed: "ipv4, ipv6, or both with a comma",
		about: "The address families for which a device gets a session, if it has an address of the family.",
		set:   setFamilies,
	}, {
		key: "localASN", flag: "packet-local-asn", env: environment("LOCAL_ASN"), section: sectionBGP,
		fallback: strconv.Itoa(defaultLocalASN), allowed: "1 to 4294967295",
		about: "The AS number with which BGP is enabled for a project that has none. A project that has BGP keeps its number.",
		set: func(c *config, value string) error {
			asn, err := strconv.ParseUint(value, 10, 32)
			if err != nil || asn == 0 {
				return fmt.Errorf("is %q, allowed are 1 to 4294967295", value)
			}
			c.localASN = int64(asn)
			return nil
		},
	}, {
		key: "bgpPass", env: environment("BGP_PASS"), section: sectionBGP,
		fallback: "none", allowed: "10 to 20 letters and digits",
		about: "The password with which BGP is enabled for a project that has none. A project that has BGP keeps its password.",
		set: func(c *config, value string) error {
			if !bgpPassword.MatchString(value) {
				return fmt.Errorf("has %d characters, allowed are 10 to 20 letters and digits", len(value))
			}
			c.bgpPassword = value
			return nil
		},
	}}
}

func controlPlaneOptions() []option {
	return []option{{
		key: "eipTag", flag: "packet-eip-tag", env: environment("EIP_TAG"), section: sectionControlPlane,
		fallback: "none: the control plane's address is left alone", allowed: "a tag of 1 to 80 bytes",
		about: "The tag of the reservation that holds the control plane's elastic IP, which moves when its node fails.",
		set: func(c *config, value string) error {
			if len(value) > packet.MaxTagLength {
				return fmt.Errorf("has %d bytes, allowed are 1 to %d", len(value), packet.MaxTagLength)
			}
			c.eipTag = value
			return nil
		},
	}, {
		key: "apiServerPort", flag: "packet-api-server-port", env: environment("API_SERVER_PORT"), section: sectionControlPlane,
		fallback: "0", allowed: "0 to 65535",
		about: "The port at which the API server answers on the elastic IP; 0 is the one of the Service default/kubernetes.",
		set: func(c *config, value string) error {
			port, err := strconv.ParseUint(value, 10, 16)
			if err != nil {
				return fmt.Errorf("is %q, allowed are 0 to 65535", value)
			}
			c.apiServerPort = int32(port)
			return nil
		},
	}, {
		key: "eipHealthCheckUseHostIP", flag: "packet-eip-health-check-use-host-ip", env: environment("EIP_HEALTH_CHECK_USE_HOST_IP"), section: sectionControlPlane,
		fallback: "false", allowed: "true, false",
		about: "Whether the health of the API server is asked for at the node's own addresses alone, rather than there and at the elastic IP.",
		set:   func(c *config, value string) error { return setBool(&c.eipHealthCheckUseHostIP, value) },
	}}
}

// The bounds of apiTimeout.
const (
	minAPITimeout = time.Second
	maxAPITimeout = 10 * time.Minute
)

var (
	bgpPassword  = regexp.MustCompile(`^[A-Za-z0-9]{10,20}$`)
	locationCode = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
)

func setBool(into *bool, value string) error {
	parsed, err := strconv.ParseBool(value)
	if err != nil {
		return fmt.Errorf("is %q, allowed are true and false", value)
	}
	*into = parsed
	return nil
}

// setCode takes the code of a place. Whether there is such a place is for the API to say.
func setCode(into *string, value string) error {
	code := strings.ToLower(value)
	if !locationCode.MatchString(code) {
		return fmt.Errorf("is %q, allowed is a code of letters and digits, for example da or da11", value)
	}
	*into = code
	return nil
}

func setFamilies(c *config, value string) error {
	var families []string
	for _, family := range strings.Split(value, ",") {
		family = strings.TrimSpace(family)
		if err := oneOf(family, packet.BGPIPv4, packet.BGPIPv6); err != nil {
			return err
		}
		if slices.Contains(families, family) {
			return fmt.Errorf("has %q twice", family)
		}
		families = append(families, family)
	}
	c.bgpFamilies = families
	return nil
}

func oneOf(value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("is %q, allowed are %s", value, strings.Join(allowed, ", "))
}
