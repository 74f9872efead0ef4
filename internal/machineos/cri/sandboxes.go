package cri

import (
	"context"
	"net/netip"
	"os"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/packetyard/packetyard/internal/machineos/podnetwork"
)

// sandbox is a pod's surroundings: addresses, and a network once something
// runs in it. Its fields are guarded by the server's lock.
type sandbox struct {
	// status is what callers see; its network is filled in on the way out.
	status       *runtimeapi.PodSandboxStatus
	logDirectory string
	hostname     string
	resolvConf   string
	hostNetwork  bool
	// own are the addresses taken for this pod.
	own []netip.Addr
	// process is true once the pod has a container with a process.
	process bool
	// network is the pod's own, from the first container with a process on. A
	// pod that has the machine's network has none.
	network *podnetwork.Pod
	// portMappings are the machine's ports that shall lead to the pod, hostPorts
	// those that do.
	portMappings []*runtimeapi.PortMapping
	hostPorts    *hostPorts
}

// sharesMachine tells whether the pod's processes have the machine's network.
func (s *Server) sharesMachine(one *sandbox) bool {
	return one.hostNetwork || s.config.Network == nil
}

// namespace is the network namespace that the pod's processes have, nil where
// it is the machine's.
func (one *sandbox) namespace() *os.File {
	if one.network == nil {
		return nil
	}
	return one.network.Namespace()
}

// closeNetwork takes a pod's network away. The caller has the lock.
func (s *Server) closeNetwork(one *sandbox) {
	if one.network == nil {
		return
	}
	one.hostPorts.close()
	if err := one.network.Close(); err != nil {
		s.config.Warn("container runtime: pod %s: %v", one.status.GetMetadata().GetName(), err)
	}
	one.network, one.hostPorts = nil, nil
}

// prepareProcess makes a pod one with processes. The caller has the lock.
func (s *Server) prepareProcess(one *sandbox) error {
	if !s.sharesMachine(one) && one.network == nil {
		network, err := s.config.Network.Add(one.own)
		if err != nil {
			return status.Errorf(codes.Unavailable, "making the network of pod %q: %v", one.status.GetMetadata().GetName(), err)
		}
		if one.hostPorts, err = openHostPorts(one.portMappings, one.own); err != nil {
			_ = network.Close()
			return status.Errorf(codes.Unavailable, "pod %q: %v", one.status.GetMetadata().GetName(), err)
		}
		one.network = network
	}
	one.process = true
	return nil
}

// RunPodSandbox implements the runtime service.
func (s *Server) RunPodSandbox(_ context.Context, request *runtimeapi.RunPodSandboxRequest) (*runtimeapi.RunPodSandboxResponse, error) {
	config := request.GetConfig()
	if config.GetMetadata() == nil {
		return nil, status.Error(codes.InvalidArgument, "config.metadata is missing, it must name the pod")
	}
	if handler := request.GetRuntimeHandler(); handler != "" {
		return nil, status.Errorf(codes.InvalidArgument, "runtime_handler is %q, only the default handler, \"\", exists", handler)
	}
	options := config.GetLinux().GetSecurityContext().GetNamespaceOptions()
	one := &sandbox{
		status: &runtimeapi.PodSandboxStatus{
			Id:          newID(),
			Metadata:    config.Metadata,
			State:       runtimeapi.PodSandboxState_SANDBOX_READY,
			CreatedAt:   s.config.Now().UnixNano(),
			Linux:       &runtimeapi.LinuxPodSandboxStatus{Namespaces: &runtimeapi.Namespace{Options: options}},
			Labels:      config.Labels,
			Annotations: config.Annotations,
		},
		logDirectory: config.LogDirectory,
		hostname:     config.Hostname,
		resolvConf:   resolvConf(config.DnsConfig),
		portMappings: config.PortMappings,
		hostNetwork:  options.GetNetwork() == runtimeapi.NamespaceMode_NODE,
	}
	if !one.hostNetwork {
		var err error
		if one.own, err = s.addresses.take(); err != nil {
			return nil, status.Errorf(codes.ResourceExhausted, "giving the pod an address: %v", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		s.addresses.give(one.own)
		return nil, errShuttingDown()
	}
	s.sandboxes[one.status.Id] = one
	s.keepSandbox(one.status.Id, one)
	return &runtimeapi.RunPodSandboxResponse{PodSandboxId: one.status.Id}, nil
}

func errShuttingDown() error {
	return status.Error(codes.Unavailable, "the machine is shutting down")
}

// resolvConf writes the resolver's settings as /etc/resolv.conf has them.
func resolvConf(dns *runtimeapi.DNSConfig) string {
	var text strings.Builder
	if len(dns.GetSearches()) > 0 {
		text.WriteString("search " + strings.Join(dns.GetSearches(), " ") + "\n")
	}
	for _, server := range dns.GetServers() {
		text.WriteString("nameserver " + server + "\n")
	}
	if len(dns.GetOptions()) > 0 {
		text.WriteString("options " + strings.Join(dns.GetOptions(), " ") + "\n")
	}
	return text.String()
}

// StopPodSandbox implements the runtime service.
func (s *Server) StopPodSandbox(_ context.Context, request *runtimeapi.StopPodSandboxRequest) (*runtimeapi.StopPodSandboxResponse, error) {
	s.stopSandbox(request.GetPodSandboxId())
	return &runtimeapi.StopPodSandboxResponse{}, nil
}

// stopSandbox ends what still runs in a sandbox. A sandbox that does not
// exist is stopped.
func (s *Server) stopSandbox(id string) {
	for _, c := range s.containersOf(id) {
		s.stop(c, 0)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one, found := s.sandboxes[id]
	if !found || one.status.State == runtimeapi.PodSandboxState_SANDBOX_NOTREADY {
		return
	}
	one.status.State = runtimeapi.PodSandboxState_SANDBOX_NOTREADY
	s.closeNetwork(one)
	s.addresses.give(one.own)
	one.own = nil
	s.keepSandbox(id, one)
}

func (s *Server) containersOf(sandboxID string) []*container {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*container
	for _, c := range s.containers {
		if c.sandbox == sandboxID {
			all = append(all, c)
		}
	}
	return all
}

// RemovePodSandbox implements the runtime service.
func (s *Server) RemovePodSandbox(_ context.Context, request *runtimeapi.RemovePodSandboxRequest) (*runtimeapi.RemovePodSandboxResponse, error) {
	id := request.GetPodSandboxId()
	s.stopSandbox(id)
	for _, c := range s.containersOf(id) {
		if err := s.removeContainer(c); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sandboxes, id)
	if err := s.state.remove(sandboxFolder, id); err != nil {
		return nil, err
	}
	return &runtimeapi.RemovePodSandboxResponse{}, nil
}

// PodSandboxStatus implements the runtime service.
func (s *Server) PodSandboxStatus(_ context.Context, request *runtimeapi.PodSandboxStatusRequest) (*runtimeapi.PodSandboxStatusResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, found := s.sandboxes[request.GetPodSandboxId()]
	if !found {
		return nil, status.Errorf(codes.NotFound, "pod sandbox %q does not exist", request.GetPodSandboxId())
	}
	response := &runtimeapi.PodSandboxStatusResponse{
		Status: &runtimeapi.PodSandboxStatus{
			Id:          one.status.Id,
			Metadata:    one.status.Metadata,
			State:       one.status.State,
			CreatedAt:   one.status.CreatedAt,
			Network:     s.networkStatus(one),
			Linux:       one.status.Linux,
			Labels:      one.status.Labels,
			Annotations: one.status.Annotations,
		},
		Timestamp: s.config.Now().UnixNano(),
	}
	if request.GetVerbose() {
		response.Info = map[string]string{}
	}
	return response, nil
}

// networkStatus tells a pod's addresses. The kubelet does not look where the
// pod has the host's network.
func (s *Server) networkStatus(one *sandbox) *runtimeapi.PodSandboxNetworkStatus {
	network := &runtimeapi.PodSandboxNetworkStatus{}
	if one.hostNetwork || one.status.State != runtimeapi.PodSandboxState_SANDBOX_READY {
		return network
	}
	if one.process && s.sharesMachine(one) {
		network.Ip = s.config.Address()
		return network
	}
	for i, address := range one.own {
		if i == 0 {
			network.Ip = address.String()
			continue
		}
		network.AdditionalIps = append(network.AdditionalIps, &runtimeapi.PodIP{Ip: address.String()})
	}
	return network
}

// ListPodSandbox implements the runtime service.
func (s *Server) ListPodSandbox(_ context.Context, request *runtimeapi.ListPodSandboxRequest) (*runtimeapi.ListPodSandboxResponse, error) {
	filter := request.GetFilter()
	s.mu.Lock()
	defer s.mu.Unlock()
	response := &runtimeapi.ListPodSandboxResponse{}
	for _, one := range s.sandboxes {
		if filter.GetId() != "" && filter.GetId() != one.status.Id {
			continue
		}
		if state := filter.GetState(); state != nil && state.State != one.status.State {
			continue
		}
		if !hasLabels(one.status.Labels, filter.GetLabelSelector()) {
			continue
		}
		response.Items = append(response.Items, &runtimeapi.PodSandbox{
			Id:          one.status.Id,
			Metadata:    one.status.Metadata,
			State:       one.status.State,
			CreatedAt:   one.status.CreatedAt,
			Labels:      one.status.Labels,
			Annotations: one.status.Annotations,
		})
	}
	slices.SortFunc(response.Items, func(a, b *runtimeapi.PodSandbox) int { return int(b.CreatedAt - a.CreatedAt) })
	return response, nil
}

func hasLabels(labels, wanted map[string]string) bool {
	for key, value := range wanted {
		if labels[key] != value {
			return false
		}
	}
	return true
}

// UpdatePodSandboxResources implements the runtime service. There are no
// limits to change: machines have no cgroups.
func (s *Server) UpdatePodSandboxResources(context.Context, *runtimeapi.UpdatePodSandboxResourcesRequest) (*runtimeapi.UpdatePodSandboxResourcesResponse, error) {
	return &runtimeapi.UpdatePodSandboxResourcesResponse{}, nil
}
