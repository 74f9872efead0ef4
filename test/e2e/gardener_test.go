//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template"

	corev1 "k8s.io/api/core/v1"

	"github.com/packetyard/packetyard/internal/processtest"
	"github.com/packetyard/packetyard/pkg/packet"
)

const (
	shootNamespace = "shoot--em--em-test"
	// shootKey is the SSH key that Gardener would make for the Shoot.
	shootKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDPpwZ2JI9kK1C76A0/9hFxbVEO+1pK3F+9uGSGQ07RA gardener"
)

// shoot is what the resources of a Shoot are made of.
type shoot struct {
	Namespace, Key, Token, Project, APIURL string
	// Endpoint is where the Shoot's API server answers its machines.
	Endpoint    string
	MachineType string
	Machines    int
	Hibernated  bool
}

// shootResources are those that gardenlet makes before it asks for an Infrastructure.
const shootResources = `
apiVersion: v1
kind: Namespace
metadata: {name: {{.Namespace}}}
---
apiVersion: v1
kind: Secret
metadata: {name: cloudprovider, namespace: {{.Namespace}}}
stringData: {apiToken: {{.Token}}, projectID: {{.Project}}, apiURL: {{.APIURL}}}
---
apiVersion: v1
kind: Secret
metadata: {name: cloud-config-workers, namespace: {{.Namespace}}}
stringData:
  data: |
    #cloud-config
    runcmd:
    - kubeadm join --config /run/kubeadm-join.yaml
    write_files:
    - path: /run/kubeadm-join.yaml
      content: |
        apiVersion: kubeadm.k8s.io/v1beta4
        kind: JoinConfiguration
        discovery:
          bootstrapToken: {apiServerEndpoint: {{.Endpoint}}, token: <<BOOTSTRAP_TOKEN>>, unsafeSkipCAVerification: true}
        nodeRegistration:
          name: <<MACHINE_NAME>>
          kubeletExtraArgs: [{name: cloud-provider, value: external}]
---
apiVersion: extensions.gardener.cloud/v1alpha1
kind: Cluster
metadata: {name: {{.Namespace}}}
spec:
  cloudProfile:
    apiVersion: core.gardener.cloud/v1beta1
    kind: CloudProfile
    spec:
      type: packet
      machineTypes:
      - {name: c3.small.x86, cpu: "8", gpu: "0", memory: 32Gi, architecture: amd64}
      - {name: c3.medium.x86, cpu: "24", gpu: "0", memory: 64Gi, architecture: amd64}
      regions: [{name: da}]
      providerConfig:
        apiVersion: packet.provider.extensions.gardener.cloud/v1alpha1
        kind: CloudProfileConfig
        machineImages: [{name: ubuntu, versions: [{version: 24.4.0, id: ubuntu_24_04}]}]
  seed: {apiVersion: core.gardener.cloud/v1beta1, kind: Seed}
  shoot:
    apiVersion: core.gardener.cloud/v1beta1
    kind: Shoot
    metadata: {name: em-test, namespace: garden-em}
    spec:
      provider: {type: packet}
      region: da
      kubernetes: {version: 1.36.4}
      networking: {pods: 100.96.0.0/11, services: 100.64.0.0/13}
      hibernation: {enabled: {{.Hibernated}}}
    status:
      technicalID: {{.Namespace}}
      lastOperation: {type: Reconcile, state: Succeeded, progress: 100, description: ready, lastUpdateTime: "2026-01-01T00:00:00Z"}
`

const shootInfrastructure = `
apiVersion: extensions.gardener.cloud/v1alpha1
kind: Infrastructure
metadata: {name: infrastructure, namespace: {{.Namespace}}}
spec:
  type: packet
  region: da
  secretRef: {name: cloudprovider, namespace: {{.Namespace}}}
  providerConfig: {apiVersion: packet.provider.extensions.gardener.cloud/v1alpha1, kind: InfrastructureConfig}
  sshPublicKey: {{.Key}}
`

const shootWorker = `
apiVersion: extensions.gardener.cloud/v1alpha1
kind: Worker
metadata: {name: worker, namespace: {{.Namespace}}}
spec:
  type: packet
  region: da
  secretRef: {name: cloudprovider, namespace: {{.Namespace}}}
  sshPublicKey: {{.Key}}
  pools:
  - name: workers
    machineType: {{.MachineType}}
    architecture: amd64
    minimum: {{.Machines}}
    maximum: {{.Machines}}
    maxSurge: 1
    maxUnavailable: 0
    kubernetesVersion: 1.36.4
    machineImage: {name: ubuntu, version: 24.4.0}
    # gardenlet gives it another name when the machines have to be others.
    nodeAgentSecretName: gardener-node-agent-workers-{{.MachineType}}
    userDataSecretRef: {name: cloud-config-workers, key: data}
    nodeTemplate: {capacity: {cpu: "8", gpu: "0", memory: 32Gi}}
`

// extensionObject is what all of Gardener's resources for extensions have in common.
type extensionObject struct {
	Metadata struct{ Generation int64 }
	Status   struct {
		ObservedGeneration int64
		LastOperation      *struct{ Type, State, Description string }
		LastError          *struct{ Description string }
		Networking         *struct{ Nodes []string }
		ProviderStatus     map[string]any
	}
}

// gardener is a seed without a gardenlet: the yard's bootstrap cluster, with the extension and machine-controller-manager as
// processes of this host. The yard's cluster is the Shoot's control plane.
type gardener struct {
	*yard
	// whole is the whole test, for as long as which the programs run.
	whole        *testing.T
	seed, target string
	shoot        shoot
}

// TestShoot makes, scales, replaces, hibernates and deletes the machines of a Shoot. What gardenlet writes is written here; the
// extension, machine-controller-manager and the machine driver are the real ones, and the machines boot and join.
func TestShoot(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	step(t, "up", func(t *testing.T) { y.must(t, "up", "--workers", "0") })
	credentials := y.credentials(t)
	g := &gardener{yard: y, whole: t, seed: y.kubeconfig(t, "bootstrap"), target: y.kubeconfig(t, "")}
	g.shoot = shoot{
		Namespace: shootNamespace, Key: base64.StdEncoding.EncodeToString([]byte(shootKey)),
		Token: credentials.APIToken, Project: credentials.ProjectID, APIURL: y.report(t).APIURL(), MachineType: "c3.small.x86", Machines: 1,
	}
	// "kubeadm join <endpoint> …"
	g.shoot.Endpoint = strings.Fields(y.must(t, "exec", "--", "kubeadm", "token", "create", "--print-join-command"))[2]
	step(t, "the seed", g.prepare)

	step(t, "the Infrastructure knows the nodes' network before there is a machine", func(t *testing.T) {
		g.apply(t, shootInfrastructure)
		infrastructure := g.succeeds(t, "infrastructure/infrastructure")
		if infrastructure.Status.Networking == nil || len(infrastructure.Status.Networking.Nodes) != 1 {
			t.Fatalf("its status is %+v", infrastructure.Status)
		}
		_, nodes, err := net.ParseCIDR(infrastructure.Status.Networking.Nodes[0])
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("nodes are in %s", nodes)
	})
	step(t, "a machine joins", func(t *testing.T) { g.reconcile(t) })
	step(t, "scaled up", func(t *testing.T) {
		g.shoot.Machines = 2
		g.reconcile(t)
	})
	step(t, "replaced by another machine type", func(t *testing.T) {
		before := g.machines(t)
		g.shoot.MachineType, g.shoot.Machines = "c3.medium.x86", 1
		g.reconcile(t)
		for _, device := range g.machines(t) {
			if device.Plan.Slug != "c3.medium.x86" || slices.ContainsFunc(before, func(old packet.Device) bool { return old.ID == device.ID }) {
				t.Errorf("device %s is a %s", device.Hostname, device.Plan.Slug)
			}
		}
	})
	step(t, "hibernated", func(t *testing.T) {
		g.shoot.Hibernated, g.shoot.Machines = true, 0
		g.apply(t, shootResources)
		g.reconcile(t)
	})
	step(t, "awake again", func(t *testing.T) {
		g.shoot.Hibernated, g.shoot.Machines = false, 1
		g.apply(t, shootResources)
		g.reconcile(t)
	})
	step(t, "nothing is left", func(t *testing.T) {
		for _, resource := range []string{"worker/worker", "infrastructure/infrastructure"} {
			g.confirmDeletion(t, resource)
			g.kubectl(t, g.seed, "-n", shootNamespace, "delete", resource, "--timeout", soon.String())
		}
		if machines := g.machines(t); len(machines) != 0 {
			t.Errorf("%d devices are left", len(machines))
		}
		client, project := y.api(t)
		keys, err := client.ProjectSSHKeys(t.Context(), project)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			if strings.Contains(key.Label, shootNamespace) {
				t.Errorf("the key %s is left", key.Label)
			}
		}
	})
}

// prepare brings the seed what gardenlet and gardener-operator bring, and starts the programs.
func (g *gardener) prepare(t *testing.T) {
	definitions, err := filepath.Glob(filepath.Join(g.bin, "gardener", "20-crd-*.yaml"))
	if err != nil || len(definitions) == 0 {
		t.Fatalf("the build has no definitions of Gardener's resources (make e2e-build): %v", err)
	}
	for _, definition := range definitions {
		g.kubectl(t, g.seed, "apply", "--server-side", "-f", definition)
	}
	g.kubectl(t, g.seed, "wait", "--for=condition=Established", "crd", "--all")
	g.apply(t, shootResources)
	config := filepath.Join(g.whole.TempDir(), "config.yaml")
	if err := os.WriteFile(config, []byte("apiVersion: packet.provider.extensions.config.gardener.cloud/v1alpha1\nkind: ControllerConfiguration\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.program("gardener-extension-provider-packet", "--kubeconfig="+g.seed, "--config-file="+config, "--ignore-operation-annotation=true",
		"--leader-election=false", "--heartbeat-namespace=default", "--controllers=infrastructure,worker", "--disable-webhooks=*",
		"--metrics-bind-address=0", "--health-bind-address=127.0.0.1:"+hostPort(t), "--webhook-config-server-port="+hostPort(t), "--webhook-config-cert-dir="+g.whole.TempDir())
	machines := []string{"--control-kubeconfig=" + g.seed, "--target-kubeconfig=" + g.target, "--namespace=" + shootNamespace, "--address=127.0.0.1", "--leader-elect=false", "--v=2"}
	g.program("machine-controller-manager", append(machines, "--port="+hostPort(t))...)
	g.program("machine-controller-manager-provider-packet", append(machines, "--port="+hostPort(t), "--machine-creation-timeout=20m",
		"--machine-safety-orphan-vms-period=1m", "--bootstrap-token-auth-extra-groups=system:bootstrappers:kubeadm:default-node-token")...)
}

// program runs a program of the build until the whole test ends.
func (g *gardener) program(name string, arguments ...string) {
	g.whole.Helper()
	processtest.Start(g.whole, name, filepath.Join(g.bin, name), g.environment(), arguments...)
}

func hostPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}

// apply applies a template of the Shoot's resources, as whoever owns all of their fields.
func (g *gardener) apply(t *testing.T, text string) {
	t.Helper()
	var manifest bytes.Buffer
	if err := template.Must(template.New("").Parse(text)).Execute(&manifest, g.shoot); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "resources.yaml")
	if err := os.WriteFile(file, manifest.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	g.kubectl(t, g.seed, "apply", "--server-side", "--force-conflicts", "-f", file)
}

// succeeds waits until the extension has done what the newest version of a resource asks for.
func (g *gardener) succeeds(t *testing.T, resource string) extensionObject {
	t.Helper()
	var object extensionObject
	eventually(t, resource+" is reconciled", func(ctx context.Context) (err error) {
		object, err = get[extensionObject](g.yard, ctx, g.seed, "-n", shootNamespace, resource)
		if err != nil {
			return err
		}
		status := object.Status
		if status.LastOperation == nil || status.LastOperation.State != "Succeeded" || status.ObservedGeneration != object.Metadata.Generation {
			return fmt.Errorf("the last operation is %+v, the last error %+v, generation %d of %d", status.LastOperation, status.LastError, status.ObservedGeneration, object.Metadata.Generation)
		}
		return nil
	})
	return object
}

// reconcile applies the Worker, and waits until there are as many machines as it asks for, all nodes that are Ready and initialised.
func (g *gardener) reconcile(t *testing.T) {
	t.Helper()
	status := get1(t, g, "infrastructure/infrastructure").Status.ProviderStatus
	g.apply(t, shootWorker)
	if status == nil {
		t.Fatal("the Infrastructure has no providerStatus")
	}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"infrastructureProviderStatus": status}})
	if err != nil {
		t.Fatal(err)
	}
	g.kubectl(t, g.seed, "-n", shootNamespace, "patch", "worker/worker", "--type=merge", "-p", string(patch))
	g.succeeds(t, "worker/worker")
	eventually(t, fmt.Sprintf("%d nodes of the Shoot's machines", g.shoot.Machines), func(ctx context.Context) error {
		nodes, err := get[corev1.NodeList](g.yard, ctx, g.target, "nodes", "-l", "!node-role.kubernetes.io/control-plane")
		if err != nil {
			return err
		}
		if len(nodes.Items) != g.shoot.Machines {
			return fmt.Errorf("%d nodes", len(nodes.Items))
		}
		for _, node := range nodes.Items {
			ready := slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
				return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
			})
			if !ready || node.Labels[corev1.LabelInstanceTypeStable] != g.shoot.MachineType || node.Labels[corev1.LabelTopologyRegion] != "da" {
				return fmt.Errorf("node %s: ready %t, labels %v", node.Name, ready, node.Labels)
			}
		}
		return nil
	})
	if machines := g.machines(t); len(machines) != g.shoot.Machines {
		t.Errorf("%d devices, want %d", len(machines), g.shoot.Machines)
	}
}

func get1(t *testing.T, g *gardener, resource string) extensionObject {
	t.Helper()
	object, err := get[extensionObject](g.yard, t.Context(), g.seed, "-n", shootNamespace, resource)
	if err != nil {
		t.Fatal(err)
	}
	return object
}

// confirmDeletion has the API server and the extension believe that the deletion is meant.
func (g *gardener) confirmDeletion(t *testing.T, resource string) {
	t.Helper()
	g.kubectl(t, g.seed, "-n", shootNamespace, "annotate", "--overwrite", resource, "confirmation.gardener.cloud/deletion=true")
}

// machines are the Shoot's devices that are not on their way out.
func (g *gardener) machines(t *testing.T) []packet.Device {
	t.Helper()
	var found []packet.Device
	for _, device := range g.devices(t) {
		if slices.Contains(device.Tags, "kubernetes.io/cluster/"+shootNamespace) && device.State != packet.StateDeprovisioning {
			found = append(found, device)
		}
	}
	return found
}
