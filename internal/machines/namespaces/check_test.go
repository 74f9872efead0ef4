package namespaces

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// settings writes files below a root directory of a test's own.
func settings(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, "proc", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestCheckHostFindings(t *testing.T) {
	const user, root = 1000, 0
	refused := func(step Step, errno syscall.Errno) []ProbeFailure {
		return []ProbeFailure{{Step: step, Errno: errno, Text: errno.Error()}}
	}
	for name, test := range map[string]struct {
		uid      int
		system   string
		files    map[string]string
		failures []ProbeFailure // with a user namespace
		without  []ProbeFailure // without one
		want     []string       // parts of each problem
	}{
		"a good host": {uid: user},
		"not Linux":   {uid: user, system: "darwin", want: []string{"this system is darwin"}},
		"user namespaces are limited to none": {
			uid: user, files: map[string]string{"sys/user/max_user_namespaces": "0\n"},
			failures: refused(StepUserNamespace, syscall.ENOSPC),
			want:     []string{"sudo sysctl -w user.max_user_namespaces=15000, or run this as root"},
		},
		"Debian's switch": {
			uid: user, files: map[string]string{"sys/kernel/unprivileged_userns_clone": "0\n", "sys/user/max_user_namespaces": "9000"},
			failures: refused(StepUserNamespace, syscall.EPERM),
			want:     []string{"sudo sysctl -w kernel.unprivileged_userns_clone=1, or run this as root"},
		},
		"Ubuntu's AppArmor, in several steps": {
			uid: user, files: map[string]string{"sys/kernel/apparmor_restrict_unprivileged_userns": "1\n"},
			failures: append(refused(StepMount, syscall.EACCES), refused(StepBridge, syscall.EPERM)...),
			want:     []string{"sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or run this as root"},
		},
		"a container's seccomp filter": {
			uid: user, files: map[string]string{"self/status": "Name:\tx\nSeccomp:\t2\n"},
			failures: refused(StepUserNamespace, syscall.EPERM),
			want:     []string{"by a seccomp filter"},
		},
		"a kernel without user namespaces": {
			uid: user, failures: refused(StepUserNamespace, syscall.EINVAL),
			want: []string{"CONFIG_USER_NS, or run this as root"},
		},
		"root does without user namespaces": {uid: root, failures: refused(StepUserNamespace, syscall.EPERM)},
		"root in a container": {
			uid: root, failures: refused(StepUserNamespace, syscall.EPERM), without: refused(StepNamespaces, syscall.EPERM),
			files: map[string]string{"self/status": "Seccomp:\t2\n"},
			want:  []string{"by a seccomp filter"},
		},
		"no bridge, no overlay": {
			uid: user, failures: append(refused(StepBridge, syscall.EOPNOTSUPP), refused(StepOverlay, syscall.ENODEV)...),
			want: []string{"sudo modprobe bridge", "sudo modprobe overlay"},
		},
		"a file system without overlays": {
			uid: user, failures: refused(StepOverlay, syscall.EINVAL),
			want: []string{"/machines/are/here (invalid argument): use a directory on ext4"},
		},
		"a covered proc": {
			uid: user, failures: refused(StepProc, syscall.EPERM),
			want: []string{"a fresh /proc cannot be mounted (operation not permitted): parts of /proc are covered"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			problems := CheckHost(t.Context(), CheckConfig{
				Dir:    "/machines/are/here",
				System: test.system, UID: &test.uid, Root: settings(t, test.files),
				Probe: func(_ context.Context, request ProbeRequest) ([]ProbeFailure, error) {
					if request.UserNamespace {
						return test.failures, nil
					}
					return test.without, nil
				},
			})
			if len(problems) != len(test.want) {
				t.Fatalf("problems are %v, want %d", problems, len(test.want))
			}
			for index, part := range test.want {
				if text := problems[index].String(); !strings.Contains(text, part) {
					t.Errorf("problem is %q, want %q in it", text, part)
				}
			}
		})
	}
}

// TestCheckHostForReal also shows that nothing is left.
func TestCheckHostForReal(t *testing.T) {
	above := t.TempDir()
	if problems := CheckHost(t.Context(), CheckConfig{Dir: filepath.Join(above, "not/there")}); len(problems) > 0 {
		t.Fatal(HostError{Problems: problems})
	}
	if left, err := os.ReadDir(above); err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

func TestCheckHostWithBadDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	problems := CheckHost(t.Context(), CheckConfig{Dir: filepath.Join(file, "below")})
	if len(problems) != 1 || !strings.Contains(problems[0].String(), "not a directory") {
		t.Errorf("problems are %v", problems)
	}
}

func TestProbeWithoutTheSubcommand(t *testing.T) {
	problems := CheckHost(t.Context(), CheckConfig{Dir: t.TempDir(), Executable: "/bin/true"})
	if len(problems) != 1 || !strings.Contains(problems[0].String(), "does not know the subcommand") {
		t.Errorf("problems are %v", problems)
	}
}
