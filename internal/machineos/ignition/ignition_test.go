package ignition_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/machineos/ignition"
	"github.com/packetyard/packetyard/internal/machineos/kubernetes"
	"github.com/packetyard/packetyard/internal/machineos/units"
)

// system is a root directory and what was said while user data ran in it.
type system struct {
	*testing.T
	root, image string
	console     strings.Builder
	output      bytes.Buffer
	hostname    string
	stages      []string
}

func newSystem(t *testing.T) *system {
	t.Helper()
	s := &system{T: t, root: t.TempDir(), image: t.TempDir()}
	s.write(s.root, "/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n")
	s.write(s.root, "/etc/group", "root:x:0:\nsudo:x:27:\n")
	for name, content := range map[string]string{"kube": "", "kubernetes/default": "v1.36.4", "kubernetes/v1.35.4/kube": ""} {
		s.write(s.image, name, content)
	}
	return s
}

func (s *system) write(directory, name, content string) {
	s.Helper()
	file := filepath.Join(directory, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o755)); err != nil {
		s.Fatal(err)
	}
}

// read returns a file's permissions and content.
func (s *system) read(name string) string {
	s.Helper()
	file := filepath.Join(s.root, name)
	content, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	info, err := os.Stat(file)
	if err != nil {
		s.Fatal(err)
	}
	return fmt.Sprintf("%04o %s", info.Mode().Perm(), content)
}

// execute runs user data with the host's programs.
func (s *system) execute(userData string) error {
	s.Helper()
	printf := func(format string, args ...any) { fmt.Fprintf(&s.console, format+"\n", args...) }
	executor := &ignition.Executor{
		Root: s.root, Image: kubernetes.Image{Directory: s.image}, Programs: "bin", SSHKeys: []string{"ssh-ed25519 AAAA project"},
		HTTP:        &http.Client{Timeout: 10 * time.Second},
		SetHostname: func(name string) error { s.hostname = name; return nil },
		StartUnits: func(ctx context.Context) error {
			manager := units.New(ctx, units.Config{
				Store: units.Store{Root: s.root}, Run: s.run, Output: &s.output, Printf: printf, Now: time.Now,
				Environment: []string{"PATH=" + filepath.Join(s.root, "bin") + ":/usr/bin:/bin"},
				Hostname:    func() string { return "node-1" },
				Builtin:     func(_ context.Context, name string) (bool, error) { return name == "containerd.service", nil },
			})
			return manager.Boot(ctx)
		},
		Stage: func(name string, err error) {
			s.stages = append(s.stages, fmt.Sprintf("%s %t", name, err == nil))
		},
		Printf: printf,
	}
	return executor.Execute(s.Context(), []byte(userData))
}

// run runs a service's command. The paths of the documents are absolute: a
// script's are led below the root directory.
func (s *system) run(ctx context.Context, cmd *exec.Cmd, output io.Writer) error {
	arguments := cmd.Args[1:]
	for i, argument := range arguments {
		if !strings.HasPrefix(argument, "/etc/") {
			continue
		}
		arguments[i] = filepath.Join(s.root, argument)
		content, err := os.ReadFile(arguments[i])
		if err != nil {
			return err
		}
		led := strings.NewReplacer(" /etc/", " "+s.root+"/etc/", " /run/", " "+s.root+"/run/", " /tmp/", " "+s.root+"/tmp/").Replace(string(content))
		if err := os.WriteFile(arguments[i], []byte(led), 0o700); err != nil {
			return err
		}
	}
	running := exec.CommandContext(ctx, cmd.Path, arguments...)
	running.Env, running.Dir, running.Stdout, running.Stderr = cmd.Env, s.root, output, output
	return running.Run()
}

func packed(text string) []byte {
	var buffer bytes.Buffer
	writer := gzip.NewWriter(&buffer)
	_, _ = writer.Write([]byte(text))
	_ = writer.Close()
	return buffer.Bytes()
}

func sum(content []byte) string { return fmt.Sprintf("sha512-%x", sha512.Sum512(content)) }

func inline(text string) string { return "data:," + url.PathEscape(text) }

func document(t *testing.T, parts map[string]any) string {
	t.Helper()
	encoded, err := json.Marshal(parts)
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}

type object = map[string]any

func TestVersion3(t *testing.T) {
	s := newSystem(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/motd.gz" || r.Header.Get("X-Token") != "abc" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write(packed("hello\n"))
	}))
	defer server.Close()
	s.write(s.root, "/etc/hosts", "127.0.0.1 localhost\n")
	s.write(s.root, "/etc/old", "old")
	err := s.execute(document(t, object{
		"ignition": object{"version": "3.4.0", "config": object{"merge": []object{{
			"source": inline(`{"ignition":{"version":"3.1.0"},"storage":{"files":[{"path":"/etc/merged","contents":{"source":"data:,merged"}}]}}`),
		}}}},
		"kernelArguments": object{"shouldExist": []string{"quiet"}},
		"passwd": object{
			"groups": []object{{"name": "operators", "gid": 1500}},
			"users":  []object{{"name": "core", "groups": []string{"operators"}, "sshAuthorizedKeys": []string{"ssh-ed25519 BBBB own"}}, {"name": "agent", "uid": 1600, "homeDir": "/srv/agent"}},
		},
		"storage": object{
			"disks":       []object{{"device": "/dev/sdb", "partitions": []object{{"number": 1, "label": "data"}}}},
			"filesystems": []object{{"device": "/dev/disk/by-partlabel/data", "path": "/var/lib/data", "format": "ext4"}},
			"directories": []object{{"path": "/opt/bin", "mode": 0o750}},
			"files": []object{
				{"path": "/etc/motd", "mode": 0o600, "contents": object{
					"source": server.URL + "/motd.gz", "compression": "gzip", "httpHeaders": []object{{"name": "X-Token", "value": "abc"}},
					"verification": object{"hash": sum([]byte("hello\n"))},
				}},
				{"path": "/etc/hostname", "contents": object{"source": inline("flatcar-1\n")}},
				{"path": "/etc/hosts", "append": []object{{"source": inline("192.0.2.1 endpoint\n")}}},
				{"path": "/etc/old", "overwrite": true, "user": object{"name": "core"}, "contents": object{"source": "data:;base64," + base64.StdEncoding.EncodeToString([]byte("new"))}},
				{"path": "/etc/empty"},
			},
			"links": []object{{"path": "/etc/link", "target": "motd"}},
		},
		"systemd": object{"units": []object{
			{"name": "hello.service", "enabled": true, "contents": "[Service]\nType=oneshot\nExecStart=/bin/echo hello\n[Install]\nWantedBy=multi-user.target\n",
				"dropins": []object{{"name": "10-more.conf", "contents": "[Service]\nExecStart=/bin/echo more\n"}}},
			{"name": "locksmithd.service", "mask": true},
			{"name": "chronyd.service", "enabled": true},
		}},
	}))
	if err != nil {
		t.Fatalf("%v\n%s", err, s.console.String())
	}
	for name, want := range map[string]string{
		"/etc/motd": "0600 hello\n", "/etc/hostname": "0644 flatcar-1\n", "/etc/hosts": "0755 127.0.0.1 localhost\n192.0.2.1 endpoint\n",
		"/etc/old": "0644 new", "/etc/empty": "0644 ", "/etc/merged": "0644 merged", "/etc/link": "0600 hello\n",
		"/root/.ssh/authorized_keys":      "0600 ssh-ed25519 AAAA project\n",
		"/home/core/.ssh/authorized_keys": "0600 ssh-ed25519 AAAA project\nssh-ed25519 BBBB own\n",
	} {
		if got := s.read(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if s.hostname != "flatcar-1" || s.output.String() != "hello\nmore\n" {
		t.Errorf("host name is %q, output %q", s.hostname, s.output.String())
	}
	if stages := strings.Join(s.stages, ", "); stages != "fetch true, disks true, files true" {
		t.Errorf("stages are %s", stages)
	}
	for name, want := range map[string]string{"/etc/passwd": "agent:x:1600:1502::/srv/agent:/bin/bash", "/etc/group": "operators:x:1500:core"} {
		if got := s.read(name); !strings.Contains(got, want) {
			t.Errorf("%s is %q, want %q in it", name, got, want)
		}
	}
	if info, err := os.Stat(filepath.Join(s.root, "opt/bin")); err != nil || info.Mode().Perm() != 0o750 {
		t.Errorf("/opt/bin is %v, %v", info, err)
	}
	if info, err := os.Stat(filepath.Join(s.root, "var/lib/data")); err != nil || !info.IsDir() {
		t.Errorf("/var/lib/data is %v, %v", info, err)
	}
	for _, want := range []string{"storage.disks[0] (/dev/sdb)", "kernelArguments", "chronyd.service is enabled and has no contents", "/etc/old belongs to core:root in name only"} {
		if !strings.Contains(s.console.String(), want) {
			t.Errorf("the console lacks %q:\n%s", want, s.console.String())
		}
	}
}

func TestVersion2(t *testing.T) {
	s := newSystem(t)
	s.write(s.root, "/etc/old", "old")
	err := s.execute(`{"ignition":{"version":"2.2.0","config":{"append":[{"source":"data:,` + url.PathEscape(
		`{"ignition":{"version":"2.1.0"},"storage":{"files":[{"filesystem":"root","path":"/etc/old","contents":{"source":"data:,newest"},"mode":384}]}}`) + `"}]}},
		"storage":{"filesystems":[{"name":"data","mount":{"device":"/dev/sdb","format":"ext4"}}],
			"files":[{"filesystem":"root","path":"/etc/old","contents":{"source":"data:,new"},"mode":420},
				{"filesystem":"data","path":"/elsewhere","contents":{"source":"data:,x"},"mode":420},
				{"filesystem":"root","path":"/etc/group","append":true,"contents":{"source":"data:,more"},"mode":420}],
			"links":[{"filesystem":"root","path":"/etc/localtime","target":"/usr/share/zoneinfo/UTC"}]},
		"networkd":{"units":[{"name":"00-eth0.network","contents":"[Match]\nName=eth0\n"}]},
		"passwd":{"users":[{"name":"core","create":{"groups":["docker"],"homeDir":"/home/core"},"sshAuthorizedKeys":["ssh-ed25519 CCCC"]}]},
		"systemd":{"units":[{"name":"hello.service","enable":true,"contents":"[Service]\nType=oneshot\nExecStart=/bin/echo hello\n[Install]\nWantedBy=multi-user.target"}]}}`)
	if err != nil {
		t.Fatalf("%v\n%s", err, s.console.String())
	}
	if got := s.read("/etc/old"); got != "0600 newest" {
		t.Errorf("the last of two files of one path is %q", got)
	}
	if got := s.read("/etc/group"); !strings.HasSuffix(got, "more") || !strings.Contains(got, "docker:x:1001:core") && !strings.Contains(got, "docker") {
		t.Errorf("groups are %q", got)
	}
	if _, err := os.Lstat(filepath.Join(s.root, "elsewhere")); err == nil {
		t.Error("a file of another file system was written")
	}
	if s.output.String() != "hello\n" {
		t.Errorf("output is %q", s.output.String())
	}
	for _, want := range []string{"storage.files[1] (/elsewhere), which is on the file system data", "networkd unit 00-eth0.network"} {
		if !strings.Contains(s.console.String(), want) {
			t.Errorf("the console lacks %q:\n%s", want, s.console.String())
		}
	}
}

func TestDocumentsThatAreRefusedChangeNothing(t *testing.T) {
	for userData, want := range map[string]string{
		"#cloud-config\n":                  "no Ignition document",
		"{}":                               "no Ignition document",
		`{"ignition":{"version":"1.0.0"}}`: `ignition.version is "1.0.0", it must be 2.0.0 to 2.4.0 or 3.0.0 to 3.6.0`,
		`{"ignition":{"version":"3.9.0"}}`: "invalid",
		`{"ignition":{"version":"2.9.0"}}`: "invalid",
		`{"ignition":{"version":"3.4.0"},"storage":{"files":[{"path":"/etc/x","contents":{"source":"data:,x"}},{"path":"relative"}]}}`: "$.storage.files.1.path",
		`{"ignition":{"version":"3.4.0"},"storage":{"files":[{"path":"/etc/x","mode":"0644"}]}}`:                                       "invalid",
		`{"ignition":{"version":"3.4.0","config":{"merge":[{"source":"data:,nothing"}]}}}`:                                             "ignition.config.merge[0]",
		`{"ignition":{"version":"2.3.0"},"storage":{"files":[{"filesystem":"disk9","path":"/etc/x","mode":420}]}}`:                     `storage.files[0].filesystem is "disk9"`,
	} {
		s := newSystem(t)
		err := s.execute(userData)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, want %q", userData, err, want)
		}
		if _, err := os.Lstat(filepath.Join(s.root, "etc/x")); err == nil {
			t.Errorf("%s: a file was written", userData)
		}
		if stages := strings.Join(s.stages, ", "); stages != "fetch false" {
			t.Errorf("%s: stages are %s", userData, stages)
		}
	}
}

func TestFilesThatCannotBeWritten(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	const secret = "c2VjcmV0IQ"
	for name, test := range map[string]struct {
		file object
		want string
	}{
		"exists":     {object{"path": "/etc/group", "contents": object{"source": "data:,x"}}, "storage.files[0] (/etc/group): something is there already"},
		"not found":  {object{"path": "/etc/x", "contents": object{"source": server.URL + "/x"}}, "the server answers 404"},
		"wrong hash": {object{"path": "/etc/x", "contents": object{"source": "data:," + secret, "verification": object{"hash": sum([]byte("y"))}}}, "storage.files[0].contents.verification.hash"},
		"not packed": {object{"path": "/etc/x", "contents": object{"source": "data:," + secret, "compression": "gzip"}}, "unpacking gzip"},
		"s3":         {object{"path": "/etc/x", "contents": object{"source": "s3://bucket/x"}}, `has the scheme "s3"`},
		"no version": {object{"path": "/opt/bin/kubeadm", "contents": object{"source": "https://dl.k8s.io/release/v1.20.0/bin/linux/amd64/kubeadm"}}, "does not have Kubernetes v1.20.0, it has v1.35.4, v1.36.4"},
	} {
		s := newSystem(t)
		err := s.execute(document(t, object{"ignition": object{"version": "3.3.0"}, "storage": object{"files": []object{test.file}}}))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error is %v, want %q", name, err, test.want)
		}
		if strings.Contains(fmt.Sprint(err)+s.console.String(), secret) {
			t.Errorf("%s: the content shows in the error or on the console", name)
		}
		if stages := strings.Join(s.stages, ", "); stages != "fetch true, disks true, files false" {
			t.Errorf("%s: stages are %s", name, stages)
		}
	}
}

func TestServerThatIsNotReadyIsAskedAgain(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ready")
	}))
	defer server.Close()
	s := newSystem(t)
	err := s.execute(document(t, object{"ignition": object{"version": "3.3.0"}, "storage": object{"files": []object{
		{"path": "/etc/x", "contents": object{"source": server.URL + "/x"}},
	}}}))
	if err != nil || s.read("/etc/x") != "0644 ready" || asked != 3 {
		t.Errorf("after %d requests the file is %q, %v", asked, s.read("/etc/x"), err)
	}
}

func TestKubernetesIsDownloadedFromTheMachineImage(t *testing.T) {
	image := kubernetes.Image{}
	for name, storage := range map[string]object{
		"programs": {"files": []object{
			{"path": "/opt/bin/kubeadm", "mode": 0o755, "contents": object{"source": "https://dl.k8s.io/release/v1.35.4/bin/linux/amd64/kubeadm", "verification": object{"hash": sum([]byte("x"))}}},
			{"path": "/opt/bin/kubelet", "mode": 0o755, "contents": object{"source": "https://dl.k8s.io/v1.35.4/bin/linux/amd64/kubelet"}},
			{"path": "/opt/bin/kubectl", "mode": 0o755, "contents": object{"source": "https://storage.googleapis.com/kubernetes-release/release/v1.35.4/bin/linux/amd64/kubectl"}},
		}},
		"system extension": {
			"files": []object{{"path": "/opt/extensions/kubernetes/kubernetes-v1.35.4-x86-64.raw", "contents": object{"source": "https://extensions.flatcar.org/extensions/kubernetes-v1.35.4-x86-64.raw"}}},
			"links": []object{{"path": "/etc/extensions/kubernetes.raw", "target": "/opt/extensions/kubernetes/kubernetes-v1.35.4-x86-64.raw", "hard": false}},
		},
	} {
		s := newSystem(t)
		image.Directory = s.image
		if err := s.execute(document(t, object{"ignition": object{"version": "3.3.0"}, "storage": storage})); err != nil {
			t.Errorf("%s: %v\n%s", name, err, s.console.String())
		}
		for _, program := range []string{"kubeadm", "kubelet", "kubectl"} {
			if version, ok := image.Of(filepath.Join(s.root, "bin", program)); !ok || version != "v1.35.4" {
				t.Errorf("%s: %s is of version %s", name, program, version)
			}
		}
	}
}

func FuzzExecute(f *testing.F) {
	f.Add([]byte(`{"ignition":{"version":"3.4.0"},"storage":{"files":[{"path":"/etc/x","contents":{"source":"data:,x"}}]},"systemd":{"units":[{"name":"a.service","enabled":true,"contents":"[Service]\nExecStart=/bin/true"}]}}`))
	f.Add([]byte(`{"ignition":{"version":"2.3.0"},"passwd":{"users":[{"name":"core"}]},"storage":{"links":[{"filesystem":"root","path":"/a","target":"b"}]}}`))
	f.Fuzz(func(t *testing.T, userData []byte) {
		outside := t.TempDir()
		executor := &ignition.Executor{
			Root: filepath.Join(outside, "root"), Image: kubernetes.Image{Directory: outside}, Programs: "bin",
			// Nothing is asked of any server.
			HTTP:        &http.Client{Transport: refusal{}},
			SetHostname: func(string) error { return nil },
			StartUnits:  func(context.Context) error { return nil },
			Printf:      func(string, ...any) {},
		}
		if !ignition.IsConfig(userData) || bytes.Contains(userData, []byte("http")) {
			return
		}
		_ = executor.Execute(t.Context(), userData) // Most documents are refused.
		entries, err := os.ReadDir(outside)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if entry.Name() != "root" {
				t.Errorf("%s was written outside of the root directory", entry.Name())
			}
		}
	})
}

// refusal is a network without any server.
type refusal struct{}

func (refusal) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("there is no network")
}
