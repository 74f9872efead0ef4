package charts

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the snapshots anew")

const ccmChart = "../../charts/packet-cloud-controller-manager"

// TestCloudControllerManagerChart compares what the chart makes of some values
// with what was looked at by a person.
func TestCloudControllerManagerChart(t *testing.T) {
	for name, values := range map[string]string{
		"default":    "",
		"daemonset":  "{kind: DaemonSet, leaderElection: true, loadBalancer: 'kube-vip://', eipTag: my-cluster, podDisruptionBudget: {enabled: true}}",
		"metallb":    "{loadBalancer: 'metallb://lb/config?crdConfiguration=true', bgp: services}",
		"secret":     "{configSecret: {create: true, name: mine}, config: {apiKey: not-a-token, projectID: 7a6d3b0e-0000-4000-8000-000000000000, base-url: 'https://packet.example/metal/v1'}}",
		"monitoring": "{metrics: {bindAddress: 0.0.0.0, podMonitor: {enabled: true, tokenSecret: {name: scraper}}, rules: {enabled: true}, dashboard: {enabled: true}}}",
		"everything": `{extraArgs: [--v=4], env: [{name: PACKET_METRO_NAME, value: da}], envFrom: [{secretRef: {name: more}}], affinity: {nodeAffinity: {}},
			extraTolerations: [{key: mine, operator: Exists}], podAnnotations: {a: b}, podLabels: {c: d}, hostAliases: [{ip: 10.0.0.1, hostnames: [api]}],
			imagePullSecrets: [{name: pull}], serviceAccount: {create: true, name: other, annotations: {e: f}}, bgp: nodes}`,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Render(ccmChart, "ccm", "kube-system", values)
			if err != nil {
				t.Fatal(err)
			}
			checkObjects(t, got)
			path := filepath.Join("testdata", "ccm-"+name+".yaml")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s is not what the chart makes; look at the difference, then `go test ./internal/charts -update`:\n%s", path, got)
			}
		})
	}
}

// checkObjects decodes strictly, which finds what the original chart did: it
// wrote a user's affinity and tolerations as a second key of that name, and
// gave a DaemonSet a strategy.
func checkObjects(t *testing.T, manifests string) {
	t.Helper()
	for document := range strings.SplitSeq(manifests, "\n---\n") {
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
			t.Fatalf("%v:\n%s", err, document)
		}
		var object runtime.Object
		switch kind.Kind {
		case "ServiceAccount":
			object = &corev1.ServiceAccount{}
		case "Secret":
			object = &corev1.Secret{}
		case "ConfigMap":
			object = &corev1.ConfigMap{}
		case "Deployment":
			object = &appsv1.Deployment{}
		case "DaemonSet":
			object = &appsv1.DaemonSet{}
		case "StatefulSet":
			object = &appsv1.StatefulSet{}
		case "Service":
			object = &corev1.Service{}
		case "ClusterRole":
			object = &rbacv1.ClusterRole{}
		case "ClusterRoleBinding":
			object = &rbacv1.ClusterRoleBinding{}
		case "Role":
			object = &rbacv1.Role{}
		case "RoleBinding":
			object = &rbacv1.RoleBinding{}
		case "PodDisruptionBudget":
			object = &policyv1.PodDisruptionBudget{}
		case "PodMonitor", "PrometheusRule":
			// Their types are the Prometheus operator's.
			continue
		default:
			t.Fatalf("the chart makes a %q", kind.Kind)
		}
		if err := yaml.UnmarshalStrict([]byte(document), object); err != nil {
			t.Errorf("%s: %v:\n%s", kind.Kind, err, document)
		}
	}
}

func TestCloudControllerManagerChartRefuses(t *testing.T) {
	for values, text := range map[string]string{
		"{replicaCount: 2}":          "more than one replica needs leaderElection",
		"{kind: DaemonSet}":          "that needs leaderElection",
		"{kind: Job}":                "kind",
		"{loadBalancer: 'cloud://'}": "loadBalancer",
		"{replicas: 2}":              "replicas",
		"{bgp: always}":              "bgp",
		"{configSecret: {create: true, name: a, key: b}}": "config is empty",
		"{metrics: {podMonitor: {enabled: true}}}":        "bindAddress is 127.0.0.1",
	} {
		if _, err := Render(ccmChart, "ccm", "kube-system", values); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: the error is %v, want one with %q", values, err, text)
		}
	}
}
