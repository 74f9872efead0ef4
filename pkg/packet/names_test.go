package packet

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
)

func TestDeviceID(t *testing.T) {
	for _, test := range []struct {
		name, in, want string
		err            error
	}{
		{name: "packet", in: "packet://" + testDevice, want: testDevice},
		{name: "equinixmetal", in: "equinixmetal://" + testDevice, want: testDevice},
		{name: "bare", in: testDevice, want: testDevice},
		{name: "upper case", in: "packet://" + strings.ToUpper(testDevice), want: testDevice},
		{name: "empty", in: "", err: ErrInvalidProviderID},
		{name: "scheme alone", in: "packet://", err: ErrInvalidProviderID},
		{name: "no UUID", in: "packet://web-1", err: ErrInvalidProviderID},
		{name: "twice", in: "packet://packet://" + testDevice, err: ErrInvalidProviderID},
		{name: "path", in: "packet:///da/" + testDevice, err: ErrInvalidProviderID},
		{name: "UUID without dashes", in: strings.ReplaceAll(testDevice, "-", ""), err: ErrInvalidProviderID},
		{name: "path traversal", in: "packet://../../projects/00000000-0000-00", err: ErrInvalidProviderID},
		{name: "aws", in: "aws:///eu-west-1a/i-0123", err: ErrForeignProviderID},
		{name: "other cloud with a UUID", in: "openstack://" + testDevice, err: ErrForeignProviderID},
		{name: "scheme in upper case", in: "PACKET://" + testDevice, err: ErrForeignProviderID},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := DeviceID(test.in)
			if got != test.want || !errors.Is(err, test.err) {
				t.Errorf("DeviceID(%q) is %q, %v, want %q, %v", test.in, got, err, test.want, test.err)
			}
		})
	}
	if got := ProviderID(strings.ToUpper(testDevice)); got != "packet://"+testDevice {
		t.Errorf("ProviderID is %q", got)
	}
}

func TestTags(t *testing.T) {
	want := []string{"capp:cluster-id:demo", "capp:namespace:prod", "capp:machine-uid:demo-md-0-x1"}
	if got := MachineTags("prod", "demo", "demo-md-0-x1"); !reflect.DeepEqual(got, want) {
		t.Errorf("MachineTags is %q, want %q", got, want)
	}
	if RoleTag(true) != "kubernetes.io/role:master" || RoleTag(false) != "kubernetes.io/role:node" {
		t.Error("role tags changed")
	}
	have := append(want, TagRoleNode)
	if !HasTags(have, ClusterTags("prod", "demo")...) || HasTags(have, "capp:cluster-id:demo2") || !HasTags(have) {
		t.Error("HasTags is wrong")
	}
}

func TestLongTagsStayApart(t *testing.T) {
	stem := strings.Repeat("a", 70)
	one, two := MachineTag(stem+"-1"), MachineTag(stem+"-2")
	if len(one) > MaxTagLength || len(two) > MaxTagLength || one == two {
		t.Errorf("tags are %q and %q", one, two)
	}
	if one != MachineTag(stem+"-1") {
		t.Error("a tag differs from itself")
	}
	// The names that Kubernetes allows in labels are never cut.
	if got := MachineTag(strings.Repeat("a", 63)); got != "capp:machine-uid:"+strings.Repeat("a", 63) {
		t.Errorf("a name of 63 characters was cut: %q", got)
	}
}

func TestCredentialsFromEnvironment(t *testing.T) {
	for _, test := range []struct {
		name string
		env  map[string]string
		want Credentials
	}{
		{"ours", map[string]string{"PACKET_API_URL": "http://a/metal/v1", "PACKET_API_TOKEN": "t", "PACKET_PROJECT_ID": testProject},
			Credentials{"http://a/metal/v1", "t", testProject}},
		{"packet's", map[string]string{"PACKET_API_KEY": "k"}, Credentials{APIToken: "k"}},
		{"equinix's", map[string]string{"METAL_API_KEY": "m", "METAL_PROJECT_ID": testProject}, Credentials{APIToken: "m", ProjectID: testProject}},
		{"ours first", map[string]string{"METAL_API_KEY": "m", "PACKET_API_KEY": "k", "PACKET_API_TOKEN": "t\n"}, Credentials{APIToken: "t"}},
		{"none", nil, Credentials{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := CredentialsFromEnvironment(func(k string) string { return test.env[k] }); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestCredentialsValidateNamesEverything(t *testing.T) {
	good := Credentials{APIURL: "http://127.0.0.1:8080/metal/v1", APIToken: testToken, ProjectID: testProject}
	if err := good.Validate(); err != nil {
		t.Fatalf("good credentials: %v", err)
	}
	for _, test := range []struct {
		name   string
		change func(*Credentials)
		want   []string
	}{
		{"nothing", func(c *Credentials) { *c = Credentials{} }, []string{"PACKET_API_URL", "PACKET_API_TOKEN", "PACKET_PROJECT_ID"}},
		{"scheme", func(c *Credentials) { c.APIURL = "ftp://a" }, []string{`"ftp"`, "http and https"}},
		{"no scheme", func(c *Credentials) { c.APIURL = "api.example.com/metal/v1" }, []string{"http and https"}},
		{"no host", func(c *Credentials) { c.APIURL = "http:///metal" }, []string{"no host"}},
		{"query", func(c *Credentials) { c.APIURL = "http://a/?x=1" }, []string{"query"}},
		{"project", func(c *Credentials) { c.ProjectID = "my-project" }, []string{`"my-project"`, "UUID"}},
		{"line break", func(c *Credentials) { c.APIToken = testToken + "\nx" }, []string{"line break"}},
		{"password in the URL", func(c *Credentials) { c.APIURL = "http://me:" + testToken + "@a" }, []string{"PACKET_API_TOKEN"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := good
			test.change(&c)
			err := c.Validate()
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not mention %q", err, want)
				}
			}
			if strings.Contains(err.Error(), testToken) {
				t.Errorf("error %q shows the token", err)
			}
		})
	}
}

func TestNothingPrintsTheToken(t *testing.T) {
	credentials := Credentials{APIURL: "http://a", APIToken: testToken}
	config := Config{BaseURL: "http://a", Token: testToken}
	client, err := NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	for _, value := range []any{credentials, &credentials, config, &config, client} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			if text := fmt.Sprintf(verb, value); strings.Contains(text, testToken) {
				t.Errorf("%s of %T shows the token: %s", verb, value, text)
			}
		}
		logger.Info("x", "value", value)
	}
	if strings.Contains(log.String(), testToken) {
		t.Errorf("the log shows the token: %s", log.String())
	}
}
