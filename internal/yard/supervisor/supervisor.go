package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/packetyard/packetyard/internal/yard/statedir"
	"github.com/packetyard/packetyard/pkg/packet"
)

// preferredAPIAddress is the Packet API server's own default, which people
// know; another port is taken where it is in use.
const preferredAPIAddress = "127.0.0.1:8080"

// lookInterval is the time between two looks whether the state directory is
// still there.
const lookInterval = time.Second

// Config is what a supervisor needs.
type Config struct {
	Dir statedir.Dir
	// APIServer is the path of the packet-api-server program, and
	// APIServerArgs are its arguments but for the address and the data directory.
	APIServer     string
	APIServerArgs []string
	// Dial connects from inside the machines' network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	Log  *slog.Logger
	// Now tells the time for the report.
	Now func() time.Time
}

// Run supervises until the context ends. It returns a *statedir.LockedError
// where another supervisor runs already, and another error when the state
// directory is removed: there is nothing to supervise then.
func Run(ctx context.Context, config Config) error {
	lock, err := statedir.TryLock(config.Dir.SupervisorLock())
	if err != nil {
		return err
	}
	defer lock.Unlock()

	previous, _, err := ReadReport(config.Dir)
	if err != nil {
		// The report only saves the ports; a damaged one costs no more than those.
		config.Log.Warn("the last report is not readable and is written anew", "error", err)
	}
	proxyListener, err := listen(ctx, previous.ProxyAddress, "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening for the proxy: %w", err)
	}
	defer proxyListener.Close()
	apiAddress, err := freeAddress(ctx, previous.APIAddress, preferredAPIAddress, "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("finding a port for the Packet API: %w", err)
	}
	apiLog, err := os.OpenFile(config.Dir.APIServerLog(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the Packet API server's log: %w", err)
	}
	defer apiLog.Close()

	report := Report{
		PID:          os.Getpid(),
		StartedAt:    config.Now().UTC(),
		APIAddress:   apiAddress,
		ProxyAddress: proxyListener.Addr().String(),
	}
	if err := writeReport(config.Dir, report); err != nil {
		return err
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	// lost ends the supervisor when its state directory is not its own any
	// more: a new yard may be there, whose files are not to be written to.
	lost := func() bool {
		if !lock.Lost() {
			return false
		}
		end(fmt.Errorf("%s was removed while the supervisor ran", config.Dir.Path()))
		return true
	}
	child := &Child{
		Name: "packet-api-server",
		Path: config.APIServer,
		// Another program may have taken the address since it was found free: the
		// API server of a yard that is started at the same time, for example.
		Args: func(failed int) []string {
			if failed > 0 {
				if address, err := freeAddress(ctx, report.APIAddress, "127.0.0.1:0"); err == nil {
					report.APIAddress = address
				}
			}
			return append([]string{"--listen-address", report.APIAddress, "--data-dir", config.Dir.API()}, config.APIServerArgs...)
		},
		Env:    withoutAccount(os.Environ()),
		Output: apiLog,
		Log:    config.Log,
		Pause:  DefaultPause,
		// Longer than the API server waits for its machines' rack to start, so
		// that one that never gets further counts as one that cannot run.
		Steady: time.Minute,
		Grace:  10 * time.Second,
		// Only the child's own goroutine calls this, and one call at a time.
		Changed: func(status ChildStatus) {
			report.APIServer = status
			if lost() {
				return
			}
			if err := writeReport(config.Dir, report); err != nil {
				config.Log.Error("writing the report", "error", err)
			}
		},
	}
	server := &http.Server{
		Handler:           &Proxy{Dial: config.Dial, Timeout: 10 * time.Second, Log: config.Log},
		ReadHeaderTimeout: 10 * time.Second,
	}
	config.Log.Info("supervising", "api", apiAddress, "proxy", report.ProxyAddress)

	var running sync.WaitGroup
	running.Go(func() { child.Run(ctx) })
	running.Go(func() {
		// Without its proxy the supervisor is of no use: all ends together.
		if err := server.Serve(proxyListener); !errors.Is(err, http.ErrServerClosed) {
			end(fmt.Errorf("serving the proxy: %w", err))
		}
	})
	running.Go(func() {
		ticker := time.NewTicker(lookInterval)
		defer ticker.Stop()
		for !lost() {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
		}
	})
	<-ctx.Done()
	server.Close()
	running.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// withoutAccount returns an environment without the Packet account that it
// may name: it is the user's real one, and would otherwise become the yard's.
func withoutAccount(environment []string) []string {
	return slices.DeleteFunc(slices.Clone(environment), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return name == packet.EnvAPIToken || name == packet.EnvProjectID
	})
}

// listen listens on the first of the addresses that is not empty and free.
func listen(ctx context.Context, addresses ...string) (net.Listener, error) {
	var problems []error
	for _, address := range addresses {
		if address == "" {
			continue
		}
		var config net.ListenConfig
		listener, err := config.Listen(ctx, "tcp", address)
		if err == nil {
			return listener, nil
		}
		problems = append(problems, err)
	}
	return nil, errors.Join(problems...)
}

// freeAddress returns the first of the addresses that can be listened on.
func freeAddress(ctx context.Context, addresses ...string) (string, error) {
	listener, err := listen(ctx, addresses...)
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}
