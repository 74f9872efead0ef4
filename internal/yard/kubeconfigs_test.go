package yard

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/packetyard/packetyard/internal/yard/statedir"
)

// TestClustersOfOneNameShareNoKubeconfig: a file that was named after the
// cluster alone held the kubeconfig of whichever cluster was written last.
func TestClustersOfOneNameShareNoKubeconfig(t *testing.T) {
	dir, err := statedir.Create(filepath.Join(t.TempDir(), "yard"))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{clusterName("default", "demo"), clusterName("team-a", "demo"), clusterName("team-b", "demo")}
	for _, name := range names {
		if err := statedir.WriteFile(dir.Kubeconfig(name), []byte(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := statedir.WriteFile(dir.BootstrapKubeconfig(), nil); err != nil {
		t.Fatal(err)
	}
	written, err := writtenKubeconfigs(dir)
	slices.Sort(written)
	if want := []string{"demo", "team-a/demo", "team-b/demo"}; err != nil || !slices.Equal(written, want) {
		t.Errorf("kubeconfigs of %q, %v; want %q", written, err, want)
	}
	for _, name := range written {
		path, err := KubeconfigPath(t.Context(), dir, name)
		if err != nil || path != dir.Kubeconfig(name) {
			t.Errorf("%s: %s, %v", name, path, err)
		}
	}
}
