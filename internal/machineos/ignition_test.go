package machineos

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packetyard/packetyard/internal/machineos/kubernetes"
	"github.com/packetyard/packetyard/internal/machineos/metadata"
)

func TestIgnitionReportsItsStagesAndStartsUnitsAtEveryBoot(t *testing.T) {
	runs := filepath.Join(t.TempDir(), "runs")
	p := newProvider(t, `{"ignition":{"version":"3.4.0"},"systemd":{"units":[{"name":"count.service","enabled":true,
		"contents":"[Unit]\nAfter=coreos-metadata.service\nRequires=coreos-metadata.service\n[Service]\nType=oneshot\nEnvironmentFile=-/run/metadata/flatcar\nExecStart=/bin/sh -c 'echo ran on ${COREOS_PACKET_PLAN} >> `+runs+`'\n[Install]\nWantedBy=multi-user.target\n"}]}}`)
	root := t.TempDir()
	for range 2 {
		if m, console := p.boot(t, root, nil); m.userData.Load() != stateSucceeded {
			t.Errorf("user data is %v, console:\n%s", m.userData.Load(), console)
		}
	}
	if content, err := os.ReadFile(runs); err != nil || string(content) != "ran on c3.small.x86\nran on c3.small.x86\n" {
		t.Errorf("in two boots the unit wrote %q, %v", content, err)
	}
	_, states := p.told()
	var messages []string
	for _, state := range states {
		messages = append(messages, state.State+": "+state.Message)
	}
	want := "running: user data is running, running: [fetch] Ignition status: finished successfully, running: [disks] Ignition status: finished successfully, " +
		"running: [files] Ignition status: finished successfully, succeeded: user data has succeeded"
	if told := strings.Join(messages, ", "); told != want {
		t.Errorf("told was %s\nwant %s", told, want)
	}
}

func TestUnitThatFailsFailsTheUserData(t *testing.T) {
	p := newProvider(t, `{"ignition":{"version":"2.3.0"},"systemd":{"units":[{"name":"kubeadm.service","enabled":true,
		"contents":"[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo it is broken; exit 4'\n[Install]\nWantedBy=multi-user.target\n"}]}}`)
	m, console := p.boot(t, t.TempDir(), nil)
	_, states := p.told()
	last := states[len(states)-1]
	if m.userData.Load() != stateFailed || last.Code != codeFailed || !strings.Contains(last.Message, "it is broken") {
		t.Errorf("user data is %v, the last state %+v, console:\n%s", m.userData.Load(), last, console)
	}
}

func TestUserDataForIgnition(t *testing.T) {
	for _, test := range []struct {
		distro, userData string
		want             bool
	}{
		{"ubuntu", `{"ignition":{"version":"3.4.0"}}`, true},
		{"ubuntu", `{"something":"else"}`, false},
		{"ubuntu", "#cloud-config\n", false},
		{"flatcar", `{"ignition":`, true},
		{"flatcar", "#!/bin/sh\n", false},
		{"flatcar", "Content-Type: multipart/mixed; boundary=x\n", false},
		{"flatcar", "", false},
	} {
		document := &metadata.Metadata{}
		document.OperatingSystem.Distro = test.distro
		if got := isIgnition(document, []byte(test.userData)); got != test.want {
			t.Errorf("on %s, %q is for Ignition: %t", test.distro, test.userData, got)
		}
	}
}

func TestInstalledVersionStaysOverAReboot(t *testing.T) {
	image, directory := kubernetes.Image{Directory: t.TempDir()}, t.TempDir()
	for name, content := range map[string]string{"kube": "", "kubernetes/default": "v1.36.4", "kubernetes/v1.35.4/kube": ""} {
		file := filepath.Join(image.Directory, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	version := func(name string) string {
		t.Helper()
		found, _ := image.Of(filepath.Join(directory, name))
		return found
	}
	if err := errors.Join(linkKubernetes(image, directory), image.Select("v1.35.4", filepath.Join(directory, "kubelet")), linkKubernetes(image, directory)); err != nil {
		t.Fatal(err)
	}
	if version("kubelet") != "v1.35.4" || version("kubeadm") != "v1.36.4" || version("etcd") != "v1.36.4" {
		t.Errorf("versions are %s, %s and %s", version("kubelet"), version("kubeadm"), version("etcd"))
	}
	// The machine image has been built anew, without the version.
	if err := errors.Join(os.RemoveAll(filepath.Join(image.Directory, "kubernetes/v1.35.4")), linkKubernetes(image, directory)); err != nil {
		t.Fatal(err)
	}
	if version("kubelet") != "v1.36.4" {
		t.Errorf("after the version is gone, the kubelet is of %s", version("kubelet"))
	}
}

func TestInstanceMetadata(t *testing.T) {
	document := &metadata.Metadata{Hostname: "node-1", Plan: "c3.small.x86"}
	document.Network.Addresses = []metadata.Address{
		{Address: "198.18.1.3", Gateway: "198.18.1.2", AddressFamily: 4, Public: true},
		{Address: "10.0.0.3", AddressFamily: 4}, {Address: "2001:db8::3", AddressFamily: 6, Public: true}, {Address: "198.18.2.1", AddressFamily: 4, Public: true},
	}
	want := "PACKET_HOSTNAME=node-1 PACKET_PHONE_HOME_URL= PACKET_PLAN=c3.small.x86 PACKET_IPV4_PUBLIC_0=198.18.1.3 PACKET_IPV4_PUBLIC_GATEWAY_0=198.18.1.2 " +
		"PACKET_IPV4_PRIVATE_0=10.0.0.3 PACKET_IPV6_PUBLIC_0=2001:db8::3 PACKET_IPV4_PUBLIC_1=198.18.2.1"
	if got := strings.Join(instanceMetadata(document), " "); got != want {
		t.Errorf("the assignments are %s\nwant %s", got, want)
	}
}
