package stage

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestLinksOfTheContainerStayInIt(t *testing.T) {
	root := t.TempDir()
	for _, directory := range []string{"run", "usr/lib", "var"} {
		if err := os.MkdirAll(filepath.Join(root, directory), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{
		"var/run": "/run", "lib": "usr/lib", "up": "../../../../etc", "chain": "/var/run/inner", "loop": "/loop",
	} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"/var/run/secrets/token": "run/secrets/token",
		"/lib/modules":           "usr/lib/modules",
		"/up/passwd":             "etc/passwd",
		"/chain/x":               "run/inner/x",
		"/../../etc":             "etc",
		"/not/there/yet":         "not/there/yet",
		"relative":               "relative",
		"/":                      "",
	} {
		got, err := resolveIn(root, name)
		if err != nil || got != filepath.Join(root, want) {
			t.Errorf("%s leads to %s, %v, want %s", name, got, err, filepath.Join(root, want))
		}
	}
	if got, err := resolveIn(root, "/loop/x"); err == nil {
		t.Errorf("a loop leads to %s", got)
	}
}

func TestEntryPoint(t *testing.T) {
	env := []string{"PATH=/nowhere:/bin:/usr/bin"}
	for name, test := range map[string]struct {
		spec Spec
		file string
		argv []string
	}{
		"no command":              {Spec{Name: "etcd", Arguments: []string{"--x"}}, "/etcd", []string{"etcd", "--x"}},
		"by name":                 {Spec{Name: "etcd", Command: []string{"etcd", "--x"}}, "/etcd", []string{"etcd", "--x"}},
		"by path":                 {Spec{Name: "kube-proxy", Command: []string{"/usr/local/bin/kube-proxy"}, Arguments: []string{"--x"}}, "/kube-proxy", []string{"/usr/local/bin/kube-proxy", "--x"}},
		"path of a real image":    {Spec{Name: "manager", Command: []string{"/ko-app/controller"}}, "/manager", []string{"manager"}},
		"another program":         {Spec{Name: "manager", Command: []string{"sh", "-c", "true"}}, "/bin/sh", []string{"sh", "-c", "true"}},
		"in a running container":  {Spec{Command: []string{"sh"}}, "/bin/sh", []string{"sh"}},
		"an absolute path itself": {Spec{Command: []string{"/bin/sh"}}, "/bin/sh", []string{"/bin/sh"}},
	} {
		t.Run(name, func(t *testing.T) {
			test.spec.Env = env
			file, argv, err := entryPoint(test.spec)
			if err != nil || file != test.file || !slices.Equal(argv, test.argv) {
				t.Errorf("runs %s %q, %v, want %s %q", file, argv, err, test.file, test.argv)
			}
		})
	}
	for name, spec := range map[string]Spec{"nothing": {}, "not there": {Command: []string{"no-such-program"}}, "no program": {Command: []string{"/etc/passwd"}}} {
		if file, _, err := entryPoint(spec); err == nil {
			t.Errorf("%s: runs %s", name, file)
		}
	}
}
