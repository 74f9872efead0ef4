package controlplane

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// Every object of every chart is taken by a real API server, whatever the Shoot asks for.
func TestChartsAreAccepted(t *testing.T) {
	for _, version := range []string{"1.32.9", "1.33.5", "1.34.2", "1.35.1", "1.36.0"} {
		s := newShoot(t, version, nil)
		for _, implementation := range []string{"", "metallb", "none", "disabled"} {
			for _, scaledDown := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/%t", version, implementation, scaledDown), func(t *testing.T) {
					s.configure(`"loadBalancer":{"implementation":"` + implementation + `"}`)
					hibernate(s, scaledDown)
					objects := s.render(t, scaledDown)
					if metalLB := implementation == "" || implementation == "metallb"; metalLB {
						installMetalLB(t, objects)
					} else if len(objects.crds) > 0 || has(objects.shoot, "Namespace", MetalLBNamespace) {
						t.Error("MetalLB is deployed")
					}
					if err := apply(t.Context(), slices.Concat(objects.seed, objects.shoot, objects.crds), client.DryRunAll); err != nil {
						t.Error(err)
					}
					if got := *typed[appsv1.Deployment](t, objects.seed, "Deployment", CloudControllerManager).Spec.Replicas; (got == 0) != scaledDown {
						t.Errorf("there are %d replicas", got)
					}
				})
			}
		}
	}
}

// Defect 5 of the original: Service, PodDisruptionBudget and ServiceMonitor selected by labels that no pod had, so that nothing was
// ever scraped, the alert fired for ever, and the budget kept nothing; and the Service's port led nowhere.
func TestSelectorsMatchPods(t *testing.T) {
	objects := newShoot(t, "1.35.1", nil).render(t, false).seed
	deployment := typed[appsv1.Deployment](t, objects, "Deployment", CloudControllerManager)
	service := typed[corev1.Service](t, objects, "Service", CloudControllerManager)
	budget := typed[policyv1.PodDisruptionBudget](t, objects, "PodDisruptionBudget", CloudControllerManager)
	monitor := typed[monitoringv1.ServiceMonitor](t, objects, "ServiceMonitor", "shoot-cloud-controller-manager")
	rule := typed[monitoringv1.PrometheusRule](t, objects, "PrometheusRule", "shoot-cloud-controller-manager")
	pod := deployment.Spec.Template

	for what, selector := range map[string]*metav1.LabelSelector{
		"Deployment": deployment.Spec.Selector, "PodDisruptionBudget": budget.Spec.Selector, "Service": {MatchLabels: service.Spec.Selector},
	} {
		if parsed, err := metav1.LabelSelectorAsSelector(selector); err != nil || parsed.Empty() || !parsed.Matches(labels.Set(pod.Labels)) {
			t.Errorf("the selector of the %s, %v, does not match the pods' labels %v (%v)", what, selector, pod.Labels, err)
		}
	}
	if parsed, err := metav1.LabelSelectorAsSelector(&monitor.Spec.Selector); err != nil || parsed.Empty() || !parsed.Matches(labels.Set(service.Labels)) {
		t.Errorf("the ServiceMonitor selects %v, the Service has %v (%v)", monitor.Spec.Selector, service.Labels, err)
	}
	container := pod.Spec.Containers[0]
	port := container.Ports[0]
	if !slices.Contains(container.Args, fmt.Sprintf("--secure-port=%d", port.ContainerPort)) {
		t.Errorf("the port is %d, and the process listens elsewhere: %q", port.ContainerPort, container.Args)
	}
	if target := service.Spec.Ports[0].TargetPort.String(); target != port.Name {
		t.Errorf("the Service leads to port %q, the container has %q", target, port.Name)
	}
	if got := monitor.Spec.Endpoints[0].Port; got != service.Spec.Ports[0].Name {
		t.Errorf("the ServiceMonitor reads port %q, the Service has %q", got, service.Spec.Ports[0].Name)
	}
	if allowed := service.Annotations["networking.resources.gardener.cloud/from-all-scrape-targets-allowed-ports"]; allowed != fmt.Sprintf(`[{"protocol":"TCP","port":%d}]`, port.ContainerPort) {
		t.Errorf("Prometheus may come in at %s", allowed)
	}
	for _, probe := range []*corev1.Probe{container.LivenessProbe, container.ReadinessProbe} {
		if probe == nil || probe.HTTPGet.Port.String() != port.Name || probe.HTTPGet.Scheme != corev1.URISchemeHTTPS || probe.HTTPGet.Path != "/healthz" {
			t.Errorf("a probe is %v", probe)
		}
	}
	for _, object := range []metav1.Object{monitor, rule} {
		if object.GetLabels()["prometheus"] != "shoot" {
			t.Errorf("Prometheus does not look at %s with the labels %v", object.GetName(), object.GetLabels())
		}
	}
	// The job is the Service's name.
	down := rule.Spec.Groups[0].Rules[0]
	if down.Alert != "CloudControllerManagerDown" || down.Expr.String() != `absent(up{job="`+service.Name+`"} == 1)` {
		t.Errorf("the first alert is %v", down)
	}
}

// What is meant not to run is not missed.
func TestAlertIsNotThereWhileHibernated(t *testing.T) {
	s := newShoot(t, "1.35.1", nil)
	hibernate(s, true)
	if has(s.render(t, true).seed, "PrometheusRule", "shoot-cloud-controller-manager") {
		t.Error("there is an alert for a control plane that is scaled down")
	}
	if !has(s.render(t, false).seed, "PrometheusRule", "shoot-cloud-controller-manager") {
		t.Error("there is no alert for a control plane that is still up")
	}
}

// Defects 10 and 13 of the original: no probes, no security context, and a cluster-admin.
func TestPodsAreConfined(t *testing.T) {
	objects := newShoot(t, "1.35.1", nil).render(t, false)
	pods := map[string]corev1.PodSpec{
		"cloud-controller-manager": typed[appsv1.Deployment](t, objects.seed, "Deployment", CloudControllerManager).Spec.Template.Spec,
		"controller":               typed[appsv1.Deployment](t, objects.shoot, "Deployment", "controller").Spec.Template.Spec,
		"speaker":                  typed[appsv1.DaemonSet](t, objects.shoot, "DaemonSet", "speaker").Spec.Template.Spec,
	}
	for name, pod := range pods {
		container := pod.Containers[0]
		security := container.SecurityContext
		switch {
		case container.LivenessProbe == nil || container.ReadinessProbe == nil:
			t.Errorf("%s has not both probes", name)
		case *security.AllowPrivilegeEscalation || !*security.ReadOnlyRootFilesystem || security.Capabilities.Drop[0] != "ALL":
			t.Errorf("%s may do too much: %v", name, security)
		case name != "speaker" && !*pod.SecurityContext.RunAsNonRoot:
			t.Errorf("%s runs as root", name)
		case pod.PriorityClassName == "":
			t.Errorf("%s has no priority", name)
		}
	}
	if *pods["cloud-controller-manager"].AutomountServiceAccountToken {
		t.Error("the cloud controller manager has an account in the seed")
	}
	if got := pods["speaker"].Tolerations; !slices.Equal(got, []corev1.Toleration{{Operator: corev1.TolerationOpExists}}) {
		t.Errorf("the speaker tolerates %v, and not everything", got)
	}
	want := []corev1.Toleration{{Key: "special", Operator: corev1.TolerationOpEqual, Value: "yes", Effect: corev1.TaintEffectNoSchedule}}
	if got := pods["controller"].Tolerations; !slices.Equal(got, want) {
		t.Errorf("MetalLB's controller tolerates %v, want %v", got, want)
	}
	for _, object := range objects.shoot {
		if object.GetKind() == "ClusterRoleBinding" {
			if role, _, _ := unstructured.NestedString(object.Object, "roleRef", "name"); role == "cluster-admin" {
				t.Errorf("%s makes an administrator", object.GetName())
			}
		}
	}
}

// The token is where the kubelet reads it, and nowhere else.
func TestTokenIsInNoObject(t *testing.T) {
	objects := newShoot(t, "1.35.1", nil).render(t, false)
	for _, object := range slices.Concat(objects.seed, objects.shoot, objects.crds) {
		text, err := yaml.Marshal(object.Object)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), testToken) {
			t.Errorf("the token is in %s %s", object.GetKind(), object.GetName())
		}
	}
}

// Another token, certificate or project starts other pods.
func TestPodsFollowTheirSecrets(t *testing.T) {
	template := typed[appsv1.Deployment](t, newShoot(t, "1.35.1", nil).render(t, false).seed, "Deployment", CloudControllerManager).Spec.Template
	if got := template.Annotations["checksum/secret-cloudprovider"]; got != "a-checksum" {
		t.Errorf("the checksum of the account is %q", got)
	}
	volumes := map[string]string{}
	for _, volume := range template.Spec.Volumes {
		if volume.Secret != nil {
			volumes[volume.Name] = volume.Secret.SecretName
		}
	}
	// Gardener gives Secrets that change another name.
	if volumes["account"] != "cloudprovider" || !strings.HasPrefix(volumes["server"], serverCertificate+"-") {
		t.Errorf("the Secrets are %v", volumes)
	}
	for _, label := range []string{
		"networking.gardener.cloud/to-dns", "networking.gardener.cloud/to-public-networks", "networking.gardener.cloud/to-private-networks",
		"networking.resources.gardener.cloud/to-kube-apiserver-tcp-443",
	} {
		if template.Labels[label] != "allowed" {
			t.Errorf("label %s is missing", label)
		}
	}
}

// The rights are kept, because the process in the seed ends after them. (EQX e08231b6)
func TestRightsAreKeptOnDeletion(t *testing.T) {
	kinds := map[string]int{}
	for _, object := range newShoot(t, "1.35.1", nil).render(t, false).shoot {
		if !strings.HasPrefix(object.GetName(), "extensions.gardener.cloud:") {
			continue
		}
		kinds[object.GetKind()]++
		if object.GetAnnotations()["resources.gardener.cloud/keep-object"] != "true" {
			t.Errorf("%s %s would be deleted", object.GetKind(), object.GetName())
		}
	}
	if kinds["ClusterRole"] != 1 || kinds["ClusterRoleBinding"] != 1 || kinds["Role"] != 2 || kinds["RoleBinding"] != 3 {
		t.Errorf("the rights are %v", kinds)
	}
}

func TestDashboard(t *testing.T) {
	s := newShoot(t, "1.35.1", nil)
	config := typed[corev1.ConfigMap](t, s.render(t, false).seed, "ConfigMap", "cloud-controller-manager-dashboard")
	if config.Labels["dashboard.monitoring.gardener.cloud/shoot"] != "true" {
		t.Errorf("Plutono does not look at a ConfigMap with the labels %v", config.Labels)
	}
	text := config.Data["packet-cloud-controller-manager.json"]
	var parsed map[string]any
	if err := yaml.Unmarshal([]byte(text), &parsed); err != nil || parsed["title"] == nil {
		t.Errorf("the dashboard is no dashboard: %v", err)
	}
	if text != s.provider(t).dashboard {
		t.Error("the dashboard is not the one of the program's chart")
	}
}

// The definitions are those of MetalLB's release as far as Shoots need them: BGPPeers of the old version would need a webhook that
// converts them, and descriptions take most of the room.
func TestMetalLBDefinitions(t *testing.T) {
	objects := newShoot(t, "1.35.1", nil).render(t, false).crds
	if len(objects) != 9 {
		t.Errorf("there are %d definitions, MetalLB has 9", len(objects))
	}
	for _, object := range objects {
		text, err := yaml.Marshal(object.Object)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "description: ") {
			t.Errorf("%s has descriptions", object.GetName())
		}
	}
	served := map[string]bool{}
	for _, version := range typed[apiextensionsv1.CustomResourceDefinition](t, objects, "CustomResourceDefinition", "bgppeers.metallb.io").Spec.Versions {
		served[version.Name] = version.Served
	}
	if served["v1beta1"] || !served["v1beta2"] {
		t.Errorf("the versions of BGPPeer that are served are %v", served)
	}
}

// MetalLB's webhook is served by the certificate whose CA the API server is told.
func TestMetalLBWebhook(t *testing.T) {
	objects := newShoot(t, "1.35.1", nil).render(t, false).shoot
	secret := typed[corev1.Secret](t, objects, "Secret", "metallb-webhook-cert")
	webhooks := typed[admissionregistrationv1.ValidatingWebhookConfiguration](t, objects, "ValidatingWebhookConfiguration", "metallb-webhook-configuration").Webhooks
	if len(webhooks) != 6 {
		t.Errorf("there are %d webhooks", len(webhooks))
	}
	service := typed[corev1.Service](t, objects, "Service", "metallb-webhook-service")
	pod := typed[appsv1.Deployment](t, objects, "Deployment", "controller").Spec.Template
	if !labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(pod.Labels)) {
		t.Errorf("the Service selects %v, and the pods have %v", service.Spec.Selector, pod.Labels)
	}
	for _, webhook := range webhooks {
		if err := verifies(webhook.ClientConfig.CABundle, secret.Data["tls.crt"], "metallb-webhook-service.metallb-system.svc"); err != nil {
			t.Errorf("%s: %v", webhook.Name, err)
		}
	}
}
