package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
)

// command runs the program's command line in this process.
func runCommand(t *testing.T, args ...string) (output string, err error) {
	t.Helper()
	var out bytes.Buffer
	cmd := command()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	err = cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// TestBackupAndRestoreCommands goes from a running server to another data
// directory.
func TestBackupAndRestoreCommands(t *testing.T) {
	dir, target := t.TempDir(), filepath.Join(t.TempDir(), "restored")
	server := apiservertest.Start(t, apiservertest.Options{DataDir: dir, Token: "kept-token"})
	file := filepath.Join(t.TempDir(), "packet.backup")
	if output, err := runCommand(t, "backup", "--data-dir", dir, "--output", file); err != nil || !strings.Contains(output, "Backed up") {
		t.Fatalf("backup: %v\n%s", err, output)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the mode of the backup is %v (%v), want 0600", info.Mode(), err)
	}
	data, err := os.ReadFile(file)
	if err != nil || bytes.Contains(data, []byte("kept-token")) {
		t.Errorf("the backup holds the token (%v)", err)
	}
	if _, err := runCommand(t, "backup", "--data-dir", dir, "--output", file); err == nil || !strings.Contains(err.Error(), "--force") {
		t.Errorf("a backup over another: %v, want an error that names --force", err)
	}
	if output, err := runCommand(t, "restore", "--input", file, "--check"); err != nil || !strings.Contains(output, "whole backup") {
		t.Errorf("checking it: %v\n%s", err, output)
	}
	if output, err := runCommand(t, "restore", "--data-dir", target, "--input", file); err != nil {
		t.Fatalf("restore: %v\n%s", err, output)
	}
	if _, err := runCommand(t, "restore", "--data-dir", target, "--input", file); err == nil || !strings.Contains(err.Error(), "--force") {
		t.Errorf("a restore over records: %v, want an error that names --force", err)
	}
	again := apiservertest.Start(t, apiservertest.Options{DataDir: target, Token: "kept-token"})
	if again.ProjectID != server.ProjectID {
		t.Errorf("the restored server has the project %s, want %s", again.ProjectID, server.ProjectID)
	}
	if _, err := again.Client(t).Project(t.Context(), server.ProjectID); err != nil {
		t.Errorf("asking the restored server with the token of the first: %v", err)
	}
}

func TestBackupRefusesWhatIsNotThere(t *testing.T) {
	empty, file := t.TempDir(), filepath.Join(t.TempDir(), "packet.backup")
	if _, err := runCommand(t, "backup", "--data-dir", empty, "--output", file); err == nil || !strings.Contains(err.Error(), "has no records") {
		t.Errorf("backing up an empty folder: %v", err)
	}
	if files, err := filepath.Glob(file + "*"); err != nil || len(files) > 0 {
		t.Errorf("a backup that failed left %v (%v)", files, err)
	}
	if _, err := runCommand(t, "restore", "--data-dir", empty, "--input", file); err == nil || !strings.Contains(err.Error(), "--input") {
		t.Errorf("restoring a file that does not exist: %v, want an error that names --input", err)
	}
}
