package packages

import (
	"errors"
	"path"
	"regexp"
	"slices"
	"strings"
)

// debRevision ends the versions of the Kubernetes project's packages.
const debRevision = "-1.1"

// anyRevision is the revision that a version may end with.
var anyRevision = regexp.MustCompile(`-[0-9][0-9.]*$`)

// debVersion is a version as packages have it, for example 1.35.4-1.1.
func debVersion(release string) string {
	return strings.Replace(release, "-", "~", 1) + debRevision
}

// matchDeb tells whether a version is what stands behind the = of a package's
// name. It is the whole version or a pattern; the revision, which tells how
// often a version was packaged, may be any.
func matchDeb(wanted string) func(release string) bool {
	return func(release string) bool {
		full := debVersion(release)
		if matched, err := path.Match(wanted, full); err == nil && matched {
			return true
		}
		return anyRevision.MatchString(wanted) && anyRevision.ReplaceAllString(wanted, "") == strings.TrimSuffix(full, debRevision)
	}
}

// aptWithValue are apt's options whose value is a word of its own.
var aptWithValue = []string{"-o", "--option", "-t", "--target-release", "--default-release", "-c", "--config-file", "-a", "--host-architecture"}

// words splits a command line into its words and options.
func words(arguments, withValue []string) (words, options []string) {
	for i := 0; i < len(arguments); i++ {
		switch argument := arguments[i]; {
		case slices.Contains(withValue, argument):
			i++
		case strings.HasPrefix(argument, "-") && argument != "-":
			options = append(options, argument)
		default:
			words = append(words, argument)
		}
	}
	return words, options
}

// apt is apt, apt-get and apt-cache, whose commands have different names.
func (m Manager) apt(arguments []string) int {
	given, options := words(arguments, aptWithValue)
	if slices.Contains(options, "--version") || slices.Contains(options, "-v") {
		m.print("apt 2.7.14 (packetyard)\n")
		return exitOK
	}
	if len(given) == 0 {
		m.complain("E: Invalid operation\n")
		return exitAPTFailure
	}
	switch command, names := given[0], given[1:]; command {
	case "update":
		return m.aptUpdate()
	case "install", "reinstall":
		return m.aptInstall(names, slices.Contains(options, "--allow-change-held-packages"))
	case "remove", "purge":
		for _, name := range names {
			m.print("Package '%s' stays: it is part of the machine image or of the host.\n", name)
		}
		return exitOK
	case "madison", "policy", "list", "show", "showpkg", "search":
		return m.aptShow(command, names)
	case "upgrade", "dist-upgrade", "full-upgrade", "autoremove", "autopurge", "clean", "autoclean", "check", "build-dep", "download":
		m.print("0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.\n")
		return exitOK
	default:
		m.complain("E: Invalid operation %s\n", command)
		return exitAPTFailure
	}
}

func (m Manager) aptUpdate() int {
	minors, err := m.minors()
	if err != nil {
		return m.aptFail(err)
	}
	empty, err := m.empty()
	if err != nil {
		return m.aptFail(err)
	}
	for i, one := range minors {
		word := "Hit"
		if slices.Contains(empty, one) {
			word = "Err"
		}
		m.print("%s:%d https://pkgs.k8s.io/core:/stable:/v%s/deb  InRelease\n", word, i+1, one)
	}
	m.print("Reading package lists... Done\n")
	for _, one := range empty {
		m.complain("E: The repository 'https://pkgs.k8s.io/core:/stable:/v%s/deb  InRelease' has nothing for this machine: its image has Kubernetes %s.\n",
			one, strings.Join(m.Image.Versions(), ", "))
	}
	if len(empty) > 0 {
		return exitAPTFailure
	}
	return exitOK
}

func (m Manager) aptInstall(names []string, changeHeld bool) int {
	m.print("Reading package lists... Done\nBuilding dependency tree... Done\nReading state information... Done\n")
	var requests []request
	for _, argument := range names {
		name, version, versioned := strings.Cut(argument, "=")
		name, _, _ = strings.Cut(name, ":")
		if !slices.Contains(Names, name) {
			m.print("%s is taken as installed: a machine has the programs of its host.\n", argument)
			continue
		}
		wanted := request{name: name, version: version}
		if versioned {
			wanted.matches = matchDeb(version)
		}
		requests = append(requests, wanted)
	}
	changes, err := m.plan(requests, changeHeld)
	if err != nil {
		return m.aptFail(err)
	}
	if err := m.apply(changes); err != nil {
		return m.aptFail(err)
	}
	for _, one := range changes {
		if one.same {
			m.print("%s is already the newest version (%s).\n", one.name, debVersion(one.version))
			continue
		}
		m.print("Setting up %s (%s) ...\n", one.name, debVersion(one.version))
	}
	return exitOK
}

// aptFail says what went wrong in apt's words.
func (m Manager) aptFail(err error) int {
	var missing notFoundError
	switch {
	case errors.As(err, &missing) && missing.version == "":
		m.complain("E: Package '%s' has no installation candidate\n", missing.name)
		m.complain("N: The machine image has Kubernetes %s, and no repository of these is configured.\n", strings.Join(m.Image.Versions(), ", "))
	case errors.As(err, &missing):
		available := make([]string, len(missing.available))
		for i, one := range missing.available {
			available[i] = debVersion(one)
		}
		m.complain("E: Version '%s' for '%s' was not found\n", missing.version, missing.name)
		m.complain("N: Versions of %s in the machine image and the configured repositories: %s\n", missing.name, strings.Join(available, ", "))
	case errors.Is(err, errHeld):
		m.complain("E: Held packages were changed and -y was used without --allow-change-held-packages.\nN: %v\n", err)
	default:
		m.complain("E: %v\n", err)
	}
	return exitAPTFailure
}

// aptShow lists the versions of packages, newest first.
func (m Manager) aptShow(command string, names []string) int {
	candidates, err := m.candidates()
	if err != nil {
		return m.aptFail(err)
	}
	slices.Reverse(candidates)
	if len(names) == 0 {
		names = Names
	}
	for _, name := range names {
		if !slices.Contains(Names, name) {
			continue
		}
		present, _ := m.Image.Of(m.program(name))
		if command == "policy" {
			newest := "(none)"
			if len(candidates) > 0 {
				newest = debVersion(candidates[0])
			}
			m.print("%s:\n  Installed: %s\n  Candidate: %s\n  Version table:\n", name, debVersion(release(present)), newest)
		}
		for _, one := range candidates {
			switch command {
			case "policy":
				m.print("     %s 500\n", debVersion(one))
			case "list":
				m.print("%s/unknown %s amd64\n", name, debVersion(one))
			case "show":
				m.print("Package: %s\nVersion: %s\n\n", name, debVersion(one))
			default:
				m.print("%10s | %s | https://pkgs.k8s.io/core:/stable:/v%s/deb  Packages\n", name, debVersion(one), minor(one))
			}
		}
	}
	return exitOK
}

// aptMark is apt-mark.
func (m Manager) aptMark(arguments []string) int {
	given, _ := words(arguments, aptWithValue)
	if len(given) == 0 {
		m.complain("E: No command was given, it must be hold, unhold or showhold\n")
		return exitAPTFailure
	}
	switch command, names := given[0], given[1:]; command {
	case "hold", "unhold":
		if err := m.hold(names, command == "hold"); err != nil {
			return m.aptFail(err)
		}
		for _, name := range names {
			if command == "hold" {
				m.print("%s set on hold.\n", name)
			} else {
				m.print("Canceled hold on %s.\n", name)
			}
		}
		return exitOK
	case "showhold":
		held, err := m.held()
		if err != nil {
			return m.aptFail(err)
		}
		for _, name := range held {
			m.print("%s\n", name)
		}
		return exitOK
	case "auto", "manual", "showauto", "showmanual", "minimize-manual":
		return exitOK
	default:
		m.complain("E: Invalid operation %s\n", command)
		return exitAPTFailure
	}
}
