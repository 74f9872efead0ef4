// Command tunnel is both ends of the tunnel that hack/hook-me.sh makes.
//
//	tunnel pod :10250                    in the pod: what connects to the port goes through standard input and output
//	tunnel here localhost:8443 <command> here: runs the command, which runs the other end, and connects what comes out of it
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/packetyard/packetyard/internal/gardener/tunnel"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "tunnel: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string) error {
	switch {
	case len(arguments) == 2 && arguments[0] == "pod":
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", arguments[1])
		if err != nil {
			return fmt.Errorf("listening in the pod: %w", err)
		}
		return tunnel.Serve(ctx, listener, stream{os.Stdin, os.Stdout})
	case len(arguments) > 2 && arguments[0] == "here":
		return here(ctx, arguments[1], arguments[2:])
	default:
		return errors.New("usage: tunnel pod <address>, or tunnel here <address> <command> [arguments]")
	}
}

// here runs the command whose input and output are the stream.
func here(ctx context.Context, address string, arguments []string) error {
	command := exec.CommandContext(ctx, arguments[0], arguments[1:]...) //nolint:gosec // hack/hook-me.sh says what to run.
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	if err != nil {
		return fmt.Errorf("running %s: %w", arguments[0], err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return fmt.Errorf("running %s: %w", arguments[0], err)
	}
	if err := command.Start(); err != nil {
		return fmt.Errorf("running %s: %w", arguments[0], err)
	}
	err = tunnel.Dial(ctx, stream{out, in}, address)
	if ended := command.Wait(); err == nil && ctx.Err() == nil {
		err = ended
	}
	return err
}

// stream is an input and an output.
type stream struct {
	io.ReadCloser
	io.WriteCloser
}

// Close implements io.Closer.
func (s stream) Close() error {
	return errors.Join(s.WriteCloser.Close(), s.ReadCloser.Close())
}
