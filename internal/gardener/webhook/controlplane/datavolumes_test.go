package controlplane

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/utils/ptr"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	oscutils "github.com/gardener/gardener/pkg/component/extensions/operatingsystemconfig/utils"
)

// server is one whose drives are simulated by testdata/drives.sh.
type server struct {
	state, path, script string
	// folder is where volumes are mounted.
	folder string
}

// newServer has drives with what is on each: blank, partitions, ext4, member or unused (of LVM), stick or cdrom.
func newServer(t *testing.T, drives map[string]string) *server {
	t.Helper()
	s := &server{state: t.TempDir(), path: t.TempDir(), folder: t.TempDir(), script: filepath.Join(t.TempDir(), "lvm.sh")}
	simulator, err := filepath.Abs("testdata/drives.sh")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(simulator)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"lsblk", "blkid", "pvs", "vgs", "lvs", "vgcreate", "vgchange", "lvcreate", "mkfs.ext4", "mountpoint", "mount", "umount", "systemctl"} {
		s.write(t, filepath.Join(s.path, name), string(text))
	}
	for _, folder := range []string{"drives", "volumes", "copied"} {
		if err := os.Mkdir(filepath.Join(s.state, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range drives {
		s.write(t, filepath.Join(s.state, "drives", name), content+"\n")
	}
	s.write(t, filepath.Join(s.state, "mounts"), "")
	s.write(t, filepath.Join(s.state, "log"), "")
	s.write(t, s.script, dataVolumeText)
	return s
}

func (s *server) write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o700); err != nil { //nolint:gosec // Some of them are to be executed.
		t.Fatal(err)
	}
}

// boot runs the script as a boot does, when nothing is mounted, and returns the programs that changed drives and mounted volumes.
func (s *server) boot(t *testing.T, volumes ...string) ([]string, string, error) {
	t.Helper()
	s.write(t, filepath.Join(s.state, "mounts"), "")
	s.write(t, filepath.Join(s.state, "log"), "")
	for i := range volumes {
		volumes[i] = strings.ReplaceAll(volumes[i], "FOLDER", s.folder)
	}
	command := exec.CommandContext(t.Context(), "sh", append([]string{s.script}, volumes...)...)
	command.Env = []string{"PATH=" + s.path + ":" + os.Getenv("PATH"), "SIMULATED=" + s.state}
	output, err := command.CombinedOutput()
	log, readErr := os.ReadFile(filepath.Join(s.state, "log"))
	if readErr != nil {
		t.Fatal(readErr)
	}
	var changes []string
	for line := range strings.Lines(string(log)) {
		line = strings.ReplaceAll(strings.TrimSpace(line), s.folder, "FOLDER")
		if slices.Contains([]string{"vgcreate", "lvcreate", "mkfs.ext4", "mount"}, strings.Fields(line)[0]) {
			changes = append(changes, line)
		}
	}
	return changes, string(output), err
}

func wantChanges(t *testing.T, when string, got []string, output string, err error, want ...string) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v\n%s", when, err, output)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s it ran\n%s\nwant\n%s", when, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestDataVolumesSurviveReboots(t *testing.T) {
	s := newServer(t, map[string]string{"nvme0n1": "partitions", "nvme1n1": "blank", "nvme2n1": "blank", "sda": "ext4", "sdb": "stick", "sr0": "cdrom"})
	volumes := func() []string { return []string{"scratch:700:FOLDER/scratch", "state:600:FOLDER/kubelet:KUBEDEV"} }
	mounts := []string{"mount -o defaults /dev/data/scratch FOLDER/scratch", "mount -o defaults,prjquota,errors=remount-ro /dev/data/state FOLDER/kubelet"}

	changes, output, err := s.boot(t, volumes()...)
	wantChanges(t, "at the first boot", changes, output, err,
		"vgcreate --yes data /dev/nvme1n1 /dev/nvme2n1",
		"lvcreate --yes --wipesignatures y --name scratch --size 700b data", "mkfs.ext4 -q /dev/data/scratch", mounts[0],
		"lvcreate --yes --wipesignatures y --name state --size 600b data", "mkfs.ext4 -q -L KUBEDEV -O quota -E quotatype=usrquota:grpquota:prjquota /dev/data/state", mounts[1])
	changes, output, err = s.boot(t, volumes()...)
	wantChanges(t, "at the second boot", changes, output, err, mounts...)
}

func TestDataVolumesAreFinishedAfterAnInterruption(t *testing.T) {
	s := newServer(t, map[string]string{"sda": "blank", "sdb": "blank"})
	s.write(t, filepath.Join(s.state, "interrupt"), "")
	if _, output, err := s.boot(t, "scratch:700:FOLDER/scratch"); err == nil {
		t.Errorf("the interruption was not noticed: %s", output)
	}
	changes, output, err := s.boot(t, "scratch:700:FOLDER/scratch")
	wantChanges(t, "after the interruption", changes, output, err, "vgcreate --yes data /dev/sda /dev/sdb",
		"lvcreate --yes --wipesignatures y --name scratch --size 700b data", "mkfs.ext4 -q /dev/data/scratch", "mount -o defaults /dev/data/scratch FOLDER/scratch")

	// Power went between lvcreate and mkfs.
	s.write(t, filepath.Join(s.state, "volumes", "scratch"), "blank\n")
	changes, output, err = s.boot(t, "scratch:700:FOLDER/scratch")
	wantChanges(t, "without a file system", changes, output, err, "mkfs.ext4 -q /dev/data/scratch", "mount -o defaults /dev/data/scratch FOLDER/scratch")
}

// Nothing that has contents is ever formatted.
func TestDrivesInUseAreNoDataVolumes(t *testing.T) {
	s := newServer(t, map[string]string{"sda": "partitions", "sdb": "ext4", "sdc": "member"})
	changes, output, err := s.boot(t, "scratch:700:FOLDER/scratch")
	if err == nil || len(changes) > 0 || !strings.Contains(output, "no drive that nothing is on") {
		t.Errorf("got %v, %q and %s, want an error and no change", err, changes, output)
	}
	s = newServer(t, map[string]string{"sda": "blank"})
	changes, output, err = s.boot(t, "scratch:1001:FOLDER/scratch")
	if err == nil || len(changes) != 1 || !strings.Contains(output, "scratch is to have 1001 bytes, but the drives have 1000 left") {
		t.Errorf("got %v, %q and %s, want an error that tells the sizes", err, changes, output)
	}
}

// What the image of the operating system has in a folder is there after the first boot too.
func TestTheContentsOfAFolderMoveToItsVolume(t *testing.T) {
	s := newServer(t, map[string]string{"sda": "blank"})
	if err := os.Mkdir(filepath.Join(s.folder, "containerd"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.write(t, filepath.Join(s.folder, "containerd", "io.containerd"), "")
	changes, output, err := s.boot(t, "containerd:1000:FOLDER/containerd")
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if len(changes) != 5 || !strings.HasPrefix(changes[3], "mount /dev/data/containerd /") || changes[4] != "mount -o defaults /dev/data/containerd FOLDER/containerd" {
		t.Errorf("it ran %q, want it to mount the volume elsewhere first", changes)
	}
	if _, err := os.Stat(filepath.Join(s.state, "copied", "io.containerd")); err != nil {
		t.Errorf("the contents are not on the volume: %v", err)
	}
}

func TestDataVolumesThatCannotBe(t *testing.T) {
	m := &mutator{contents: oscutils.NewFileContentInlineCodec()}
	for name, c := range map[string]struct {
		volume gardencorev1beta1.DataVolume
		want   string
	}{
		"a name for a shell": {gardencorev1beta1.DataVolume{Name: "x;reboot", VolumeSize: "1Gi"}, `name "x;reboot"`},
		"no size":            {gardencorev1beta1.DataVolume{Name: "x"}, `size ""`},
		"nothing":            {gardencorev1beta1.DataVolume{Name: "x", VolumeSize: "0Gi"}, `size "0Gi"`},
		"encrypted":          {gardencorev1beta1.DataVolume{Name: "x", VolumeSize: "1Gi", Encrypted: ptr.To(true)}, "cannot be encrypted"},
	} {
		spec := &extensionsv1alpha1.OperatingSystemConfigSpec{}
		err := m.addDataVolumes(spec, &gardencorev1beta1.Worker{Name: "big", DataVolumes: []gardencorev1beta1.DataVolume{c.volume}})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "worker pool big") {
			t.Errorf("%s: got %v, want %s of the pool big", name, err, c.want)
		}
		if len(spec.Files)+len(spec.Units) > 0 {
			t.Errorf("%s: the configuration was changed", name)
		}
	}
}
