// Package components puts the manifests of the manager together, from those in config/ and those in Cluster API's Go module:
// provider-components.yaml, which has everything a bootstrap cluster needs in one process, and one file for each provider in
// the shape that clusterctl installs.
package components

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// Names that config/ and internal/capi/manager use too.
const (
	namespace        = "cluster-api-provider-packet-system"
	managerContainer = "manager"

	providerLabel = "cluster.x-k8s.io/provider"
	providerName  = "infrastructure-packet"
	// clusterctlLabel is how clusterctl knows what it may move and delete.
	clusterctlLabel = "clusterctl.cluster.x-k8s.io"
	// injectLabel makes the manager write the certificate of its webhooks into an object. The value is its Service.
	injectLabel = "infrastructure.cluster.x-k8s.io/inject-webhook-ca"
)

// Manifests are objects, in the order in which they are to be applied.
type Manifests []*unstructured.Unstructured

// Build puts the manifests of the one process together that runs all providers. The first file system is Cluster API's
// module, the second our config folder.
func Build(upstream, ours fs.FS, image string) (Manifests, error) {
	all, err := build(upstream, ours, image, infrastructure, Providers())
	if err != nil {
		return nil, err
	}
	for _, object := range all {
		addLabels(object, map[string]string{clusterctlLabel: ""})
	}
	return all, checkComplete(all, map[string]int{
		"Namespace": 1, "CustomResourceDefinition": 20, "Deployment": 1, "Service": 1, "ClusterRole": 1,
		"MutatingWebhookConfiguration": 1, "ValidatingWebhookConfiguration": 1,
	})
}

// BuildProvider puts the manifests of one provider together, in the shape that clusterctl installs: one Namespace, one
// Deployment, and variables with defaults.
func BuildProvider(upstream, ours fs.FS, image string, provider Provider) (Manifests, error) {
	all, err := build(upstream, ours, image, provider, []Provider{provider})
	if err != nil {
		return nil, err
	}
	if err := provider.deploy(all); err != nil {
		return nil, err
	}
	return all, checkComplete(all, map[string]int{
		"Namespace": 1, "CustomResourceDefinition": 2, "Deployment": 1, "Service": 1, "ClusterRole": 1, "ValidatingWebhookConfiguration": 1,
	})
}

// build makes the manifests of a process that runs some providers and has the names of one of them.
func build(upstream, ours fs.FS, image string, named Provider, providers []Provider) (Manifests, error) {
	own, err := readFolders(ours, "namespace", "rbac", "webhook", "manager")
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(providers, func(p Provider) bool { return p.Name == infrastructure.Name }) {
		dropWebhooks(own)
	} else if len(providers) == 1 {
		own = append(own, credentials())
	}
	named.rename(own)
	if err := mergeRoles(upstream, ours, own, providers); err != nil {
		return nil, err
	}
	if own, err = mergeWebhooks(upstream, own, named, providers); err != nil {
		return nil, err
	}
	if err := setImage(own, image); err != nil {
		return nil, err
	}
	definitions, err := customResourceDefinitions(upstream, ours, named, providers)
	if err != nil {
		return nil, err
	}
	all := append(own, definitions...)
	if len(providers) == 1 {
		all = append(all, named.aggregated()...)
	}
	for _, object := range all {
		addLabels(object, map[string]string{providerLabel: named.Label})
	}
	slices.SortStableFunc(all, func(a, b *unstructured.Unstructured) int { return rank(a) - rank(b) })
	return all, nil
}

// rank is the order of kinds: what others live in, refer to or are made of comes first.
func rank(object *unstructured.Unstructured) int {
	order := []string{
		"Namespace", "CustomResourceDefinition", "ServiceAccount", "Secret", "ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding",
		"Service", "Deployment", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration",
	}
	return slices.Index(order, object.GetKind())
}

// checkComplete makes sure that an upgrade of Cluster API that moves its manifests does not go unnoticed.
func checkComplete(all Manifests, least map[string]int) error {
	count := map[string]int{}
	for _, object := range all {
		if rank(object) < 0 {
			return fmt.Errorf("%s %s is of a kind that this program does not know where to put", object.GetKind(), object.GetName())
		}
		count[object.GetKind()]++
	}
	for kind, least := range least {
		if count[kind] < least {
			return fmt.Errorf("found %d of kind %s, expected at least %d", count[kind], kind, least)
		}
	}
	if count["Namespace"] > 1 || count["Deployment"] > 1 {
		return fmt.Errorf("found %d Namespaces and %d Deployments, clusterctl wants one of each", count["Namespace"], count["Deployment"])
	}
	return nil
}

func setImage(objects Manifests, image string) error {
	for _, object := range objects {
		if object.GetKind() != "Deployment" {
			continue
		}
		containers, _, err := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "containers")
		if err != nil {
			return fmt.Errorf("reading the containers of the Deployment: %w", err)
		}
		for _, container := range containers {
			if c, ok := container.(map[string]any); ok && c["name"] == managerContainer {
				c["image"] = image
				return unstructured.SetNestedSlice(object.Object, containers, "spec", "template", "spec", "containers")
			}
		}
	}
	return fmt.Errorf("no Deployment has a container %q", managerContainer)
}

func addLabels(object *unstructured.Unstructured, labels map[string]string) {
	all := maps.Clone(object.GetLabels())
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, labels)
	object.SetLabels(all)
}

// readFolders reads every object in every YAML file of some folders.
func readFolders(files fs.FS, folders ...string) (Manifests, error) {
	var objects Manifests
	for _, folder := range folders {
		names, err := fs.Glob(files, path.Join(folder, "*.yaml"))
		if err != nil {
			return nil, fmt.Errorf("listing %s: %w", folder, err)
		}
		if len(names) == 0 {
			return nil, fmt.Errorf("folder %s has no manifests", folder)
		}
		for _, name := range names {
			found, err := readFile(files, name)
			if err != nil {
				return nil, err
			}
			objects = append(objects, found...)
		}
	}
	return objects, nil
}

func readFile(files fs.FS, name string) (Manifests, error) {
	file, err := files.Open(name)
	if err != nil {
		return nil, fmt.Errorf("opening a manifest: %w", err)
	}
	defer func() { _ = file.Close() }() // It was only read.
	var objects Manifests
	for decoder := utilyaml.NewYAMLOrJSONDecoder(file, 4096); ; {
		content := map[string]any{}
		switch err := decoder.Decode(&content); {
		case errors.Is(err, io.EOF):
			return objects, nil
		case err != nil:
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		if len(content) > 0 {
			objects = append(objects, &unstructured.Unstructured{Object: content})
		}
	}
}

// Header is what provider-components.yaml begins with.
const Header = "# Made by `make components`: everything a bootstrap cluster needs to make clusters on Packet.\n" +
	"# Apply it, and create Secret packet-api-credentials in namespace " + namespace + "\n" +
	"# with the keys apiURL, apiToken and projectID.\n"

// Header is what the provider's file begins with.
func (p Provider) Header() string {
	return "# Made by `make components`: provider " + p.Label + ", to be installed by clusterctl.\n"
}

// Write writes the objects as a stream of YAML documents below a comment.
func (m Manifests) Write(to io.Writer, header string) error {
	if _, err := io.WriteString(to, header); err != nil {
		return fmt.Errorf("writing manifests: %w", err)
	}
	for _, object := range m {
		text, err := yaml.Marshal(object.Object)
		if err != nil {
			return fmt.Errorf("encoding %s %s: %w", object.GetKind(), object.GetName(), err)
		}
		if _, err := io.WriteString(to, "---\n"+strings.TrimRight(string(text), "\n")+"\n"); err != nil {
			return fmt.Errorf("writing manifests: %w", err)
		}
	}
	return nil
}
