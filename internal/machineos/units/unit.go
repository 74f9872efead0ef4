// Package units runs the systemd units of a machine that people write: what
// user data puts into /etc/systemd/system. The units of a real distribution
// are not there: the machine's init does what is needed of their work.
//
// Names, meaning and defaults are those of systemd.unit(5), systemd.service(5)
// and systemd.exec(5).
package units

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	systemd "github.com/coreos/go-systemd/v22/unit"
)

// Unit is a unit file with its drop-ins.
type Unit struct {
	Name string
	// Requires must be started too, or the unit is not; Wants are only tried.
	Requires, Wants []string
	// After are started, or have failed, before the unit; Before come later.
	After, Before []string
	// Conditions must all hold, or the unit is passed over.
	Conditions []Condition
	Service    Service
	// Where is a mount unit's directory.
	Where string
	// WantedBy and RequiredBy are what enabling the unit adds it to.
	WantedBy, RequiredBy, Aliases []string
	// Ignored are settings that have no effect on this machine, as "Section.Name".
	Ignored []string
}

// Condition is a setting such as ConditionPathExists=!/etc/done.
type Condition struct {
	Name, Value string
	Negated     bool
	// Asserted conditions fail the unit where others pass it over.
	Asserted bool
}

// Service is what a service runs.
type Service struct {
	// Type is oneshot, simple, exec, notify, forking, dbus or idle.
	Type            string
	RemainAfterExit bool
	StartPre, Start []Command
	StartPost, Stop []Command
	Environment     []string
	// EnvironmentFiles begin with - where they may be missing.
	EnvironmentFiles []string
	WorkingDirectory string
	// Restart is no, always, on-failure, on-success, on-abnormal, on-abort or on-watchdog.
	Restart string
	// RestartDelay is how long to wait before the service is started again.
	RestartDelay time.Duration
	// StartTimeout bounds a oneshot service's run; 0 is no bound.
	StartTimeout time.Duration
	// Successes are exit codes besides 0 that are none of failure.
	Successes []int
}

// Command is one program with its arguments, before variables are filled in.
type Command struct {
	Words []string
	// MayFail is true where its exit code does not matter.
	MayFail bool
}

// maxUnit bounds a unit file, in bytes.
const maxUnit = 1 << 20

// defaultRestartDelay is systemd's.
const defaultRestartDelay = 100 * time.Millisecond

// Parse reads a unit of a name: its file and then its drop-ins, in order.
func Parse(name string, documents ...[]byte) (*Unit, error) {
	u := &Unit{Name: name, Service: Service{Restart: "no", RestartDelay: defaultRestartDelay}}
	for i, document := range documents {
		if len(document) > maxUnit {
			return nil, fmt.Errorf("unit %s: its file is longer than %d bytes", name, maxUnit)
		}
		options, err := systemd.DeserializeOptions(bytes.NewReader(document))
		if err != nil {
			return nil, fmt.Errorf("unit %s: reading file %d: %w", name, i+1, err)
		}
		for _, option := range options {
			if err := u.set(option.Section, option.Name, option.Value); err != nil {
				return nil, fmt.Errorf("unit %s: %s.%s: %w", name, option.Section, option.Name, err)
			}
		}
	}
	if u.Service.Type == "" {
		u.Service.Type = "simple"
		if len(u.Service.Start) == 0 {
			u.Service.Type = "oneshot"
		}
	}
	if strings.HasSuffix(name, ".service") {
		return u, u.check()
	}
	return u, nil
}

var serviceTypes = []string{"oneshot", "simple", "exec", "notify", "notify-reload", "forking", "dbus", "idle"}

var restarts = []string{"no", "always", "on-failure", "on-success", "on-abnormal", "on-abort", "on-watchdog"}

func (u *Unit) check() error {
	s := u.Service
	switch {
	case !slices.Contains(serviceTypes, s.Type):
		return fmt.Errorf("unit %s: Service.Type is %q, it must be one of %s", u.Name, s.Type, strings.Join(serviceTypes, ", "))
	case !slices.Contains(restarts, s.Restart):
		return fmt.Errorf("unit %s: Service.Restart is %q, it must be one of %s", u.Name, s.Restart, strings.Join(restarts, ", "))
	case s.Type != "oneshot" && len(s.Start) != 1:
		return fmt.Errorf("unit %s: Service.ExecStart is there %d times, a service of type %s has one", u.Name, len(s.Start), s.Type)
	}
	return nil
}

func (u *Unit) set(section, name, value string) error {
	switch section {
	case "Unit":
		return u.setUnit(name, value)
	case "Service":
		return u.setService(name, value)
	case "Mount", "Automount":
		if name == "Where" {
			u.Where = value
		}
	case "Install":
		switch name {
		case "WantedBy":
			addNames(&u.WantedBy, value)
		case "RequiredBy":
			addNames(&u.RequiredBy, value)
		case "Alias":
			addNames(&u.Aliases, value)
		}
	}
	return nil
}

func (u *Unit) setUnit(name, value string) error {
	lists := map[string]*[]string{
		"Requires": &u.Requires, "BindsTo": &u.Requires, "Requisite": &u.Requires,
		"Wants": &u.Wants, "Upholds": &u.Wants, "After": &u.After, "Before": &u.Before,
	}
	if list, known := lists[name]; known {
		addNames(list, value)
		return nil
	}
	kind, asserted := strings.CutPrefix(name, "Assert")
	if !asserted {
		var condition bool
		if kind, condition = strings.CutPrefix(name, "Condition"); !condition {
			return nil // Description, Documentation and the like.
		}
	}
	if value == "" {
		u.Conditions = nil
		return nil
	}
	// A pipe makes a condition one of several of which one is enough; with one
	// it means nothing, and several of these are rare.
	value, negated := strings.CutPrefix(strings.TrimPrefix(value, "|"), "!")
	u.Conditions = append(u.Conditions, Condition{Name: kind, Value: value, Negated: negated, Asserted: asserted})
	return nil
}

func (u *Unit) setService(name, value string) error {
	s := &u.Service
	commands := map[string]*[]Command{
		"ExecStartPre": &s.StartPre, "ExecStart": &s.Start, "ExecStartPost": &s.StartPost, "ExecStop": &s.Stop, "ExecCondition": nil,
	}
	if list, known := commands[name]; known && list != nil {
		return addCommands(list, value)
	}
	var err error
	switch name {
	case "Type":
		s.Type = value
	case "Restart":
		s.Restart = value
	case "RemainAfterExit":
		s.RemainAfterExit, err = boolean(value)
	case "WorkingDirectory":
		s.WorkingDirectory = strings.TrimPrefix(value, "-")
	case "Environment":
		if value == "" {
			s.Environment = nil
			return nil
		}
		var words []string
		words, err = split(value)
		s.Environment = append(s.Environment, words...)
	case "EnvironmentFile":
		if value == "" {
			s.EnvironmentFiles = nil
			return nil
		}
		s.EnvironmentFiles = append(s.EnvironmentFiles, value)
	case "RestartSec":
		s.RestartDelay, err = duration(value)
	case "TimeoutStartSec", "TimeoutSec":
		s.StartTimeout, err = duration(value)
	case "SuccessExitStatus":
		for _, word := range strings.Fields(value) {
			if code, err := strconv.Atoi(word); err == nil {
				s.Successes = append(s.Successes, code)
			}
		}
	default:
		u.Ignored = append(u.Ignored, "Service."+name)
	}
	return err
}

// addNames adds to a list of units, which an empty value clears.
func addNames(list *[]string, value string) {
	if value == "" {
		*list = nil
		return
	}
	*list = append(*list, strings.Fields(value)...)
}

// addCommands adds command lines, which an empty value clears.
func addCommands(list *[]Command, value string) error {
	if value == "" {
		*list = nil
		return nil
	}
	words, err := split(value)
	if err != nil {
		return err
	}
	for len(words) > 0 {
		end := slices.Index(words, ";")
		line := words
		if words = nil; end >= 0 {
			line, words = line[:end], line[end+1:]
		}
		if len(line) == 0 {
			continue
		}
		program := strings.TrimLeft(line[0], "@-:+!|")
		if program == "" {
			return fmt.Errorf("it is %q, it must begin with a program", value)
		}
		prefix := strings.TrimSuffix(line[0], program)
		line = append([]string{program}, line[1:]...)
		if strings.Contains(prefix, "@") && len(line) > 1 {
			// The second word is what the program takes for its own name.
			line = slices.Delete(line, 1, 2)
		}
		*list = append(*list, Command{Words: line, MayFail: strings.Contains(prefix, "-")})
	}
	return nil
}

func boolean(value string) (bool, error) {
	switch strings.ToLower(value) {
	case "1", "yes", "true", "on", "y", "t":
		return true, nil
	case "0", "no", "false", "off", "n", "f", "":
		return false, nil
	}
	return false, fmt.Errorf("it is %q, it must be yes or no", value)
}

// duration reads a time such as 5, 5s, 1min 30s or infinity, which is 0.
func duration(value string) (time.Duration, error) {
	if value == "infinity" {
		return 0, nil
	}
	total := time.Duration(0)
	for _, word := range strings.Fields(value) {
		if seconds, err := strconv.ParseFloat(word, 64); err == nil {
			word = strconv.FormatFloat(seconds, 'f', -1, 64) + "s"
		}
		for _, long := range [][2]string{{"minutes", "m"}, {"min", "m"}, {"hours", "h"}, {"seconds", "s"}, {"second", "s"}, {"sec", "s"}, {"msec", "ms"}, {"hr", "h"}} {
			if number, found := strings.CutSuffix(word, long[0]); found {
				word = number + long[1]
				break
			}
		}
		part, err := time.ParseDuration(word)
		if err != nil || part < 0 {
			return 0, fmt.Errorf("it is %q, it must be a time such as 30, 90s or 1min 30s", value)
		}
		total += part
	}
	return total, nil
}
