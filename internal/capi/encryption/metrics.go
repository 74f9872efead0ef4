package encryption

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// State is what is known about one resource.
type State string

// The states. Unknown is an honest answer where the API server's metrics cannot be read, as in many managed clusters.
const (
	Encrypted    State = "encrypted"
	NotEncrypted State = "notEncrypted"
	Unknown      State = "unknown"
)

// Finding is what was found out about one resource.
type Finding struct {
	State State
	// Reason tells what it is concluded from.
	Reason string
}

// Resources are what a bootstrap cluster should encrypt, as metrics and EncryptionConfigurations name them.
func Resources() []string {
	return []string{"secrets", "kubeadmconfigs.bootstrap.cluster.x-k8s.io"}
}

const (
	metric = "apiserver_storage_transformation_operations_total"
	// encryptedPrefix begins the prefix of everything that an EncryptionConfiguration can encrypt with, for example
	// k8s:enc:secretbox:v1:key1:.
	encryptedPrefix = "k8s:enc:"
	// longestLine limits a line of metrics.
	longestLine = 1 << 20
)

// read concludes from an API server's metrics, in Prometheus' text format.
func read(metrics io.Reader) (map[string]Finding, error) {
	var ours bytes.Buffer
	ofAnAPIServer := false
	lines := bufio.NewScanner(metrics)
	lines.Buffer(make([]byte, 0, 64*1024), longestLine)
	for lines.Scan() {
		// The whole has megabytes, of which this needs a few lines.
		if strings.HasPrefix(lines.Text(), metric+"{") {
			ours.Write(lines.Bytes())
			ours.WriteByte('\n')
		}
		ofAnAPIServer = ofAnAPIServer || strings.HasPrefix(lines.Text(), "apiserver_request_total{")
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading the metrics of the API server: %w", err)
	}
	if !ofAnAPIServer {
		return nil, fmt.Errorf("the metrics are not those of an API server: they have no apiserver_request_total")
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(&ours)
	if err != nil {
		return nil, fmt.Errorf("reading metric %s: %w", metric, err)
	}
	// count has how many values of a resource were written and read.
	type count struct{ plainWrites, encryptedWrites, encryptedReads float64 }
	counts := map[string]count{}
	for _, sample := range families[metric].GetMetric() {
		labels := map[string]string{}
		for _, label := range sample.GetLabel() {
			labels[label.GetName()] = label.GetValue()
		}
		value := sample.GetUntyped().GetValue() + sample.GetCounter().GetValue()
		c := counts[labels["resource"]]
		// The keys of a provider are counted too, by their names; what has no prefix at all is written as it is.
		switch encrypted := strings.HasPrefix(labels["transformer_prefix"], encryptedPrefix); {
		case labels["status"] != "OK":
		case labels["transformation_type"] == "to_storage" && encrypted:
			c.encryptedWrites += value
		case labels["transformation_type"] == "to_storage" && labels["transformer_prefix"] == "":
			c.plainWrites += value
		case encrypted:
			c.encryptedReads += value
		}
		counts[labels["resource"]] = c
	}
	findings := map[string]Finding{}
	for _, resource := range Resources() {
		c, counted := counts[resource]
		finding := &Finding{NotEncrypted, "the API server has transformed none of them on their way to etcd"}
		switch {
		case !counted:
		case c.encryptedWrites > 0 && c.plainWrites == 0:
			finding = &Finding{Encrypted, "the API server encrypts them on their way to etcd"}
		case c.encryptedWrites > 0:
			finding = &Finding{Unknown, "since it started, the API server has written some of them encrypted and some not"}
		case c.plainWrites > 0:
			finding = &Finding{NotEncrypted, "the API server writes them to etcd as they are"}
		case c.encryptedReads > 0:
			finding = &Finding{Encrypted, "the API server has read encrypted ones from etcd and not written any since it started"}
		}
		findings[resource] = *finding
	}
	return findings, nil
}
