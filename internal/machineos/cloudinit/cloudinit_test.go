package cloudinit_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packetyard/packetyard/internal/machineos/cloudinit"
)

// system is a root directory and what was said while user data ran in it.
type system struct {
	root     string
	console  strings.Builder
	output   bytes.Buffer
	hostname string
	install  func(ctx context.Context, packages []string, output io.Writer) error
}

func newSystem(t *testing.T) *system {
	t.Helper()
	s := &system{root: t.TempDir()}
	s.write(t, "/etc/passwd", "root:x:0:0:root:/root:/bin/bash\nubuntu:x:1000:1000::/home/ubuntu:/bin/bash\n")
	s.write(t, "/etc/group", "root:x:0:\nsudo:x:27:\nubuntu:x:1000:\n")
	return s
}

func (s *system) write(t *testing.T, name, content string) {
	t.Helper()
	file := filepath.Join(s.root, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (s *system) read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(s.root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// execute runs user data with the host's shell. Commands find the root
// directory in their working directory.
func (s *system) execute(t *testing.T, userData string) error {
	t.Helper()
	executor := &cloudinit.Executor{
		Root:     s.root,
		Instance: cloudinit.Instance{ID: "11111111-2222-3333-4444-555555555555", Hostname: "node-1.example.org", Metro: "da", Facility: "da11", SSHKeys: []string{"ssh-ed25519 AAAA project"}},
		Run: func(ctx context.Context, cmd *exec.Cmd, output io.Writer) error {
			cmd.Stdout, cmd.Stderr = output, output
			return cmd.Run()
		},
		Install:     s.install,
		SetHostname: func(name string) error { s.hostname = name; return nil },
		Output:      &s.output,
		Printf:      func(format string, args ...any) { fmt.Fprintf(&s.console, format+"\n", args...) },
	}
	return executor.Execute(t.Context(), []byte(userData))
}

func packed(text string) string {
	var buffer bytes.Buffer
	writer := gzip.NewWriter(&buffer)
	_, _ = writer.Write([]byte(text))
	_ = writer.Close()
	return buffer.String()
}

func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func TestWriteFiles(t *testing.T) {
	for name, test := range map[string]struct {
		entry   string
		content string
		mode    fs.FileMode
	}{
		"plain":             {"content: |\n      one\n      two", "one\ntwo\n", 0o644},
		"no content":        {"owner: root:root", "", 0o644},
		"permissions":       {"permissions: '0640'\n    content: x", "x", 0o640},
		"octal number":      {"permissions: 0600\n    content: x", "x", 0o600},
		"sticky":            {"permissions: '1755'\n    content: x", "x", 0o755 | fs.ModeSticky},
		"base64":            {"encoding: b64\n    content: " + encoded("secret\n"), "secret\n", 0o644},
		"base64 of lines":   {"encoding: \"base64\"\n    content: |\n      " + encoded("secret\n")[:4] + "\n      " + encoded("secret\n")[4:], "secret\n", 0o644},
		"gzip and base64":   {"encoding: gzip+base64\n    content: " + encoded(packed("packed\n")), "packed\n", 0o644},
		"gz and b64":        {"encoding: gz+b64\n    content: " + encoded(packed("packed\n")), "packed\n", 0o644},
		"append":            {"append: true\n    content: more", "before\nmore", 0o644},
		"text that is none": {"content: 42", "42", 0o644},
		"deferred":          {"defer: true\n    content: late", "late", 0o644},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSystem(t)
			if name == "append" {
				s.write(t, "/deep/down/file", "before\n")
			}
			if err := s.execute(t, "#cloud-config\nwrite_files:\n-   path: /deep/down/file\n    "+test.entry+"\n"); err != nil {
				t.Fatal(err)
			}
			if got := s.read(t, "/deep/down/file"); got != test.content {
				t.Errorf("content is %q, want %q", got, test.content)
			}
			info, err := os.Stat(filepath.Join(s.root, "/deep/down/file"))
			if err != nil || info.Mode() != test.mode {
				t.Errorf("mode is %v, %v, want %v", info.Mode(), err, test.mode)
			}
		})
	}
}

func TestFailuresAndWarnings(t *testing.T) {
	for name, test := range map[string]struct {
		userData string
		// failure and console are texts that must be there; no failure means success.
		failure, console string
	}{
		"no header":             {"hello", "not supported (no header)", ""},
		"an include":            {"#include\nhttp://example.org", "not supported (#include)", ""},
		"ignition":              {`{"ignition": {"version": "3.4.0"}}`, "Ignition document, which this machine does not support yet", ""},
		"not yaml":              {"#cloud-config\nruncmd: [", "reading YAML", ""},
		"no map":                {"#cloud-config\n- runcmd", "must be a map", ""},
		"runcmd is no list":     {"#cloud-config\nruncmd: echo", "runcmd is a string, it must be a list", ""},
		"a command is a map":    {"#cloud-config\nruncmd: [{a: b}]", "runcmd[0] is a map", ""},
		"last command fails":    {"#cloud-config\nruncmd: ['true', 'exit 3']", "runcmd: exit status 3", ""},
		"earlier command fails": {"#cloud-config\nruncmd: ['false', 'true']", "", ""},
		"bootcmd fails":         {"#cloud-config\nbootcmd: ['exit 4']\nruncmd: ['true']", "bootcmd: exit status 4", ""},
		"relative path":         {"#cloud-config\nwrite_files: [{path: etc/x, content: x}]", "must be absolute", ""},
		"not base64":            {"#cloud-config\nwrite_files: [{path: /x, content: '???', encoding: b64}]", "not base64", ""},
		"unknown encoding":      {"#cloud-config\nwrite_files: [{path: /x, content: abc, encoding: rot13}]", "", `encoding is "rot13"`},
		"another owner":         {"#cloud-config\nwrite_files: [{path: /x, owner: 'nobody:nogroup'}]", "", "no user but root"},
		"bad permissions":       {"#cloud-config\nwrite_files: [{path: /x, permissions: 'rwx'}]", "", `"rwx" is not octal`},
		"unknown key":           {"#cloud-config\nrun_cmd: [x]", "", "run_cmd is unknown and ignored"},
		"disks":                 {"#cloud-config\ndisk_setup: {}\nfs_setup: []\nmounts: [[a, b]]\nntp: {enabled: true}\nswap: {}", "", "disk_setup is accepted and has no effect"},
		"key twice":             {"#cloud-config\nruncmd: ['exit 1']\nruncmd: ['exit 0']", "", "already set"},
		"user name":             {"#cloud-config\nusers: [{name: 'a:b'}]", "must be a user name", ""},
		"jinja statement":       {"## template: jinja\n#cloud-config\n{% if x %}", "statement {% if x %} is not supported", ""},
		"jinja expression":      {"## template: jinja\n#cloud-config\nx: {{ 1 + 1 }}", "{{ 1 + 1 }} is not supported", ""},
		"no interpreter":        {"#!/no/such/interpreter\n", "user-data: ", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSystem(t)
			err := s.execute(t, test.userData)
			if test.failure == "" && err != nil || test.failure != "" && (err == nil || !strings.Contains(err.Error(), test.failure)) {
				t.Errorf("error is %v, want %q", err, test.failure)
			}
			if !strings.Contains(s.console.String(), test.console) {
				t.Errorf("console is %q, want %q in it", s.console.String(), test.console)
			}
		})
	}
}

func TestOrderAndOutput(t *testing.T) {
	s := newSystem(t)
	err := s.execute(t, `#cloud-config
runcmd:
- cat written
- [ sh, -c, 'echo "$0"', "it's a list" ]
- |
  for i in 1 2; do
    echo line $i >&2
  done
bootcmd:
- test ! -e written && echo boot of $INSTANCE_ID
write_files:
- path: /written
  content: |
    from write_files
`)
	if err != nil {
		t.Fatal(err, s.console.String())
	}
	want := "boot of 11111111-2222-3333-4444-555555555555\nfrom write_files\nit's a list\nline 1\nline 2\n"
	if s.output.String() != want {
		t.Errorf("output is %q, want %q", s.output.String(), want)
	}
	if log := s.read(t, "/var/log/cloud-init-output.log"); log != want {
		t.Errorf("log is %q, want %q", log, want)
	}
}

func TestScript(t *testing.T) {
	for name, userData := range map[string]string{
		"plain":  "#!/bin/sh\necho script in $(pwd)\n",
		"packed": packed("#!/bin/sh\necho script in $(pwd)\n"),
		"twice":  packed(packed("#!/bin/sh\necho script in $(pwd)\n")),
	} {
		t.Run(name, func(t *testing.T) {
			s := newSystem(t)
			if err := s.execute(t, userData); err != nil {
				t.Fatal(err)
			}
			if want := "script in " + s.root + "\n"; s.output.String() != want {
				t.Errorf("output is %q, want %q", s.output.String(), want)
			}
		})
	}
}

func TestMultipart(t *testing.T) {
	s := newSystem(t)
	err := s.execute(t, strings.ReplaceAll(`Content-Type: multipart/mixed; boundary="OUTER"
MIME-Version: 1.0

--OUTER
Content-Type: text/x-shellscript; charset="us-ascii"
Content-Disposition: attachment; filename="zz-last.sh"

#!/bin/sh
echo last
--OUTER
Content-Type: multipart/mixed; boundary="INNER"

--INNER
Content-Type: text/cloud-config
Content-Transfer-Encoding: base64

`+encoded("#cloud-config\nruncmd: [ 'echo replaced' ]\nwrite_files: [{path: /a, content: a}]\n")+`
--INNER
Content-Type: text/plain

#cloud-config
runcmd: [ 'echo run' ]
--INNER--

--OUTER
Content-Type: text/cloud-config
X-Merge-Type: ignored

#cloud-config
merge_how: "list(append)+dict(recurse_array)+str()"
runcmd: [ 'echo added' ]
--OUTER
Content-Type: text/cloud-boothook

#cloud-boothook
echo hook
--OUTER
Content-Type: text/x-shellscript

#!/bin/sh
echo first
exit 2
--OUTER--
`, "\n", "\r\n"))
	if err == nil || !strings.Contains(err.Error(), "exit status 2") {
		t.Errorf("error is %v, want that of the script that failed", err)
	}
	if want := "hook\nfirst\nrun\nadded\nlast\n"; strings.ReplaceAll(s.output.String(), "\r", "") != want {
		t.Errorf("output is %q, want %q", s.output.String(), want)
	}
	if s.read(t, "/a") != "a" {
		t.Error("the first document's other keys are lost")
	}
}

func TestTemplate(t *testing.T) {
	s := newSystem(t)
	err := s.execute(t, `## template: jinja
#cloud-config
# {# a comment #}
write_files:
- path: /rendered
  content: |
    {{ ds.meta_data.local_hostname }} {{ds.meta_data.instance_id}} {{ v1.local_hostname }} {{ v1.region }}
    {{ "{{ literal }}" }} {{ ds.meta_data.absent }} {{ ds.meta_data.absent|default("spare") }}
    {% raw %}{{ raw }}{% endraw %} {"json": {"a": 1}} ${SHELL}
`)
	if err != nil {
		t.Fatal(err)
	}
	want := "node-1.example.org 11111111-2222-3333-4444-555555555555 node-1 da\n" +
		"{{ literal }} CI_MISSING_JINJA_VAR/absent spare\n" +
		"{{ raw }} {\"json\": {\"a\": 1}} ${SHELL}\n"
	if got := s.read(t, "/rendered"); got != want {
		t.Errorf("rendered is\n%s\nwant\n%s", got, want)
	}
}

func TestUsersAndHostname(t *testing.T) {
	s := newSystem(t)
	err := s.execute(t, `#cloud-config
hostname: worker
fqdn: worker.example.org
ssh_authorized_keys: [ "ssh-rsa BBBB me" ]
groups: [ operators, { admins: [ ubuntu ] } ]
users:
- default
- name: capi
  gecos: Cluster API
  groups: sudo, operators
  shell: /bin/sh
  lock_passwd: true
  sudo: ALL=(ALL) NOPASSWD:ALL
  ssh_authorized_keys:
  - ssh-ed25519 CCCC capi
- ubuntu
`)
	if err != nil {
		t.Fatal(err)
	}
	if s.hostname != "worker" || s.read(t, "/etc/hostname") != "worker\n" || !strings.Contains(s.read(t, "/etc/hosts"), "127.0.1.1 worker.example.org worker\n") {
		t.Errorf("host name is %q, files %q, %q", s.hostname, s.read(t, "/etc/hostname"), s.read(t, "/etc/hosts"))
	}
	if passwd := s.read(t, "/etc/passwd"); !strings.HasSuffix(passwd, "\ncapi:x:1001:1003:Cluster API:/home/capi:/bin/sh\n") || strings.Count(passwd, "\nubuntu:") != 1 {
		t.Errorf("passwd is %q", passwd)
	}
	for _, line := range []string{"sudo:x:27:capi\n", "operators:x:1001:capi\n", "admins:x:1002:ubuntu\n", "capi:x:1003:\n"} {
		if group := s.read(t, "/etc/group"); !strings.Contains(group, line) {
			t.Errorf("group is %q, want %q in it", group, line)
		}
	}
	if keys := s.read(t, "/root/.ssh/authorized_keys"); keys != "ssh-ed25519 AAAA project\nssh-rsa BBBB me\n" {
		t.Errorf("root's keys are %q", keys)
	}
	if keys := s.read(t, "/home/capi/.ssh/authorized_keys"); keys != "ssh-ed25519 CCCC capi\n" {
		t.Errorf("capi's keys are %q", keys)
	}
	if info, err := os.Stat(filepath.Join(s.root, "/home/capi/.ssh")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory of keys: %v, %v", info, err)
	}
	if !strings.Contains(s.console.String(), "capi was made in name only") {
		t.Errorf("console is %q", s.console.String())
	}
}

func TestNoUserData(t *testing.T) {
	s := newSystem(t)
	if err := s.execute(t, ""); err != nil {
		t.Fatal(err)
	}
	if keys := s.read(t, "/root/.ssh/authorized_keys"); keys != "ssh-ed25519 AAAA project\n" {
		t.Errorf("root's keys are %q", keys)
	}
}
