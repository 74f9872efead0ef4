package kubelet

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	cadvisorv1 "github.com/google/cadvisor/info/v1"
	cadvisorv2 "github.com/google/cadvisor/info/v2"
	"golang.org/x/sys/unix"
	"k8s.io/kubernetes/pkg/kubelet/cadvisor"
)

// advisor describes the simulated machine to the kubelet, which asks cAdvisor on
// real hardware. Numbers that describe use are those of the machine's processes.
type advisor struct {
	hardware hardware
	now      func() time.Time
	// proc is where the machine's process file system is mounted.
	proc string
	// machineID, systemUUID, bootID and osName are facts that do not change
	// while the machine runs.
	machineID, systemUUID, bootID, osName string
}

var _ cadvisor.Interface = (*advisor)(nil)

// rootContainer is cAdvisor's name for the whole machine.
const rootContainer = "/"

func (a *advisor) Start() error { return nil }

func (a *advisor) MachineInfo() (*cadvisorv1.MachineInfo, error) {
	return &cadvisorv1.MachineInfo{
		Timestamp:        a.now(),
		NumCores:         a.hardware.cpus,
		NumPhysicalCores: a.hardware.cpus,
		NumSockets:       1,
		MemoryCapacity:   a.hardware.memoryBytes,
		MachineID:        a.machineID,
		SystemUUID:       a.systemUUID,
		BootID:           a.bootID,
	}, nil
}

func (a *advisor) VersionInfo() (*cadvisorv1.VersionInfo, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return nil, fmt.Errorf("reading the kernel's version: %w", err)
	}
	return &cadvisorv1.VersionInfo{
		KernelVersion:      unix.ByteSliceToString(name.Release[:]),
		ContainerOsVersion: a.osName,
	}, nil
}

// ContainerInfoV2 knows the machine as a whole. Single containers are the
// container runtime's business.
func (a *advisor) ContainerInfoV2(name string, _ cadvisorv2.RequestOptions) (map[string]cadvisorv2.ContainerInfo, error) {
	if name != rootContainer {
		return map[string]cadvisorv2.ContainerInfo{}, nil
	}
	stats, err := a.stats()
	if err != nil {
		return nil, err
	}
	return map[string]cadvisorv2.ContainerInfo{rootContainer: {
		Spec: cadvisorv2.ContainerSpec{
			HasCpu:    true,
			HasMemory: true,
			Memory:    cadvisorv2.MemorySpec{Limit: a.hardware.memoryBytes},
		},
		Stats: []*cadvisorv2.ContainerStats{stats},
	}}, nil
}

func (a *advisor) GetRequestedContainersInfo(string, cadvisorv2.RequestOptions) (map[string]*cadvisorv1.ContainerInfo, error) {
	return map[string]*cadvisorv1.ContainerInfo{}, nil
}

func (a *advisor) ImagesFsInfo(context.Context) (cadvisorv2.FsInfo, error)    { return a.disk(), nil }
func (a *advisor) ContainerFsInfo(context.Context) (cadvisorv2.FsInfo, error) { return a.disk(), nil }
func (a *advisor) RootFsInfo() (cadvisorv2.FsInfo, error)                     { return a.disk(), nil }
func (a *advisor) GetDirFsInfo(string) (cadvisorv2.FsInfo, error)             { return a.disk(), nil }

// disk is the simulated machine's one disk. It is always nearly empty: its files
// lie on the host's disk, and how full that is would be news about the host.
func (a *advisor) disk() cadvisorv2.FsInfo {
	const usage = 2 * 1000 * 1000 * 1000
	inodes, inodesFree := uint64(30_000_000), uint64(29_000_000)
	return cadvisorv2.FsInfo{
		Timestamp:  a.now(),
		Device:     "/dev/sda3",
		Mountpoint: "/",
		Capacity:   diskBytes,
		Available:  diskBytes - usage,
		Usage:      usage,
		Inodes:     &inodes,
		InodesFree: &inodesFree,
	}
}

// stats sums up what the machine's processes have used.
func (a *advisor) stats() (*cadvisorv2.ContainerStats, error) {
	entries, err := os.ReadDir(a.proc)
	if err != nil {
		return nil, fmt.Errorf("listing the machine's processes: %w", err)
	}
	var ticks, resident uint64
	for _, entry := range entries {
		if _, err := strconv.Atoi(entry.Name()); err != nil {
			continue
		}
		stat, err := os.ReadFile(a.proc + "/" + entry.Name() + "/stat")
		if err != nil {
			continue // The process has ended in the meantime.
		}
		t, r := parseStat(stat)
		ticks += t
		resident += r * uint64(os.Getpagesize())
	}
	const nanosecondsPerTick = uint64(time.Second / 100) // USER_HZ is 100 on every Linux that Go runs on.
	return &cadvisorv2.ContainerStats{
		Timestamp: a.now(),
		Cpu: &cadvisorv1.CpuStats{Usage: cadvisorv1.CpuUsage{
			Total:  ticks * nanosecondsPerTick,
			PerCpu: make([]uint64, runtime.NumCPU()),
		}},
		CpuInst: &cadvisorv2.CpuInstStats{},
		Memory:  &cadvisorv1.MemoryStats{Usage: resident, WorkingSet: resident, RSS: resident},
	}, nil
}

// parseStat returns the CPU time in clock ticks and the resident pages of a
// process from its /proc/PID/stat. A line it does not understand counts nothing.
func parseStat(stat []byte) (ticks, residentPages uint64) {
	// The second field is the program's name in parentheses, and may hold anything.
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, 0
	}
	const utime, stime, rss = 14 - 3, 15 - 3, 24 - 3 // Numbered from the third field.
	fields := strings.Fields(string(stat[end+1:]))
	if len(fields) <= rss {
		return 0, 0
	}
	number := func(i int) uint64 {
		n, err := strconv.ParseUint(fields[i], 10, 64)
		if err != nil {
			return 0
		}
		return n
	}
	return number(utime) + number(stime), number(rss)
}
