package machineos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/packetyard/packetyard/internal/machineos/metadata"
)

// User state codes, of the range that the API leaves to machines.
const (
	codeRunning   = 1000
	codeSucceeded = 1001
	codeFailed    = 1002
)

// What a failed machine shows of its console.
const (
	reportedLines = 40
	reportedBytes = 3 << 10
)

// ipxeScript begins user data that the firmware executes, before there is an
// operating system.
const ipxeScript = "#!ipxe"

// The states of user data.
const (
	stateRunning   = "running"
	stateSucceeded = "succeeded"
	stateFailed    = "failed"
)

// userDataState is kept on the machine's disk: user data runs once, whatever
// happens to the machine's power.
type userDataState struct {
	file string
}

type userDataRecord struct {
	// Instance is the device's id.
	Instance string `json:"instance"`
	State    string `json:"state"`
	Message  string `json:"message,omitempty"`
	// Reported is true once the metadata service knows the state.
	Reported bool `json:"reported"`
}

func (s userDataState) load() (*userDataRecord, error) {
	document, err := os.ReadFile(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the state of user data: %w", err)
	}
	var record userDataRecord
	if err := json.Unmarshal(document, &record); err != nil {
		return nil, fmt.Errorf("decoding the state of user data: %w", err)
	}
	return &record, nil
}

func (s userDataState) save(record userDataRecord) error {
	document, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("encoding the state of user data: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(s.file), 0o755); err != nil {
		return fmt.Errorf("writing the state of user data: %w", err)
	}
	if err := os.WriteFile(s.file+".new", document, 0o600); err != nil {
		return fmt.Errorf("writing the state of user data: %w", err)
	}
	if err := os.Rename(s.file+".new", s.file); err != nil {
		return fmt.Errorf("writing the state of user data: %w", err)
	}
	return nil
}

// setUp reads metadata, phones home and runs user data. Only the machine's
// end stops it from trying.
func (m *Machine) setUp(ctx context.Context) {
	document, err := m.metadata.Metadata(ctx)
	if err != nil {
		m.console.Printf("metadata: %v", err)
		return
	}
	m.console.Printf("instance %s, plan %s, metro %s", document.ID, document.Plan, document.Metro)
	userData, err := m.metadata.UserData(ctx)
	if err != nil {
		m.console.Printf("user data: %v", err)
		return
	}
	if strings.HasPrefix(strings.TrimSpace(string(userData)), ipxeScript) {
		m.console.Printf("the user data is an iPXE script, which is not for the operating system")
		userData = nil
	}
	// Reports go out in order and beside the work that they tell of.
	// There is room for all of them: work does not wait for a service that does
	// not answer.
	reports := make(chan func(), 16)
	var reporting sync.WaitGroup
	reporting.Go(func() {
		for report := range reports {
			report()
		}
	})
	reports <- func() { m.phoneHome(ctx, document) }
	if err := m.writeInstanceMetadata(document); err != nil {
		m.console.Printf("%v", err)
	}
	m.runUserData(ctx, document, userData, reports)
	close(reports)
	if err := m.bootUnits(ctx); err != nil && ctx.Err() == nil {
		m.console.Printf("units: %s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	reporting.Wait()
}

func (m *Machine) phoneHome(ctx context.Context, document *metadata.Metadata) {
	if document.PhoneHomeURL == "" {
		return
	}
	if err := m.metadata.PhoneHome(ctx, document.PhoneHomeURL); err != nil {
		m.console.Printf("phone home: %v", err)
		return
	}
	m.console.Printf("phoned home")
}

// runUserData runs the user data of an instance that has not run it yet.
func (m *Machine) runUserData(ctx context.Context, document *metadata.Metadata, userData []byte, reports chan<- func()) {
	record, err := m.state.load()
	if err != nil {
		// Running it a second time could do harm.
		m.console.Printf("%v; the user data is not run", err)
		return
	}
	if record != nil && record.Instance == document.ID {
		m.resumeUserData(ctx, document, *record, reports)
		return
	}
	current := userDataRecord{Instance: document.ID, State: stateRunning}
	if len(userData) == 0 {
		m.console.Printf("no user data")
		if err := m.cloudInit(document).Execute(ctx, nil); err != nil {
			m.console.Printf("setting up access: %v", err)
		}
		return
	}
	if err := m.state.save(current); err != nil {
		m.console.Printf("%v; the user data is not run", err)
		return
	}
	m.userData.Store(stateRunning)
	reports <- func() {
		m.report(ctx, document, metadata.UserState{State: stateRunning, Code: codeRunning, Message: "user data is running"})
	}
	m.console.Printf("running user data (%d bytes)", len(userData))
	executor := m.executor(document, userData, func(message string) {
		reports <- func() {
			m.report(ctx, document, metadata.UserState{State: stateRunning, Code: codeRunning, Message: message})
		}
	})
	err = executor.Execute(ctx, userData)
	if ctx.Err() != nil {
		// The record still says running, and the next boot reports the interruption.
		m.console.Printf("user data was interrupted")
		return
	}
	if err != nil {
		m.console.Printf("user data failed: %s", strings.ReplaceAll(err.Error(), "\n", "; "))
		current.State = stateFailed
		current.Message = m.console.Tail(reportedLines, reportedBytes)
	} else {
		m.console.Printf("user data has succeeded")
		current.State = stateSucceeded
		current.Message = "user data has succeeded"
	}
	m.finishUserData(ctx, document, current, reports)
}

// resumeUserData deals with what an earlier boot left: nothing to do, a
// report that did not get through, or user data that was cut short.
func (m *Machine) resumeUserData(ctx context.Context, document *metadata.Metadata, record userDataRecord, reports chan<- func()) {
	m.userData.Store(record.State)
	if record.State == stateRunning {
		m.console.Printf("user data was interrupted by the end of the machine and is not run again; a reinstall runs it anew")
		record.State = stateFailed
		record.Message = "user data was interrupted by the end of the machine\n" + m.console.Tail(reportedLines, reportedBytes-100)
	} else if record.Reported {
		m.console.Printf("user data has run before: %s", record.State)
		return
	}
	m.finishUserData(ctx, document, record, reports)
}

func (m *Machine) finishUserData(ctx context.Context, document *metadata.Metadata, record userDataRecord, reports chan<- func()) {
	m.userData.Store(record.State)
	if err := m.state.save(record); err != nil {
		m.console.Printf("%v", err)
	}
	state := metadata.UserState{State: record.State, Code: codeSucceeded, Message: record.Message}
	if record.State == stateFailed {
		state.Code = codeFailed
	}
	reports <- func() {
		if !m.report(ctx, document, state) {
			return
		}
		record.Reported = true
		if err := m.state.save(record); err != nil {
			m.console.Printf("%v", err)
		}
	}
}

// report tells the metadata service a user state, and tells whether it could.
func (m *Machine) report(ctx context.Context, document *metadata.Metadata, state metadata.UserState) bool {
	if document.UserStateURL == "" {
		return true
	}
	if err := m.metadata.Report(ctx, document.UserStateURL, state); err != nil {
		m.console.Printf("user state: %v", err)
		return false
	}
	return true
}
