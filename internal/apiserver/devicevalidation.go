package apiserver

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strings"

	"github.com/packetyard/packetyard/internal/apiserver/catalogue"
	"github.com/packetyard/packetyard/pkg/packet"
)

// maxUserdata is what the service took, in bytes.
const maxUserdata = 64 << 10

func billingCycles() []string {
	return []string{"hourly", "daily", "monthly", "yearly"}
}

// hostnamePattern is a domain name: labels of up to 63 letters, digits and
// inner hyphens. Underscores were never taken.
var hostnamePattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$`)

func (p *problems) hostname(name string) {
	if len(name) > 253 || !hostnamePattern.MatchString(name) {
		p.add("hostname %q is not a host name: it has up to 253 letters, digits, hyphens and dots, and every part begins and ends with a letter or digit", name)
	}
}

// userdata refuses what no machine could make anything of. Its content is
// never repeated: it holds secrets.
func (p *problems) userdata(text string) {
	if len(text) > maxUserdata {
		p.add("userdata has %d bytes, it must have at most %d", len(text), maxUserdata)
		return
	}
	if text != "" && !executable(text) {
		p.add("userdata does not begin with anything that a machine executes: it must begin with #!, #cloud-config, #ps1" +
			" or #!ipxe, be a MIME multipart message, or be an Ignition JSON object")
	}
}

func executable(text string) bool {
	// Cluster API's cloud-config says in a line of its own that it is a
	// template; what counts is the line after it.
	if first, rest, found := strings.Cut(text, "\n"); found && strings.TrimSpace(first) == "## template: jinja" {
		text = rest
	}
	for _, start := range []string{"#!", "#cloud-config", "#ps1"} {
		if strings.HasPrefix(text, start) {
			return true
		}
	}
	lower := strings.ToLower(text[:min(len(text), 64)])
	if strings.HasPrefix(lower, "mime-version:") || strings.HasPrefix(lower, "content-type: multipart/") {
		return true
	}
	var ignition struct {
		Ignition map[string]any `json:"ignition"`
	}
	return json.Unmarshal([]byte(text), &ignition) == nil && ignition.Ignition != nil
}

// script checks that a device with an operating system of the user's own has
// something to boot.
func (p *problems) script(system *catalogue.OperatingSystem, input packet.DeviceCreate) {
	p.scriptURL(input.IPXEScriptURL)
	if system == nil || system.Slug != packet.OSCustomIPXE {
		return
	}
	if input.IPXEScriptURL == "" && !strings.HasPrefix(strings.TrimSpace(input.Userdata), "#!ipxe") {
		p.add("ipxe_script_url can't be blank for operating_system %q, unless userdata begins with #!ipxe", system.Slug)
	}
}

// scriptURL refuses what no machine could fetch its script from.
func (p *problems) scriptURL(text string) {
	if text == "" {
		return
	}
	if u, err := url.Parse(text); err != nil || (u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "tftp") || u.Host == "" {
		p.add("ipxe_script_url %.200q is not a URL that begins with http://, https:// or tftp://", text)
	}
}
