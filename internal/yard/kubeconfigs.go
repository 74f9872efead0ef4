package yard

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/packetyard/packetyard/internal/yard/clusterfile"
	"github.com/packetyard/packetyard/internal/yard/statedir"
	"github.com/packetyard/packetyard/internal/yard/supervisor"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// KubeconfigPath returns the path of a cluster's kubeconfig. The empty name
// means the only workload cluster, and "bootstrap" the yard's own. A cluster
// that was made without `up` is asked for, and its kubeconfig written.
func KubeconfigPath(ctx context.Context, dir statedir.Dir, cluster string) (string, error) {
	if cluster == bootstrapCluster {
		return existing(dir.BootstrapKubeconfig(), "the bootstrap cluster has no kubeconfig yet: run `packetyard up`")
	}
	known, err := writtenKubeconfigs(dir)
	if err != nil {
		return "", err
	}
	// Only the bootstrap cluster knows of others, and it may be down.
	problem := writeKubeconfigs(ctx, dir)
	if after, err := writtenKubeconfigs(dir); err == nil {
		known = after
	}
	switch {
	case cluster == "" && len(known) == 1:
		return dir.Kubeconfig(known[0]), nil
	case cluster == "" && len(known) == 0:
		return "", errors.Join(errors.New("there is no cluster yet: run `packetyard up`, or ask for `packetyard kubeconfig bootstrap`"), problem)
	case cluster == "":
		return "", fmt.Errorf("there are several clusters; name one of them: %s", strings.Join(known, ", "))
	case slices.Contains(known, cluster):
		return dir.Kubeconfig(cluster), nil
	}
	return "", errors.Join(fmt.Errorf("there is no cluster %q; there are: %s", cluster, strings.Join(append(known, bootstrapCluster), ", ")), problem)
}

func existing(path, otherwise string) (string, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", errors.New(otherwise)
	}
	return path, nil
}

// writtenKubeconfigs returns the names of the workload clusters whose
// kubeconfig is in the state directory.
func writtenKubeconfigs(dir statedir.Dir) ([]string, error) {
	names, err := dir.Kubeconfigs()
	return slices.DeleteFunc(names, func(name string) bool { return name == bootstrapCluster }), err
}

// clusterName is what users call a cluster: its name, with its namespace in
// front unless that is the default one. Clusters of one name may be in several
// namespaces.
func clusterName(namespace, name string) string {
	if namespace == metav1.NamespaceDefault || namespace == "" {
		return name
	}
	return namespace + "/" + name
}

// writeKubeconfigs writes the kubeconfig of every cluster that the bootstrap
// cluster knows, and removes those of clusters that it does not know any more.
func writeKubeconfigs(ctx context.Context, dir statedir.Dir) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	report, _, err := supervisor.ReadReport(dir)
	if err != nil {
		return err
	}
	scheme, err := clusterfile.NewScheme()
	if err != nil {
		return err
	}
	bootstrap, err := kubeClientAt(dir.BootstrapKubeconfig(), scheme)
	if err != nil {
		return err
	}
	var clusters clusterv1.ClusterList
	if err := bootstrap.List(ctx, &clusters); err != nil {
		return fmt.Errorf("asking the bootstrap cluster for its clusters: %w", err)
	}
	present := map[string]bool{}
	for _, cluster := range clusters.Items {
		name := clusterName(cluster.Namespace, cluster.Name)
		present[name] = true
		kubeconfig, err := clusterKubeconfig(ctx, bootstrap, client.ObjectKeyFromObject(&cluster))
		if errors.Is(err, errNoKubeconfig) {
			continue
		}
		if err != nil {
			return err
		}
		if err := writeKubeconfig(dir.Kubeconfig(name), kubeconfig, report.ProxyURL()); err != nil {
			return err
		}
	}
	written, err := writtenKubeconfigs(dir)
	if err != nil {
		return err
	}
	for _, name := range written {
		if !present[name] {
			if err := os.Remove(dir.Kubeconfig(name)); err != nil {
				return fmt.Errorf("removing the kubeconfig of a cluster that is gone: %w", err)
			}
		}
	}
	return nil
}
