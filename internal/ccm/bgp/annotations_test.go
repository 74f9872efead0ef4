package bgp

import (
	"maps"
	"strings"
	"testing"
)

func TestAnnotationsThatCannotBeRead(t *testing.T) {
	names := DefaultAnnotations()
	good := map[string]string{
		"metal.equinix.com/bgp-peers-0-node-asn": "65000", "metal.equinix.com/bgp-peers-0-peer-asn": "65530",
		"metal.equinix.com/bgp-peers-0-peer-ip": "169.254.255.1", "metal.equinix.com/bgp-peers-0-src-ip": "10.0.0.1",
	}
	if peers, err := names.Peers(good); err != nil || len(peers) != 1 || peers[0].Password != "" || peers[0].MultiHop {
		t.Errorf("got %v, %v", peers, err)
	}
	if peers, err := names.Peers(nil); err != nil || len(peers) != 0 {
		t.Errorf("without annotations: got %v, %v", peers, err)
	}
	for suffix, value := range map[string]string{"node-asn": "-1", "peer-asn": "4294967296", "peer-ip": "here", "src-ip": "", "bgp-pass": "secret!"} {
		name := "metal.equinix.com/bgp-peers-0-" + suffix
		bad := maps.Clone(good)
		bad[name] = value
		peers, err := names.Peers(bad)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s = %q: got %v, %v", name, value, peers, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret!") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

func TestNamesOfAnnotations(t *testing.T) {
	if err := DefaultAnnotations().Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	for _, name := range []string{"", "a b", "example.com/", "example.com/x/y", "{{n}}/"} {
		if err := CheckAnnotationName(name); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
	for want, change := range map[string]func(*Annotations){
		"must hold":           func(a *Annotations) { a.PeerIP = "example.com/peer-ip" },
		"must not hold":       func(a *Annotations) { a.PrivateNetwork = "example.com/network-{{n}}" },
		"used for two things": func(a *Annotations) { a.NodeASN = a.PeerASN },
		ChecksumAnnotation:    func(a *Annotations) { a.NodeASN = ChecksumAnnotation },
	} {
		names := DefaultAnnotations()
		change(&names)
		if err := names.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	// The password and the rest of the releases before 3.3 had no number.
	old := Annotations{
		NodeASN: "metal.equinix.com/node-asn", PeerASN: "metal.equinix.com/peer-asn", PeerIP: "metal.equinix.com/peer-ip-{{n}}", SourceIP: "metal.equinix.com/src-ip",
		Password: "metal.equinix.com/bgp-pass", MultiHop: "metal.equinix.com/multi-hop", PrivateNetwork: "metal.equinix.com/network-4-private",
	}
	if err := old.Validate(); err != nil {
		t.Errorf("names without a number: %v", err)
	}
}
