// Package cri is a machine's container runtime: the Kubernetes container
// runtime interface, v1, for an unmodified kubelet.
//
// A container whose image the machine knows runs as a process. Any other
// container is hollow: it is reported as running and has an address, and
// nothing runs in it. Known images are the control plane's, whose programs
// are all in the machine image's multi-call binary, and those whose
// executable lies in the machine image's folder images.
package cri

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming"

	"github.com/packetyard/packetyard/internal/machineos/podnetwork"
	"github.com/packetyard/packetyard/internal/machineos/process"
)

// The runtime's name and version as a node reports them. kubeadm and the
// kubelet warn of a containerd older than 2.0 and of versions that are none.
const (
	runtimeName    = "packetyard"
	runtimeVersion = "2.0.0"
	apiVersion     = "v1"
)

// Config is what a Server works with.
type Config struct {
	// Reaper starts the processes.
	Reaper *process.Reaper
	// ImageDirectory is the machine image: the file kube and the folder images.
	ImageDirectory string
	// StateDirectory outlives a reboot of the machine; it is made if need be.
	StateDirectory string
	// Address is the machine's primary address.
	Address func() string
	// Network gives pods with processes networks of their own. Where it is nil
	// they have the machine's network, and its address.
	Network *podnetwork.Network
	// RangePatience is how long the network counts as not ready while the node
	// has no range of addresses. After that pods have addresses that pods of
	// other machines do not reach.
	RangePatience time.Duration
	// Now tells the time.
	Now func() time.Time
	// Warn is told what cannot be answered to a caller.
	Warn func(format string, args ...any)
}

// Server implements the runtime and image services.
type Server struct {
	runtimeapi.UnimplementedRuntimeServiceServer
	runtimeapi.UnimplementedImageServiceServer

	config    Config
	images    *images
	addresses *addresses
	state     *stateStore
	streaming streaming.Server

	mu         sync.Mutex
	closing    bool
	sandboxes  map[string]*sandbox
	containers map[string]*container
}

// New returns a Server that remembers what ran before the machine was
// rebooted as ended.
func New(config Config) (*Server, error) {
	server := &Server{
		config:     config,
		images:     newImages(config.ImageDirectory),
		sandboxes:  make(map[string]*sandbox),
		containers: make(map[string]*container),
	}
	server.addresses = newAddresses(config.Address, config.RangePatience)
	if err := os.MkdirAll(server.rootMountPoint(), 0o700); err != nil {
		return nil, fmt.Errorf("making the containers' mount point: %w", err)
	}
	var err error
	if server.state, err = openState(config.StateDirectory); err != nil {
		return nil, err
	}
	if err := server.restore(); err != nil {
		return nil, err
	}
	settings := streaming.DefaultConfig
	settings.Addr = "127.0.0.1:0"
	if server.streaming, err = streaming.NewServer(settings, streams{server}); err != nil {
		return nil, fmt.Errorf("making the streaming server: %w", err)
	}
	return server, nil
}

// Serve answers on the listener until the context ends.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	// Small buffers, because the callers are one kubelet and its shells, and
	// this runs on every machine.
	server := grpc.NewServer(grpc.ReadBufferSize(4<<10), grpc.WriteBufferSize(4<<10),
		grpc.MaxRecvMsgSize(16<<20), grpc.MaxSendMsgSize(16<<20))
	runtimeapi.RegisterRuntimeServiceServer(server, s)
	runtimeapi.RegisterImageServiceServer(server, s)
	failed := make(chan error, 2)
	go func() {
		if err := s.streaming.Start(true); err != nil && ctx.Err() == nil {
			failed <- fmt.Errorf("serving container streams: %w", err)
		}
	}()
	go func() {
		if err := server.Serve(listener); err != nil && ctx.Err() == nil {
			failed <- fmt.Errorf("serving the container runtime interface: %w", err)
		}
	}()
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	server.Stop()
	_ = s.streaming.Stop()
	return err
}

// Shutdown ends all containers' processes, which get grace to end by
// themselves, and pods' networks. It starts no more.
func (s *Server) Shutdown(grace time.Duration) {
	s.mu.Lock()
	s.closing = true
	var all []*container
	for _, c := range s.containers {
		all = append(all, c)
	}
	s.mu.Unlock()
	var stopping sync.WaitGroup
	for _, c := range all {
		stopping.Go(func() { s.stop(c, grace) })
	}
	stopping.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.sandboxes {
		s.closeNetwork(one)
	}
}

func (s *Server) rootMountPoint() string {
	return filepath.Join(s.config.StateDirectory, "root")
}

// newID returns an identifier in the form that container runtimes use.
func newID() string {
	var id [32]byte
	_, _ = rand.Read(id[:])
	return hex.EncodeToString(id[:])
}

// Version implements the runtime service.
func (s *Server) Version(context.Context, *runtimeapi.VersionRequest) (*runtimeapi.VersionResponse, error) {
	return &runtimeapi.VersionResponse{
		Version:           "0.1.0",
		RuntimeName:       runtimeName,
		RuntimeVersion:    runtimeVersion,
		RuntimeApiVersion: apiVersion,
	}, nil
}

// Status implements the runtime service. The network needs no plugin: it is
// ready as soon as the node has a range of addresses. Until then a kubelet asks
// again and again, and looks each time whether its node has one.
func (s *Server) Status(_ context.Context, request *runtimeapi.StatusRequest) (*runtimeapi.StatusResponse, error) {
	response := &runtimeapi.StatusResponse{
		Status: &runtimeapi.RuntimeStatus{Conditions: []*runtimeapi.RuntimeCondition{
			{Type: runtimeapi.RuntimeReady, Status: true},
			s.networkCondition(),
		}},
		RuntimeHandlers: []*runtimeapi.RuntimeHandler{{Features: &runtimeapi.RuntimeHandlerFeatures{}}},
		Features:        &runtimeapi.RuntimeFeatures{},
	}
	if request.GetVerbose() {
		// kubeadm compares this with the sandbox image it would use, and is
		// silent where there is nothing to compare.
		response.Info = map[string]string{"config": "{}"}
	}
	return response, nil
}

func (s *Server) networkCondition() *runtimeapi.RuntimeCondition {
	if s.addresses.ready(s.config.Now()) {
		return &runtimeapi.RuntimeCondition{Type: runtimeapi.NetworkReady, Status: true}
	}
	return &runtimeapi.RuntimeCondition{
		Type: runtimeapi.NetworkReady, Reason: "NoPodRange", Message: "the node has no range of addresses for its pods (spec.podCIDR) yet",
	}
}

// RuntimeConfig implements the runtime service.
func (s *Server) RuntimeConfig(context.Context, *runtimeapi.RuntimeConfigRequest) (*runtimeapi.RuntimeConfigResponse, error) {
	return &runtimeapi.RuntimeConfigResponse{
		Linux: &runtimeapi.LinuxRuntimeConfiguration{CgroupDriver: runtimeapi.CgroupDriver_CGROUPFS},
	}, nil
}

// UpdateRuntimeConfig implements the runtime service: the kubelet tells the
// pods' address range once the node has one.
func (s *Server) UpdateRuntimeConfig(_ context.Context, request *runtimeapi.UpdateRuntimeConfigRequest) (*runtimeapi.UpdateRuntimeConfigResponse, error) {
	if cidr := request.GetRuntimeConfig().GetNetworkConfig().GetPodCidr(); cidr != "" {
		if err := s.addresses.setRange(cidr); err != nil {
			return nil, status.Errorf(codes.InvalidArgument, "runtime_config.network_config.pod_cidr: %v", err)
		}
	}
	return &runtimeapi.UpdateRuntimeConfigResponse{}, nil
}
