// Package components puts provider-components.yaml together: everything a bootstrap cluster needs to make clusters on Packet,
// from the manifests in config/ and those in Cluster API's Go module.
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
	webhookService   = "cluster-api-provider-packet-webhook-service"
	managerContainer = "manager"

	providerLabel = "cluster.x-k8s.io/provider"
	providerName  = "infrastructure-packet"
	// injectLabel makes the manager write the certificate of its webhooks into an object.
	injectLabel = "infrastructure.cluster.x-k8s.io/inject-webhook-ca"
)

// upstreamManagers are the folders of Cluster API's managers that are merged into ours.
var upstreamManagers = []string{"core/config", "bootstrap/kubeadm/config", "controlplane/kubeadm/config"}

// Manifests are objects, in the order in which they are to be applied.
type Manifests []*unstructured.Unstructured

// Build puts all manifests together. The first file system is Cluster API's module, the second our config folder.
func Build(upstream, ours fs.FS, image string) (Manifests, error) {
	var all Manifests
	definitions, err := customResourceDefinitions(upstream, ours)
	if err != nil {
		return nil, err
	}
	own, err := readFolders(ours, "namespace", "rbac", "webhook", "manager")
	if err != nil {
		return nil, err
	}
	if err := mergeRoles(upstream, own); err != nil {
		return nil, err
	}
	if err := mergeWebhooks(upstream, own); err != nil {
		return nil, err
	}
	if err := setImage(own, image); err != nil {
		return nil, err
	}
	all = append(all, own...)
	all = append(all, definitions...)
	for _, object := range all {
		addLabels(object, map[string]string{providerLabel: providerName})
	}
	slices.SortStableFunc(all, func(a, b *unstructured.Unstructured) int { return rank(a) - rank(b) })
	return all, checkComplete(all)
}

// rank is the order of kinds: what others live in, refer to or are made of comes first.
func rank(object *unstructured.Unstructured) int {
	order := []string{
		"Namespace", "CustomResourceDefinition", "ServiceAccount", "ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding",
		"Service", "Deployment", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration",
	}
	return slices.Index(order, object.GetKind())
}

// checkComplete makes sure that an upgrade of Cluster API that moves its manifests does not go unnoticed.
func checkComplete(all Manifests) error {
	count := map[string]int{}
	for _, object := range all {
		if rank(object) < 0 {
			return fmt.Errorf("%s %s is of a kind that this program does not know where to put", object.GetKind(), object.GetName())
		}
		count[object.GetKind()]++
	}
	for kind, least := range map[string]int{
		"Namespace": 1, "CustomResourceDefinition": 20, "Deployment": 1, "Service": 1, "ClusterRole": 1,
		"MutatingWebhookConfiguration": 1, "ValidatingWebhookConfiguration": 1,
	} {
		if count[kind] < least {
			return fmt.Errorf("found %d of kind %s, expected at least %d", count[kind], kind, least)
		}
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

// Write writes the objects as a stream of YAML documents.
func (m Manifests) Write(to io.Writer) error {
	header := "# Made by `make components`: everything a bootstrap cluster needs to make clusters on Packet.\n" +
		"# Apply it, and create Secret packet-api-credentials in namespace " + namespace + "\n" +
		"# with the keys apiURL, apiToken and projectID.\n"
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
