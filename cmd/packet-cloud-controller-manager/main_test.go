package main

import (
	"bytes"
	"os"
	"path"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cloudproviderapi "k8s.io/cloud-provider/api"
	"sigs.k8s.io/yaml"
)

const manifest = "../../deploy/ccm/packet-cloud-controller-manager.yaml"

func TestDefaults(t *testing.T) {
	command, err := newCommand(nil)
	if err != nil {
		t.Fatal(err)
	}
	for flag, want := range map[string]string{
		"cloud-provider":                         "packet",
		"controllers":                            "[*]",
		"configure-cloud-routes":                 "false",
		"kube-api-qps":                           "300",
		"kube-api-burst":                         "600",
		"packet-load-balancer":                   "",
		"node-status-update-frequency":           "1m0s",
		"node-monitor-period":                    "5s",
		"concurrent-node-syncs":                  "10",
		"leader-elect":                           "true",
		"leader-elect-retry-period":              "1s",
		"leader-elect-renew-deadline":            "10s",
		"leader-elect-lease-duration":            "15s",
		"authentication-tolerate-lookup-failure": "true",
		"webhook-secure-port":                    "0",
		"authorization-always-allow-paths":       "[/healthz,/readyz,/livez]",
	} {
		if f := command.Flags().Lookup(flag); f == nil || f.Value.String() != want {
			t.Errorf("--%s is %v, want %s", flag, f, want)
		}
	}
}

// The manifest is what a cluster gets, so its flags must be the program's and
// its parts must refer to each other.
func TestManifest(t *testing.T) {
	content, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	var account corev1.ServiceAccount
	var role rbacv1.ClusterRole
	var clusterBinding rbacv1.ClusterRoleBinding
	var binding rbacv1.RoleBinding
	var deployment appsv1.Deployment
	objects := map[string]any{
		"ServiceAccount": &account, "ClusterRole": &role, "ClusterRoleBinding": &clusterBinding, "RoleBinding": &binding, "Deployment": &deployment,
	}
	documents := bytes.Split(content, []byte("\n---\n"))
	if len(documents) != len(objects) {
		t.Fatalf("%d documents, want %d", len(documents), len(objects))
	}
	for _, document := range documents {
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal(document, &kind); err != nil {
			t.Fatal(err)
		}
		object, known := objects[kind.Kind]
		if !known {
			t.Fatalf("there is a %s", kind.Kind)
		}
		if err := yaml.UnmarshalStrict(document, object); err != nil {
			t.Errorf("%s: %v", kind.Kind, err)
		}
	}

	subject := []rbacv1.Subject{{Kind: "ServiceAccount", Name: account.Name, Namespace: account.Namespace}}
	if !slices.Equal(clusterBinding.Subjects, subject) || !slices.Equal(binding.Subjects, subject) || clusterBinding.RoleRef.Name != role.Name {
		t.Errorf("bindings are %+v and %+v", clusterBinding, binding)
	}
	pod := deployment.Spec.Template.Spec
	if pod.ServiceAccountName != account.Name || deployment.Namespace != account.Namespace || binding.Namespace != metav1.NamespaceSystem {
		t.Errorf("service account is %s/%s, pod's is %s/%s", account.Namespace, account.Name, deployment.Namespace, pod.ServiceAccountName)
	}
	taint := corev1.Taint{Key: cloudproviderapi.TaintExternalCloudProvider, Value: "true", Effect: corev1.TaintEffectNoSchedule}
	if !slices.ContainsFunc(pod.Tolerations, func(toleration corev1.Toleration) bool {
		return toleration.Key == taint.Key && toleration.Value == taint.Value && toleration.Effect == taint.Effect
	}) {
		t.Error("the pod does not tolerate the taint that it is there to remove")
	}
	for key, value := range deployment.Spec.Selector.MatchLabels {
		if deployment.Spec.Template.Labels[key] != value {
			t.Errorf("the selector wants %s=%s", key, value)
		}
	}

	command, err := newCommand(nil)
	if err != nil {
		t.Fatal(err)
	}
	container := pod.Containers[0]
	if err := command.ParseFlags(container.Args); err != nil {
		t.Fatalf("the flags of the manifest: %v", err)
	}
	config := command.Flags().Lookup("cloud-config").Value.String()
	if path.Dir(config) != container.VolumeMounts[0].MountPath || path.Base(config) != "cloud-sa.json" {
		t.Errorf("--cloud-config is %s, the Secret is at %s", config, container.VolumeMounts[0].MountPath)
	}
	if secret := pod.Volumes[0].Secret.SecretName; secret != "packet-cloud-config" {
		t.Errorf("the Secret is %s", secret)
	}
	if container.Image != "packetyard/packet-cloud-controller-manager:dev" || container.ImagePullPolicy != corev1.PullIfNotPresent {
		t.Errorf("the image is %s, pulled %s", container.Image, container.ImagePullPolicy)
	}
}
