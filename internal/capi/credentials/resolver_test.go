package credentials_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/packetyard/packetyard/internal/capi/capitest"
	"github.com/packetyard/packetyard/internal/capi/credentials"
	"github.com/packetyard/packetyard/pkg/packet"
)

var env *capitest.Environment

func TestMain(m *testing.M) {
	ctrl.SetLogger(klog.Background())
	os.Exit(capitest.Run(m, capitest.DefinitionsOnly, func(e *capitest.Environment) (func(), error) {
		env = e
		return func() {}, nil
	}))
}

const (
	apiURL  = "http://127.0.0.1:1/metal/v1"
	project = "00000000-0000-4000-8000-000000000001"
	other   = "00000000-0000-4000-8000-000000000002"
)

func TestResolver(t *testing.T) {
	namespace := env.Namespace(t)
	now := time.Now()
	resolver, err := credentials.NewResolver(credentials.Config{
		Reader: env.Client, Secret: client.ObjectKey{Namespace: namespace, Name: "creds"}, Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	var missing *credentials.MissingError
	if _, err := resolver.Account(t.Context(), ""); !errors.As(err, &missing) || !strings.Contains(err.Error(), "create Secret creds in namespace "+namespace) {
		t.Fatalf("without a Secret: %v, want what to create", err)
	}

	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "creds"},
		// Secrets made from files end in line breaks.
		StringData: map[string]string{"apiURL": apiURL + "/\n", "apiToken": "first\n", "projectID": strings.ToUpper(project)},
	}
	if err := env.Client.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	first, err := resolver.Account(t.Context(), "")
	if err != nil {
		t.Fatalf("right after the Secret was created: %v", err)
	}
	if want := (credentials.CloudConfig{APIKey: "first", ProjectID: project, BaseURL: apiURL}); first.CloudConfig() != want {
		t.Error("the account is not what the Secret says")
	}
	if same, err := resolver.Account(t.Context(), project); err != nil || same != first {
		t.Errorf("the same project has another account: %v", err)
	}
	second, err := resolver.Account(t.Context(), other)
	if err != nil || second == first || second.Client != first.Client || second.ProjectID != other {
		t.Errorf("another project should have another account and the same client: %v", err)
	}

	secret.StringData = map[string]string{"apiToken": "rotated"}
	if err := env.Client.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Minute)
	rotated, err := resolver.Account(t.Context(), "")
	if err != nil || rotated.CloudConfig().APIKey != "rotated" || rotated.Client == first.Client {
		t.Errorf("the rotated token is not in use: %v", err)
	}
	if text := fmt.Sprintf("%v %+v", rotated.Client, rotated.Client); strings.Contains(text, "rotated") {
		t.Error("printing an account's client shows the token")
	}
}

func TestBadCredentialsAreNamed(t *testing.T) {
	namespace := env.Namespace(t)
	for name, test := range map[string]struct {
		change map[string]string
		want   string
	}{
		"no URL":       {map[string]string{"apiURL": ""}, "API URL"},
		"no token":     {map[string]string{"apiToken": ""}, "API token"},
		"odd project":  {map[string]string{"projectID": "mine"}, `"mine" is not a UUID`},
		"odd protocol": {map[string]string{"apiURL": "ftp://x/"}, "ftp"},
	} {
		t.Run(name, func(t *testing.T) {
			data := map[string]string{"apiURL": apiURL, "apiToken": "t", "projectID": project}
			for key, value := range test.change {
				data[key] = value
			}
			secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "creds-"}, StringData: data}
			if err := env.Client.Create(t.Context(), secret); err != nil {
				t.Fatal(err)
			}
			resolver, err := credentials.NewResolver(credentials.Config{Reader: env.Client, Secret: client.ObjectKeyFromObject(secret)})
			if err != nil {
				t.Fatal(err)
			}
			var missing *credentials.MissingError
			if _, err := resolver.Account(t.Context(), ""); !errors.As(err, &missing) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want it to mention %q", err, test.want)
			}
		})
	}
}

func TestEnvironmentFillsIn(t *testing.T) {
	resolver, err := credentials.NewResolver(credentials.Config{
		Reader: env.Client, Secret: client.ObjectKey{Namespace: env.Namespace(t), Name: "none"},
		Environment: packet.Credentials{APIURL: apiURL, APIToken: "from-env", ProjectID: project},
	})
	if err != nil {
		t.Fatal(err)
	}
	account, err := resolver.Account(t.Context(), "")
	if err != nil || account.CloudConfig().APIKey != "from-env" {
		t.Errorf("the environment is not used: %v", err)
	}
}

func TestCloudConfigKeys(t *testing.T) {
	text, err := json.Marshal(credentials.CloudConfig{APIKey: "k", ProjectID: "p", BaseURL: "u"})
	if err != nil || string(text) != `{"apiKey":"k","projectID":"p","base-url":"u"}` {
		t.Errorf("cloud-sa.json is %s, %v", text, err)
	}
}
