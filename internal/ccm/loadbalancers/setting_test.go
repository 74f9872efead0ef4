package loadbalancers

import (
	"strings"
	"testing"
)

func TestParseSetting(t *testing.T) {
	metalLB := func(namespace, configMap string, format Format, shared bool) Setting {
		return Setting{Implementation: MetalLB, MetalLB: MetalLBSetting{Namespace: namespace, ConfigMap: configMap, Format: format, SharedPeers: shared}}
	}
	for text, want := range map[string]Setting{
		"":                                    {},
		"kube-vip://":                         {Implementation: KubeVIP},
		" empty:// ":                          {Implementation: Empty},
		"metallb://":                          metalLB("metallb-system", "config", FormatAutomatic, false),
		"metallb:///":                         metalLB("metallb-system", "config", FormatAutomatic, false),
		"metallb:///lb/cm":                    metalLB("lb", "cm", FormatAutomatic, false),
		"metallb://lb/cm":                     metalLB("lb", "cm", FormatAutomatic, false),
		"metallb://lb":                        metalLB("lb", "config", FormatAutomatic, false),
		"metallb:///lb?crdConfiguration=true": metalLB("lb", "config", FormatResources, false),
		"metallb:///?crdConfiguration=false":  metalLB("metallb-system", "config", FormatConfigMap, false),
		"metallb:///?crdConfiguration=true&peers=shared": metalLB("metallb-system", "config", FormatResources, true),
		"metallb://metallb-system/config?peers=node":     metalLB("metallb-system", "config", FormatAutomatic, false),
	} {
		got, err := ParseSetting(text)
		if err != nil || got != want {
			t.Errorf("%q: got %+v, %v, want %+v", text, got, err, want)
		}
		if got.Enabled() != (strings.TrimSpace(text) != "") {
			t.Errorf("%q: enabled is %v", text, got.Enabled())
		}
	}
}

// The original made load balancers without an implementation of a scheme that
// it did not know, and panicked at the first Service. It panicked at a bad
// crdConfiguration, too.
func TestAnUnknownLoadBalancerSchemeIsRefused(t *testing.T) {
	for text, want := range map[string][]string{
		"metalb://":                          {`"metalb"`, "kube-vip, metallb, empty"},
		"kube-vip":                           {"not known", "kube-vip, metallb, empty"},
		"emlb:///da":                         {"has ended", "kube-vip, metallb, empty"},
		"kube-vip://kube-system":             {"kube-vip://"},
		"empty://?a=b":                       {"empty://"},
		"metallb:///?crdConfiguration=maybe": {"crdConfiguration", `"maybe"`, "true and false"},
		"metallb:///?crd=true":               {`"crd"`, "crdConfiguration"},
		"metallb:///?peers=all":              {`"all"`, "node and shared"},
		"metallb://a/b/c":                    {`"a/b/c"`},
		"metallb://UPPER_case/x?peers=9&a=1": {"UPPER_case", `"9"`, `"a"`},
		"metallb://%zz":                      {"not a URL"},
	} {
		got, err := ParseSetting(text)
		if err == nil || got.Enabled() {
			t.Errorf("%q is accepted as %+v", text, got)
			continue
		}
		for _, part := range want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q: the error %q does not mention %s", text, err, part)
			}
		}
	}
}
