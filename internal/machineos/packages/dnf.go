package packages

import (
	"errors"
	"path"
	"slices"
	"strings"
)

// dnfWithValue are dnf's options whose value is a word of its own.
var dnfWithValue = []string{"-c", "--config", "-d", "-e", "--enablerepo", "--disablerepo", "--repo", "--repoid", "-x", "--setopt", "--releasever"}

// matchRPM tells whether a version is what stands behind a package's name and
// a dash: the version or a pattern, with any release behind it or none.
func matchRPM(wanted string) func(release string) bool {
	return func(release string) bool {
		version := strings.Replace(release, "-", "~", 1)
		for _, pattern := range []string{wanted, anyRevision.ReplaceAllString(wanted, ""), strings.TrimSuffix(wanted, "-*")} {
			if matched, err := path.Match(pattern, version); err == nil && matched {
				return true
			}
		}
		return false
	}
}

// dnf is dnf and yum.
func (m Manager) dnf(arguments []string) int {
	given, options := words(arguments, dnfWithValue)
	if slices.Contains(options, "--version") {
		m.print("4.14.0\n")
		return exitOK
	}
	if len(given) == 0 {
		m.complain("usage: dnf [options] COMMAND\n")
		return exitDNFFailure
	}
	switch command, names := given[0], given[1:]; command {
	case "install", "reinstall", "downgrade":
		return m.dnfInstall(names)
	case "versionlock":
		if len(names) > 1 && (names[0] == "add" || names[0] == "delete") {
			return m.dnfReport(m.hold(names[1:], names[0] == "add"))
		}
		return exitOK
	case "list", "info", "repoquery", "search":
		candidates, err := m.candidates()
		if err != nil {
			return m.dnfReport(err)
		}
		slices.Reverse(candidates)
		for _, name := range Names {
			for _, one := range candidates {
				m.print("%s.x86_64  %s-150500.1.1  kubernetes\n", name, one)
			}
		}
		return exitOK
	case "remove", "erase":
		for _, name := range names {
			m.print("%s stays: it is part of the machine image or of the host.\n", name)
		}
		return exitOK
	case "update", "upgrade", "makecache", "clean", "check-update", "autoremove", "config-manager", "module", "repolist", "group", "swap":
		m.print("Nothing to do.\nComplete!\n")
		return exitOK
	default:
		m.complain("No such command: %s\n", command)
		return exitDNFFailure
	}
}

func (m Manager) dnfInstall(names []string) int {
	var requests []request
	for _, argument := range names {
		known := slices.IndexFunc(Names, func(name string) bool {
			rest, found := strings.CutPrefix(argument, name)
			return found && (rest == "" || rest[0] == '-')
		})
		if known < 0 {
			m.print("%s is taken as installed: a machine has the programs of its host.\n", argument)
			continue
		}
		wanted := request{name: Names[known], version: strings.TrimPrefix(strings.TrimPrefix(argument, Names[known]), "-")}
		if wanted.version != "" {
			wanted.matches = matchRPM(wanted.version)
		}
		requests = append(requests, wanted)
	}
	changes, err := m.plan(requests, false)
	if err == nil {
		err = m.apply(changes)
	}
	if err != nil {
		return m.dnfReport(err)
	}
	for _, one := range changes {
		if one.same {
			m.print("Package %s-%s is already installed.\n", one.name, one.version)
			continue
		}
		m.print("Installed: %s-%s\n", one.name, one.version)
	}
	m.print("Complete!\n")
	return exitOK
}

// dnfReport says what went wrong in dnf's words, if anything.
func (m Manager) dnfReport(err error) int {
	var missing notFoundError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &missing):
		m.complain("No match for argument: %s-%s\n", missing.name, missing.version)
		m.complain("Error: Unable to find a match. Versions of %s in the machine image and the configured repositories: %s\n",
			missing.name, strings.Join(missing.available, ", "))
	default:
		m.complain("Error: %v\n", err)
	}
	return exitDNFFailure
}
