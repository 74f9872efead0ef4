package ccm

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/packetyard/packetyard/internal/ccm/bgp"
	"github.com/packetyard/packetyard/pkg/packet"
)

// defaultLocalASN is the AS number of all projects with local BGP.
const defaultLocalASN = 65000

// envPackngoDebug is what the original's library was told by. Its presence
// counts, whatever its value.
const envPackngoDebug = "PACKNGO_DEBUG"

// config is the provider's configuration: what readConfig makes of flags,
// environment, file and defaults. The table of options says what each means.
type config struct {
	credentials packet.Credentials
	// tokenFile is a file with the token, if it is not in credentials.
	tokenFile  string
	apiTimeout time.Duration
	debug      bool

	addressPolicy      addressPolicy
	nodeLabels         []string
	nodeLabelTagPrefix string

	// loadBalancer is the setting as it was given, empty for none.
	loadBalancer          string
	loadBalancerSetting   loadBalancerSetting
	loadBalancerClass     string
	loadBalancerClassOnly bool
	metro, facility       string

	bgpMode         bgp.Mode
	bgpNodeSelector labels.Selector
	bgpFamilies     []string
	localASN        int64
	bgpPassword     string

	annotations           bgp.Annotations
	annotationEIPMetro    string
	annotationEIPFacility string

	eipTag                  string
	apiServerPort           int32
	eipHealthCheckUseHostIP bool

	// origins says where each option that has a value got it from, by key.
	origins map[string]origin
}

// origin is where a value comes from, for messages: `flag --packet-metro`.
type origin struct {
	kind originKind
	name string
}

type originKind string

const (
	fromFlag        originKind = "flag"
	fromEnvironment originKind = "environment variable"
	fromFile        originKind = "file"
)

func (o origin) String() string {
	switch o.kind {
	case fromFlag:
		return "flag --" + o.name
	case fromFile:
		return fmt.Sprintf("key %q of the file", o.name)
	}
	return string(o.kind) + " " + o.name
}

func defaultConfig() config {
	return config{
		apiTimeout:            packet.DefaultTimeout,
		addressPolicy:         defaultAddressPolicy(),
		nodeLabels:            defaultNodeLabels(),
		bgpNodeSelector:       labels.Everything(),
		bgpFamilies:           []string{packet.BGPIPv4},
		localASN:              defaultLocalASN,
		annotations:           bgp.DefaultAnnotations(),
		annotationEIPMetro:    defaultEIPMetroAnnotation,
		annotationEIPFacility: defaultEIPFacilityAnnotation,
		origins:               map[string]origin{},
	}
}

// settings are what readConfig reads. All but getenv may be empty.
type settings struct {
	// flags are those that were given, by name. An empty one takes the value
	// away that environment or file have.
	flags  map[string]string
	getenv func(string) string
	// file is the content of the configuration file.
	file []byte
}

// readConfig takes each option from the flags, else the environment, else the
// file, else its default. Its error names everything that is wrong, not only
// the first, and never a value that is secret.
func readConfig(from settings) (config, error) {
	c := defaultConfig()
	file, err := readConfigFile(from.file)
	problems := []error{err}
	for _, o := range options() {
		value, origin := o.find(from, file)
		if value == "" {
			continue
		}
		c.origins[o.key] = origin
		if err := o.set(&c, value); err != nil {
			problems = append(problems, fmt.Errorf("%s (%s): %w", o.key, origin, err))
		}
	}
	problems = append(problems, c.check()...)
	if err := errors.Join(problems...); err != nil {
		return config{}, err
	}
	if c.bgpMode == "" {
		c.bgpMode = bgp.ModeOff
		if c.loadBalancer != "" {
			c.bgpMode = bgp.ModeServices
		}
	}
	return c, nil
}

// find looks for a value in the order of precedence.
func (o option) find(from settings, file map[string]fileValue) (string, origin) {
	if value, given := from.flags[o.flag]; given && o.flag != "" {
		return strings.TrimSpace(value), origin{fromFlag, o.flag}
	}
	for _, name := range o.env {
		value := strings.TrimSpace(from.getenv(name))
		if value != "" && name == envPackngoDebug {
			value = "true"
		}
		if value != "" {
			return value, origin{fromEnvironment, name}
		}
	}
	value := file[o.key]
	return value.text, origin{fromFile, value.key}
}

// check looks at what no option can look at alone.
func (c *config) check() []error {
	var problems []error
	credentials := c.credentials
	switch {
	case c.tokenFile != "" && credentials.APIToken != "":
		problems = append(problems, fmt.Errorf("apiKey (%s) and apiKeyFile (%s) are both there, allowed is one of them",
			c.origins["apiKey"], c.origins["apiKeyFile"]))
	case c.tokenFile != "":
		if _, err := packet.NewTokenFile(c.tokenFile, nil, packet.SystemClock{}, nil); err != nil {
			problems = append(problems, fmt.Errorf("apiKeyFile (%s): %w", c.origins["apiKeyFile"], err))
		}
		// Whoever uses the file follows it.
		credentials.APIToken = "in-a-file"
	}
	if err := credentials.Validate(); err != nil {
		problems = append(problems, fmt.Errorf("%w\n(in the configuration file these are the keys base-url, apiKey and projectID)", err))
	}
	if c.metro != "" && c.facility != "" {
		problems = append(problems, fmt.Errorf("metro is %q (%s) and facility is %q (%s), allowed is one of them",
			c.metro, c.origins["metro"], c.facility, c.origins["facility"]))
	}
	if c.loadBalancer == "" && c.bgpMode == bgp.ModeServices {
		problems = append(problems, fmt.Errorf("bgp is %q (%s) without a loadbalancer, allowed are off and nodes", c.bgpMode, c.origins["bgp"]))
	}
	if c.loadBalancerClassOnly && c.loadBalancerClass == "" {
		problems = append(problems, fmt.Errorf("loadBalancerClassOnly is true (%s) without a loadBalancerClass", c.origins["loadBalancerClassOnly"]))
	}
	if err := c.annotations.Validate(); err != nil {
		problems = append(problems, err)
	}
	if service := cmp.Or(c.annotationEIPMetro, "-"); service == c.annotationEIPFacility {
		problems = append(problems, fmt.Errorf("annotationEIPMetro and annotationEIPFacility are both %q", service))
	}
	return problems
}
