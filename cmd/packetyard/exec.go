package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/packetyard/packetyard/internal/machineexec"
	"github.com/packetyard/packetyard/internal/yard"
)

func newExec(shared *settings) *cobra.Command {
	return &cobra.Command{
		Use:   "exec [MACHINE] -- COMMAND [ARGUMENT...]",
		Short: "Run a command in a machine",
		Long: `exec runs a command in a machine, with a terminal where this one is one, and
ends with its exit code. MACHINE is a host name, the name of a Machine or node,
or a device ID; without it, it is the cluster's control plane.`,
		Example: `  packetyard exec -- ip route
  packetyard exec bootstrap -- kubectl --kubeconfig /etc/kubernetes/admin.conf get pods -A
  packetyard exec demo-master-0 -- sh
  echo hello | packetyard exec -- tee /root/hello`,
		Args: func(command *cobra.Command, arguments []string) error {
			switch dash := command.ArgsLenAtDash(); {
			case dash < 0:
				return errors.New(`separate the command by "--", as in: packetyard exec [MACHINE] -- COMMAND`)
			case dash > 1:
				return fmt.Errorf(`%d machines are named before "--"; it runs in one`, dash)
			case dash == len(arguments):
				return errors.New(`there is no command after "--"`)
			}
			return nil
		},
		RunE: func(command *cobra.Command, arguments []string) error {
			dir, err := shared.open()
			if err != nil {
				return err
			}
			machine := ""
			if command.ArgsLenAtDash() == 1 {
				machine, arguments = arguments[0], arguments[1:]
			}
			request := machineexec.Request{Command: arguments}
			streams := machineexec.Streams{Stdin: command.InOrStdin(), Stdout: command.OutOrStdout(), Stderr: command.ErrOrStderr()}
			restore, err := attachTerminal(command.Context(), command, &request, &streams)
			if err != nil {
				return err
			}
			code, err := yard.Exec(command.Context(), dir, machine, request, streams)
			restore()
			if err != nil {
				return err
			}
			if code != 0 {
				return exitCode(code)
			}
			return nil
		},
	}
}

// attachTerminal makes the session one with a terminal where the standard
// input is one, and returns a function that gives the terminal back.
func attachTerminal(ctx context.Context, command *cobra.Command, request *machineexec.Request, streams *machineexec.Streams) (func(), error) {
	in, ok := command.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return func() {}, nil
	}
	size := func() machineexec.Size {
		width, height, err := term.GetSize(int(in.Fd()))
		if err != nil {
			return machineexec.Size{Rows: 24, Cols: 80}
		}
		return machineexec.Size{Rows: uint16(height), Cols: uint16(width)}
	}
	first := size()
	request.TTY, request.Rows, request.Cols = true, first.Rows, first.Cols
	if kind := os.Getenv("TERM"); kind != "" {
		request.Env = append(request.Env, "TERM="+kind)
	}
	// In raw mode, Ctrl-C is a byte that goes to the machine.
	state, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, fmt.Errorf("preparing the terminal: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	changes := make(chan os.Signal, 1)
	signal.Notify(changes, syscall.SIGWINCH)
	sizes := make(chan machineexec.Size)
	streams.Resize = sizes
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-changes:
			}
			select {
			case <-ctx.Done():
				return
			case sizes <- size():
			}
		}
	}()
	return func() {
		signal.Stop(changes)
		cancel()
		// Nothing can be done about a terminal that cannot be restored.
		_ = term.Restore(int(in.Fd()), state)
	}, nil
}
