package ccm

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/packetyard/packetyard/internal/ccm/bgp"
	"github.com/packetyard/packetyard/internal/ccm/loadbalancers"
	"github.com/packetyard/packetyard/pkg/packet"
)

const testURL = "http://198.18.0.1/metal/v1"

// testFile is a configuration file with what is required, and more.
func testFile(more string) string {
	return `{"apiKey": "` + testToken + `", "projectID": "` + testProject + `", "base-url": "` + testURL + `"` + more + `}`
}

func read(t *testing.T, file string, env, flags map[string]string) (config, error) {
	t.Helper()
	return readConfig(settings{flags: flags, getenv: func(name string) string { return env[name] }, file: []byte(file)})
}

func TestCredentialsOfAllSources(t *testing.T) {
	want := packet.Credentials{APIURL: testURL, APIToken: testToken, ProjectID: testProject}
	for _, test := range []struct {
		name       string
		file       string
		env, flags map[string]string
		want       packet.Credentials
	}{
		{name: "file", file: testFile(""), want: want},
		{name: "file with the other spelling", file: strings.Replace(testFile(""), "projectID", "projectId", 1), want: want},
		{name: "environment", env: map[string]string{"PACKET_API_TOKEN": testToken, "PACKET_PROJECT_ID": testProject, "PACKET_API_URL": testURL}, want: want},
		{name: "environment of the original", env: map[string]string{"METAL_API_KEY": testToken, "METAL_PROJECT_ID": testProject, "METAL_API_URL": testURL}, want: want},
		{name: "environment of its first releases", env: map[string]string{"PACKET_API_KEY": testToken, "PACKET_PROJECT_ID": testProject, "PACKET_API_URL": testURL}, want: want},
		{name: "environment before file", file: testFile(""), env: map[string]string{"PACKET_API_URL": "http://other/metal/v1"},
			want: packet.Credentials{APIURL: "http://other/metal/v1", APIToken: testToken, ProjectID: testProject}},
		{name: "flag before environment before file", file: testFile(""), env: map[string]string{"PACKET_API_URL": "http://other/metal/v1"},
			flags: map[string]string{"packet-api-url": "http://flag/metal/v1"},
			want:  packet.Credentials{APIURL: "http://flag/metal/v1", APIToken: testToken, ProjectID: testProject}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got, err := read(t, test.file, test.env, test.flags); err != nil || got.credentials != test.want {
				t.Errorf("got %+v, %v", got.credentials, err)
			}
		})
	}
}

// Every option by every one of its names, with a value that is not its default.
func TestEveryOptionByEveryName(t *testing.T) {
	values := map[string]string{
		"base-url": "http://other/metal/v1", "projectID": "00000000-0000-4000-8000-000000000001", "apiKey": "another-token", "apiTimeout": "15s", "debug": "true",
		"addressPolicy": "dual-stack", "nodeLabels": "switch", "nodeLabelTagPrefix": "label:",
		"loadbalancer": "kube-vip://", "loadBalancerClass": "example.com/eip", "loadBalancerClassOnly": "true", "metro": "da", "facility": "da11",
		"bgp": "nodes", "bgpNodeSelector": "a=b", "bgpAddressFamilies": "ipv4,ipv6", "localASN": "65100", "bgpPass": "abcdefghij",
		"eipTag": "tag", "apiServerPort": "6443", "eipHealthCheckUseHostIP": "true",
	}
	// What one option needs of others.
	needs := map[string]string{"loadBalancerClassOnly": `, "loadBalancerClass": "example.com/eip"`}
	defaults, err := read(t, testFile(""), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range options() {
		value := values[o.key]
		switch {
		case o.section == sectionAnnotations:
			value = "example.com/" + o.key
			if o.key == "annotationPeerIP" {
				value += "-" + bgp.Number
			}
		case o.key == "apiKeyFile", o.key == "loadBalancerID":
			continue // Both have tests of their own.
		case value == "":
			t.Errorf("option %s has no test", o.key)
			continue
		}
		file := testFile(needs[o.key])
		got := map[string]config{}
		var err error
		for _, key := range append([]string{o.key, strings.ToUpper(o.key)}, o.aliases...) {
			with := strings.NewReplacer(`"apiKey": "`+testToken+`"`, `"apiKey": "another-token"`).Replace(file)
			if o.key != "apiKey" {
				with = strings.Replace(file, "{", `{"`+key+`": "`+value+`", `, 1)
			}
			if o.key == "base-url" || o.key == "projectID" {
				continue // The file has it already, see TestCredentialsOfAllSources.
			}
			if got["key "+key], err = read(t, with, nil, nil); err != nil {
				t.Errorf("key %s: %v", key, err)
			}
		}
		for _, name := range o.env {
			if got["variable "+name], err = read(t, file, map[string]string{name: value}, nil); err != nil {
				t.Errorf("variable %s: %v", name, err)
			}
		}
		if o.flag != "" {
			if got["flag "+o.flag], err = read(t, file, nil, map[string]string{o.flag: value}); err != nil {
				t.Errorf("flag %s: %v", o.flag, err)
			}
		}
		var first string
		for _, name := range slices.Sorted(maps.Keys(got)) {
			text := describe(got[name])
			if text == describe(defaults) {
				t.Errorf("%s: %s = %s changes nothing", o.key, name, value)
			}
			if first == "" {
				first = text
			}
			if text != first {
				t.Errorf("%s: %s gives %s, want %s", o.key, name, text, first)
			}
		}
	}
}

// describe shows all of a configuration but where it is from.
func describe(c config) string {
	c.origins = nil
	return strings.Join([]string{
		c.credentials.APIURL, c.credentials.APIToken, c.credentials.ProjectID, c.tokenFile, text(c.apiTimeout), text(c.debug),
		text(c.addressPolicy), text(c.nodeLabels), c.nodeLabelTagPrefix, c.loadBalancer, text(c.loadBalancerSetting), c.loadBalancerClass,
		text(c.loadBalancerClassOnly), c.metro, c.facility, text(c.bgpMode), c.bgpNodeSelector.String(), text(c.bgpFamilies), text(c.localASN),
		c.bgpPassword, text(c.annotations), c.annotationEIPMetro, c.annotationEIPFacility, c.eipTag, text(c.apiServerPort), text(c.eipHealthCheckUseHostIP),
	}, " ")
}

func TestConfigDefaults(t *testing.T) {
	c, err := read(t, testFile(""), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.bgpMode != bgp.ModeOff || c.loadBalancerSetting.Enabled() || c.localASN != 65000 || c.apiServerPort != 0 ||
		!c.bgpNodeSelector.Matches(labels.Set{"a": "b"}) || c.annotations != bgp.DefaultAnnotations() {
		t.Errorf("got %s", describe(c))
	}
	// Finding 12 of upstream's: BGP was enabled whether or not anybody wanted it.
	for setting, want := range map[string]bgp.Mode{"kube-vip://": bgp.ModeServices, "metallb://": bgp.ModeServices, "empty://": bgp.ModeServices} {
		if c, err := read(t, testFile(`, "loadbalancer": "`+setting+`"`), nil, nil); err != nil || c.bgpMode != want {
			t.Errorf("%s: mode is %q, want %q, %v", setting, c.bgpMode, want, err)
		}
	}
	if c, err := read(t, testFile(`, "loadbalancer": "kube-vip://", "bgp": "off"`), nil, nil); err != nil || c.bgpMode != bgp.ModeOff || c.loadBalancerSetting.Implementation != loadbalancers.KubeVIP {
		t.Errorf("got %s, %v", describe(c), err)
	}
	// An empty flag takes away what the file says.
	if c, err := read(t, testFile(`, "metro": "da"`), nil, map[string]string{"packet-metro": ""}); err != nil || c.metro != "" {
		t.Errorf("metro is %q, %v", c.metro, err)
	}
	// Numbers, booleans and null are values too.
	if c, err := read(t, testFile(`, "localASN": 4200000000, "eipHealthCheckUseHostIP": true, "metro": null`), nil, nil); err != nil || c.localASN != 4200000000 || !c.eipHealthCheckUseHostIP {
		t.Errorf("got %s, %v", describe(c), err)
	}
	// PACKNGO_DEBUG counts by being there.
	if c, err := read(t, testFile(""), map[string]string{"PACKNGO_DEBUG": "0"}, nil); err != nil || !c.debug {
		t.Errorf("debug is %v, %v", c.debug, err)
	}
}

// Upstream's errors stopped at the first.
func TestAllProblemsAreNamedAtOnce(t *testing.T) {
	const password = "not-allowed!"
	_, err := read(t, `{"apiKey": {}, "projectID": "default", "base-url": "api.packet.net", "projekt": "x", "loadbalancer": "haproxy://", "loadBalancerID": "x",
		"metro": "da", "facility": "da11", "localASN": 0, "bgpPass": "`+password+`", "bgpNodeSelector": "a in", "apiServerPort": 65536,
		"eipHealthCheckUseHostIP": "maybe", "apiTimeout": "5ms", "bgp": "on", "bgpAddressFamilies": "ipv5", "addressPolicy": "public", "nodeLabels": "colour",
		"annotationLocalASN": "not a name", "annotationPeerIP": "example.com/peer", "annotationEIPMetro": "x y", "eipTag": "`+strings.Repeat("x", 81)+`"}`,
		nil, map[string]string{"packet-load-balancer-class": "-"})
	if err == nil {
		t.Fatal("a configuration that is all wrong was taken")
	}
	for _, text := range []string{
		`"apiKey" of the file is an object`, "PACKET_API_TOKEN", `"default" is not a UUID`, "http and https", `unknown key "projekt"`, "haproxy",
		"a service that has ended", `metro is "da"`, `facility is "da11"`, "one of them", `localASN (key "localASN" of the file): is "0"`, "10 to 20 letters and digits", `"a in"`,
		`"65536"`, `"maybe"`, `"5ms"`, `bgp (key "bgp" of the file): is "on"`, `"ipv5"`, `"public"`, `"colour"`, `"not a name"`, bgp.Number, `"x y"`, "81 bytes",
		"flag --packet-load-balancer-class",
	} {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the error does not mention %q", text)
		}
	}
	if strings.Contains(err.Error(), password) {
		t.Error("the error shows the password")
	}
	if t.Failed() {
		t.Log(err)
	}
}

func TestConfigurationsThatAreWrong(t *testing.T) {
	for _, test := range []struct {
		name       string
		file       string
		env, flags map[string]string
		wrong      []string
	}{
		{name: "nothing", wrong: []string{"PACKET_API_URL", "PACKET_API_TOKEN", "PACKET_PROJECT_ID", "apiKey", "base-url"}},
		{name: "two projects", file: strings.Replace(testFile(""), "{", `{"projectId": "00000000-0000-4000-8000-000000000001", `, 1), wrong: []string{`"projectID"`, `"projectId"`, "two values"}},
		{name: "no JSON", file: testToken, wrong: []string{"not JSON"}},
		{name: "no object", file: `["` + testToken + `"]`, wrong: []string{"not a JSON object"}},
		{name: "two tokens", file: testFile(`, "apiKeyFile": "/token"`), wrong: []string{"apiKey", "apiKeyFile", "one of them"}},
		{name: "metro of one source and facility of another", file: testFile(`, "metro": "da"`), env: map[string]string{"METAL_FACILITY_NAME": "da11"},
			wrong: []string{`key "metro" of the file`, "METAL_FACILITY_NAME"}},
		{name: "BGP for services without any", file: testFile(`, "bgp": "services"`), wrong: []string{"without a loadbalancer"}},
		{name: "a class alone without one", file: testFile(`, "loadBalancerClassOnly": true`), wrong: []string{"without a loadBalancerClass"}},
		{name: "the balancers that have ended", file: testFile(`, "loadbalancer": "emlb:///da"`), wrong: []string{"emlb", "ended"}},
		{name: "one annotation for two things", file: testFile(`, "annotationLocalASN": "a.example.com/{{n}}", "annotationPeerASN": "a.example.com/{{n}}"`), wrong: []string{"two things"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := read(t, test.file, test.env, test.flags)
			if err == nil {
				t.Fatalf("got %s, want an error", describe(got))
			}
			for _, text := range test.wrong {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("error %q does not mention %q", err, text)
				}
			}
			if strings.Contains(err.Error(), testToken) {
				t.Errorf("error %q shows the token", err)
			}
		})
	}
}

// Issue 359 of upstream's: without --cloud-config there was a nil to dereference.
func TestWithoutAConfigurationFile(t *testing.T) {
	a := newAPI(t)
	env := map[string]string{"PACKET_API_TOKEN": testToken, "PACKET_PROJECT_ID": testProject, "PACKET_API_URL": a.URL + "/metal/v1"}
	if _, err := newCloud(t.Context(), nil, func(name string) string { return env[name] }, prometheus.NewPedanticRegistry()); err != nil {
		t.Error(err)
	}
	_, err := newCloud(t.Context(), &Source{Path: filepath.Join(t.TempDir(), "absent.json"), Flags: NewFlags()}, func(name string) string { return env[name] }, prometheus.NewPedanticRegistry())
	if err == nil || !strings.Contains(err.Error(), "absent.json") {
		t.Errorf("a file that is absent: %v", err)
	}
}

func TestFlagsOfACommandLine(t *testing.T) {
	flags := NewFlags()
	program := pflag.NewFlagSet("program", pflag.ContinueOnError)
	program.AddFlagSet(flags.FlagSet())
	if err := program.Parse([]string{"--packet-metro=da", "--packet-load-balancer="}); err != nil {
		t.Fatal(err)
	}
	if got := flags.given(); !maps.Equal(got, map[string]string{"packet-metro": "da", "packet-load-balancer": ""}) {
		t.Errorf("got %v", got)
	}
	for _, o := range options() {
		// A command line is for everybody to read.
		if secret := o.key == "apiKey" || o.key == "bgpPass"; secret != (o.flag == "") {
			t.Errorf("option %s has the flag %q", o.key, o.flag)
		}
	}
}

func TestReferencePageNamesEveryOption(t *testing.T) {
	var page strings.Builder
	if err := WriteReference(&page); err != nil {
		t.Fatal(err)
	}
	for _, o := range options() {
		for _, name := range append(append([]string{o.key, o.flag}, o.env...), o.aliases...) {
			if !strings.Contains(page.String(), name) {
				t.Errorf("the page does not name %s of option %s", name, o.key)
			}
		}
	}
	committed, err := os.ReadFile("../../docs/reference/ccm-configuration.md")
	if err != nil || string(committed) != page.String() {
		t.Errorf("docs/reference/ccm-configuration.md is not current (%v): run make generate", err)
	}
}
