package namespaces

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/packetyard/packetyard/internal/machineexec"
)

// TestMain lets the test binary be all programs of a rack: the rack itself
// and the boot stage by their subcommands, and, within a machine, init.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "init" {
		os.Exit(runInit(os.Args[1:]))
	}
	if len(os.Args) > 1 {
		root := &cobra.Command{Use: "test", SilenceErrors: true}
		root.AddCommand(Commands()...)
		root.AddCommand(&cobra.Command{Use: "provision", Hidden: true, Args: cobra.ExactArgs(2), RunE: provisionAndStay})
		for _, command := range root.Commands() {
			if command.Name() == os.Args[1] {
				if err := root.Execute(); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				os.Exit(0)
			}
		}
	}
	os.Exit(m.Run())
}

// provisionAndStay is an API server that is about to be killed.
func provisionAndStay(command *cobra.Command, arguments []string) error {
	driver, err := New(command.Context(), Config{DataDir: arguments[0], ImageDir: arguments[1]})
	if err != nil {
		return err
	}
	if err := driver.Provision(command.Context(), device(1)); err != nil {
		return err
	}
	fmt.Println("provisioned")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// echoPort is where a machine's test init answers with its host name.
const echoPort = 7

// runInit is a machine's first process, and the tool that tests run in a machine.
func runInit(arguments []string) int {
	if len(arguments) > 0 {
		if err := runTool(arguments); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	fmt.Printf("init runs as process %d\n", os.Getpid())
	listener, err := net.Listen("tcp", ":"+strconv.Itoa(echoPort))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			hostname, _ := os.Hostname()
			fmt.Fprintf(connection, "%s %s", hostname, connection.RemoteAddr().(*net.TCPAddr).IP)
			connection.Close()
		}
	}()
	control, err := net.Listen("unix", "/run/packetyard/init.sock")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	mux := http.NewServeMux()
	mux.Handle(machineexec.Path, machineexec.Handler(runInMachine))
	go http.Serve(control, mux)
	if (<-signals) == syscall.SIGINT {
		return 100
	}
	return 0
}

func runInMachine(ctx context.Context, session *machineexec.Session) int {
	if session.Request.Command[0] == "exit-init" {
		code, _ := strconv.Atoi(session.Request.Command[1])
		os.Exit(code)
	}
	command := exec.CommandContext(ctx, session.Request.Command[0], session.Request.Command[1:]...)
	command.Stdin, command.Stdout, command.Stderr = session.Stdin, session.Stdout, session.Stderr
	if err := command.Run(); err != nil {
		var exited *exec.ExitError
		if errors.As(err, &exited) {
			return exited.ExitCode()
		}
		fmt.Fprintln(session.Stderr, err)
		return 127
	}
	return 0
}

// runTool does what a test wants to have done in a machine, without the host's programs.
func runTool(arguments []string) error {
	switch arguments[0] {
	case "addresses":
		found := map[string][]string{}
		links, err := net.Interfaces()
		if err != nil {
			return err
		}
		for _, link := range links {
			addresses, err := link.Addrs()
			if err != nil {
				return err
			}
			for _, address := range addresses {
				if ip := address.(*net.IPNet).IP; !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
					found[link.Name] = append(found[link.Name], address.String())
				}
			}
		}
		return json.NewEncoder(os.Stdout).Encode(found)
	case "dial":
		answer, err := converse(arguments[1])
		if err == nil {
			_, err = os.Stdout.WriteString(answer)
		}
		return err
	case "announce":
		return announce(arguments[1])
	default:
		return fmt.Errorf("unknown tool %q", arguments[0])
	}
}

func converse(address string) (string, error) {
	connection, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	answer, err := io.ReadAll(connection)
	return string(answer), err
}
