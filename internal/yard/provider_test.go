package yard

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestPassing(t *testing.T) {
	resource := schema.GroupResource{Group: "cluster.x-k8s.io", Resource: "clusters"}
	for _, test := range []struct {
		name string
		err  error
		want bool
	}{
		{"none", nil, false},
		{"the webhook is not there yet", apierrors.NewInternalError(errors.New(`failed calling webhook "default.cluster": connection refused`)), true},
		{"the permission is not there yet", apierrors.NewForbidden(resource, "demo", errors.New("User cannot create")), true},
		{"the webhook refuses", &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Reason: metav1.StatusReasonForbidden, Code: http.StatusForbidden, Message: `admission webhook "validation" denied the request: spec.x is wrong`}}, false},
		{"the value is wrong", apierrors.NewInvalid(schema.GroupKind{Kind: "Cluster"}, "demo", nil), false},
		{"the request is wrong", apierrors.NewBadRequest("strict decoding error"), false},
		{"the kind is not served yet", fmt.Errorf("wrapped: %w", &meta.NoKindMatchError{GroupKind: schema.GroupKind{Kind: "Cluster"}}), true},
		{"the namespace is not there yet", apierrors.NewNotFound(resource, "demo"), true},
		{"the server is busy", apierrors.NewTooManyRequests("later", 1), true},
		{"the answer broke off", fmt.Errorf("reading: %w", io.ErrUnexpectedEOF), true},
		{"something of ours", errors.New("reading a kubeconfig: it names no cluster"), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := passing(test.err); got != test.want {
				t.Errorf("passing(%v) is %t, want %t", test.err, got, test.want)
			}
		})
	}
}

// TestPassingOfRealConnections asks servers that are not there, or not yet
// behind the yard's proxy, with the client that `up` uses.
func TestPassingOfRealConnections(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	badGateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "connecting to 198.18.1.1:6443 in the yard's network: connection refused", http.StatusBadGateway)
	}))
	defer badGateway.Close()
	for name, proxy := range map[string]string{
		"nobody listens": "http://" + closed.Addr().String(), "the machine does not answer": badGateway.URL,
	} {
		t.Run(name, func(t *testing.T) {
			proxied, err := throughProxy([]byte(strings.Replace(kubeconfig, "certificate-authority-data: Y2E=", "insecure-skip-tls-verify: true", 1)), proxy)
			if err != nil {
				t.Fatal(err)
			}
			proxied = []byte(strings.NewReplacer("client-certificate-data: Y2VydA==", "token: a", "client-key-data: a2V5", "").Replace(string(proxied)))
			cluster, err := kubeClient(proxied, scheme.Scheme)
			if err == nil {
				err = cluster.Get(t.Context(), client.ObjectKey{Name: "default"}, &corev1.Namespace{})
			}
			if !passing(err) {
				t.Errorf("%v does not count as passing", err)
			}
		})
	}
}

func TestDescribePods(t *testing.T) {
	for _, test := range []struct {
		pods []corev1.Pod
		want string
	}{
		{nil, "no pod"},
		{[]corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Name: "manager"}, Status: corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{
			{Name: "manager", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull"}}},
		}}}}, "pod manager is Pending, container manager: ErrImagePull"},
		{[]corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Name: "manager"}, Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{
			{Name: "manager", RestartCount: 3},
		}}}}, "started again 3 times"},
	} {
		if got := describePods(test.pods); !strings.Contains(got, test.want) {
			t.Errorf("got %q, want %q in it", got, test.want)
		}
	}
}
