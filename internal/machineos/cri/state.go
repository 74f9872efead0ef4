package cri

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// stateStore keeps sandboxes and containers on the machine's disk, a file
// each, so that after a reboot the kubelet is told that they have ended and
// how often each was restarted.
type stateStore struct {
	directory string
}

// The folders of the store.
const (
	sandboxFolder   = "sandboxes"
	containerFolder = "containers"
)

type sandboxRecord struct {
	Status       []byte `json:"status"`
	LogDirectory string `json:"logDirectory,omitempty"`
}

type containerRecord struct {
	Sandbox string `json:"sandbox"`
	Status  []byte `json:"status"`
}

func openState(directory string) (*stateStore, error) {
	for _, folder := range []string{sandboxFolder, containerFolder} {
		if err := os.MkdirAll(filepath.Join(directory, folder), 0o700); err != nil {
			return nil, fmt.Errorf("making the container runtime's state directory: %w", err)
		}
	}
	return &stateStore{directory: directory}, nil
}

// save writes one record whole or not at all.
func (s *stateStore) save(folder, id string, record any) error {
	document, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("encoding %s/%s: %w", folder, id, err)
	}
	file := filepath.Join(s.directory, folder, id)
	if err := os.WriteFile(file+".new", document, 0o600); err != nil {
		return fmt.Errorf("writing %s/%s: %w", folder, id, err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		return fmt.Errorf("writing %s/%s: %w", folder, id, err)
	}
	return nil
}

func (s *stateStore) remove(folder, id string) error {
	if err := os.Remove(filepath.Join(s.directory, folder, id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing %s/%s: %w", folder, id, err)
	}
	return nil
}

// each reads all records of a folder. One that cannot be read was being
// written when the machine lost power; it is dropped.
func (s *stateStore) each(folder string, use func(id string, document []byte) error) error {
	entries, err := os.ReadDir(filepath.Join(s.directory, folder))
	if err != nil {
		return fmt.Errorf("reading the container runtime's state: %w", err)
	}
	for _, entry := range entries {
		file := filepath.Join(s.directory, folder, entry.Name())
		document, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("reading the container runtime's state: %w", err)
		}
		if filepath.Ext(file) == ".new" || use(entry.Name(), document) != nil {
			_ = os.Remove(file)
		}
	}
	return nil
}

// restore lists what there was before the machine's processes ended, as ended.
func (s *Server) restore() error {
	err := s.state.each(sandboxFolder, func(id string, document []byte) error {
		var record sandboxRecord
		message := &runtimeapi.PodSandboxStatus{}
		if err := decodeRecord(document, &record, &record.Status, message); err != nil {
			return err
		}
		message.State = runtimeapi.PodSandboxState_SANDBOX_NOTREADY
		s.sandboxes[id] = &sandbox{status: message, logDirectory: record.LogDirectory}
		return nil
	})
	if err != nil {
		return err
	}
	return s.state.each(containerFolder, func(id string, document []byte) error {
		var record containerRecord
		message := &runtimeapi.ContainerStatus{}
		if err := decodeRecord(document, &record, &record.Status, message); err != nil {
			return err
		}
		c := &container{sandbox: record.Sandbox, status: message, ended: make(chan struct{})}
		close(c.ended)
		if message.State != runtimeapi.ContainerState_CONTAINER_EXITED {
			message.State = runtimeapi.ContainerState_CONTAINER_EXITED
			message.FinishedAt = s.config.Now().UnixNano()
			message.ExitCode = exitUnknown
			message.Reason = "Error"
			message.Message = "the machine was restarted while the container ran"
			if message.StartedAt == 0 {
				message.StartedAt = message.CreatedAt
			}
		}
		s.containers[id] = c
		return nil
	})
}

func decodeRecord(document []byte, record any, status *[]byte, message proto.Message) error {
	if err := json.Unmarshal(document, record); err != nil {
		return err
	}
	return proto.Unmarshal(*status, message)
}

// keepSandbox and keepContainer write the current state. Failing costs only
// what is known after a reboot.
func (s *Server) keepSandbox(id string, one *sandbox) {
	message, err := proto.Marshal(one.status)
	if err == nil {
		err = s.state.save(sandboxFolder, id, sandboxRecord{Status: message, LogDirectory: one.logDirectory})
	}
	if err != nil {
		s.config.Warn("container runtime: %v", err)
	}
}

func (s *Server) keepContainer(c *container) {
	message, err := proto.Marshal(c.status)
	if err == nil {
		err = s.state.save(containerFolder, c.status.Id, containerRecord{Sandbox: c.sandbox, Status: message})
	}
	if err != nil {
		s.config.Warn("container runtime: %v", err)
	}
}
