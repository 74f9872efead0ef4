package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"

	"github.com/packetyard/packetyard/internal/apiserver"
	"github.com/packetyard/packetyard/internal/apiserver/lifecycle"
)

// options are the flags.
type options struct {
	config          string
	listenAddress   string
	externalURL     string
	tlsCert, tlsKey string
	dataDir         string
	etcdEndpoints   []string
	etcdTLS         apiserver.EtcdTLS
	metadataAddress string
	machines        string
	machineImage    string
	profile         string
	rateLimit       int
	rateLimitWindow time.Duration
	auditLog        string
	otlpEndpoint    string
	control         bool
	seed            string
	logLevel        string
	logFormat       string
}

// The values of --log-format.
const (
	logText = "text"
	logJSON = "json"
)

// configFlag names the file that may hold all other flags.
const configFlag = "config"

// addEtcdTLS adds the flags that say how an etcd is reached that serves TLS.
// They are called as in kube-apiserver.
func addEtcdTLS(flags *pflag.FlagSet, files *apiserver.EtcdTLS) {
	flags.StringVar(&files.CAFile, "etcd-cafile", "", "PEM file of the authorities that certificates of --etcd-endpoints are verified with (default: the host's)")
	flags.StringVar(&files.CertFile, "etcd-certfile", "", "PEM file of the certificate that proves to etcd who this server is")
	flags.StringVar(&files.KeyFile, "etcd-keyfile", "", "PEM file with the key of --etcd-certfile")
}

func (o *options) addTo(flags *pflag.FlagSet) {
	flags.StringVar(&o.config, configFlag, "",
		"YAML file with any of the other flags, by their names without dashes; flags count more than the file")
	flags.StringVar(&o.listenAddress, "listen-address", apiserver.DefaultListenAddress,
		"where to serve the API; port 0 picks a port, which is logged and written to credentials.json")
	flags.StringVar(&o.externalURL, "external-url", "",
		"what clients call this server where a proxy or a load balancer is in between, for example https://packet.example.com")
	flags.StringVar(&o.tlsCert, "tls-cert", "", "PEM file with the certificate to serve HTTPS with; read anew when it changes")
	flags.StringVar(&o.tlsKey, "tls-key", "", "PEM file with the key of --tls-cert")
	flags.StringVar(&o.dataDir, "data-dir", "packet-api-server.data",
		"where the records, the credentials and the machines are kept")
	flags.StringSliceVar(&o.etcdEndpoints, "etcd-endpoints", nil,
		"URLs of an etcd to keep the records in instead of the one inside the process, separated by commas")
	addEtcdTLS(flags, &o.etcdTLS)
	flags.StringVar(&o.metadataAddress, "metadata-listen-address", "",
		"where to serve the metadata service to machines that this server does not make, which it knows by their addresses; empty is nowhere")
	flags.StringVar(&o.machines, "machines", machinesNone, "what devices are made of: "+strings.Join(machineDrivers(), " or "))
	flags.StringVar(&o.machineImage, "machine-image", "",
		"directory of the machine image that namespaces machines boot (default: machine-image beside this program)")
	flags.StringVar(&o.profile, "profile", string(lifecycle.Instant),
		"how long things take: "+strings.Join(lifecycle.Profiles(), ", "))
	flags.IntVar(&o.rateLimit, "rate-limit", 0,
		"how many requests a token may send per --rate-limit-window, to this server; more get 429. 0 is without a limit")
	flags.DurationVar(&o.rateLimitWindow, "rate-limit-window", time.Minute, "how long a count of --rate-limit lasts")
	flags.StringVar(&o.auditLog, "audit-log", "",
		"file to append a line of JSON to for every change and every refusal: who, what, on which object, with what result; - is standard error")
	flags.StringVar(&o.otlpEndpoint, "otlp-endpoint", "",
		"URL of an OpenTelemetry collector to send a trace of every request to by gRPC, for example http://localhost:4317;"+
			" the OTEL_ variables of the environment count too")
	flags.BoolVar(&o.control, "control", false,
		"serve also those routes under /_packetyard that change the server's behaviour and its records")
	flags.StringVar(&o.seed, "seed", "", "YAML file of what a server that nobody used yet shall have: projects, tokens, devices, capacity and more")
	flags.StringVar(&o.logLevel, "log-level", "info", "how much to log: debug, info, warn or error")
	flags.StringVar(&o.logFormat, "log-format", logText, "how to log: "+logText+" or "+logJSON)
}

// readConfig sets the flags that a file names and the command line does not.
// What it names that is no flag is an error, since it would be a setting that
// somebody relies on and that is not in force.
func readConfig(path string, flags *pflag.FlagSet) error {
	if path == "" {
		return nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("--config: %w", err)
	}
	var settings map[string]any
	if err := yaml.UnmarshalStrict(data, &settings); err != nil {
		return fmt.Errorf("--config %s: %w", path, err)
	}
	var problems []error
	for name, value := range settings {
		flag := flags.Lookup(name)
		if flag == nil || name == configFlag || name == "help" {
			problems = append(problems, fmt.Errorf("--config %s: %q is no setting; there are %s", path, name, strings.Join(settingNames(flags), ", ")))
			continue
		}
		if flag.Changed {
			continue
		}
		if err := setFlag(flag, value); err != nil {
			problems = append(problems, fmt.Errorf("--config %s: %s: %w", path, name, err))
		}
	}
	return errors.Join(problems...)
}

// setFlag sets a flag to what YAML made of a value: a text, a number, true or
// false, or a list of them.
func setFlag(flag *pflag.Flag, value any) error {
	switch value := value.(type) {
	case []any:
		list, ok := flag.Value.(pflag.SliceValue)
		if !ok {
			return errors.New("it is a list, and must be one value")
		}
		texts := make([]string, len(value))
		for i := range value {
			texts[i] = asText(value[i])
		}
		return list.Replace(texts)
	case nil, map[string]any:
		return errors.New("it must be a text, a number, true or false, or a list of them")
	default:
		return flag.Value.Set(asText(value))
	}
}

// asText writes a value as one would on the command line. All numbers of YAML
// are floating-point here.
func asText(value any) string {
	if number, ok := value.(float64); ok {
		return strconv.FormatFloat(number, 'f', -1, 64)
	}
	return fmt.Sprint(value)
}

func settingNames(flags *pflag.FlagSet) (names []string) {
	flags.VisitAll(func(flag *pflag.Flag) {
		if flag.Name != configFlag && flag.Name != "help" {
			names = append(names, flag.Name)
		}
	})
	return names
}

func (o *options) logger(out io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return nil, fmt.Errorf("--log-level %q is not one of debug, info, warn, error", o.logLevel)
	}
	options := &slog.HandlerOptions{Level: level}
	switch o.logFormat {
	case logText:
		return slog.New(slog.NewTextHandler(out, options)), nil
	case logJSON:
		return slog.New(slog.NewJSONHandler(out, options)), nil
	default:
		return nil, fmt.Errorf("--log-format %q is not one of %s, %s", o.logFormat, logText, logJSON)
	}
}

// audit opens the audit log, for whoever may read what happens here alone.
func (o *options) audit() (out io.Writer, closing func() error, err error) {
	nothing := func() error { return nil }
	switch o.auditLog {
	case "":
		return nil, nothing, nil
	case "-":
		return os.Stderr, nothing, nil
	}
	file, err := os.OpenFile(o.auditLog, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nothing, fmt.Errorf("--audit-log: %w", err)
	}
	return file, file.Close, nil
}
