package namespaces

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/packetyard/packetyard/internal/machines"
	"github.com/packetyard/packetyard/internal/machines/namespaces/boot"
	"github.com/packetyard/packetyard/internal/machines/namespaces/rack"
	"github.com/packetyard/packetyard/internal/machines/namespaces/unixsock"
	"github.com/packetyard/packetyard/internal/machines/namespaces/wire"
)

// ErrNoRack is returned where no rack runs in a data directory.
var ErrNoRack = errors.New("no rack runs")

// Client talks to the rack of a data directory. It holds no connection open,
// and may be used by many goroutines.
type Client struct {
	directory string
	http      *http.Client
}

// Dial returns a client for the rack in dataDirectory, or an error that is
// ErrNoRack where none runs. It never starts one.
func Dial(ctx context.Context, dataDirectory string) (*Client, error) {
	client, err := newClient(dataDirectory)
	if err != nil {
		return nil, err
	}
	if _, err := client.status(ctx); err != nil {
		return nil, err
	}
	return client, nil
}

func newClient(dataDirectory string) (*Client, error) {
	absolute, err := filepath.Abs(dataDirectory)
	if err != nil {
		return nil, fmt.Errorf("finding the data directory: %w", err)
	}
	directory := wire.Directory(absolute)
	return &Client{
		directory: directory,
		http: &http.Client{Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialRack(ctx, directory)
			},
		}},
	}, nil
}

func dialRack(ctx context.Context, directory string) (*net.UnixConn, error) {
	connection, err := unixsock.Dial(ctx, filepath.Join(directory, wire.SocketName))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("%w: %w", ErrNoRack, err)
	}
	return connection, err
}

// List tells every machine, with the memory that its processes have.
func (c *Client) List(ctx context.Context) ([]machines.Status, error) {
	var list []machines.Status
	return list, c.call(ctx, http.MethodGet, wire.ListPath, "", nil, &list)
}

// DialContext connects from inside the machines' network. Names are not
// resolved there: address must hold an IP address.
func (c *Client) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	file, err := c.socket(ctx, wire.DialPath, wire.Endpoint{Network: network, Address: address})
	if err != nil {
		return nil, fmt.Errorf("connecting to %s in the yard: %w", address, err)
	}
	defer file.Close()
	connection, err := net.FileConn(file)
	if err != nil {
		return nil, fmt.Errorf("taking over a connection to %s in the yard: %w", address, err)
	}
	return connection, nil
}

// Listen listens inside the machines' network, for as long as the rack lives.
func (c *Client) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	file, err := c.socket(ctx, wire.ListenPath, wire.Endpoint{Network: network, Address: address})
	if err != nil {
		return nil, fmt.Errorf("listening on %s in the yard: %w", address, err)
	}
	defer file.Close()
	listener, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("taking over the listener on %s in the yard: %w", address, err)
	}
	return listener, nil
}

// ConsolePath is the file that holds a machine's console output. Most of the
// time only its end is of interest: it lives through power cycles.
func (c *Client) ConsolePath(id string) string {
	return filepath.Join(c.directory, id, wire.ConsoleName)
}

// ControlSocket is the unix socket of a machine's first process, for package
// machineexec. It exists while the machine runs.
func (c *Client) ControlSocket(id string) string {
	return filepath.Join(c.directory, id, boot.ControlName, wire.InitSocketName)
}

// Shutdown ends all machines and the rack, and waits until they are gone.
// Where removeMachines is true nothing of them is left on the disk; where
// it is false, the next rack boots those that run now.
func (c *Client) Shutdown(ctx context.Context, removeMachines bool) error {
	status, err := c.status(ctx)
	if err != nil {
		return err
	}
	descriptor, err := unix.PidfdOpen(status.PID, 0)
	if err != nil {
		return fmt.Errorf("opening the rack's process %d: %w", status.PID, err)
	}
	defer unix.Close(descriptor)
	if err := c.call(ctx, http.MethodPost, wire.ShutdownPath, "", wire.Shutdown{RemoveMachines: removeMachines}, nil); err != nil {
		return fmt.Errorf("shutting the rack down: %w", err)
	}
	if err := waitForEnd(ctx, descriptor); err != nil {
		return err
	}
	if removeMachines {
		return RemoveMachines(filepath.Dir(c.directory))
	}
	return nil
}

// RemoveMachines removes all that a rack left in a data directory. The rack must not run any more.
func RemoveMachines(dataDirectory string) error {
	return rack.RemoveTree(wire.Directory(dataDirectory))
}

// waitForEnd waits until the process of a descriptor has ended.
func waitForEnd(ctx context.Context, descriptor int) error {
	const interval = 100 * time.Millisecond
	for {
		count, err := unix.Poll([]unix.PollFd{{Fd: int32(descriptor), Events: unix.POLLIN}}, int(interval.Milliseconds()))
		switch {
		case err != nil && !errors.Is(err, unix.EINTR):
			return fmt.Errorf("waiting for the rack's end: %w", err)
		case err == nil && count > 0:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("waiting for the rack's end: %w", context.Cause(ctx))
		}
	}
}

// status asks the rack for itself, and refuses one of another protocol.
func (c *Client) status(ctx context.Context) (wire.Status, error) {
	var status wire.Status
	if err := c.call(ctx, http.MethodGet, wire.StatusPath, "", nil, &status); err != nil {
		return status, err
	}
	if status.Protocol != wire.Protocol {
		return status, fmt.Errorf("the rack (process %d) speaks protocol %d and this program %d: stop the rack with the program that started it, or end that process",
			status.PID, status.Protocol, wire.Protocol)
	}
	return status, nil
}

// call makes a request. id replaces {id} in path; request and answer may be nil.
func (c *Client) call(ctx context.Context, method, path, id string, request, answer any) error {
	response, err := c.begin(ctx, method, path, id, request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if answer == nil {
		return nil
	}
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
		return fmt.Errorf("decoding the rack's answer: %w", err)
	}
	return nil
}

// begin makes a request and leaves the answer's body to be read.
func (c *Client) begin(ctx context.Context, method, path, id string, request any) (*http.Response, error) {
	prepared, err := prepare(ctx, method, path, id, request)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(prepared)
	if err != nil {
		return nil, fmt.Errorf("asking the rack: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		return nil, failure(response)
	}
	return response, nil
}

func prepare(ctx context.Context, method, path, id string, request any) (*http.Request, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("encoding a request to the rack: %w", err)
	}
	prepared, err := http.NewRequestWithContext(ctx, method, "http://rack"+strings.ReplaceAll(path, "{id}", id), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("making a request to the rack: %w", err)
	}
	return prepared, nil
}

// failure turns an answer that is not 200 into an error.
func failure(response *http.Response) error {
	var answer wire.Error
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("the rack answered %s", response.Status)
	}
	if !answer.NotFound {
		return errors.New(answer.Error)
	}
	if detail, found := strings.CutPrefix(answer.Error, machines.ErrNotFound.Error()); found {
		return fmt.Errorf("%w%s", machines.ErrNotFound, detail)
	}
	return fmt.Errorf("%w: %s", machines.ErrNotFound, answer.Error)
}

// socket makes a request that is answered with a socket's descriptor.
func (c *Client) socket(ctx context.Context, path string, endpoint wire.Endpoint) (*os.File, error) {
	connection, err := dialRack(ctx, c.directory)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	stop := context.AfterFunc(ctx, func() { connection.Close() })
	defer stop()
	request, err := prepare(ctx, http.MethodPost, path, "", endpoint)
	if err != nil {
		return nil, err
	}
	if err := request.Write(connection); err != nil {
		return nil, fmt.Errorf("asking the rack: %w", err)
	}
	reader := &rightsReader{connection: connection}
	defer reader.close()
	response, err := http.ReadResponse(bufio.NewReader(reader), request)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("reading the rack's answer: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, failure(response)
	}
	return reader.take()
}

// rightsReader reads bytes and keeps the descriptors that come with them.
type rightsReader struct {
	connection *net.UnixConn
	files      []*os.File
}

// Read implements io.Reader.
func (r *rightsReader) Read(data []byte) (int, error) {
	control := make([]byte, unix.CmsgSpace(4))
	count, controlCount, _, _, err := r.connection.ReadMsgUnix(data, control)
	if err != nil {
		return count, err
	}
	messages, err := unix.ParseSocketControlMessage(control[:controlCount])
	if err != nil {
		return count, fmt.Errorf("reading a control message: %w", err)
	}
	for _, message := range messages {
		descriptors, err := unix.ParseUnixRights(&message)
		if err != nil {
			return count, fmt.Errorf("reading descriptors: %w", err)
		}
		for _, descriptor := range descriptors {
			r.files = append(r.files, os.NewFile(uintptr(descriptor), "socket"))
		}
	}
	if count == 0 && len(data) > 0 {
		return 0, io.EOF
	}
	return count, nil
}

// take hands over the one descriptor that was received.
func (r *rightsReader) take() (*os.File, error) {
	if len(r.files) != 1 {
		return nil, fmt.Errorf("the rack's answer holds %d sockets, not one", len(r.files))
	}
	file := r.files[0]
	r.files = nil
	return file, nil
}

func (r *rightsReader) close() {
	for _, file := range r.files {
		file.Close()
	}
}
