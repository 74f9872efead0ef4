package clusterctl

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestInitialisesOnlyPacket: the one process of this release is right when
// packet is all that is asked for; all else is upstream's to install.
func TestInitialisesOnlyPacket(t *testing.T) {
	for line, want := range map[string]bool{
		"init --infrastructure packet":                       true,
		"init -i packet:" + Version:                          true,
		"init list-images -i packet":                         true,
		"init":                                               false,
		"init -i docker":                                     false,
		"init -i packet,docker":                              false,
		"init -i packet:v9.9.9":                              false,
		"init -i packet --ipam in-cluster":                   false,
		"init -i packet --core cluster-api:v1.13.0":          false,
		"init -i packet --bootstrap kubeadm:v1.13.0":         false,
		"init list-images -i packet --control-plane kubeadm": false,
		"upgrade -i packet":                                  false,
	} {
		var ran *cobra.Command
		run := func(cmd *cobra.Command, _ []string) { ran = cmd }
		root := &cobra.Command{Use: "clusterctl"}
		initialise := &cobra.Command{Use: "init", Run: run}
		initialise.PersistentFlags().StringSliceP("infrastructure", "i", nil, "")
		for _, flag := range providerFlags {
			initialise.PersistentFlags().StringSlice(flag, nil, "")
		}
		initialise.AddCommand(&cobra.Command{Use: "list-images", Run: run})
		upgrade := &cobra.Command{Use: "upgrade", Run: run}
		upgrade.Flags().StringSliceP("infrastructure", "i", nil, "")
		root.AddCommand(initialise, upgrade)
		root.SetArgs(strings.Fields(line))
		if err := root.Execute(); err != nil {
			t.Fatal(err)
		}
		if got := initialisesOnlyPacket(ran); got != want {
			t.Errorf("%s: %v, want %v", line, got, want)
		}
	}
}

// TestExtendRefusesAnotherTree: if upstream renames a command, the program says
// so instead of running without the provider.
func TestExtendRefusesAnotherTree(t *testing.T) {
	root := &cobra.Command{Use: "clusterctl"}
	root.AddCommand(&cobra.Command{Use: "generate"})
	err := Extend(root)
	if err == nil || !strings.Contains(err.Error(), `finding the command "cluster"`) {
		t.Errorf("the error is %v", err)
	}
}

func TestFileURL(t *testing.T) {
	if got, want := fileURL("/home/a b/$x", "packet", "c.yaml"), "file:///home/a%20b/%24x/packet/c.yaml"; got != want {
		t.Errorf("the URL is %s, want %s", got, want)
	}
}
