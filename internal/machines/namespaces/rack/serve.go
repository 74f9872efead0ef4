package rack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/packetyard/packetyard/internal/machines"
	"github.com/packetyard/packetyard/internal/machines/namespaces/wire"
)

// maxBodyBytes bounds a request's body. The longest is the list of BGP peers.
const maxBodyBytes = 16 << 20

// Serve answers clients until one of them shuts the rack down, or ctx ends,
// which stops the machines in good order. It returns nil then.
func (r *Rack) Serve(ctx context.Context, listener net.Listener) error {
	closed := make(chan struct{})
	end := sync.OnceFunc(func() { close(closed) })
	server := &http.Server{Handler: r.handler(closed, end)}
	stop := context.AfterFunc(ctx, func() {
		if err := r.Shutdown(context.WithoutCancel(ctx), false); err != nil {
			r.config.Logger.Error("machines did not end in good order", "error", err)
		}
		end()
	})
	defer stop()
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serving the rack's clients: %w", err)
	case <-closed:
		// Answers that are being written are finished first.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.config.StopGrace)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			return fmt.Errorf("ending the rack's clients: %w", err)
		}
		return nil
	}
}

// handler serves the wire protocol. It calls end, which closes closed, when the rack is to end.
func (r *Rack) handler(closed <-chan struct{}, end func()) http.Handler {
	mux := http.NewServeMux()
	handle := func(method, path string, answer func(*http.Request) (any, error)) {
		mux.HandleFunc(method+" "+path, func(w http.ResponseWriter, request *http.Request) {
			request.Body = http.MaxBytesReader(w, request.Body, maxBodyBytes)
			value, err := answer(request)
			write(w, value, err)
		})
	}
	// What a client began is finished also where the client dies.
	whole := func(request *http.Request) context.Context { return context.WithoutCancel(request.Context()) }
	power := func(change func(context.Context, string) error) func(*http.Request) (any, error) {
		return func(request *http.Request) (any, error) {
			return nil, change(whole(request), request.PathValue("id"))
		}
	}
	handle(http.MethodGet, wire.StatusPath, func(*http.Request) (any, error) {
		return wire.Status{Protocol: wire.Protocol, PID: os.Getpid(), ImageDirectory: r.ImageDirectory()}, nil
	})
	handle(http.MethodPut, wire.ImagePath, func(request *http.Request) (any, error) {
		image, err := read[wire.Image](request)
		if err == nil {
			r.SetImageDirectory(image.Directory)
		}
		return nil, err
	})
	handle(http.MethodGet, wire.ListPath, func(*http.Request) (any, error) { return r.List(), nil })
	handle(http.MethodPut, wire.MachinePath, func(request *http.Request) (any, error) {
		spec, err := read[machines.Spec](request)
		if err != nil {
			return nil, err
		}
		if id := request.PathValue("id"); id != spec.ID {
			return nil, invalidError{fmt.Errorf("id: %q is not the %q of the path", spec.ID, id)}
		}
		return nil, r.Provision(whole(request), spec)
	})
	handle(http.MethodDelete, wire.MachinePath, power(r.Deprovision))
	handle(http.MethodPost, wire.PowerOnPath, power(r.PowerOn))
	handle(http.MethodPost, wire.PowerOffPath, power(r.PowerOff))
	handle(http.MethodPost, wire.RebootPath, power(r.Reboot))
	handle(http.MethodPost, wire.ReinstallPath, func(request *http.Request) (any, error) {
		spec, err := read[machines.Spec](request)
		if err != nil {
			return nil, err
		}
		return nil, r.Reinstall(whole(request), spec)
	})
	handle(http.MethodPost, wire.RescuePath, func(request *http.Request) (any, error) {
		spec, err := read[machines.Spec](request)
		if err != nil {
			return nil, err
		}
		if id := request.PathValue("id"); id != spec.ID {
			return nil, invalidError{fmt.Errorf("id: %q is not the %q of the path", spec.ID, id)}
		}
		return nil, r.Rescue(whole(request), spec)
	})
	handle(http.MethodPut, wire.AddressesPath, func(request *http.Request) (any, error) {
		addresses, err := read[[]machines.Address](request)
		if err != nil {
			return nil, err
		}
		return nil, r.SetAddresses(whole(request), request.PathValue("id"), addresses)
	})
	handle(http.MethodPut, wire.BGPPeersPath, func(request *http.Request) (any, error) {
		peers, err := read[[]machines.BGPPeer](request)
		if err != nil {
			return nil, err
		}
		return nil, r.SetBGPPeers(whole(request), peers)
	})
	mux.HandleFunc("GET "+wire.WatchPath, func(w http.ResponseWriter, request *http.Request) { r.serveWatch(w, request, closed) })
	mux.HandleFunc("POST "+wire.ListenPath, serveSocket(func(ctx context.Context, endpoint wire.Endpoint) (socket, error) {
		var config net.ListenConfig
		listener, err := config.Listen(ctx, endpoint.Network, endpoint.Address)
		if err != nil {
			return nil, fmt.Errorf("listening in the machines' network: %w", err)
		}
		return asSocket(listener)
	}))
	mux.HandleFunc("POST "+wire.DialPath, serveSocket(func(ctx context.Context, endpoint wire.Endpoint) (socket, error) {
		var dialer net.Dialer
		connection, err := dialer.DialContext(ctx, endpoint.Network, endpoint.Address)
		if err != nil {
			return nil, fmt.Errorf("connecting in the machines' network: %w", err)
		}
		return asSocket(connection)
	}))
	mux.HandleFunc("POST "+wire.ShutdownPath, func(w http.ResponseWriter, request *http.Request) {
		options, err := read[wire.Shutdown](request)
		if err == nil {
			err = r.Shutdown(whole(request), options.RemoveMachines)
		}
		write(w, nil, err)
		if err == nil {
			end()
		}
	})
	return mux
}

func (r *Rack) serveWatch(w http.ResponseWriter, request *http.Request, closed <-chan struct{}) {
	watching := r.events.Watch()
	defer r.events.Forget(watching)
	encoder, flusher := json.NewEncoder(w), http.NewResponseController(w)
	send := func(message wire.Message) bool { return encoder.Encode(message) == nil && flusher.Flush() == nil }
	list := []machines.Status{}
	for _, m := range r.snapshot() {
		if status, exists := m.status(); exists {
			list = append(list, status)
		}
	}
	if !send(wire.Message{Machines: &list}) {
		return
	}
	known, changed := r.bgp.Status()
	if !send(wire.Message{BGP: &known}) {
		return
	}
	for {
		select {
		case <-changed:
			if known, changed = r.bgp.Status(); !send(wire.Message{BGP: &known}) {
				return
			}
		case <-watching.Signal:
			for _, event := range watching.Take() {
				if !send(wire.Message{Event: &event}) {
					return
				}
			}
		case <-closed:
			send(wire.Message{Shutdown: true})
			return
		case <-request.Context().Done():
			return
		}
	}
}

// socket is what net's listeners and connections have in common.
type socket interface {
	File() (*os.File, error)
	Close() error
}

func asSocket(opened interface{ Close() error }) (socket, error) {
	if found, ok := opened.(socket); ok {
		return found, nil
	}
	return nil, errors.Join(errors.New("such a socket cannot be handed over"), opened.Close())
}

// serveSocket answers with a socket's descriptor. The whole answer is one
// message, because a descriptor belongs to the bytes it is sent with.
func serveSocket(open func(context.Context, wire.Endpoint) (socket, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, request *http.Request) {
		endpoint, err := read[wire.Endpoint](request)
		if err != nil {
			write(w, nil, err)
			return
		}
		opened, err := open(request.Context(), endpoint)
		if err != nil {
			write(w, nil, err)
			return
		}
		defer opened.Close()
		file, err := opened.File()
		if err != nil {
			write(w, nil, fmt.Errorf("duplicating a socket: %w", err))
			return
		}
		defer file.Close()
		connection, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			write(w, nil, fmt.Errorf("taking over the connection: %w", err))
			return
		}
		defer connection.Close()
		local, ok := connection.(*net.UnixConn)
		if !ok {
			return
		}
		// A client that is gone gets nothing; its socket is closed with ours.
		_, _, _ = local.WriteMsgUnix([]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
			unix.UnixRights(int(file.Fd())), nil)
	}
}

func read[T any](request *http.Request) (T, error) {
	var value T
	decoder := json.NewDecoder(request.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&value); err != nil {
		return value, invalidError{fmt.Errorf("decoding the request: %w", err)}
	}
	return value, nil
}

func write(w http.ResponseWriter, value any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err == nil {
		if value != nil {
			// The status is sent already; a client that is gone needs no answer.
			_ = json.NewEncoder(w).Encode(value)
		}
		return
	}
	status := http.StatusInternalServerError
	var invalid invalidError
	switch {
	case errors.Is(err, machines.ErrNotFound):
		status = http.StatusNotFound
	case errors.As(err, &invalid):
		status = http.StatusBadRequest
	case errors.Is(err, syscall.ECONNREFUSED):
		status = http.StatusBadGateway
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(wire.Error{Error: err.Error(), NotFound: errors.Is(err, machines.ErrNotFound)})
}
