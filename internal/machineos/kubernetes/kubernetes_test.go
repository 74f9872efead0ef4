package kubernetes

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func newImage(t *testing.T, preset string, others ...string) Image {
	t.Helper()
	i := Image{Directory: t.TempDir()}
	write := func(name, content string) {
		t.Helper()
		file := filepath.Join(i.Directory, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	write("kube", "default")
	if preset != "" {
		write("kubernetes/default", preset+"\n")
	}
	for _, other := range others {
		write("kubernetes/"+other+"/kube", other)
	}
	return i
}

func TestVersionsAreSortedByAge(t *testing.T) {
	i := newImage(t, "v1.36.4", "v1.9.11", "v1.35.4", "notes")
	if versions := i.Versions(); !slices.Equal(versions, []string{"v1.9.11", "v1.35.4", "v1.36.4"}) {
		t.Errorf("versions are %v", versions)
	}
}

func TestTagChoosesTheVersion(t *testing.T) {
	i := newImage(t, "v1.36.4", "v1.35.4")
	for tag, want := range map[string]string{
		"v1.36.4": "kube", "v1.35.4": "kubernetes/v1.35.4/kube", "latest": "kube", "": "kube", "3.6.5-0": "kube",
	} {
		if file, err := i.Tagged(tag); err != nil || file != filepath.Join(i.Directory, want) {
			t.Errorf("tag %q is %s, %v; want %s", tag, file, err, want)
		}
	}
	var unknown UnknownVersionError
	if _, err := i.Tagged("v1.34.0"); !errors.As(err, &unknown) || !strings.Contains(err.Error(), "it has v1.35.4, v1.36.4") {
		t.Errorf("an unknown version gives %v", err)
	}
	if _, err := i.Executable("../../etc"); !errors.As(err, &unknown) {
		t.Errorf("a version that is a path gives %v", err)
	}
}

func TestImageThatDoesNotTellItsVersion(t *testing.T) {
	i := newImage(t, "")
	if file, err := i.Tagged("v1.30.0"); err != nil || file != filepath.Join(i.Directory, "kube") {
		t.Errorf("the executable is %s, %v", file, err)
	}
}

func TestSelect(t *testing.T) {
	i := newImage(t, "v1.36.4", "v1.35.4")
	link := filepath.Join(t.TempDir(), "bin", "kubelet")
	if _, ok := i.Of(link); ok {
		t.Error("a link that does not exist leads to a version")
	}
	for _, version := range []string{"v1.36.4", "v1.35.4", "v1.35.4", "v1.36.4"} {
		if err := i.Select(version, link); err != nil {
			t.Fatal(err)
		}
		if selected, ok := i.Of(link); !ok || selected != version {
			t.Errorf("selected is %s, %t; want %s", selected, ok, version)
		}
	}
	if err := i.Select("v1.20.0", link); err == nil {
		t.Error("an unknown version was selected")
	}
	if selected, _ := i.Of(link); selected != "v1.36.4" {
		t.Errorf("after a failure the version is %s", selected)
	}
}
