package cri

import (
	"bytes"
	"context"
	"os"
	"strconv"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// ticksPerSecond is the unit of processor time in /proc, which Linux fixes
// for programs whatever the kernel was built with.
const ticksPerSecond = 100

// usage is what a process has used.
type usage struct {
	cpu      time.Duration
	resident uint64
}

// processUsage reads /proc. A process that is gone has used nothing.
func processUsage(pid int) usage {
	var used usage
	directory := "/proc/" + strconv.Itoa(pid)
	if line, err := os.ReadFile(directory + "/stat"); err == nil {
		// The name in parentheses may hold spaces; the fields after it do not.
		// They begin with the state, which is field 3 of proc(5).
		if end := bytes.LastIndexByte(line, ')'); end >= 0 {
			fields := bytes.Fields(line[end+1:])
			if len(fields) > 12 {
				user, _ := strconv.ParseInt(string(fields[11]), 10, 64)
				system, _ := strconv.ParseInt(string(fields[12]), 10, 64)
				used.cpu = time.Duration(user+system) * time.Second / ticksPerSecond
			}
		}
	}
	if line, err := os.ReadFile(directory + "/statm"); err == nil {
		if fields := bytes.Fields(line); len(fields) > 1 {
			pages, _ := strconv.ParseUint(string(fields[1]), 10, 64)
			used.resident = pages * uint64(os.Getpagesize())
		}
	}
	return used
}

func (s *Server) containerStats(c *container) *runtimeapi.ContainerStats {
	var used usage
	if c.child != nil {
		c.child.WithAlive(func(pid int) { used = processUsage(pid) })
	}
	now := s.config.Now().UnixNano()
	return &runtimeapi.ContainerStats{
		Attributes: &runtimeapi.ContainerAttributes{
			Id: c.status.Id, Metadata: c.status.Metadata, Labels: c.status.Labels, Annotations: c.status.Annotations,
		},
		Cpu:    cpuUsage(now, used),
		Memory: memoryUsage(now, used),
		WritableLayer: &runtimeapi.FilesystemUsage{
			Timestamp: now, FsId: &runtimeapi.FilesystemIdentifier{Mountpoint: s.config.StateDirectory},
			UsedBytes: &runtimeapi.UInt64Value{}, InodesUsed: &runtimeapi.UInt64Value{},
		},
	}
}

func cpuUsage(now int64, used usage) *runtimeapi.CpuUsage {
	return &runtimeapi.CpuUsage{Timestamp: now, UsageCoreNanoSeconds: &runtimeapi.UInt64Value{Value: uint64(used.cpu)}}
}

func memoryUsage(now int64, used usage) *runtimeapi.MemoryUsage {
	value := func() *runtimeapi.UInt64Value { return &runtimeapi.UInt64Value{Value: used.resident} }
	return &runtimeapi.MemoryUsage{Timestamp: now, WorkingSetBytes: value(), UsageBytes: value(), RssBytes: value()}
}

// ContainerStats implements the runtime service.
func (s *Server) ContainerStats(_ context.Context, request *runtimeapi.ContainerStatsRequest) (*runtimeapi.ContainerStatsResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, found := s.containers[request.GetContainerId()]
	if !found {
		return nil, errNoContainer(request.GetContainerId())
	}
	return &runtimeapi.ContainerStatsResponse{Stats: s.containerStats(c)}, nil
}

// ListContainerStats implements the runtime service.
func (s *Server) ListContainerStats(_ context.Context, request *runtimeapi.ListContainerStatsRequest) (*runtimeapi.ListContainerStatsResponse, error) {
	filter := request.GetFilter()
	s.mu.Lock()
	defer s.mu.Unlock()
	response := &runtimeapi.ListContainerStatsResponse{}
	for _, c := range s.containers {
		if c.status.State != runtimeapi.ContainerState_CONTAINER_RUNNING ||
			filter.GetId() != "" && filter.GetId() != c.status.Id ||
			filter.GetPodSandboxId() != "" && filter.GetPodSandboxId() != c.sandbox ||
			!hasLabels(c.status.Labels, filter.GetLabelSelector()) {
			continue
		}
		response.Stats = append(response.Stats, s.containerStats(c))
	}
	return response, nil
}

// PodSandboxStats implements the runtime service.
func (s *Server) PodSandboxStats(_ context.Context, request *runtimeapi.PodSandboxStatsRequest) (*runtimeapi.PodSandboxStatsResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, found := s.sandboxes[request.GetPodSandboxId()]
	if !found {
		return nil, errNoContainer(request.GetPodSandboxId())
	}
	return &runtimeapi.PodSandboxStatsResponse{Stats: s.sandboxStats(one)}, nil
}

// ListPodSandboxStats implements the runtime service.
func (s *Server) ListPodSandboxStats(_ context.Context, request *runtimeapi.ListPodSandboxStatsRequest) (*runtimeapi.ListPodSandboxStatsResponse, error) {
	filter := request.GetFilter()
	s.mu.Lock()
	defer s.mu.Unlock()
	response := &runtimeapi.ListPodSandboxStatsResponse{}
	for _, one := range s.sandboxes {
		if one.status.State != runtimeapi.PodSandboxState_SANDBOX_READY || filter.GetId() != "" && filter.GetId() != one.status.Id ||
			!hasLabels(one.status.Labels, filter.GetLabelSelector()) {
			continue
		}
		response.Stats = append(response.Stats, s.sandboxStats(one))
	}
	return response, nil
}

func (s *Server) sandboxStats(one *sandbox) *runtimeapi.PodSandboxStats {
	linux := &runtimeapi.LinuxPodSandboxStats{}
	var used usage
	processes := uint64(0)
	for _, c := range s.containers {
		if c.sandbox != one.status.Id || c.status.State != runtimeapi.ContainerState_CONTAINER_RUNNING {
			continue
		}
		stats := s.containerStats(c)
		linux.Containers = append(linux.Containers, stats)
		used.cpu += time.Duration(stats.Cpu.UsageCoreNanoSeconds.Value)
		used.resident += stats.Memory.RssBytes.Value
		if c.child != nil {
			processes++
		}
	}
	now := s.config.Now().UnixNano()
	linux.Cpu, linux.Memory = cpuUsage(now, used), memoryUsage(now, used)
	linux.Process = &runtimeapi.ProcessUsage{Timestamp: now, ProcessCount: &runtimeapi.UInt64Value{Value: processes}}
	return &runtimeapi.PodSandboxStats{
		Attributes: &runtimeapi.PodSandboxAttributes{
			Id: one.status.Id, Metadata: one.status.Metadata, Labels: one.status.Labels, Annotations: one.status.Annotations,
		},
		Linux: linux,
	}
}
