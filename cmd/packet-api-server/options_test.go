package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// configured reads a file beside a command line.
func configured(t *testing.T, file string, args ...string) (options, error) {
	t.Helper()
	var o options
	flags := pflag.NewFlagSet("packet-api-server", pflag.ContinueOnError)
	o.addTo(flags)
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return o, readConfig(path, flags)
}

func TestConfigFile(t *testing.T) {
	var o options
	flags := pflag.NewFlagSet("packet-api-server", pflag.ContinueOnError)
	o.addTo(flags)
	path := filepath.Join(t.TempDir(), "config.yaml")
	file := "rate-limit: 1000000\nrate-limit-window: 30s\nprofile: fast\ncontrol: true\netcd-endpoints: [http://a:2379, http://b:2379]\n"
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := flags.Parse([]string{"--profile", "instant"}); err != nil {
		t.Fatal(err)
	}
	if err := readConfig(path, flags); err != nil {
		t.Fatal(err)
	}
	if o.rateLimit != 1000000 || o.rateLimitWindow != 30*time.Second || !o.control || len(o.etcdEndpoints) != 2 {
		t.Errorf("%+v", o)
	}
	if o.profile != "instant" {
		t.Errorf("the file's profile %q counts more than the command line's", o.profile)
	}
}

func TestWrongConfigFile(t *testing.T) {
	for text, file := range map[string]string{
		`"rate-limits" is no setting; there are audit-log,`: "rate-limits: 5",
		`"config" is no setting`:                            "config: x",
		`rate-limit: strconv.ParseInt: parsing "many"`:      "rate-limit: many",
		"profile: it is a list, and must be one value":      "profile: [fast]",
		"profile: it must be a text, a number":              "profile: {name: fast}",
		`key "profile" already set`:                         "profile: fast\nprofile: instant",
		"cannot unmarshal":                                  "- profile",
	} {
		if _, err := configured(t, file); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want an error with %q", file, err, text)
		}
	}
	if err := readConfig(filepath.Join(t.TempDir(), "none.yaml"), nil); err == nil {
		t.Error("a file that is not there is no error")
	}
}

func TestLogFormat(t *testing.T) {
	var out strings.Builder
	logger, err := (&options{logLevel: "warn", logFormat: logJSON}).logger(&out)
	if err != nil {
		t.Fatal(err)
	}
	logger.Info("no")
	logger.Warn("yes", slog.Int("n", 1))
	if !strings.HasPrefix(out.String(), `{"time":`) || strings.Contains(out.String(), "no") {
		t.Errorf("%s", out.String())
	}
	if _, err := (&options{logLevel: "warn", logFormat: "xml"}).logger(&out); err == nil {
		t.Error("xml is no error")
	}
}

// TestAuditFile expects a file that only its owner reads, and that is added to.
func TestAuditFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	for range 2 {
		out, closing, err := (&options{auditLog: path}).audit()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write([]byte("line\n")); err != nil {
			t.Error(err)
		}
		if err := closing(); err != nil {
			t.Error(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() != 10 {
		t.Errorf("%v, %v", info, err)
	}
	if _, _, err := (&options{auditLog: t.TempDir()}).audit(); err == nil {
		t.Error("a folder is no error")
	}
}

func TestOTLPEndpoint(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")
	if provider, _, err := (&options{}).tracing(t.Context()); provider != nil || err != nil {
		t.Errorf("%v, %v: traces are on without being asked for", provider, err)
	}
	if _, _, err := (&options{otlpEndpoint: "localhost:4317"}).tracing(t.Context()); err == nil {
		t.Error("an endpoint that is no URL is no error")
	}
	provider, stop, err := (&options{otlpEndpoint: "http://127.0.0.1:1"}).tracing(t.Context())
	if provider == nil || err != nil {
		t.Errorf("%v, %v", provider, err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
