package main

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/packetyard/packetyard/hack/checkout"
)

const (
	user     = "robot"
	password = "not-to-be-seen"
)

// world is a repository with a commit, and a registry that asks for a password.
type world struct {
	t         *testing.T
	dir       string
	host      string
	requests  atomic.Int64
	variables map[string]string
	out       bytes.Buffer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), variables: map[string]string{}}
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		w.requests.Add(1)
		if name, word, ok := request.BasicAuth(); !ok || name != user || word != password {
			answer.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			answer.WriteHeader(http.StatusUnauthorized)
			return
		}
		images.ServeHTTP(answer, request)
	}))
	t.Cleanup(server.Close)
	w.host = strings.TrimPrefix(server.URL, "http://")
	w.login(password)

	w.write("README.md", "# A project\n\nLatest release: none yet.\n\n`kubectl apply -f deploy/release/v0.9.0/packet-cloud-controller-manager.yaml`, and so on.\n")
	w.write(".gitignore", "/dist/\n")
	charts := filepath.Join("..", "..", "charts")
	if err := os.CopyFS(filepath.Join(w.dir, "charts"), os.DirFS(charts)); err != nil {
		t.Fatal(err)
	}
	w.git("init", "-q", "-b", "main")
	w.commit()
	return w
}

// login is what docker login writes.
func (w *world) login(word string) {
	w.t.Helper()
	home := w.t.TempDir()
	w.t.Setenv("DOCKER_CONFIG", home)
	config := fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, w.host, base64.StdEncoding.EncodeToString([]byte(user+":"+word)))
	if err := os.WriteFile(filepath.Join(home, "config.json"), []byte(config), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) write(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) read(name string) string {
	w.t.Helper()
	data, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(data)
}

func (w *world) git(arguments ...string) {
	w.t.Helper()
	command := exec.CommandContext(w.t.Context(), "git", append([]string{"-c", "user.name=Test", "-c", "user.email=test@example.com"}, arguments...)...)
	command.Dir = w.dir
	if out, err := command.CombinedOutput(); err != nil {
		w.t.Fatalf("git %v: %v\n%s", arguments, err, out)
	}
}

func (w *world) commit() {
	w.t.Helper()
	w.git("add", "-A")
	w.git("commit", "-q", "--allow-empty", "-m", "A change")
}

func (w *world) state() checkout.State {
	w.t.Helper()
	state, err := checkout.Read(w.t.Context(), w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	return state
}

// image writes an image as `make ci` does, from a revision, and returns the
// argument that names it and its digest.
func (w *world) image(name, revision string) (string, v1.Hash) {
	w.t.Helper()
	var index v1.ImageIndex = empty.Index
	for _, architecture := range []string{"amd64", "arm64"} {
		image, err := random.Image(100, 1)
		if err != nil {
			w.t.Fatal(err)
		}
		platform := &v1.Platform{OS: "linux", Architecture: architecture}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: platform}})
	}
	index = mutate.Annotations(index, map[string]string{revisionKey: revision}).(v1.ImageIndex)
	digest, err := index.Digest()
	if err != nil {
		w.t.Fatal(err)
	}
	dir := w.t.TempDir()
	path, err := layout.Write(dir, empty.Index)
	if err == nil {
		err = path.AppendIndex(index)
	}
	var content bytes.Buffer
	if err == nil {
		writer := tar.NewWriter(&content)
		if err = writer.AddFS(os.DirFS(dir)); err == nil {
			err = writer.Close()
		}
	}
	if err != nil {
		w.t.Fatal(err)
	}
	file := "dist/images/" + name + ".oci.tar"
	w.write(file, content.String())
	return fmt.Sprintf("%s=%s/packetyard/%s:latest", file, w.host, name), digest
}

// run runs the command, and expects an error with all texts if there are any.
func (w *world) run(arguments []string, wants ...string) {
	w.t.Helper()
	w.out.Reset()
	err := job{dir: w.dir, variable: func(name string) string { return w.variables[name] }, out: &w.out}.run(w.t.Context(), arguments)
	if len(wants) == 0 {
		if err != nil {
			w.t.Fatalf("%v: %v", arguments, err)
		}
		return
	}
	if err == nil {
		w.t.Fatalf("%v with %v: there is no error; it said: %s", arguments, w.variables, w.out.String())
	}
	for _, want := range wants {
		if !strings.Contains(err.Error(), want) {
			w.t.Errorf("%v with %v: the error is %q, want it to have %q", arguments, w.variables, err, want)
		}
	}
	if strings.Contains(err.Error(), password) {
		w.t.Errorf("the error shows the password: %v", err)
	}
}

// expect sees to it that the registry has an index under a name. The zero hash
// is none.
func (w *world) expect(image string, digest v1.Hash) {
	w.t.Helper()
	named, err := parseRepository(w.host + "/" + image)
	if err != nil {
		w.t.Fatal(err)
	}
	_, tag, _ := strings.Cut(image, ":")
	found, err := remote.Head(named.Tag(tag), remote.WithAuthFromKeychain(authn.DefaultKeychain))
	if unknown(err) && digest == (v1.Hash{}) {
		return
	}
	if err != nil || found.Digest != digest || !found.MediaType.IsIndex() {
		w.t.Errorf("%s is %v, %v, want %v", image, found, err, digest)
	}
}
