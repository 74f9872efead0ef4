package units

import (
	"os"
	"path/filepath"
	"strings"
)

// holds tells whether a condition is met. Those that nothing is known about
// are: they ask about hardware, kernels and security modules.
func (m *Manager) holds(condition Condition) bool {
	met, known := m.met(condition)
	if !known {
		m.Printf("units: %s is not looked at, it is taken as met", condition.Name)
		return true
	}
	return met != condition.Negated
}

func (m *Manager) met(condition Condition) (met, known bool) {
	file := m.path(condition.Value)
	switch condition.Name {
	case "PathExists":
		_, err := os.Stat(file)
		return err == nil, true
	case "PathExistsGlob":
		found, err := filepath.Glob(file)
		return err == nil && len(found) > 0, true
	case "PathIsDirectory":
		info, err := os.Stat(file)
		return err == nil && info.IsDir(), true
	case "PathIsSymbolicLink":
		info, err := os.Lstat(file)
		return err == nil && info.Mode()&os.ModeSymlink != 0, true
	case "FileNotEmpty":
		info, err := os.Stat(file)
		return err == nil && info.Mode().IsRegular() && info.Size() > 0, true
	case "FileIsExecutable":
		info, err := os.Stat(file)
		return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0, true
	case "DirectoryNotEmpty":
		entries, err := os.ReadDir(file)
		return err == nil && len(entries) > 0, true
	case "Host":
		matched, err := filepath.Match(condition.Value, m.Hostname())
		return err == nil && matched, true
	case "Virtualization":
		return strings.ToLower(condition.Value) == "no", true
	}
	return false, false
}
