package packetmachine_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every example of the page about machine options can be applied as it stands.
func TestExamplesOfTheDocumentationCanBeApplied(t *testing.T) {
	page, err := os.ReadFile("../../../docs/machine-options.md")
	if err != nil {
		t.Fatal(err)
	}
	namespace, dir, count := env.Namespace(t), t.TempDir(), 0
	for rest := string(page); ; count++ {
		_, after, found := strings.Cut(rest, "```yaml\n")
		if !found {
			break
		}
		example, after, found := strings.Cut(after, "```")
		if !found {
			t.Fatal("an example has no end")
		}
		rest = after
		path := filepath.Join(dir, "example.yaml")
		if err := os.WriteFile(path, []byte(example), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := env.Kubectl(t.Context(), "apply", "-n", namespace, "-f", path); err != nil {
			t.Errorf("applying an example: %v\n%s\n%s", err, out, example)
		}
	}
	if count < 8 {
		t.Errorf("%d examples, want those of all tasks", count)
	}
}
