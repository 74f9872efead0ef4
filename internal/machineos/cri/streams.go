package cri

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"

	"github.com/packetyard/packetyard/internal/machineos/process"
	"github.com/packetyard/packetyard/internal/machineos/stage"
)

// maxSyncOutput is how much of each stream ExecSync returns; the interface
// asks for this bound.
const maxSyncOutput = 16 << 20

// Exec implements the runtime service.
func (s *Server) Exec(_ context.Context, request *runtimeapi.ExecRequest) (*runtimeapi.ExecResponse, error) {
	if _, err := s.running(request.GetContainerId(), "exec"); err != nil {
		return nil, err
	}
	return s.streaming.GetExec(request)
}

// Attach implements the runtime service.
func (s *Server) Attach(_ context.Context, request *runtimeapi.AttachRequest) (*runtimeapi.AttachResponse, error) {
	if _, err := s.running(request.GetContainerId(), "attach"); err != nil {
		return nil, err
	}
	return s.streaming.GetAttach(request)
}

// PortForward implements the runtime service.
func (s *Server) PortForward(_ context.Context, request *runtimeapi.PortForwardRequest) (*runtimeapi.PortForwardResponse, error) {
	if err := s.forwardable(request.GetPodSandboxId()); err != nil {
		return nil, err
	}
	return s.streaming.GetPortForward(request)
}

// ExecSync implements the runtime service.
func (s *Server) ExecSync(ctx context.Context, request *runtimeapi.ExecSyncRequest) (*runtimeapi.ExecSyncResponse, error) {
	c, err := s.running(request.GetContainerId(), "exec")
	if err != nil {
		return nil, err
	}
	if timeout := request.GetTimeout(); timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(timeout)*time.Second)
		defer cancel()
	}
	stdout, stderr := &boundedBuffer{}, &boundedBuffer{}
	code, err := s.enter(ctx, c, request.GetCmd(), process.Streams{Stdout: stdout, Stderr: stderr})
	if ctx.Err() != nil {
		return nil, status.Errorf(codes.DeadlineExceeded, "the command did not end within %d s", request.GetTimeout())
	}
	if err != nil {
		return nil, status.Errorf(codes.Unknown, "running a command in container %q: %v", c.status.Metadata.Name, err)
	}
	return &runtimeapi.ExecSyncResponse{Stdout: stdout.Bytes(), Stderr: stderr.Bytes(), ExitCode: int32(code)}, nil
}

// boundedBuffer drops what is over the bound, without failing the writer.
type boundedBuffer struct{ bytes.Buffer }

func (b *boundedBuffer) Write(data []byte) (int, error) {
	b.Buffer.Write(data[:min(len(data), maxSyncOutput-b.Len())])
	return len(data), nil
}

// running returns a running container with a process, or the reason why
// there is nothing to do this with.
func (s *Server) running(id, purpose string) (*container, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, found := s.containers[id]
	if !found {
		return nil, errNoContainer(id)
	}
	if c.status.State != runtimeapi.ContainerState_CONTAINER_RUNNING {
		return nil, status.Errorf(codes.FailedPrecondition, "container %q is not running", c.status.Metadata.GetName())
	}
	if c.child == nil {
		return nil, status.Errorf(codes.FailedPrecondition, "%s: container %q is hollow: this machine does not know the image %s, so no process runs in it",
			purpose, c.status.Metadata.GetName(), c.status.Image.GetImage())
	}
	return c, nil
}

// forwardable tells whether a pod has a process that may listen.
func (s *Server) forwardable(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	pod, found := s.sandboxes[id]
	if !found {
		return status.Errorf(codes.NotFound, "pod sandbox %q does not exist", id)
	}
	if !pod.process {
		return status.Errorf(codes.FailedPrecondition, "port-forward: pod %q is hollow: this machine knows none of its images, so nothing listens in it",
			pod.status.Metadata.GetName())
	}
	return nil
}

// enter runs a command in a container and returns its exit code.
func (s *Server) enter(ctx context.Context, c *container, command []string, streams process.Streams) (int, error) {
	var container *stage.Namespaces
	var err error
	alive := c.child.WithAlive(func(pid int) { container, err = stage.NamespacesOf(pid) })
	if !alive {
		return 0, errors.New("the container has just ended")
	}
	if err != nil {
		return 0, err
	}
	defer container.Close()
	env := c.env
	if streams.TTY {
		env = append([]string{"TERM=xterm"}, env...)
	}
	spec := stage.Spec{Command: command, Env: env, Directory: c.directory}
	var entered *process.Child
	start := func(cmd *exec.Cmd) (*process.Child, error) {
		child, err := stage.Start(cmd, spec, s.config.Reaper.StartGroup)
		if err != nil {
			return nil, err
		}
		entered = child
		s.mu.Lock()
		defer s.mu.Unlock()
		if c.status.State != runtimeapi.ContainerState_CONTAINER_RUNNING {
			// What was in the container has been killed just before.
			child.SignalGroup(syscall.SIGKILL)
		}
		c.entered[child] = struct{}{}
		return child, nil
	}
	code, err := process.RunStreams(ctx, start, stage.PrepareEnter(container), streams)
	s.mu.Lock()
	delete(c.entered, entered)
	s.mu.Unlock()
	return code, err
}

// streams serves the connections that the kubelet passes on to a client.
type streams struct{ server *Server }

// Exec runs a command for a client that waits at the other end.
func (r streams) Exec(ctx context.Context, id string, command []string, in io.Reader, out, errOut io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize) error {
	c, err := r.server.running(id, "exec")
	if err != nil {
		return err
	}
	code, err := r.server.enter(ctx, c, command, process.Streams{
		Stdin: in, Stdout: writer(out), Stderr: writer(errOut), TTY: tty, Resize: sizes(ctx, resize),
	})
	if err != nil {
		return err
	}
	if code != 0 {
		return utilexec.CodeExitError{Err: fmt.Errorf("command terminated with exit code %d", code), Code: code}
	}
	return nil
}

// writer makes a plain nil of a missing stream.
func writer(stream io.WriteCloser) io.Writer {
	if stream == nil {
		return nil
	}
	return stream
}

func sizes(ctx context.Context, from <-chan remotecommand.TerminalSize) <-chan process.WindowSize {
	if from == nil {
		return nil
	}
	to := make(chan process.WindowSize)
	go func() {
		defer close(to)
		for size := range from {
			select {
			case to <- process.WindowSize{Rows: size.Height, Cols: size.Width}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return to
}

// Attach shows a container's output from now on, and feeds its input.
func (r streams) Attach(ctx context.Context, id string, in io.Reader, out, errOut io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize) error {
	c, err := r.server.running(id, "attach")
	if err != nil {
		return err
	}
	input := c.stdin
	if c.tty {
		input = c.terminal
		if resize != nil {
			go func() {
				for size := range sizes(ctx, resize) {
					_ = process.SetSize(c.terminal, size)
				}
			}()
		}
	}
	if in != nil && input != nil {
		go func() { _, _ = io.Copy(input, in) }()
	}
	var ends []<-chan struct{}
	for stream, to := range map[runtimeapi.LogStreamType]io.WriteCloser{runtimeapi.Stdout: out, runtimeapi.Stderr: errOut} {
		if to != nil {
			ends = append(ends, c.log.copyTo(ctx, stream, to))
		}
	}
	for _, end := range ends {
		<-end
	}
	if len(ends) == 0 {
		select {
		case <-c.ended:
		case <-ctx.Done():
		}
	}
	return nil
}

// copyTo copies output until it ends, the client is gone or the context ends.
func (l *containerLog) copyTo(ctx context.Context, stream runtimeapi.LogStreamType, to io.Writer) <-chan struct{} {
	one := l.listen(stream)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer l.leave(one)
		for {
			select {
			case data, open := <-one.data:
				if !open {
					return
				}
				if _, err := to.Write(data); err != nil {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return done
}

// PortForward connects a client with a port of a pod.
func (r streams) PortForward(ctx context.Context, id string, port int32, stream io.ReadWriteCloser) error {
	if err := r.server.forwardable(id); err != nil {
		return err
	}
	dial, addresses := r.server.dialer(id)
	var failures []error
	for _, address := range addresses {
		connection, err := dial(ctx, netip.AddrPortFrom(address, uint16(port)))
		if err == nil {
			return join(connection, stream)
		}
		failures = append(failures, err)
	}
	return fmt.Errorf("connecting to port %d: %w", port, errors.Join(failures...))
}

// dialer tells how to connect with a pod's ports, and at which addresses its
// processes may listen.
func (s *Server) dialer(id string) (dial func(context.Context, netip.AddrPort) (net.Conn, error), addresses []netip.Addr) {
	addresses = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	s.mu.Lock()
	defer s.mu.Unlock()
	pod, found := s.sandboxes[id]
	if found && pod.network != nil {
		return pod.network.Dial, append(append(addresses, pod.own...), netip.IPv6Loopback())
	}
	if machine, err := netip.ParseAddr(s.config.Address()); err == nil {
		addresses = append(addresses, machine)
	}
	return func(ctx context.Context, address netip.AddrPort) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "tcp", address.String())
	}, append(addresses, netip.IPv6Loopback())
}

// join copies both ways until the server has no more to say.
func join(connection net.Conn, stream io.ReadWriteCloser) error {
	defer func() { _ = connection.Close() }()
	go func() {
		_, _ = io.Copy(connection, stream)
		closeWrite(connection)
	}()
	if _, err := io.Copy(stream, connection); err != nil {
		return fmt.Errorf("forwarding a port: %w", err)
	}
	return nil
}
