package supervisor

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/yard/statedir"
)

// TestMain lets the test binary play the program that is supervised: it
// serves HTTP on the address that it is given.
func TestMain(m *testing.M) {
	if os.Getenv("SUPERVISED") == "" {
		os.Exit(m.Run())
	}
	for i, argument := range os.Args {
		if argument == "--listen-address" {
			loseAddress(os.Args[i+1])
			_ = http.ListenAndServe(os.Args[i+1], http.NotFoundHandler()) //nolint:gosec // A test's server needs no time-outs.
		}
	}
	os.Exit(3)
}

// loser in the environment is an address of the test that wants the supervised
// program's own.
const loser = "SUPERVISED_LOSES_ITS_ADDRESS_TO"

// loseAddress tells the test, if it wants to know, which address it may take,
// and waits until it did. It asks only for as long as the test answers.
func loseAddress(address string) {
	connection, err := net.Dial("tcp", os.Getenv(loser))
	if err != nil {
		return
	}
	defer connection.Close()
	_, _ = io.WriteString(connection, address+"\n")
	_, _ = io.ReadAll(connection)
}

// TestYardsThatStartAtOnceTakeAddressesOfTheirOwn: two supervisors found the
// same address free, and the API server of the second one never started.
func TestYardsThatStartAtOnceTakeAddressesOfTheirOwn(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SUPERVISED", "yes")
	t.Setenv(loser, listener.Addr().String())
	dir, err := statedir.Create(filepath.Join(t.TempDir(), "yard"))
	if err != nil {
		t.Fatal(err)
	}
	start(t, dir)
	connection, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	wanted, err := bufio.NewReader(connection).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	thief, err := net.Listen("tcp", strings.TrimSpace(wanted))
	if err != nil {
		t.Fatal(err)
	}
	defer thief.Close()
	go func() {
		// Whoever comes to it finds nobody.
		for {
			visitor, err := thief.Accept()
			if err != nil {
				return
			}
			visitor.Close()
		}
	}()
	connection.Close()
	if report := serving(t, dir, 0); report.APIAddress == strings.TrimSpace(wanted) {
		t.Errorf("the API server is said to be at %s, which another program has", report.APIAddress)
	}
}

func start(t *testing.T, dir statedir.Dir) (stop func()) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		err := Run(ctx, Config{
			Dir:       dir,
			APIServer: self,
			Dial:      (&net.Dialer{}).DialContext,
			Log:       slog.New(slog.DiscardHandler),
			Now:       time.Now,
		})
		if err != nil {
			t.Errorf("the supervisor ended: %v", err)
		}
	})
	stop = func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return stop
}

// serving waits until the supervised program answers and returns the report.
func serving(t *testing.T, dir statedir.Dir, not int) Report {
	t.Helper()
	var report Report
	waitFor(t, func() bool {
		var err error
		var alive bool
		report, alive, err = ReadReport(dir)
		if err != nil {
			t.Fatal(err)
		}
		if !alive || report.APIServer.PID == 0 || report.APIServer.PID == not {
			return false
		}
		response, err := http.Get(report.APIURL())
		if err != nil {
			return false
		}
		response.Body.Close()
		return true
	})
	return report
}

func TestSupervisorRestartsItsProgramAndKeepsAddresses(t *testing.T) {
	t.Setenv("SUPERVISED", "1")
	dir, err := statedir.Create(filepath.Join(t.TempDir(), "yard"))
	if err != nil {
		t.Fatal(err)
	}
	if _, alive, err := ReadReport(dir); alive || err != nil {
		t.Fatalf("before the start: alive %t, %v", alive, err)
	}
	stop := start(t, dir)
	first := serving(t, dir, 0)
	if first.PID != os.Getpid() {
		t.Errorf("the report names process %d, want %d", first.PID, os.Getpid())
	}
	if err := syscall.Kill(first.APIServer.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := serving(t, dir, first.APIServer.PID)
	if second.APIServer.Restarts != 1 || second.APIAddress != first.APIAddress {
		t.Errorf("after the kill: %+v, want one restart on %s", second, first.APIAddress)
	}

	err = Run(t.Context(), Config{Dir: dir, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	var locked *statedir.LockedError
	if !errors.As(err, &locked) {
		t.Errorf("a second supervisor returned %v, want a LockedError", err)
	}

	stop()
	if _, alive, err := ReadReport(dir); alive || err != nil {
		t.Errorf("after the end: alive %t, %v", alive, err)
	}
	start(t, dir)
	third := serving(t, dir, second.APIServer.PID)
	if third.APIAddress != first.APIAddress || third.ProxyAddress != first.ProxyAddress {
		t.Errorf("the successor listens on %s and %s, want %s and %s", third.APIAddress, third.ProxyAddress, first.APIAddress, first.ProxyAddress)
	}
}

func TestListenTakesTheNextAddress(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	got, err := freeAddress(t.Context(), "", taken.Addr().String(), "127.0.0.1:0")
	if err != nil || got == taken.Addr().String() || !strings.HasPrefix(got, "127.0.0.1:") {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestReadReportDamaged(t *testing.T) {
	dir, err := statedir.Create(filepath.Join(t.TempDir(), "yard"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir.Report(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadReport(dir); err == nil || !strings.Contains(err.Error(), dir.Report()) {
		t.Errorf("got %v, want an error that names the file", err)
	}
}

// A supervisor whose state directory was removed ran on, and wrote its report
// into the yard that was made there next.
func TestSupervisorEndsWhenItsStateDirectoryIsRemoved(t *testing.T) {
	t.Setenv("SUPERVISED", "1")
	path := filepath.Join(t.TempDir(), "yard")
	dir, err := statedir.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		ended <- Run(t.Context(), Config{Dir: dir, APIServer: self, Dial: (&net.Dialer{}).DialContext, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	}()
	report := serving(t, dir, 0)
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if _, err := statedir.Create(path); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), path+" was removed") {
			t.Errorf("it ended with %v, want an error that names the directory", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it runs on")
	}
	if err := syscall.Kill(report.APIServer.PID, 0); err == nil {
		t.Errorf("its program, process %d, is left", report.APIServer.PID)
	}
	if _, err := os.Stat(dir.Report()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a report in the new yard: %v", err)
	}
}

// The token and project of a user's real account became the yard's.
func TestSupervisorKeepsTheUsersAccountFromTheYard(t *testing.T) {
	t.Setenv("SUPERVISED", "1")
	t.Setenv("PACKET_API_TOKEN", "the-users-own")
	t.Setenv("PACKET_PROJECT_ID", "the-users-own")
	dir, err := statedir.Create(filepath.Join(t.TempDir(), "yard"))
	if err != nil {
		t.Fatal(err)
	}
	start(t, dir)
	environment, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(serving(t, dir, 0).APIServer.PID), "environ"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(environment), "the-users-own") || !strings.Contains(string(environment), "SUPERVISED=1") {
		t.Error("the API server's environment is not the supervisor's without the user's Packet account")
	}
}
