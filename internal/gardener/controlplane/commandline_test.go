package controlplane

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	appsv1 "k8s.io/api/apps/v1"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	cloudprovider "k8s.io/cloud-provider"
	"k8s.io/cloud-provider/app"
	"k8s.io/cloud-provider/app/config"
	"k8s.io/cloud-provider/names"
	"k8s.io/cloud-provider/options"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/featuregate"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/ccm"
	"github.com/packetyard/packetyard/internal/gardener/account"
)

// flagged are the feature gates that the help of a flag tells of, in lines such as "kube:APIServerIdentity=true|false (BETA - default=true)".
func flagged(usage string) []featuregate.Feature {
	var names []featuregate.Feature
	for line := range strings.Lines(usage) {
		if name, _, is := strings.Cut(strings.TrimPrefix(line, "kube:"), "=true|false"); is {
			names = append(names, featuregate.Feature(name))
		}
	}
	return names
}

// The command line of the chart is one that the cloud controller manager takes: Kubernetes' own flags parse it, and the cloud
// provider accepts the configuration that it makes, after it asked a real Packet API about token, project and location.
func TestCommandLineIsAccepted(t *testing.T) {
	api := apiservertest.Start(t, apiservertest.Options{})
	tokenFile := filepath.Join(t.TempDir(), "apiToken")
	if err := os.WriteFile(tokenFile, []byte(api.Token), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ region, config string }{
		"metallb":       {"da", `"loadBalancer":{"implementation":"metallb"}`},
		"none":          {"da", `"loadBalancer":{"implementation":"none"}`},
		"disabled":      {"da", `"loadBalancer":{"implementation":"disabled"}`},
		"facility":      {"da11", ""},
		"feature gates": {"da", `"cloudControllerManager":{"featureGates":{"AllBeta":true,"AllAlpha":false}}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShoot(t, "1.35.1", map[string]string{account.APIURL: api.URL, account.ProjectID: api.ProjectID})
			s.cp.Spec.Region = test.region
			s.configure(test.config)
			deployment := typed[appsv1.Deployment](t, s.render(t, false).seed, "Deployment", CloudControllerManager)
			arguments := deployment.Spec.Template.Spec.Containers[0].Args
			for i, argument := range arguments {
				if strings.HasPrefix(argument, "--packet-api-key-file=") {
					arguments[i] = "--packet-api-key-file=" + tokenFile
				}
			}

			ccmOptions, err := options.NewCloudControllerManagerOptions()
			if err != nil {
				t.Fatal(err)
			}
			flags := ccm.NewFlags()
			none := func(*config.CompletedConfig) cloudprovider.Interface { return nil }
			command := app.NewCloudControllerManagerCommand(ccmOptions, none, ccm.Controllers(), names.CCMControllerAliases(),
				cliflag.NamedFlagSets{FlagSets: map[string]*pflag.FlagSet{"packet": flags.FlagSet()}}, nil)
			if err := command.ParseFlags(arguments); err != nil {
				t.Fatalf("%v: %q", err, arguments)
			}
			if err := ccmOptions.Validate(nil, nil, names.CCMControllerAliases(), nil, nil); err != nil {
				t.Errorf("%v: %q", err, arguments)
			}
			if len(command.Flags().Args()) > 0 {
				t.Errorf("%q are no flags", command.Flags().Args())
			}
			// The program ends here if anything is wrong.
			if _, err := cloudprovider.GetCloudProvider(ccm.ProviderName, &ccm.Source{Flags: flags}); err != nil {
				t.Errorf("%v: %q", err, arguments)
			}
			if len(flagged(command.Flags().Lookup("feature-gates").Usage)) < 10 {
				t.Errorf("the help tells of no feature gates: %s", command.Flags().Lookup("feature-gates").Usage)
			}
			for _, known := range flagged(command.Flags().Lookup("feature-gates").Usage) {
				if _, has := utilfeature.DefaultMutableFeatureGate.GetAll()[known]; !has {
					t.Errorf("the extension would refuse feature gate %s, which the program has", known)
				}
			}
			gates := command.Flags().Lookup("feature-gates")
			if asked := strings.Contains(test.config, "featureGates"); asked != gates.Changed {
				t.Errorf("the feature gates were given: %t", gates.Changed)
			} else if asked && !strings.Contains(strings.Join(arguments, " "), "--feature-gates=AllAlpha=false,AllBeta=true ") {
				t.Errorf("the feature gates are in %q", arguments)
			}
		})
	}
}
