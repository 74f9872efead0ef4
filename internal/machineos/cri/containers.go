package cri

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/packetyard/packetyard/internal/machineos/process"
)

// hollowVariable tells a hollow container how long it runs. The kubelet's
// side sets it, because only the kubelet knows what kind of container it is.
const hollowVariable = "PACKETYARD_HOLLOW"

// The values of hollowVariable. A container without it runs.
const (
	hollowRun  = "run"  // until it is stopped
	hollowInit = "init" // an init container: it has done its work at once
	hollowExit = "exit" // a job's container: the same
)

// Exit codes that are not a process's own.
const (
	// exitStartError is what container runtimes report where a process could not be started.
	exitStartError = 128
	// exitUnknown is reported where the machine was restarted.
	exitUnknown = 255
)

// container is one container. Its fields are guarded by the server's lock,
// but for those that never change after it was made.
type container struct {
	sandbox string
	status  *runtimeapi.ContainerStatus
	// config is there until the container is started.
	config *runtimeapi.ContainerConfig
	log    *containerLog
	// starting is true from the call that starts it on.
	starting bool
	// started is closed when an attempt to start the container is over.
	started chan struct{}
	// ended is closed when the container has ended.
	ended chan struct{}

	// The rest belongs to containers with a process.
	env       []string
	directory string
	tty       bool
	stdin     *os.File
	terminal  *os.File
	child     *process.Child
	// entered are the other processes that run in the container.
	entered map[*process.Child]struct{}
}

// CreateContainer implements the runtime service.
func (s *Server) CreateContainer(_ context.Context, request *runtimeapi.CreateContainerRequest) (*runtimeapi.CreateContainerResponse, error) {
	config := request.GetConfig()
	if config.GetMetadata() == nil {
		return nil, status.Error(codes.InvalidArgument, "config.metadata is missing, it must name the container")
	}
	reference := config.GetImage().GetImage()
	found, ok := s.images.find(reference)
	if !ok {
		found, ok = s.images.find(config.GetImage().GetUserSpecifiedImage())
	}
	if !ok {
		return nil, status.Errorf(codes.NotFound, "config.image.image: image %q was not pulled", reference)
	}
	_, _, known := s.images.executable(found.reference)

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil, errShuttingDown()
	}
	pod, ok := s.sandboxes[request.GetPodSandboxId()]
	if !ok {
		return nil, status.Errorf(codes.NotFound, "pod sandbox %q does not exist", request.GetPodSandboxId())
	}
	if pod.status.State != runtimeapi.PodSandboxState_SANDBOX_READY {
		return nil, status.Errorf(codes.FailedPrecondition, "pod sandbox %q has been stopped", request.GetPodSandboxId())
	}
	if known {
		if err := s.prepareProcess(pod); err != nil {
			return nil, err
		}
	}
	logPath := ""
	if config.LogPath != "" && pod.logDirectory != "" {
		logPath = filepath.Join(pod.logDirectory, config.LogPath)
	}
	c := &container{
		sandbox: request.GetPodSandboxId(),
		config:  config,
		log:     newLog(logPath, s.config.Now),
		started: make(chan struct{}),
		ended:   make(chan struct{}),
		entered: make(map[*process.Child]struct{}),
		status: &runtimeapi.ContainerStatus{
			Id:          newID(),
			Metadata:    config.Metadata,
			State:       runtimeapi.ContainerState_CONTAINER_CREATED,
			CreatedAt:   s.config.Now().UnixNano(),
			Image:       &runtimeapi.ImageSpec{Image: found.reference, UserSpecifiedImage: config.Image.UserSpecifiedImage},
			ImageRef:    found.digestReference(),
			ImageId:     found.id,
			Labels:      config.Labels,
			Annotations: config.Annotations,
			Mounts:      config.Mounts,
			LogPath:     logPath,
			StopSignal:  config.StopSignal,
		},
	}
	s.containers[c.status.Id] = c
	s.keepContainer(c)
	return &runtimeapi.CreateContainerResponse{ContainerId: c.status.Id}, nil
}

// StartContainer implements the runtime service.
func (s *Server) StartContainer(_ context.Context, request *runtimeapi.StartContainerRequest) (*runtimeapi.StartContainerResponse, error) {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return nil, errShuttingDown()
	}
	c, found := s.containers[request.GetContainerId()]
	if !found {
		s.mu.Unlock()
		return nil, errNoContainer(request.GetContainerId())
	}
	config := c.config
	if c.status.State != runtimeapi.ContainerState_CONTAINER_CREATED || c.starting {
		state := c.status.State
		s.mu.Unlock()
		return nil, status.Errorf(codes.FailedPrecondition, "container %q is %s, only one that is created can be started", c.status.Id, state)
	}
	owner, found := s.sandboxes[c.sandbox]
	if !found {
		s.mu.Unlock()
		return nil, status.Errorf(codes.FailedPrecondition, "the pod sandbox of container %q has been removed", c.status.Id)
	}
	pod := *owner
	c.config, c.starting = nil, true
	s.mu.Unlock()

	defer close(c.started)
	if err := c.log.open(); err != nil {
		s.finish(c, exitStartError, "StartError", err.Error())
		return nil, err
	}
	name, file, known := s.images.executable(c.status.Image.Image)
	if !known {
		s.startHollow(c, config)
		return &runtimeapi.StartContainerResponse{}, nil
	}
	if err := s.startProcess(c, config, pod, name, file); err != nil {
		s.finish(c, exitStartError, "StartError", err.Error())
		return nil, status.Errorf(codes.Unknown, "starting container %q: %v", config.Metadata.Name, err)
	}
	return &runtimeapi.StartContainerResponse{}, nil
}

// startHollow makes a container look as if it ran.
func (s *Server) startHollow(c *container, config *runtimeapi.ContainerConfig) {
	mode := hollowRun
	for _, env := range config.Envs {
		if env.GetKey() == hollowVariable {
			mode = string(env.GetValue())
		}
	}
	c.log.line(runtimeapi.Stdout, []byte("packetyard: image "+c.status.Image.Image+
		" is hollow on this machine: the container is reported as running, but no process runs in it"), true)
	s.mu.Lock()
	c.status.State = runtimeapi.ContainerState_CONTAINER_RUNNING
	c.status.StartedAt = s.config.Now().UnixNano()
	s.keepContainer(c)
	s.mu.Unlock()
	if mode == hollowInit || mode == hollowExit {
		s.finish(c, 0, "Completed", "")
	}
}

// finish records that a container has ended. It does nothing the second time.
func (s *Server) finish(c *container, code int, reason, message string) {
	c.log.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.status.State == runtimeapi.ContainerState_CONTAINER_EXITED {
		return
	}
	now := s.config.Now().UnixNano()
	if c.status.StartedAt == 0 {
		c.status.StartedAt = now
	}
	c.status.State = runtimeapi.ContainerState_CONTAINER_EXITED
	c.status.FinishedAt = now
	c.status.ExitCode = int32(code)
	c.status.Reason = reason
	c.status.Message = message
	for child := range c.entered {
		child.SignalGroup(syscall.SIGKILL)
	}
	close(c.ended)
	if _, there := s.containers[c.status.Id]; there {
		s.keepContainer(c)
	}
}

// StopContainer implements the runtime service.
func (s *Server) StopContainer(_ context.Context, request *runtimeapi.StopContainerRequest) (*runtimeapi.StopContainerResponse, error) {
	s.mu.Lock()
	c, found := s.containers[request.GetContainerId()]
	s.mu.Unlock()
	if found {
		s.stop(c, time.Duration(request.GetTimeout())*time.Second)
	}
	return &runtimeapi.StopContainerResponse{}, nil
}

// stop returns when the container has ended, or at once where it was never started.
func (s *Server) stop(c *container, grace time.Duration) {
	s.mu.Lock()
	state, child, sig := c.status.State, c.child, c.status.StopSignal
	starting := state == runtimeapi.ContainerState_CONTAINER_CREATED && c.starting
	s.mu.Unlock()
	switch {
	case state == runtimeapi.ContainerState_CONTAINER_EXITED:
		return
	case starting:
		// Starting takes milliseconds, and then it can be stopped.
		<-c.started
		s.stop(c, grace)
	case child != nil:
		child.Stop(stopSignal(sig), grace)
		<-c.ended
	case state == runtimeapi.ContainerState_CONTAINER_CREATED:
		s.finish(c, exitStartError, "Error", "the container was stopped before it was started")
	default:
		s.finish(c, 0, "Completed", "")
	}
}

// stopSignal is the system's number of a signal, SIGTERM where none is asked for.
func stopSignal(sig runtimeapi.Signal) syscall.Signal {
	if number, known := signals[sig]; known {
		return number
	}
	return syscall.SIGTERM
}

var signals = map[runtimeapi.Signal]syscall.Signal{
	runtimeapi.Signal_SIGABRT: syscall.SIGABRT, runtimeapi.Signal_SIGHUP: syscall.SIGHUP, runtimeapi.Signal_SIGINT: syscall.SIGINT,
	runtimeapi.Signal_SIGKILL: syscall.SIGKILL, runtimeapi.Signal_SIGPWR: syscall.SIGPWR, runtimeapi.Signal_SIGQUIT: syscall.SIGQUIT,
	runtimeapi.Signal_SIGTERM: syscall.SIGTERM, runtimeapi.Signal_SIGUSR1: syscall.SIGUSR1, runtimeapi.Signal_SIGUSR2: syscall.SIGUSR2,
	runtimeapi.Signal_SIGWINCH: syscall.SIGWINCH,
}

// RemoveContainer implements the runtime service.
func (s *Server) RemoveContainer(_ context.Context, request *runtimeapi.RemoveContainerRequest) (*runtimeapi.RemoveContainerResponse, error) {
	s.mu.Lock()
	c, found := s.containers[request.GetContainerId()]
	s.mu.Unlock()
	if !found {
		return &runtimeapi.RemoveContainerResponse{}, nil
	}
	if err := s.removeContainer(c); err != nil {
		return nil, err
	}
	return &runtimeapi.RemoveContainerResponse{}, nil
}

// removeContainer forgets a container and ends it before, if need be. Its log
// is the kubelet's to remove.
func (s *Server) removeContainer(c *container) error {
	s.stop(c, 0)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.containers, c.status.Id)
	return s.state.remove(containerFolder, c.status.Id)
}

func errNoContainer(id string) error {
	return status.Errorf(codes.NotFound, "container %q does not exist", id)
}

// ListContainers implements the runtime service.
func (s *Server) ListContainers(_ context.Context, request *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error) {
	filter := request.GetFilter()
	s.mu.Lock()
	defer s.mu.Unlock()
	response := &runtimeapi.ListContainersResponse{}
	for _, c := range s.containers {
		if filter.GetId() != "" && filter.GetId() != c.status.Id || filter.GetPodSandboxId() != "" && filter.GetPodSandboxId() != c.sandbox {
			continue
		}
		if state := filter.GetState(); state != nil && state.State != c.status.State {
			continue
		}
		if !hasLabels(c.status.Labels, filter.GetLabelSelector()) {
			continue
		}
		response.Containers = append(response.Containers, &runtimeapi.Container{
			Id:           c.status.Id,
			PodSandboxId: c.sandbox,
			Metadata:     c.status.Metadata,
			Image:        c.status.Image,
			ImageRef:     c.status.ImageId,
			ImageId:      c.status.ImageId,
			State:        c.status.State,
			CreatedAt:    c.status.CreatedAt,
			Labels:       c.status.Labels,
			Annotations:  c.status.Annotations,
		})
	}
	slices.SortFunc(response.Containers, func(a, b *runtimeapi.Container) int { return int(b.CreatedAt - a.CreatedAt) })
	return response, nil
}

// ContainerStatus implements the runtime service.
func (s *Server) ContainerStatus(_ context.Context, request *runtimeapi.ContainerStatusRequest) (*runtimeapi.ContainerStatusResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, found := s.containers[request.GetContainerId()]
	if !found {
		return nil, errNoContainer(request.GetContainerId())
	}
	// A copy, because the answer is encoded after the lock is let go. Its
	// parts are never changed.
	response := &runtimeapi.ContainerStatusResponse{Status: &runtimeapi.ContainerStatus{
		Id:          c.status.Id,
		Metadata:    c.status.Metadata,
		State:       c.status.State,
		CreatedAt:   c.status.CreatedAt,
		StartedAt:   c.status.StartedAt,
		FinishedAt:  c.status.FinishedAt,
		ExitCode:    c.status.ExitCode,
		Image:       c.status.Image,
		ImageRef:    c.status.ImageRef,
		ImageId:     c.status.ImageId,
		Reason:      c.status.Reason,
		Message:     c.status.Message,
		Labels:      c.status.Labels,
		Annotations: c.status.Annotations,
		Mounts:      c.status.Mounts,
		LogPath:     c.status.LogPath,
		StopSignal:  c.status.StopSignal,
	}}
	if request.GetVerbose() {
		response.Info = map[string]string{}
	}
	return response, nil
}

// UpdateContainerResources implements the runtime service. There are no
// limits to change: machines have no cgroups.
func (s *Server) UpdateContainerResources(context.Context, *runtimeapi.UpdateContainerResourcesRequest) (*runtimeapi.UpdateContainerResourcesResponse, error) {
	return &runtimeapi.UpdateContainerResourcesResponse{}, nil
}

// ReopenContainerLog implements the runtime service.
func (s *Server) ReopenContainerLog(_ context.Context, request *runtimeapi.ReopenContainerLogRequest) (*runtimeapi.ReopenContainerLogResponse, error) {
	s.mu.Lock()
	c, found := s.containers[request.GetContainerId()]
	running := found && c.status.State == runtimeapi.ContainerState_CONTAINER_RUNNING
	s.mu.Unlock()
	if !found {
		return nil, errNoContainer(request.GetContainerId())
	}
	if !running {
		return nil, status.Errorf(codes.FailedPrecondition, "container %q is not running", request.GetContainerId())
	}
	if err := c.log.reopen(); err != nil {
		return nil, err
	}
	return &runtimeapi.ReopenContainerLogResponse{}, nil
}
