package main

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

var none v1.Hash

func TestCDPushesBranchAndCommit(t *testing.T) {
	w := newWorld(t)
	commit := w.state().Commit
	ccm, ccmDigest := w.image("ccm", commit)
	manager, managerDigest := w.image("manager", commit)
	w.variables["CONFIRM"], w.variables["BRANCH_NAME"] = "true", "main"
	w.run([]string{"cd", ccm, manager})
	for _, tag := range []string{"main", commit} {
		w.expect("packetyard/ccm:"+tag, ccmDigest)
		w.expect("packetyard/manager:"+tag, managerDigest)
		if line := "pushed " + w.host + "/packetyard/ccm:" + tag + ", " + ccmDigest.String() + ", for linux/amd64, linux/arm64\n"; !strings.Contains(w.out.String(), line) {
			t.Errorf("it said %q, want %q among it", w.out.String(), line)
		}
	}
	w.expect("packetyard/ccm:latest", none)

	// The branch moves on.
	w.commit()
	next := w.state().Commit
	ccm, nextDigest := w.image("ccm", next)
	w.run([]string{"cd", ccm})
	w.expect("packetyard/ccm:main", nextDigest)
	w.expect("packetyard/ccm:"+next, nextDigest)
	w.expect("packetyard/ccm:"+commit, ccmDigest)
}

func TestReleaseStaysWhatItIs(t *testing.T) {
	w := newWorld(t)
	commit := w.state().Commit
	w.git("tag", "v1.2.3")
	ccm, digest := w.image("ccm", commit)
	w.variables["CONFIRM"], w.variables["RELEASE_TAG"] = "true", "v1.2.3"
	w.run([]string{"release", ccm})
	w.expect("packetyard/ccm:v1.2.3", digest)
	// A pipeline that is run again.
	w.run([]string{"release", ccm})
	w.expect("packetyard/ccm:v1.2.3", digest)

	manager, _ := w.image("manager", commit)
	ccm, other := w.image("ccm", commit)
	w.run([]string{"release", manager, ccm}, "/packetyard/ccm:v1.2.3 is there already", digest.String(), other.String(), "RELEASE_TAG")
	w.expect("packetyard/ccm:v1.2.3", digest)
	w.expect("packetyard/manager:v1.2.3", none)
}

// TestReleaseOfACommitWithoutTag is the seed's example: a version is pushed
// from the current commit.
func TestReleaseOfACommitWithoutTag(t *testing.T) {
	w := newWorld(t)
	ccm, digest := w.image("ccm", w.state().Commit)
	w.variables["CONFIRM"], w.variables["RELEASE_TAG"] = "true", "v1.2.3-rc.1"
	w.run([]string{"release", ccm})
	w.expect("packetyard/ccm:v1.2.3-rc.1", digest)
}

func TestReleaseOfAnotherCommitThanTheTag(t *testing.T) {
	w := newWorld(t)
	first := w.state().Commit
	w.git("tag", "-a", "-m", "The first", "v1.2.3")
	w.commit()
	ccm, _ := w.image("ccm", w.state().Commit)
	w.variables["CONFIRM"], w.variables["RELEASE_TAG"] = "true", "v1.2.3"
	w.run([]string{"release", ccm}, `RELEASE_TAG is "v1.2.3"`, first, w.state().Commit)
	w.expect("packetyard/ccm:v1.2.3", none)
}

// TestPushRefuses is all that is found before a registry is asked anything.
func TestPushRefuses(t *testing.T) {
	long := strings.Repeat("b", 129)
	for _, test := range []struct {
		what      string
		variables map[string]string
		wants     []string
	}{
		{"cd", nil, []string{`CONFIRM is ""`, "CONFIRM=true", `BRANCH_NAME is ""`, "BRANCH_NAME=main"}},
		{"cd", map[string]string{"CONFIRM": "true"}, []string{"make cd", `BRANCH_NAME is ""`}},
		{"cd", map[string]string{"CONFIRM": "yes", "BRANCH_NAME": "main"}, []string{`CONFIRM is "yes"`}},
		{"cd", map[string]string{"CONFIRM": "true", "BRANCH_NAME": "feature/a"}, []string{`BRANCH_NAME is "feature/a"`, "letters, digits"}},
		{"cd", map[string]string{"CONFIRM": "true", "BRANCH_NAME": "-a"}, []string{`BRANCH_NAME is "-a"`}},
		{"cd", map[string]string{"CONFIRM": "true", "BRANCH_NAME": long}, []string{long, "128"}},
		{"cd", map[string]string{"CONFIRM": "true", "BRANCH_NAME": "v1.2.3"}, []string{`BRANCH_NAME is "v1.2.3"`, "make release"}},
		{"release", nil, []string{`CONFIRM is ""`, `RELEASE_TAG is ""`, "v1.2.3-rc.1"}},
		{"release", map[string]string{"CONFIRM": "TRUE", "RELEASE_TAG": "v1.2.3"}, []string{`CONFIRM is "TRUE"`}},
		{"release", map[string]string{"CONFIRM": "true", "RELEASE_TAG": "1.2.3"}, []string{`RELEASE_TAG is "1.2.3"`, "vMAJOR.MINOR.PATCH"}},
		{"release", map[string]string{"CONFIRM": "true", "RELEASE_TAG": "v1.2"}, []string{`RELEASE_TAG is "v1.2"`}},
		{"release", map[string]string{"CONFIRM": "true", "RELEASE_TAG": "v1.2.3+4"}, []string{"build metadata"}},
		{"release", map[string]string{"CONFIRM": "true", "RELEASE_TAG": "v01.2.3"}, []string{`"v01.2.3"`}},
		{"release", map[string]string{"CONFIRM": "true", "RELEASE_TAG": "v1.2.3\nv1.2.4"}, []string{`RELEASE_TAG is "v1.2.3\nv1.2.4"`}},
		{"promote", nil, []string{`"promote"`, "cd, prerelease and release"}},
	} {
		w := newWorld(t)
		w.variables = test.variables
		ccm, _ := w.image("ccm", w.state().Commit)
		w.run([]string{test.what, ccm}, test.wants...)
		if count := w.requests.Load(); count != 0 {
			t.Errorf("%s with %v asked the registry %d times", test.what, test.variables, count)
		}
	}
}

// TestPushOfTheWrongImage pushes nothing if one of the images is wrong.
func TestPushOfTheWrongImage(t *testing.T) {
	w := newWorld(t)
	first := w.state().Commit
	w.commit()
	commit := w.state().Commit
	good, _ := w.image("good", commit)
	stale, _ := w.image("stale", first)
	dirty, _ := w.image("dirty", commit+"-dirty")
	nameless, _ := w.image("nameless", "")
	w.write("dist/images/torn.oci.tar", w.read("dist/images/good.oci.tar")[:700])
	w.variables = map[string]string{"CONFIRM": "true", "BRANCH_NAME": "main"}
	for argument, wants := range map[string][]string{
		stale:    {"stale.oci.tar", first, commit, "make ci"},
		dirty:    {"dirty.oci.tar", "not committed"},
		nameless: {"nameless.oci.tar", "Git checkout"},
		"dist/images/torn.oci.tar=" + w.host + "/torn":       {"torn.oci.tar"},
		"dist/images/missing.oci.tar=" + w.host + "/missing": {"missing.oci.tar is not there", "make ci"},
		"dist/images/good.oci.tar=Not A Name":                {`"Not A Name"`},
		"good":                                               {`"good"`},
	} {
		w.run([]string{"cd", good, argument}, wants...)
	}
	w.run([]string{"cd"}, "IMAGES is empty")
	if count := w.requests.Load(); count != 0 {
		t.Errorf("the registry was asked %d times", count)
	}
}

func TestWrongPassword(t *testing.T) {
	w := newWorld(t)
	ccm, _ := w.image("ccm", w.state().Commit)
	w.login(password + "-2")
	w.variables = map[string]string{"CONFIRM": "true", "RELEASE_TAG": "v1.2.3"}
	w.run([]string{"release", ccm}, "pushing "+w.host+"/packetyard/ccm:v1.2.3", "401")
}

// TestArchiveStaysInItsFolder unpacks what somebody with bad intentions made.
func TestArchiveStaysInItsFolder(t *testing.T) {
	parent := t.TempDir()
	inner := filepath.Join(parent, "inner")
	if err := os.Mkdir(inner, 0o700); err != nil {
		t.Fatal(err)
	}
	var content bytes.Buffer
	writer := tar.NewWriter(&content)
	err := writer.WriteHeader(&tar.Header{Name: "../outside", Mode: 0o644, Size: 1, Typeflag: tar.TypeReg})
	if err == nil {
		_, err = writer.Write([]byte("x"))
	}
	if err == nil {
		err = writer.Close()
	}
	file := filepath.Join(t.TempDir(), "bad.oci.tar")
	if err == nil {
		err = os.WriteFile(file, content.Bytes(), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readArchive(file, inner); err == nil || !strings.Contains(err.Error(), "escapes") {
		t.Errorf("the error is %v", err)
	}
	if entries, err := os.ReadDir(parent); err != nil || len(entries) != 1 {
		t.Errorf("beside the folder there are %v, %v", entries, err)
	}
}
