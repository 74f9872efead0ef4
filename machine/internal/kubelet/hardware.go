package kubelet

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
)

// hardwareFile repeats the hardware variables for programs that were not
// started with init's environment.
const hardwareFile = "/run/packetyard/hardware.env"

// The variables that carry the plan's hardware, in the environment or in hardwareFile.
const (
	variableCPUs   = "PACKET_CPUS"
	variableMemory = "PACKET_MEMORY_BYTES"
)

// diskBytes is the capacity of the simulated disk. It is the size of the smallest
// boot disk of the plans; the host's real disk is none of the pods' business.
const diskBytes = 480 * 1000 * 1000 * 1000

// hardware is what the machine's plan has.
type hardware struct {
	cpus        int
	memoryBytes uint64
}

// readHardware reads the plan's hardware from the environment, then from the
// file; what neither knows is the host's.
func readHardware(getenv func(string) string, file string) (hardware, error) {
	fromFile, err := readVariables(file)
	if err != nil {
		return hardware{}, err
	}
	value := func(name string) string {
		if v := getenv(name); v != "" {
			return v
		}
		return fromFile[name]
	}

	h := hardware{cpus: runtime.NumCPU()}
	if v := value(variableCPUs); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return hardware{}, fmt.Errorf("%s is %q: want the number of CPUs, at least 1", variableCPUs, v)
		}
		h.cpus = n
	}
	if v := value(variableMemory); v != "" {
		n, err := strconv.ParseUint(v, 10, 63)
		if err != nil || n == 0 {
			return hardware{}, fmt.Errorf("%s is %q: want the memory in bytes, more than 0", variableMemory, v)
		}
		h.memoryBytes = n
		return h, nil
	}
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return hardware{}, fmt.Errorf("reading the host's memory size: %w", err)
	}
	h.memoryBytes = info.Totalram * uint64(info.Unit)
	return h, nil
}

// readVariables reads NAME=VALUE lines. A file that is not there has none.
func readVariables(name string) (map[string]string, error) {
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("opening hardware description: %w", err)
	}
	defer func() { _ = file.Close() }() // It was only read.
	return parseVariables(file)
}

func parseVariables(r io.Reader) (map[string]string, error) {
	variables := map[string]string{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		name, value, ok := strings.Cut(strings.TrimSpace(lines.Text()), "=")
		if ok && !strings.HasPrefix(name, "#") {
			variables[name] = strings.Trim(value, `"'`)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading hardware description: %w", err)
	}
	return variables, nil
}

// applyHardware turns off what manages hardware that a simulated machine has
// not got, whatever the configuration says: kubeadm writes its files for real
// machines.
func applyHardware(c *kubeletconfig.KubeletConfiguration) {
	// There are no cgroups to build a hierarchy in, of either version.
	c.CgroupsPerQOS = false
	c.EnforceNodeAllocatable = nil
	c.FailCgroupV1 = false
	c.KubeletCgroups = ""
	c.SystemCgroups = ""
	c.SystemReservedCgroup = ""
	c.KubeReservedCgroup = ""
	// Swap, sysctls and firewall rules are the host's.
	c.FailSwapOn = false
	c.ProtectKernelDefaults = false
	c.MakeIPTablesUtilChains = false
	// The disk and the memory are shared with the host: how full they are says
	// nothing about this machine, and must evict no pod.
	c.EvictionHard = map[string]string{}
	c.EvictionSoft = nil
	c.EvictionSoftGracePeriod = nil
	c.EvictionMinimumReclaim = nil
	// This would measure every pod's directory again and again.
	c.LocalStorageCapacityIsolation = false
	// Without root a limit can only be lowered.
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err == nil && uint64(c.MaxOpenFiles) > files.Max {
		c.MaxOpenFiles = int64(files.Max)
	}
	// Images are executables in a read-only directory: there is nothing to collect.
	c.ImageGCHighThresholdPercent = 100
	c.ImageMaximumGCAge.Duration = 0
}
