package capitest

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"k8s.io/client-go/rest"

	"github.com/packetyard/packetyard/internal/capi/manager"
	"github.com/packetyard/packetyard/internal/processtest"
)

// patience is how long a manager may take to become ready on a machine that has other things to do.
const patience = 2 * time.Minute

// RunManager starts a manager with everything in it for all tests of a package, as its flags default to but for what the
// function changes, with the rights of its ServiceAccount and no more. The environment must hold Everything.
func (e *Environment) RunManager(change func(*rest.Config, *manager.Options)) (stop func(), err error) {
	config := rest.CopyConfig(e.Config)
	config.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + manager.DefaultNamespace + ":cluster-api-provider-packet-manager",
		Groups:   []string{"system:serviceaccounts", "system:authenticated"},
	}
	options, err := listening(e.Host)
	if err != nil {
		return nil, err
	}
	if change != nil {
		change(config, &options)
	}
	if err := e.ServeWebhooks(context.Background(), options.WebhookPort); err != nil {
		return nil, err
	}
	return start(config, options)
}

// listening are the defaults of a manager, with ports that are free and webhooks at a host.
func listening(host string) (manager.Options, error) {
	options := manager.DefaultOptions()
	options.Diagnostics.DiagnosticsAddress = "0"
	options.WebhookHost = host
	health, err := processtest.FindPort()
	if err != nil {
		return options, err
	}
	options.HealthAddress = fmt.Sprintf("127.0.0.1:%d", health)
	options.WebhookPort, err = processtest.FindPort()
	return options, err
}

// start starts a manager and waits until it is ready.
func start(config *rest.Config, options manager.Options) (stop func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			cancel()
		}
	}()
	m, err := manager.New(ctx, config, options)
	if err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	go func() { done <- m.Start(ctx) }()
	stop = func() {
		cancel()
		if err := <-done; err != nil {
			fmt.Fprintf(os.Stderr, "running the manager: %v\n", err)
		}
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if err = ready(ctx, options.HealthAddress); err == nil {
			return stop, nil
		}
		select {
		case ended := <-done:
			return nil, fmt.Errorf("running the manager: %w", ended)
		case <-time.After(20 * time.Millisecond):
		}
	}
	stop()
	return nil, fmt.Errorf("the manager did not become ready: %w", err)
}

func ready(ctx context.Context, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("readiness is %s", response.Status)
	}
	return nil
}
