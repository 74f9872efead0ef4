package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gardener/machine-controller-manager/pkg/util/provider/app/options"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
)

var fences = regexp.MustCompile("(?ms)^( *)```yaml\n(.*?)^ *```$")

// documented are the objects that the documentation tells to apply, in its order.
func documented(t testing.TB) []*unstructured.Unstructured {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "gardener", "machine-driver.md"))
	if err != nil {
		t.Fatal(err)
	}
	var objects []*unstructured.Unstructured
	for _, block := range fences.FindAllSubmatch(page, -1) {
		text := regexp.MustCompile("(?m)^"+string(block[1])).ReplaceAll(block[2], nil)
		decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), len(text))
		for {
			object := &unstructured.Unstructured{}
			err := decoder.Decode(object)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("reading the documentation: %v", err)
			}
			objects = append(objects, object)
		}
	}
	if len(objects) < 10 {
		t.Fatalf("the documentation has %d objects only", len(objects))
	}
	return objects
}

// What the documentation runs, there is, with flags that there are.
func TestDocumentedDeployment(t *testing.T) {
	for _, object := range documented(t) {
		if object.GetKind() != "Deployment" {
			continue
		}
		deployment := &appsv1.Deployment{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, deployment, true); err != nil {
			t.Fatal(err)
		}
		containers := deployment.Spec.Template.Spec.Containers
		if len(containers) != 2 {
			t.Fatalf("there are %d containers, want two", len(containers))
		}
		flags, _ := newFlags(options.NewMCServer(), &driverOptions{})
		if err := flags.Parse(containers[1].Args); err != nil || !strings.Contains(containers[1].Image, "machine-controller-manager-provider-packet") {
			t.Errorf("%s with %q: %v", containers[1].Image, containers[1].Args, err)
		}
		return
	}
	t.Fatal("the documentation has no Deployment")
}

// Gardener starts the program with these flags (pkg/component/nodemanagement/machinecontrollermanager of v1.150).
func TestFlagsOfGardener(t *testing.T) {
	arguments := []string{"--control-kubeconfig=inClusterConfig", "--kube-api-qps=100", "--kube-api-burst=200", "--machine-creation-timeout=20m",
		"--machine-drain-timeout=2h", "--machine-health-timeout=10m", "--machine-safety-apiserver-statuscheck-timeout=30s",
		"--machine-safety-apiserver-statuscheck-period=1m", "--machine-safety-orphan-vms-period=30m", "--namespace=shoot--foo--bar", "--port=10259",
		"--target-kubeconfig=/var/run/secrets/gardener.cloud/shoot/generic-kubeconfig/kubeconfig", "--v=3"}
	server := options.NewMCServer()
	flags, _ := newFlags(server, &driverOptions{})
	if err := flags.Parse(arguments); err != nil {
		t.Fatal(err)
	}
	if err := server.Validate(); err != nil || server.Namespace != "shoot--foo--bar" {
		t.Errorf("the namespace is %q, %v", server.Namespace, err)
	}
}
