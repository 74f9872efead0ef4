package components

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Provider is one of the four parts of the manager as clusterctl installs it: a Deployment of the same image in a namespace
// of its own. Names are those of Cluster API's releases, so that `clusterctl` can put one in place of the other.
type Provider struct {
	// Name is what the manager calls it in --providers.
	Name string
	// Label is the value of the label cluster.x-k8s.io/provider, and the name of the folder in a clusterctl repository.
	Label string
	// File is what the contract of clusterctl calls the manifest.
	File string
	// Namespace is where it is installed unless the user says otherwise.
	Namespace string

	// prefix begins the names of its objects.
	prefix string
	// upstream is the folder of its manifests in Cluster API's module; ours are in config/.
	upstream string
	// aggregate is the label by which other providers add to its rights, as some of Cluster API's do.
	aggregate string
	// arguments are flags of its own.
	arguments []string
	// ports is what is added to the manager's ports, so that the four can share an address: of a machine whose pods have
	// no network of their own, or of one that a user gave them with hostNetwork.
	ports int
}

// WebhookService is the name of the Service in front of its webhooks, in its namespace.
func (p Provider) WebhookService() string { return p.prefix + "webhook-service" }

// WebhookSecret is the name of the Secret with the certificates of its webhooks, in its namespace.
func (p Provider) WebhookSecret() string { return p.prefix + "webhook-cert" }

// infrastructure is also what the process with all four providers goes by.
var infrastructure = Provider{
	Name: "infrastructure", Label: providerName, File: "infrastructure-components.yaml",
	Namespace: namespace, prefix: "cluster-api-provider-packet-",
}

// Providers are the four, in the order in which clusterctl installs them.
func Providers() []Provider {
	return []Provider{
		{
			Name: "core", Label: "cluster-api", File: "core-components.yaml",
			Namespace: "capi-system", prefix: "capi-", upstream: "core/config", ports: 10,
			aggregate: "cluster.x-k8s.io/aggregate-to-manager",
		},
		{
			Name: "bootstrap", Label: "bootstrap-kubeadm", File: "bootstrap-components.yaml",
			Namespace: "capi-kubeadm-bootstrap-system", prefix: "capi-kubeadm-bootstrap-", upstream: "bootstrap/kubeadm/config", ports: 20,
			arguments: []string{"--bootstrap-token-ttl=${KUBEADM_BOOTSTRAP_TOKEN_TTL:=15m}"},
		},
		{
			Name: "control-plane", Label: "control-plane-kubeadm", File: "control-plane-components.yaml",
			Namespace: "capi-kubeadm-control-plane-system", prefix: "capi-kubeadm-control-plane-", upstream: "controlplane/kubeadm/config", ports: 30,
			aggregate: "kubeadm.controlplane.cluster.x-k8s.io/aggregate-to-manager",
		},
		infrastructure,
	}
}

// The manager's ports, as its flags and config/manager have them.
const (
	webhookPort     = 9443
	healthPort      = 9440
	diagnosticsPort = 8443
)

// commonArguments are those of every provider's Deployment. The variables have the names and, where they mean the same, the
// defaults of Cluster API's releases; MachinePool, ClusterTopology and Ignition are on.
func (p Provider) commonArguments() []string {
	return slices.Concat([]string{
		"--leader-elect",
		"--providers=" + p.Name,
		"--webhook-service=" + p.WebhookService(),
		"--webhook-secret=" + p.WebhookSecret(),
		fmt.Sprintf("--webhook-port=%d", webhookPort+p.ports),
		fmt.Sprintf("--health-addr=:%d", healthPort+p.ports),
		fmt.Sprintf("--diagnostics-address=${CAPI_DIAGNOSTICS_ADDRESS:=:%d}", diagnosticsPort+p.ports),
		"--insecure-diagnostics=${CAPI_INSECURE_DIAGNOSTICS:=false}",
		"--feature-gates=MachinePool=${EXP_MACHINE_POOL:=true},ClusterTopology=${CLUSTER_TOPOLOGY:=true}," +
			"KubeadmBootstrapFormatIgnition=${EXP_KUBEADM_BOOTSTRAP_FORMAT_IGNITION:=true}," +
			"MachineSetPreflightChecks=${EXP_MACHINE_SET_PREFLIGHT_CHECKS:=true}," +
			"PriorityQueue=${EXP_PRIORITY_QUEUE:=true},ReconcilerRateLimiting=${EXP_RECONCILER_RATE_LIMITING:=true}," +
			"MachineTaintPropagation=${EXP_MACHINE_TAINT_PROPAGATION:=false}",
	}, p.arguments)
}

// rename gives the provider's names to objects that have those of our manifests. Only whole values are names, so no text that
// happens to mention one changes.
func (p Provider) rename(objects Manifests) {
	for _, object := range objects {
		object.Object, _ = p.renamed(object.Object).(map[string]any)
	}
}

func (p Provider) renamed(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key, child := range v {
			v[key] = p.renamed(child)
		}
	case []any:
		for n, child := range v {
			v[n] = p.renamed(child)
		}
	case string:
		switch rest, ours := strings.CutPrefix(v, infrastructure.prefix); {
		case v == providerName:
			return p.Label
		case v == namespace:
			return p.Namespace
		case ours && strings.HasPrefix(rest, "system-"):
			return p.Namespace + "-" + strings.TrimPrefix(rest, "system-")
		case ours:
			return p.prefix + rest
		}
	}
	return value
}

// aggregated are a ClusterRole that collects the rights which other providers grant to this one by a label, and its binding.
func (p Provider) aggregated() Manifests {
	if p.aggregate == "" {
		return nil
	}
	name := p.Namespace + "-aggregated-manager-role"
	return Manifests{
		{Object: map[string]any{
			"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": map[string]any{"name": name},
			"aggregationRule": map[string]any{"clusterRoleSelectors": []any{
				map[string]any{"matchLabels": map[string]any{p.aggregate: "true"}},
			}},
		}},
		{Object: map[string]any{
			"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
			"metadata": map[string]any{"name": p.Namespace + "-aggregated-manager-rolebinding"},
			"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
			"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": p.prefix + "manager", "namespace": p.Namespace}},
		}},
	}
}

// credentials is the Secret that the variables of clusterctl go into. The manager looks into packet-api-credentials first.
func credentials() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
		"metadata": map[string]any{"namespace": namespace, "name": variablesSecret},
		"stringData": map[string]any{
			"apiURL": `${PACKET_API_URL:=""}`, "apiToken": `${PACKET_API_KEY:=""}`, "projectID": `${PROJECT_ID:=""}`,
		},
	}}
}

// variablesSecret has the name that the Secret of the former provider for Packet had.
const variablesSecret = "cluster-api-provider-packet-manager-api-credentials"

// deploy makes the Deployment run one provider.
func (p Provider) deploy(objects Manifests) error {
	for _, object := range objects {
		if object.GetKind() != "Deployment" {
			continue
		}
		containers, _, err := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "containers")
		if err != nil || len(containers) != 1 {
			return fmt.Errorf("the Deployment has %d containers, expected the manager alone: %w", len(containers), err)
		}
		container, ok := containers[0].(map[string]any)
		if !ok {
			return fmt.Errorf("the container of the Deployment is a %T", containers[0])
		}
		arguments := []any{}
		for _, argument := range p.commonArguments() {
			arguments = append(arguments, argument)
		}
		container["args"] = arguments
		if err := p.movePorts(container); err != nil {
			return err
		}
		if err := p.environment(container); err != nil {
			return err
		}
		return unstructured.SetNestedSlice(object.Object, containers, "spec", "template", "spec", "containers")
	}
	return fmt.Errorf("there is no Deployment")
}

// movePorts makes the container's ports those of the provider. Probes and Services know them by name.
func (p Provider) movePorts(container map[string]any) error {
	ports, ok := container["ports"].([]any)
	if !ok {
		return fmt.Errorf("the ports of the manager are a %T", container["ports"])
	}
	for _, v := range ports {
		port, ok := v.(map[string]any)
		if !ok {
			return fmt.Errorf("a port of the manager is a %T", v)
		}
		// YAML's numbers come as one or the other.
		switch number := port["containerPort"].(type) {
		case int64:
			port["containerPort"] = number + int64(p.ports)
		case float64:
			port["containerPort"] = int64(number) + int64(p.ports)
		default:
			return fmt.Errorf("the number of a port of the manager is a %T", number)
		}
	}
	return nil
}

// environment leaves the credentials of the Packet API to the infrastructure provider, which gets them from the Secret of
// the variables: it reads packet-api-credentials by itself.
func (p Provider) environment(container map[string]any) error {
	variables, ok := container["env"].([]any)
	if !ok {
		return fmt.Errorf("the environment of the manager is a %T", container["env"])
	}
	kept := []any{}
	for _, v := range variables {
		variable, ok := v.(map[string]any)
		if !ok {
			return fmt.Errorf("a variable of the manager is a %T", v)
		}
		if reference, found, _ := unstructured.NestedMap(variable, "valueFrom", "secretKeyRef"); found {
			if p.Name != infrastructure.Name {
				continue
			}
			reference["name"] = variablesSecret
			variable["valueFrom"] = map[string]any{"secretKeyRef": reference}
		}
		kept = append(kept, variable)
	}
	container["env"] = kept
	return nil
}
