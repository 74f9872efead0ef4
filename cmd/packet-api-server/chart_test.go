package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/packetyard/packetyard/internal/charts"
)

const chartDir = "../../charts/packet-api-server"

// render makes the chart's objects as helm install does, by kind.
func render(values string) (map[string][]byte, error) {
	files, err := charts.Files(chartDir, "test", "packet", values)
	if err != nil {
		return nil, err
	}
	objects := map[string][]byte{}
	for name, text := range files {
		if filepath.Ext(name) != ".yaml" {
			objects[filepath.Base(name)] = []byte(text)
			continue
		}
		documents := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
		for {
			document, err := documents.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, err
			}
			var kind struct{ Kind string }
			if err := yaml.Unmarshal(document, &kind); err != nil {
				return nil, err
			}
			if kind.Kind != "" {
				objects[kind.Kind] = document
			}
		}
	}
	return objects, nil
}

// rendered decodes one object, strictly, as the API server of Kubernetes does.
func rendered[T any](t *testing.T, objects map[string][]byte, kind string) (object T) {
	t.Helper()
	data, ok := objects[kind]
	if !ok {
		t.Fatalf("the chart has no %s", kind)
	}
	if err := yaml.UnmarshalStrict(data, &object); err != nil {
		t.Fatalf("%s: %v\n%s", kind, err, data)
	}
	return object
}

// checkArguments expects that the program takes what the chart gives it.
func checkArguments(t *testing.T, pod corev1.PodSpec, config corev1.ConfigMap) options {
	t.Helper()
	var o options
	flags := pflag.NewFlagSet("packet-api-server", pflag.ContinueOnError)
	o.addTo(flags)
	if err := flags.Parse(pod.Containers[0].Args); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(config.Data["config.yaml"]), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := readConfig(file, flags); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestChartWithAVolume(t *testing.T) {
	objects, err := render(`config: {rate-limit: 600}`)
	if err != nil {
		t.Fatal(err)
	}
	set := rendered[appsv1.StatefulSet](t, objects, "StatefulSet")
	o := checkArguments(t, set.Spec.Template.Spec, rendered[corev1.ConfigMap](t, objects, "ConfigMap"))
	if o.rateLimit != 600 || o.profile != "realistic" || len(o.etcdEndpoints) != 0 || *set.Spec.Replicas != 1 {
		t.Errorf("%+v, %d replicas", o, *set.Spec.Replicas)
	}
	if claims := set.Spec.VolumeClaimTemplates; len(claims) != 1 || claims[0].Name != "data" {
		t.Errorf("%+v", claims)
	}
	service := rendered[corev1.Service](t, objects, "Service")
	if service.Spec.Ports[0].Port != 80 || service.Name != set.Spec.ServiceName {
		t.Errorf("%+v", service.Spec)
	}
	if len(service.Spec.Selector) == 0 || service.Spec.Selector["app.kubernetes.io/instance"] != set.Spec.Template.Labels["app.kubernetes.io/instance"] {
		t.Errorf("the service selects %v", service.Spec.Selector)
	}
	secret := rendered[corev1.Secret](t, objects, "Secret")
	if len(secret.Data["apiToken"]) != 40 || len(secret.Data["projectID"]) != 36 {
		t.Errorf("%d and %d bytes", len(secret.Data["apiToken"]), len(secret.Data["projectID"]))
	}
	rendered[corev1.ServiceAccount](t, objects, "ServiceAccount")
	if !strings.Contains(string(objects["NOTES.txt"]), "http://test-packet-api-server.packet:80/metal/v1") {
		t.Errorf("%s", objects["NOTES.txt"])
	}
	for _, kind := range []string{"Deployment", "Ingress", "PodDisruptionBudget"} {
		if _, ok := objects[kind]; ok {
			t.Errorf("there is a %s", kind)
		}
	}
}

func TestChartWithReplicas(t *testing.T) {
	objects, err := render(`
replicas: 3
etcd: {endpoints: [https://etcd-0:2379, https://etcd-1:2379], tlsSecretName: etcd}
tls: {secretName: packet-tls}
credentials: {existingSecret: mine}
ingress: {enabled: true, host: packet.example.com, tlsSecretName: ingress-tls}
`)
	if err != nil {
		t.Fatal(err)
	}
	deployment := rendered[appsv1.Deployment](t, objects, "Deployment")
	pod := deployment.Spec.Template.Spec
	o := checkArguments(t, pod, rendered[corev1.ConfigMap](t, objects, "ConfigMap"))
	if len(o.etcdEndpoints) != 2 || o.etcdTLS.CAFile == "" || o.etcdTLS.CertFile == "" || o.etcdTLS.KeyFile == "" || o.tlsCert == "" || o.tlsKey == "" || *deployment.Spec.Replicas != 3 {
		t.Errorf("%+v", o)
	}
	if got := pod.Containers[0].Env[0].ValueFrom.SecretKeyRef.Name; got != "mine" {
		t.Errorf("the token is from the secret %q", got)
	}
	if got := pod.Containers[0].ReadinessProbe.HTTPGet.Scheme; got != corev1.URISchemeHTTPS {
		t.Errorf("the probe asks by %s", got)
	}
	if port := rendered[corev1.Service](t, objects, "Service").Spec.Ports[0].Port; port != 443 {
		t.Errorf("port %d", port)
	}
	rendered[policyv1.PodDisruptionBudget](t, objects, "PodDisruptionBudget")
	ingress := rendered[networkingv1.Ingress](t, objects, "Ingress")
	if ingress.Spec.Rules[0].HTTP.Paths[0].Path != "/metal/v1" || ingress.Spec.TLS[0].SecretName != "ingress-tls" {
		t.Errorf("%+v", ingress.Spec)
	}
	if _, ok := objects["Secret"]; ok {
		t.Error("there is a Secret beside the one that exists")
	}
}

func TestChartRefusesWrongValues(t *testing.T) {
	for text, values := range map[string]string{
		"replicas":   "replicas: 2",
		"host":       "ingress: {enabled: true}",
		"endpoints":  "etcd: {endpoints: [etcd:2379]}",
		"replica":    "replica: 1",
		"data-dir":   "config: {data-dir: /tmp}",
		"pullPolicy": "image: {pullPolicy: Sometimes}",
	} {
		if _, err := render(values); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want an error about %s", values, err, text)
		}
	}
}

// TestSystemdUnit expects that the program takes the command line and the
// settings that the unit gives it.
func TestSystemdUnit(t *testing.T) {
	const dir = "../../deploy/packet-api-server/"
	unit, err := os.ReadFile(dir + "packet-api-server.service")
	if err != nil {
		t.Fatal(err)
	}
	var o options
	flags := pflag.NewFlagSet("packet-api-server", pflag.ContinueOnError)
	o.addTo(flags)
	for line := range strings.Lines(string(unit)) {
		if command, ok := strings.CutPrefix(strings.TrimSpace(line), "ExecStart="); ok {
			if err := flags.Parse(strings.Fields(command)[1:]); err != nil {
				t.Fatal(err)
			}
		}
	}
	if o.config != "/etc/packet-api-server/config.yaml" || !flags.Changed("data-dir") {
		t.Errorf("%+v", o)
	}
	if err := readConfig(dir+"config.yaml", flags); err != nil {
		t.Error(err)
	}
	if o.dataDir != "/var/lib/packet-api-server" || o.auditLog == "" {
		t.Errorf("%+v", o)
	}
}
