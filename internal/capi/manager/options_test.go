package manager_test

import (
	"strings"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/capi/manager"
)

func TestOptions(t *testing.T) {
	if options := manager.DefaultOptions(); options.Validate() != nil {
		t.Errorf("the defaults are refused: %v", options.Validate())
	}
	for name, test := range map[string]struct {
		change func(*manager.Options)
		want   []string
	}{
		"unknown provider": {func(o *manager.Options) { o.Providers = []string{"packet"} }, []string{"--providers", `"packet"`, "infrastructure"}},
		"no provider":      {func(o *manager.Options) { o.Providers = nil }, []string{"--providers"}},
		"no interval":      {func(o *manager.Options) { o.Packet.PollInterval = 0 }, []string{"--packet-poll-interval", "0s"}},
		"short grace":      {func(o *manager.Options) { o.RemoteConditionsGracePeriod = time.Minute }, []string{"--remote-conditions-grace-period", "1m0s", "2m"}},
		"negative time-out": {func(o *manager.Options) { o.Packet.BootstrapTimeout = -time.Minute },
			[]string{"--packet-bootstrap-timeout", "-1m0s", "0 for never"}},
		"no concurrency": {func(o *manager.Options) { o.Concurrency = 0 }, []string{"--concurrency", "0"}},
		"no namespace":   {func(o *manager.Options) { o.PodNamespace = "" }, []string{"--pod-namespace"}},
		"two mistakes": {func(o *manager.Options) { o.Concurrency, o.Packet.ResyncInterval = -1, -1 },
			[]string{"--concurrency", "--packet-resync-interval"}},
	} {
		t.Run(name, func(t *testing.T) {
			options := manager.DefaultOptions()
			test.change(&options)
			err := options.Validate()
			if err == nil {
				t.Fatal("no error")
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not mention %s", err, part)
				}
			}
		})
	}
}
