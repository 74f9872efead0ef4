package sudo

import (
	"bytes"
	"strings"
	"testing"
)

func TestCommand(t *testing.T) {
	for line, want := range map[string]string{
		"apt-get install -y kubelet":               "apt-get install -y kubelet|",
		"-E apt-get update":                        "apt-get update|",
		"-u root -H sh -c id":                      "sh -c id|",
		"DEBIAN_FRONTEND=noninteractive apt-get x": "apt-get x|DEBIAN_FRONTEND=noninteractive",
		"-n -- VAR=x y":                            "VAR=x y|",
		"-i":                                       "/bin/sh|",
		"-v":                                       "|",
		"":                                         "|",
	} {
		command, environment := Command(strings.Fields(line), "/bin/sh")
		if got := strings.Join(command, " ") + "|" + strings.Join(environment, " "); got != want {
			t.Errorf("sudo %s runs %q, want %q", line, got, want)
		}
	}
}

func TestCommandThatDoesNotExist(t *testing.T) {
	var stderr bytes.Buffer
	if code := Run([]string{"no-such-program"}, &stderr); code != 1 || stderr.String() != "sudo: no-such-program: command not found\n" {
		t.Errorf("it ends with %d: %s", code, stderr.String())
	}
}
