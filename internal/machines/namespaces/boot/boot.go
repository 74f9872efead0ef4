// Package boot is the firmware and boot loader of a machine: it runs as the
// first process in a machine's namespaces, builds the machine's root file
// system, makes it the root, and becomes the machine image's init.
package boot

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Init is the path of the first program, within a machine and within the
// machine image's directory.
const (
	ImageMount = "/opt/packetyard"
	InitName   = "init"
)

// Names of a machine's parts in its directory.
const (
	// DiskName holds the machine's root directory, OverlayName what it changed in the host's system directories.
	DiskName    = "disk"
	OverlayName = "overlay"
	// RescueName holds what those two hold, for the rescue system.
	RescueName = "rescue"
	// ControlName is shared with the machine, as /run/packetyard.
	ControlName = "control"
)

// Config is what the boot stage has to know. It reads it as one line of JSON.
type Config struct {
	// Directory is the machine's, ImageDirectory the machine image's; both absolute.
	Directory      string `json:"directory"`
	ImageDirectory string `json:"imageDirectory"`
	ID             string `json:"id"`
	Hostname       string `json:"hostname"`
	// HostAddress is what the host name stands for in /etc/hosts.
	HostAddress string `json:"hostAddress"`
	CPUs        int    `json:"cpus"`
	MemoryBytes int64  `json:"memoryBytes"`
	// Hosts are more lines for /etc/hosts: names by address.
	Hosts map[string][]string `json:"hosts"`
	// MetadataURL is where init asks for metadata.
	MetadataURL string `json:"metadataURL"`
	// NameServer is what /etc/resolv.conf names.
	NameServer string `json:"nameServer"`
	// TrustedCertificate is a file with the certificate of the metadata service,
	// which the machine's programs are to trust; it need not exist.
	TrustedCertificate string `json:"trustedCertificate,omitempty"`
	// UserNamespace is false where the machine's root is the host's root.
	UserNamespace bool `json:"userNamespace"`
	// Rescue boots the rescue system, which sees the machine's disk at RescuedDisk.
	Rescue bool `json:"rescue,omitempty"`
}

// RescuedDisk is where the rescue system has the machine's disk.
const RescuedDisk = "/mnt/disk"

// Go is the line that tells the boot stage that the network is up.
const Go = "go\n"

// Run builds and enters the root file system and executes init. It reads its
// Config and then Go from input. It only returns with an error; status, like
// all other descriptors but the standard ones, is closed when init starts,
// which is how the other side sees that it did.
func Run(input, status *os.File) error {
	// Capabilities belong to a thread until the new program takes over.
	runtime.LockOSThread()
	syscall.CloseOnExec(int(input.Fd()))
	syscall.CloseOnExec(int(status.Fd()))
	lines := bufio.NewReader(input)
	line, err := lines.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("reading the boot configuration: %w", err)
	}
	var config Config
	if err := json.Unmarshal(line, &config); err != nil {
		return fmt.Errorf("decoding the boot configuration: %w", err)
	}
	unix.Umask(0o022)
	if err := unix.Sethostname([]byte(config.Hostname)); err != nil {
		return fmt.Errorf("setting host name %q: %w", config.Hostname, err)
	}
	root, err := buildRoot(config)
	if err != nil {
		return err
	}
	if word, err := lines.ReadString('\n'); err != nil || word != Go {
		if err == nil || errors.Is(err, io.EOF) {
			return errors.New("the rack gave up before the network was up")
		}
		return fmt.Errorf("waiting for the network: %w", err)
	}
	configureKernel(root)
	if err := enter(root); err != nil {
		return err
	}
	if err := limit(config.UserNamespace); err != nil {
		return err
	}
	program := filepath.Join(ImageMount, InitName)
	if err := syscall.Exec(program, []string{InitName}, environment(config)); err != nil {
		return fmt.Errorf("executing %s: %w", program, err)
	}
	return nil
}

func environment(config Config) []string {
	environment := []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root",
		"container=packetyard",
		"PACKET_METADATA_URL=" + config.MetadataURL,
		"PACKET_CPUS=" + strconv.Itoa(config.CPUs),
		"PACKET_MEMORY_BYTES=" + strconv.FormatInt(config.MemoryBytes, 10),
	}
	if config.Rescue {
		environment = append(environment, "PACKET_RESCUE=1")
	}
	return environment
}

// configureKernel sets what a Kubernetes node expects in the machine's own
// network namespace. A setting that this kernel lacks is no reason not to boot.
func configureKernel(root string) {
	for name, value := range map[string]string{
		"ipv4/ip_forward":                       "1",
		"ipv4/ip_unprivileged_port_start":       "0",
		"ipv4/ping_group_range":                 "0 0",
		"ipv4/conf/all/rp_filter":               "0",
		"ipv4/conf/default/rp_filter":           "0",
		"ipv4/conf/bond0/rp_filter":             "0",
		"ipv4/conf/all/accept_redirects":        "0",
		"ipv6/conf/all/forwarding":              "1",
		"ipv6/conf/all/accept_ra":               "0",
		"ipv6/conf/default/accept_dad":          "0",
		"bridge/bridge-nf-call-iptables":        "1",
		"bridge/bridge-nf-call-ip6tables":       "1",
		"netfilter/nf_conntrack_max":            "262144",
		"ipv4/neigh/default/gc_stale_time":      "60",
		"ipv4/conf/all/arp_announce":            "2",
		"ipv4/conf/all/src_valid_mark":          "1",
		"ipv4/conf/default/promote_secondaries": "1",
	} {
		_ = os.WriteFile(filepath.Join(root, "proc/sys/net", name), []byte(value), 0o644)
	}
}

// enter makes root the root directory and lets go of the old one.
func enter(root string) error {
	if err := os.Chdir(root); err != nil {
		return fmt.Errorf("entering the root directory: %w", err)
	}
	// With both arguments the same, the old root comes to lie on top of the
	// new one and no directory is needed to put it in.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("making %s the root directory: %w", root, err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("letting go of the host's root directory: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return fmt.Errorf("entering the new root directory: %w", err)
	}
	return nil
}

// machineOOMScore makes the kernel end a machine's processes before the
// user's own where memory runs out.
const machineOOMScore = "200"

// keptFromRoot are what a machine's root must not be able to do where it is
// the host's root: load modules, set the clock, touch hardware.
var keptFromRoot = []uintptr{unix.CAP_SYS_MODULE, unix.CAP_SYS_TIME, unix.CAP_SYS_RAWIO, unix.CAP_MAC_ADMIN, unix.CAP_SYSLOG}

func limit(userNamespace bool) error {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err == nil {
		files.Cur = files.Max
		// Set explicitly, or the Go runtime would put the lower limit back for init.
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files)
	}
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte(machineOOMScore), 0o644)
	if userNamespace {
		return nil
	}
	for _, capability := range keptFromRoot {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0); err != nil {
			return fmt.Errorf("giving up capability %d: %w", capability, err)
		}
	}
	return nil
}
