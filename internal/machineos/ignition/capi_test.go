package ignition_test

import (
	"strings"
	"testing"

	"github.com/blang/semver/v4"
	"k8s.io/utils/ptr"
	bootstrapv1 "sigs.k8s.io/cluster-api/api/bootstrap/kubeadm/v1beta2"
	capicloudinit "sigs.k8s.io/cluster-api/bootstrap/kubeadm/pkg/cloudinit"
	capi "sigs.k8s.io/cluster-api/bootstrap/kubeadm/pkg/ignition"
)

// additional is what the templates of Cluster API's providers add for Flatcar.
const additional = `
systemd:
  units:
    - name: kubeadm.service
      enabled: true
      dropins:
        - name: 10-flatcar.conf
          contents: |
            [Unit]
            Requires=containerd.service
            After=containerd.service
            [Service]
            EnvironmentFile=-/run/metadata/flatcar
storage:
  files:
    - path: /etc/additional
      mode: 0644
      contents:
        inline: additional
`

// kubeadmDocument is what Cluster API's bootstrap provider makes of a
// KubeadmConfig with one of each thing that it can ask for.
func kubeadmDocument(t *testing.T) string {
	t.Helper()
	document, _, err := capi.NewInitControlPlane(&capi.ControlPlaneInput{
		ControlPlaneInput: &capicloudinit.ControlPlaneInput{
			BaseUserData: capicloudinit.BaseUserData{
				PreKubeadmCommands:  []string{"echo before $COREOS_PACKET_HOSTNAME"},
				PostKubeadmCommands: []string{"echo after"},
				AdditionalFiles:     []bootstrapv1.File{{Path: "/etc/more", Owner: "root:root", Permissions: "0600", Content: "more\n"}},
				Users: []bootstrapv1.User{{
					Name: "capi", Groups: "sudo, docker", Sudo: "ALL=(ALL) NOPASSWD:ALL", Shell: "/bin/bash", SSHAuthorizedKeys: []string{"ssh-ed25519 CCCC capi"},
				}},
				NTP: &bootstrapv1.NTP{Enabled: ptr.To(true), Servers: []string{"ntp.example.org"}},
				DiskSetup: &bootstrapv1.DiskSetup{
					Partitions:  []bootstrapv1.Partition{{Device: "/dev/sdb", Layout: ptr.To(true), Overwrite: ptr.To(false), TableType: "gpt"}},
					Filesystems: []bootstrapv1.Filesystem{{Device: "/dev/sdb1", Filesystem: "ext4", Label: "etcd_disk", Overwrite: ptr.To(false)}},
				},
				Mounts:            []bootstrapv1.MountPoints{{"etcd_disk", "/var/lib/etcddisk", "defaults"}},
				KubernetesVersion: semver.MustParse("1.36.4"),
			},
			ClusterConfiguration: "kind: ClusterConfiguration", InitConfiguration: "kind: InitConfiguration",
		},
		Ignition: &bootstrapv1.IgnitionSpec{ContainerLinuxConfig: bootstrapv1.ContainerLinuxConfig{AdditionalConfig: additional, Strict: ptr.To(true)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(document)
}

func TestWhatClusterAPIWritesForIgnition(t *testing.T) {
	document := kubeadmDocument(t)
	if !strings.Contains(document, `"version":"2.3.0"`) {
		t.Errorf("Cluster API writes another version than this was made for:\n%s", document)
	}
	s := newSystem(t)
	s.write(s.root, "/bin/kubeadm", "#!/bin/sh\necho \"[kubeadm] $*\"\n")
	s.write(s.root, "/run/metadata/flatcar", "COREOS_PACKET_HOSTNAME=node-1\n")
	s.write(s.root, "/tmp/.keep", "")
	if err := s.execute(document); err != nil {
		t.Fatalf("%v\n%s\n%s", err, s.console.String(), s.output.String())
	}
	for _, want := range []string{"before node-1\n[kubeadm] init --config ", "after\n"} {
		if !strings.Contains(s.output.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, s.output.String())
		}
	}
	for name, want := range map[string]string{
		"/tmp/kubeadm.yml": "kind: InitConfiguration", "/etc/more": "0600 more", "/etc/additional": "0644 additional",
		"/etc/sudoers.d/capi": "0600 capi ALL=(ALL) NOPASSWD:ALL", "/etc/ntp.conf": "server ntp.example.org",
		"/home/capi/.ssh/authorized_keys": "ssh-ed25519 CCCC capi", "/etc/group": "docker:x:", "/run/cluster-api/bootstrap-success.complete": "success",
	} {
		if got := s.read(name); !strings.Contains(got, want) {
			t.Errorf("%s is %q, want %q in it", name, got, want)
		}
	}
}

func TestKubeadmThatFails(t *testing.T) {
	s := newSystem(t)
	s.write(s.root, "/bin/kubeadm", "#!/bin/sh\necho no >&2\nexit 3\n")
	if err := s.execute(kubeadmDocument(t)); err == nil || !strings.Contains(err.Error(), "kubeadm.service: ExecStart: /bin/bash: exit status 3") {
		t.Errorf("error is %v", err)
	}
}
