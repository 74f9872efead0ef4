package clusters_test

import (
	"flag"
	"io"
	"os"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/packetyard/packetyard/internal/capi/capitest"
	"github.com/packetyard/packetyard/internal/capi/manager"
)

var (
	env        *capitest.Environment
	kubernetes capitest.Calls
	clusters   = flag.Int("clusters", 20, "number of clusters, of two machines each")
)

func TestMain(m *testing.M) {
	flag.Parse()
	ctrl.SetLogger(logr.Discard())
	// The controllers tell of every endpoint that does not answer yet.
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	os.Exit(capitest.Run(m, capitest.Everything, func(e *capitest.Environment) (func(), error) {
		env = e
		return e.RunManager(func(config *rest.Config, _ *manager.Options) { kubernetes.Of(config) })
	}))
}
