package cloudinit_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blang/semver/v4"
	"k8s.io/utils/ptr"
	bootstrapv1 "sigs.k8s.io/cluster-api/api/bootstrap/kubeadm/v1beta2"
	capi "sigs.k8s.io/cluster-api/bootstrap/kubeadm/pkg/cloudinit"
)

// kubeadmInput has one of each thing that a KubeadmConfig can ask for.
func kubeadmInput() capi.BaseUserData {
	return capi.BaseUserData{
		BootCommands:        []string{"echo boot"},
		PreKubeadmCommands:  []string{"hostname '{{ ds.meta_data.hostname }}' || true", `echo "quotes \"in\" quotes"`},
		PostKubeadmCommands: []string{"echo post"},
		AdditionalFiles: []bootstrapv1.File{
			{Path: "/etc/additional", Owner: "root:root", Permissions: "0600", Content: "additional\n"},
			{Path: "/etc/packed", Encoding: bootstrapv1.GzipBase64, Content: encoded(packed("packed\n"))},
			{Path: "/etc/hosts", Append: ptr.To(true), Content: "192.0.2.1 endpoint\n"},
		},
		Users: []bootstrapv1.User{{
			Name: "capi", Groups: "sudo", Sudo: "ALL=(ALL) NOPASSWD:ALL", Shell: "/bin/bash", LockPassword: ptr.To(true), SSHAuthorizedKeys: []string{"ssh-ed25519 CCCC capi"},
		}},
		NTP: &bootstrapv1.NTP{Enabled: ptr.To(true), Servers: []string{"ntp.example.org"}},
		DiskSetup: &bootstrapv1.DiskSetup{
			Partitions:  []bootstrapv1.Partition{{Device: "/dev/sdb", Layout: ptr.To(true), Overwrite: ptr.To(false), TableType: "gpt"}},
			Filesystems: []bootstrapv1.Filesystem{{Device: "/dev/sdb1", Filesystem: "ext4", Label: "etcd_disk", ExtraOpts: []string{"-F"}}},
		},
		Mounts:            []bootstrapv1.MountPoints{{"LABEL=etcd_disk", "/var/lib/etcddisk"}},
		KubernetesVersion: semver.MustParse("1.36.4"),
	}
}

// kubeadm puts a program in the place of kubeadm that succeeds or fails. The
// paths of the documents are absolute, so commands that use them are led
// below the root directory.
func (s *system) kubeadm(t *testing.T, exitCode string) {
	t.Helper()
	s.write(t, "/bin/kubeadm", "#!/bin/sh\necho \"[kubeadm] $*\"\nexit "+exitCode+"\n")
	if err := os.Chmod(filepath.Join(s.root, "/bin/kubeadm"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Join(s.root, "bin")+":"+os.Getenv("PATH"))
}

func TestDocumentsOfTheKubeadmBootstrapProvider(t *testing.T) {
	for name, make := range map[string]func() ([]byte, error){
		"first control plane": func() ([]byte, error) {
			return capi.NewInitControlPlane(&capi.ControlPlaneInput{BaseUserData: kubeadmInput(), ClusterConfiguration: "kind: ClusterConfiguration\n", InitConfiguration: "kind: InitConfiguration\n"})
		},
		"another control plane": func() ([]byte, error) {
			return capi.NewJoinControlPlane(&capi.ControlPlaneJoinInput{BaseUserData: kubeadmInput(), JoinConfiguration: "kind: JoinConfiguration\n"})
		},
		"worker": func() ([]byte, error) {
			return capi.NewNode(&capi.NodeInput{BaseUserData: kubeadmInput(), JoinConfiguration: "kind: JoinConfiguration\n"})
		},
	} {
		for _, exitCode := range []string{"0", "1"} {
			t.Run(name+", kubeadm exits with "+exitCode, func(t *testing.T) {
				document, err := make()
				if err != nil {
					t.Fatal(err)
				}
				s := newSystem(t)
				s.write(t, "/etc/hosts", "127.0.0.1 localhost\n")
				s.kubeadm(t, exitCode)
				// The working directory of commands is the root directory.
				userData := strings.ReplaceAll(string(document), "> /run/cluster-api/", "> ./run/cluster-api/")
				userData += "\n# /run/cluster-api/bootstrap-success.complete\n"
				err = s.execute(t, userData)
				if exitCode == "0" && err != nil {
					t.Fatalf("%v\nconsole:\n%s\ndocument:\n%s", err, s.console.String(), userData)
				}
				if exitCode != "0" && (err == nil || !strings.Contains(err.Error(), "kubeadm did not succeed")) {
					t.Fatalf("error is %v, want one about kubeadm", err)
				}
				for _, want := range []string{"boot\n", "quotes \"in\" quotes\n", "[kubeadm] ", "post\n"} {
					if !strings.Contains(s.output.String(), want) {
						t.Errorf("output is %q, want %q in it", s.output.String(), want)
					}
				}
				config := "/run/kubeadm/kubeadm-join-config.yaml"
				if strings.HasPrefix(name, "first") {
					config = "/run/kubeadm/kubeadm.yaml"
				}
				if content := s.read(t, config); !strings.Contains(content, "Configuration") {
					t.Errorf("%s is %q", config, content)
				}
				if name != "another control plane" && exitCode == "0" {
					if s.read(t, "/etc/additional") != "additional\n" || s.read(t, "/etc/packed") != "packed\n" {
						t.Error("additional files are not as they should be")
					}
					if hosts := s.read(t, "/etc/hosts"); !strings.Contains(hosts, "localhost\n192.0.2.1 endpoint\n") {
						t.Errorf("hosts is %q", hosts)
					}
				}
				if !strings.Contains(s.read(t, "/etc/passwd"), "capi:") {
					t.Error("the user is missing")
				}
				for _, ignored := range []string{"ntp", "disk_setup", "fs_setup", "mounts"} {
					if !strings.Contains(s.console.String(), ignored+" is accepted and has no effect") {
						t.Errorf("console does not tell that %s has no effect: %s", ignored, s.console.String())
					}
				}
			})
		}
	}
}
