package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/packetyard/packetyard/internal/yard/statedir"
)

// Report is what a supervisor tells about itself in a file of the state
// directory. The addresses outlive the supervisor, so that its successor
// listens on them again and kubeconfigs stay valid.
type Report struct {
	// PID is the supervisor's.
	PID       int       `json:"pid"`
	StartedAt time.Time `json:"startedAt"`
	// APIAddress is the host:port of the Packet API on the host.
	APIAddress string `json:"apiAddress"`
	// ProxyAddress is the host:port of the proxy into the machines' network.
	ProxyAddress string      `json:"proxyAddress"`
	APIServer    ChildStatus `json:"apiServer"`
}

// APIURL is the base URL of the Packet API on the host.
func (r Report) APIURL() string { return "http://" + r.APIAddress + "/metal/v1" }

// ProxyURL is the URL of the proxy, as a kubeconfig has it.
func (r Report) ProxyURL() string { return "http://" + r.ProxyAddress }

// ReadReport returns the last report in the state directory, and whether the
// supervisor that wrote it still runs. There is a zero Report where there
// never was one.
func ReadReport(dir statedir.Dir) (Report, bool, error) {
	holder, err := statedir.Holder(dir.SupervisorLock())
	if err != nil {
		return Report{}, false, err
	}
	content, err := os.ReadFile(dir.Report())
	if errors.Is(err, fs.ErrNotExist) {
		return Report{}, false, nil
	}
	if err != nil {
		return Report{}, false, fmt.Errorf("reading the supervisor's report: %w", err)
	}
	var report Report
	if err := json.Unmarshal(content, &report); err != nil {
		return Report{}, false, fmt.Errorf("reading the supervisor's report %s: %w", dir.Report(), err)
	}
	return report, holder != 0 && holder == report.PID, nil
}

func writeReport(dir statedir.Dir, report Report) error {
	content, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the supervisor's report: %w", err)
	}
	return statedir.WriteFile(dir.Report(), append(content, '\n'))
}
