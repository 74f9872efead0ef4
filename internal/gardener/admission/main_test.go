package admission_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	extensionswebhook "github.com/gardener/gardener/extensions/pkg/webhook"
	webhookcmd "github.com/gardener/gardener/extensions/pkg/webhook/cmd"
	"github.com/gardener/gardener/pkg/client/kubernetes"
	gardenerenvtest "github.com/gardener/gardener/test/envtest"

	"github.com/packetyard/packetyard/internal/charts"
	"github.com/packetyard/packetyard/internal/controlplanetest"
	"github.com/packetyard/packetyard/internal/gardener/admission/mutator"
	"github.com/packetyard/packetyard/internal/gardener/admission/validator"
	"github.com/packetyard/packetyard/internal/processtest"
)

// patience is for a machine that has much else to do.
const patience = 3 * time.Minute

// garden is a client of the garden cluster of the tests, whose gardener-apiserver asks the admission component.
var garden client.Client

func TestMain(m *testing.M) {
	log.SetLogger(zap.New(zap.WriteTo(os.Stderr), zap.Level(zapcore.ErrorLevel)))
	os.Exit(controlplanetest.Run(m, &gardenerenvtest.GardenerTestEnvironment{
		Environment: controlplanetest.New(),
		// Every plugin that a garden has is on: what they refuse is refused here, too.
		GardenerAPIServer: &gardenerenvtest.GardenerAPIServer{StartTimeout: patience, StopTimeout: patience},
	}, begin))
}

// begin runs the admission component in the garden cluster.
func begin(suite *controlplanetest.Suite) error {
	ctx := context.Background()
	lax, err := client.New(suite.Config, client.Options{Scheme: kubernetes.GardenScheme})
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	garden = client.WithFieldValidation(lax, metav1.FieldValidationStrict)
	restricted, err := asServiceAccount(ctx, suite.Config)
	if err != nil {
		return err
	}
	stopped := make(chan struct{})
	suite.Go(func(ctx context.Context) error {
		defer close(stopped)
		return component(ctx, restricted)
	})
	return prepare(ctx, stopped)
}

// asServiceAccount makes the rights that the chart gives the admission component, and is a configuration that has just these.
func asServiceAccount(ctx context.Context, admin *rest.Config) (*rest.Config, error) {
	manifests, err := charts.Render("../../../charts/gardener-extension-admission-packet/application", "admission-packet", "garden", "")
	if err != nil {
		return nil, fmt.Errorf("rendering the chart: %w", err)
	}
	objects, err := decoded([]byte(manifests))
	if err != nil {
		return nil, fmt.Errorf("reading the chart: %w", err)
	}
	for _, object := range objects {
		if err := garden.Create(ctx, object); err != nil {
			return nil, fmt.Errorf("making the %s %s of the chart: %w", object.GetKind(), object.GetName(), err)
		}
	}
	config := rest.CopyConfig(admin)
	config.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:kube-system:extension-admission-packet",
		Groups:   []string{"system:serviceaccounts", "system:authenticated"},
	}
	return config, nil
}

// component runs the admission component as its program does: with a manager, and webhooks that it registers itself.
func component(ctx context.Context, config *rest.Config) error {
	port, err := processtest.FindPort()
	if err != nil {
		return err
	}
	certificates, err := os.MkdirTemp("", "admission")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(certificates) }()
	mgr, err := manager.New(config, manager.Options{
		Scheme:        scheme(),
		Metrics:       metricsserver.Options{BindAddress: "0"},
		WebhookServer: webhook.NewServer(webhook.Options{Host: "127.0.0.1", Port: port, CertDir: certificates}),
	})
	if err != nil {
		return err
	}
	options := webhookcmd.NewAddToManagerOptions("admission-packet", "", nil, nil,
		&webhookcmd.ServerOptions{Mode: extensionswebhook.ModeURL, URL: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))},
		webhookcmd.NewSwitchOptions(
			webhookcmd.Switch(validator.Name, func(mgr manager.Manager) (*extensionswebhook.Webhook, error) {
				return validator.New(mgr, validator.Options{})
			}),
			webhookcmd.Switch(validator.SecretsName, func(mgr manager.Manager) (*extensionswebhook.Webhook, error) {
				return validator.NewSecrets(mgr, validator.Options{})
			}),
			webhookcmd.Switch(mutator.Name, func(mgr manager.Manager) (*extensionswebhook.Webhook, error) {
				return mutator.New(mgr, mutator.Options{})
			}),
		))
	if err := options.Complete(); err != nil {
		return err
	}
	if _, err := options.Completed().AddToManager(ctx, mgr, nil); err != nil {
		return err
	}
	return mgr.Start(ctx)
}

// scheme is what the admission component has to know.
func scheme() *runtime.Scheme { return kubernetes.GardenScheme }

// prepare makes what a garden has before anybody uses Packet, and waits until the admission component is asked.
func prepare(ctx context.Context, stopped <-chan struct{}) error {
	for _, object := range landscape() {
		if err := garden.Create(ctx, object); err != nil {
			return fmt.Errorf("making %s: %w", object.GetName(), err)
		}
	}
	var last error
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		select {
		case <-stopped:
			return false, errors.New("the admission component ended")
		default:
		}
		profile, err := firstOf("26-cloudprofile.yaml")
		if err != nil {
			return false, err
		}
		if err := set(profile, nil, "spec", "providerConfig"); err != nil {
			return false, err
		}
		last = garden.Create(ctx, profile, client.DryRunAll)
		if apierrors.IsInvalid(last) {
			return false, last
		}
		if !refusedBy(last, "spec.providerConfig: Required") {
			return false, nil
		}
		secret := &corev1.Secret{}
		secret.Name, secret.Namespace = "probe", "garden-em"
		secret.Labels = map[string]string{"provider.shoot.gardener.cloud/packet": "true"}
		last = garden.Create(ctx, secret, client.DryRunAll)
		return refusedBy(last, "data[apiToken]"), nil
	})
	if err != nil {
		return fmt.Errorf("waiting until the admission component is asked: %w (last answer: %w)", err, last)
	}
	return nil
}
