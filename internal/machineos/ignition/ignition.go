package ignition

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	v2_4 "github.com/flatcar/ignition/config/v2_4"
	types2 "github.com/flatcar/ignition/config/v2_4/types"

	"github.com/coreos/ignition/v2/config/v3_6"
	types3 "github.com/coreos/ignition/v2/config/v3_6/types"

	"github.com/packetyard/packetyard/internal/machineos/accounts"
	"github.com/packetyard/packetyard/internal/machineos/kubernetes"
	"github.com/packetyard/packetyard/internal/machineos/units"
)

// sentinel is made by the Cluster API's kubeadm user data when, and only
// when, kubeadm succeeded.
const sentinel = "/run/cluster-api/bootstrap-success.complete"

// coreUser is the account that people log in with where the system is one
// that Ignition sets up.
const coreUser = "core"

// maxDepth bounds how often a document may name others that name others.
const maxDepth = 8

// Executor runs user data.
type Executor struct {
	// Root is the directory that files are written below, / in a machine.
	Root string
	// Image has the Kubernetes programs that a document may ask to download.
	Image kubernetes.Image
	// Programs is the machine's directory of links to programs.
	Programs string
	// SSHKeys may log in as root and as the user core.
	SSHKeys []string
	HTTP    *http.Client
	// SetHostname names the running machine.
	SetHostname func(name string) error
	// StartUnits boots the machine into the enabled units, and returns when each
	// has started or failed.
	StartUnits func(ctx context.Context) error
	// Stage is told of the end of each of Ignition's stages: fetch, disks, files.
	Stage func(name string, err error)
	// Printf writes a line to the console.
	Printf func(format string, args ...any)
}

// Execute runs the user data. As Ignition does, it ends at the first failure;
// before the document is read and found valid nothing is changed.
func (e *Executor) Execute(ctx context.Context, userData []byte) error {
	// A sentinel of an earlier try would hide a failure.
	_ = os.Remove(e.path(sentinel))
	var asked *config
	stages := []struct {
		name string
		run  func() error
	}{
		{"fetch", func() (err error) {
			asked, err = e.read(ctx, userData)
			return err
		}},
		{"disks", func() error {
			for _, part := range asked.simulated {
				e.Printf("ignition: %s is accepted and has no effect: a simulated machine has one disk", part)
			}
			return nil
		}},
		{"files", func() error { return e.write(ctx, asked) }},
	}
	for _, stage := range stages {
		err := stage.run()
		if ctx.Err() != nil {
			return fmt.Errorf("user data was interrupted: %w", context.Cause(ctx))
		}
		if e.Stage != nil {
			e.Stage(stage.name, err)
		}
		if err != nil {
			e.Printf("ignition: %s failed: %v", stage.name, err)
			return fmt.Errorf("ignition: %s: %w", stage.name, err)
		}
		e.Printf("ignition: %s finished", stage.name)
	}
	if err := e.StartUnits(ctx); err != nil {
		return err
	}
	if _, err := os.Stat(e.path(sentinel)); err != nil && asked.expectsSentinel() {
		return fmt.Errorf("kubeadm did not succeed: %s is missing", sentinel)
	}
	return nil
}

// expectsSentinel tells whether a file of the document makes the sentinel.
func (c *config) expectsSentinel() bool {
	for _, one := range c.files {
		if one.contents != nil && strings.HasPrefix(one.contents.source, "data:") {
			content, err := (&Executor{}).fetch(context.Background(), *one.contents)
			if err == nil && bytes.Contains(content, []byte(sentinel)) {
				return true
			}
		}
	}
	return false
}

// path is where a file of the machine lies.
func (e *Executor) path(name string) string { return filepath.Join(e.Root, name) }

// read reads a document, and all that it is to be merged with or replaced by.
func (e *Executor) read(ctx context.Context, document []byte) (*config, error) {
	named, err := version(document)
	if err != nil {
		return nil, err
	}
	second, err := isVersion2(named)
	if err != nil {
		return nil, err
	}
	if second {
		merged, err := e.read2(ctx, document, 0)
		if err != nil {
			return nil, err
		}
		return convert2(merged)
	}
	merged, err := e.read3(ctx, document, 0)
	if err != nil {
		return nil, err
	}
	return convert3(merged), nil
}

var errTooDeep = fmt.Errorf("documents name each other more than %d deep", maxDepth)

func (e *Executor) read2(ctx context.Context, document []byte, depth int) (types2.Config, error) {
	if depth > maxDepth {
		return types2.Config{}, errTooDeep
	}
	parsed, warnings, err := parse2(document)
	if err != nil {
		return parsed, err
	}
	e.warn(warnings)
	if replacement := parsed.Ignition.Config.Replace; replacement != nil {
		content, err := e.fetch(ctx, resource2("ignition.config.replace", replacement.Source, "", replacement.Verification, replacement.HTTPHeaders))
		if err != nil {
			return parsed, err
		}
		return e.read2(ctx, content, depth+1)
	}
	for i, reference := range parsed.Ignition.Config.Append {
		content, err := e.fetch(ctx, resource2(fmt.Sprintf("ignition.config.append[%d]", i), reference.Source, "", reference.Verification, reference.HTTPHeaders))
		if err != nil {
			return parsed, err
		}
		more, err := e.read2(ctx, content, depth+1)
		if err != nil {
			return parsed, fmt.Errorf("ignition.config.append[%d]: %w", i, err)
		}
		parsed = v2_4.Append(parsed, more)
	}
	return parsed, nil
}

func (e *Executor) read3(ctx context.Context, document []byte, depth int) (types3.Config, error) {
	if depth > maxDepth {
		return types3.Config{}, errTooDeep
	}
	parsed, warnings, err := parse3(document)
	if err != nil {
		return parsed, err
	}
	e.warn(warnings)
	if replacement := parsed.Ignition.Config.Replace; replacement.Source != nil {
		content, err := e.fetch(ctx, resource3("ignition.config.replace", replacement))
		if err != nil {
			return parsed, err
		}
		return e.read3(ctx, content, depth+1)
	}
	for i, reference := range parsed.Ignition.Config.Merge {
		content, err := e.fetch(ctx, resource3(fmt.Sprintf("ignition.config.merge[%d]", i), reference))
		if err != nil {
			return parsed, err
		}
		more, err := e.read3(ctx, content, depth+1)
		if err != nil {
			return parsed, fmt.Errorf("ignition.config.merge[%d]: %w", i, err)
		}
		parsed = v3_6.Merge(parsed, more)
	}
	return parsed, nil
}

func (e *Executor) warn(warnings []string) {
	for _, warning := range warnings {
		e.Printf("ignition: warning: %s", warning)
	}
}

// write is the stage that changes the machine.
func (e *Executor) write(ctx context.Context, asked *config) error {
	if err := e.makeAccounts(asked); err != nil {
		return err
	}
	for _, one := range asked.directories {
		if err := e.makeDirectory(one); err != nil {
			return fmt.Errorf("%s (%s): %w", one.field, one.path, err)
		}
	}
	for _, one := range asked.files {
		if err := e.writeFile(ctx, one); err != nil {
			return fmt.Errorf("%s (%s): %w", one.field, one.path, err)
		}
	}
	for _, one := range asked.links {
		if err := e.makeLink(one); err != nil {
			return fmt.Errorf("%s (%s): %w", one.field, one.path, err)
		}
	}
	for _, one := range asked.units {
		if err := e.writeUnit(one); err != nil {
			return fmt.Errorf("%s (%s): %w", one.field, one.name, err)
		}
	}
	if err := e.activateExtensions(); err != nil {
		return err
	}
	return e.nameMachine(asked)
}

// nameMachine takes over a host name that the document has written.
func (e *Executor) nameMachine(asked *config) error {
	for _, one := range asked.files {
		if one.path != "/etc/hostname" {
			continue
		}
		content, err := os.ReadFile(e.path(one.path))
		if err != nil {
			return fmt.Errorf("reading the host name: %w", err)
		}
		if name := strings.TrimSpace(string(content)); name != "" {
			if err := e.SetHostname(name); err != nil {
				return fmt.Errorf("setting the host name: %w", err)
			}
		}
	}
	return nil
}

// makeAccounts makes groups and users, which own nothing: a machine has one user id.
func (e *Executor) makeAccounts(asked *config) error {
	database := accounts.Database{Root: e.Root}
	for _, one := range asked.groups {
		if err := database.AddGroup(one.name, one.id); err != nil {
			return fmt.Errorf("%s: %w", one.field, err)
		}
	}
	core := user{field: "the user " + coreUser, name: coreUser, groups: []string{"sudo"}, keys: e.SSHKeys}
	for _, one := range append([]user{core}, asked.users...) {
		if one.removed {
			e.Printf("ignition: %s (%s) is not removed: the machine keeps its accounts", one.field, one.name)
			continue
		}
		if err := e.makeAccount(database, one); err != nil {
			return fmt.Errorf("%s (%s): %w", one.field, one.name, err)
		}
	}
	return database.Authorize("/root", e.SSHKeys)
}

func (e *Executor) makeAccount(database accounts.Database, one user) error {
	home, err := database.Add(accounts.User{
		Name: one.name, Gecos: one.gecos, Home: one.home, Shell: one.shell, PrimaryGroup: one.primaryGroup, ID: one.id,
	})
	if err != nil {
		return err
	}
	for _, name := range one.groups {
		if _, err := database.Join(name, one.name); err != nil {
			return err
		}
	}
	if !one.noHome {
		if err := os.MkdirAll(e.path(home), 0o755); err != nil {
			return fmt.Errorf("making the home directory: %w", err)
		}
	}
	if len(one.keys) == 0 {
		return nil
	}
	return database.Authorize(home, one.keys)
}

// writeUnit writes a unit's file and drop-ins, and enables or masks it.
func (e *Executor) writeUnit(one unit) error {
	if !units.ValidName(one.name) {
		return errors.New("it must be the name of a unit, such as kubeadm.service")
	}
	const settings = "/etc/systemd/system"
	write := func(name, content string) error {
		file := e.path(name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return fmt.Errorf("making its directory: %w", err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			return fmt.Errorf("writing it: %w", err)
		}
		return nil
	}
	if one.contents != nil && *one.contents != "" {
		if err := write(filepath.Join(settings, one.name), *one.contents); err != nil {
			return err
		}
	}
	for name, content := range one.dropIns {
		if filepath.Base(name) != name || !strings.HasSuffix(name, ".conf") {
			return fmt.Errorf("a drop-in is named %q, it must be a file's name that ends with .conf", name)
		}
		if err := write(filepath.Join(settings, one.name+".d", name), content); err != nil {
			return err
		}
	}
	store := units.Store{Root: e.Root}
	if one.mask {
		return store.Mask(one.name)
	}
	if one.enabled == nil {
		return nil
	}
	if !*one.enabled {
		return store.Disable(one.name)
	}
	if !store.Exists(one.name) {
		e.Printf("ignition: %s is enabled and has no contents: the machine does itself what it needs of it", one.name)
		return nil
	}
	if err := store.Enable(one.name); err != nil {
		return err
	}
	if !store.IsEnabled(one.name) {
		e.Printf("ignition: warning: %s is enabled, and nothing starts it: it has no Install section", one.name)
	}
	return nil
}
