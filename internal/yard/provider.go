package yard

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1apply "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/packetyard/packetyard/internal/machines/namespaces"
	"github.com/packetyard/packetyard/pkg/packet"
)

// The provider's names in a bootstrap cluster, as provider-components.yaml
// has them.
const (
	managerNamespace  = "cluster-api-provider-packet-system"
	managerDeployment = "cluster-api-provider-packet-controller-manager"
	credentialsSecret = "packet-api-credentials"
)

// machinesAPIURL is where machines reach the Packet API.
const machinesAPIURL = "http://" + namespaces.APIAddress + "/metal/v1"

// applyCredentials gives the provider its token. The Secret's namespace is
// made where it is not there yet; provider-components.yaml says what else it has.
func applyCredentials(ctx context.Context, cluster client.Client, credentials packet.Credentials) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: managerNamespace}}
	if err := cluster.Create(ctx, namespace); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("creating namespace %s: %w", managerNamespace, err)
	}
	secret := corev1apply.Secret(credentialsSecret, managerNamespace).
		WithType(corev1.SecretTypeOpaque).
		WithData(map[string][]byte{
			"apiURL":    []byte(machinesAPIURL),
			"apiToken":  []byte(credentials.APIToken),
			"projectID": []byte(credentials.ProjectID),
		})
	if err := cluster.Apply(ctx, secret, client.ForceOwnership); err != nil {
		return fmt.Errorf("creating Secret %s/%s: %w", managerNamespace, credentialsSecret, err)
	}
	return nil
}

// kubectlApply applies a file with kubectl, as a person would who installs
// the provider.
func kubectlApply(ctx context.Context, programs Programs, kubeconfig, file string) error {
	command := exec.CommandContext(ctx, programs.Kube(), "kubectl", "--kubeconfig", kubeconfig,
		"apply", "--filename", file)
	var problem strings.Builder
	command.Stderr = &problem
	err := command.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit):
		return fmt.Errorf("kubectl apply -f %s: %s", file, lastLines(problem.String(), 10))
	default:
		return fmt.Errorf("running kubectl: %w", err)
	}
}

// componentsAnnotation is on the provider's namespace: the hash of the
// provider-components.yaml that was last applied whole.
const componentsAnnotation = "packetyard.dev/provider-components"

// installComponents applies provider-components.yaml. Its custom resource
// definitions cost the API server seconds, so a file that was applied already
// is not applied again.
func installComponents(ctx context.Context, cluster client.Client, programs Programs, kubeconfig string) error {
	content, err := os.ReadFile(programs.Components)
	if err != nil {
		return fmt.Errorf("reading the provider's components: %w", err)
	}
	hash := fmt.Sprintf("%x", sha256.Sum256(content))
	var namespace corev1.Namespace
	if err := cluster.Get(ctx, client.ObjectKey{Name: managerNamespace}, &namespace); err != nil {
		return fmt.Errorf("reading namespace %s: %w", managerNamespace, err)
	}
	if namespace.Annotations[componentsAnnotation] == hash {
		return nil
	}
	if err := kubectlApply(ctx, programs, kubeconfig, programs.Components); err != nil {
		return err
	}
	patch := client.MergeFrom(namespace.DeepCopy())
	if namespace.Annotations == nil {
		namespace.Annotations = map[string]string{}
	}
	namespace.Annotations[componentsAnnotation] = hash
	if err := cluster.Patch(ctx, &namespace, patch); err != nil {
		return fmt.Errorf("noting what was applied on namespace %s: %w", managerNamespace, err)
	}
	return nil
}

// managerAvailable tells whether the provider runs, and if not, why.
func managerAvailable(ctx context.Context, cluster client.Client) (bool, string, error) {
	var deployment appsv1.Deployment
	err := cluster.Get(ctx, client.ObjectKey{Namespace: managerNamespace, Name: managerDeployment}, &deployment)
	if err != nil {
		return false, "", fmt.Errorf("reading Deployment %s: %w", managerDeployment, err)
	}
	if deployment.Status.ObservedGeneration >= deployment.Generation {
		for _, condition := range deployment.Status.Conditions {
			if condition.Type == appsv1.DeploymentAvailable && condition.Status == corev1.ConditionTrue {
				return true, "", nil
			}
		}
	}
	var pods corev1.PodList
	if err := cluster.List(ctx, &pods, client.InNamespace(managerNamespace), client.MatchingLabels(deployment.Spec.Selector.MatchLabels)); err != nil {
		return false, "", fmt.Errorf("listing the provider's pods: %w", err)
	}
	return false, describePods(pods.Items), nil
}

// describePods says what pods that should be ready are at.
func describePods(pods []corev1.Pod) string {
	if len(pods) == 0 {
		return "no pod of the provider exists yet"
	}
	var states []string
	for _, pod := range pods {
		state := fmt.Sprintf("pod %s is %s", pod.Name, pod.Status.Phase)
		for _, container := range pod.Status.ContainerStatuses {
			switch {
			case container.State.Waiting != nil && container.State.Waiting.Reason != "":
				state += fmt.Sprintf(", container %s: %s", container.Name, container.State.Waiting.Reason)
			case container.RestartCount > 0:
				state += fmt.Sprintf(", container %s was started again %d times", container.Name, container.RestartCount)
			}
		}
		states = append(states, state)
	}
	return strings.Join(states, "; ")
}

// passing tells whether an error of a cluster that only just came up may be
// gone at the next try: it is not reachable, its permissions are not there
// yet, or a webhook or a kind is not served yet.
func passing(err error) bool {
	if err == nil {
		return false
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		// Either no answer came, or discovery does not know the kind.
		return meta.IsNoMatchError(err) || errors.As(err, new(*url.Error)) ||
			errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	}
	switch {
	case apierrors.IsTooManyRequests(err), apierrors.IsServerTimeout(err), apierrors.IsTimeout(err),
		apierrors.IsServiceUnavailable(err), apierrors.IsConflict(err), apierrors.IsNotFound(err), apierrors.IsUnauthorized(err):
		return true
	case apierrors.IsInternalError(err):
		return true
	case apierrors.IsForbidden(err):
		// A webhook that refuses says so with its own text.
		return !strings.Contains(err.Error(), "denied the request")
	}
	return status.Status().Reason == metav1.StatusReasonUnknown
}
