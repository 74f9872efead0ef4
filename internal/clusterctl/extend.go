// Package clusterctl puts the packet infrastructure provider into the command
// tree of Cluster API's clusterctl.
//
// Upstream's commands make their own client from global configuration and offer
// no place to put a provider in. So the provider is given to them the way a user
// would give it: as a repository of files on the local disk and an entry in the
// list of providers, both made before the command runs.
package clusterctl

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/viper"
	"sigs.k8s.io/cluster-api/cmd/clusterctl/client/config"
)

// Version is the version of the built-in provider: the folder of its files in
// the repository, and what `clusterctl init` records as installed.
const Version = "v0.1.0"

// ProviderName is the name of the built-in provider in `--infrastructure packet`.
const ProviderName = "packet"

// disableVersionCheck is upstream's variable that turns off the question to
// GitHub whether there is a newer release of Cluster API.
const disableVersionCheck = "CLUSTERCTL_DISABLE_VERSIONCHECK"

// Extend puts the provider into root, upstream's command tree. It is called once,
// before the command runs, and fails if upstream's tree is not the expected one.
func Extend(root *cobra.Command) error {
	generateCluster, err := find(root, "generate", "cluster")
	if err != nil {
		return err
	}
	generateProvider, err := find(root, "generate", "provider")
	if err != nil {
		return err
	}
	initialise, err := find(root, "init")
	if err != nil {
		return err
	}
	listImages, err := find(root, "init", "list-images")
	if err != nil {
		return err
	}
	upgradePlan, err := find(root, "upgrade", "plan")
	if err != nil {
		return err
	}
	upgradeApply, err := find(root, "upgrade", "apply")
	if err != nil {
		return err
	}
	move, err := find(root, "move")
	if err != nil {
		return err
	}
	remove, err := find(root, "delete")
	if err != nil {
		return err
	}
	version, err := find(root, "version")
	if err != nil {
		return err
	}

	var session session
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		return session.prepare(cmd)
	}
	generateCluster.PreRunE = func(cmd *cobra.Command, _ []string) error {
		return session.defaultGenerateCluster(cmd)
	}
	generateProvider.PreRunE = func(cmd *cobra.Command, _ []string) error {
		return session.requireComponents(cmd)
	}
	session.extendInit(initialise)
	session.extendListImages(listImages)
	for _, upgrade := range []*cobra.Command{upgradePlan, upgradeApply} {
		upgrade.PreRunE = func(cmd *cobra.Command, _ []string) error {
			return session.prepareUpgrade(cmd)
		}
	}
	move.PreRunE = func(cmd *cobra.Command, _ []string) error {
		return recordOneProcess(cmd, "", "to-")
	}
	remove.PreRunE = func(cmd *cobra.Command, _ []string) error {
		return recordOneProcess(cmd, "")
	}
	version.RunE = func(cmd *cobra.Command, _ []string) error {
		return printVersion(cmd.OutOrStdout(), cmd.Flags().Lookup("output").Value.String())
	}

	flag := generateCluster.Flags().Lookup("infrastructure")
	flag.Usage = "The infrastructure provider to read the workload cluster template from. If unspecified, packet:" + Version + ", which is built in."
	return nil
}

// find returns the command of a path below root. Cobra's own Find returns the
// nearest parent when a command is missing, which would be extended instead.
func find(root *cobra.Command, path ...string) (*cobra.Command, error) {
	command := root
next:
	for _, name := range path {
		for _, child := range command.Commands() {
			if child.Name() == name {
				command = child
				continue next
			}
		}
		return nil, fmt.Errorf("finding the command %q: %q has no such command", name, command.CommandPath())
	}
	return command, nil
}

// session is what one run of the program knows after its flags are parsed.
type session struct {
	// builtIn is false when the user's configuration has a packet provider of
	// its own, which then is used and left as it is.
	builtIn bool
	// componentsFound is true when the manifests of the providers were found.
	componentsFound bool
	// repository is the folder of the built-in providers.
	repository string
}

// prepare runs before every command: it reads the user's configuration, lays
// out the repository if the command reads one, and adds the built-in provider
// to the configured ones.
func (s *session) prepare(cmd *cobra.Command) error {
	// The question compares upstream's releases with a program that is none of
	// them, and needs a network. Whoever wants it sets the variable to false.
	viper.SetDefault(disableVersionCheck, "true")

	configFile := ""
	if flag := cmd.Flag("config"); flag != nil {
		configFile = flag.Value.String()
	}
	if _, err := config.New(context.Background(), configFile); err != nil {
		return fmt.Errorf("reading the clusterctl configuration: %w", err)
	}

	cache, err := cacheDirectory()
	if err != nil {
		return err
	}
	files, err := repositoryFiles()
	if err != nil {
		return err
	}
	s.componentsFound = files.hasComponents()
	s.repository = files.location(cache)
	if readsRepository(cmd) {
		if err := files.write(s.repository); err != nil {
			return fmt.Errorf("laying out the built-in provider: %w", err)
		}
	}
	s.builtIn, err = configureProviders(s.repository, initialisesOnlyPacket(cmd))
	return err
}

// readsRepository tells whether a command reads files of providers. The others
// work on a cluster alone and leave the disk as it is.
func readsRepository(cmd *cobra.Command) bool {
	for c := cmd; c.HasParent(); c = c.Parent() {
		if c.Parent().HasParent() {
			continue
		}
		switch c.Name() {
		case "config", "generate", "init", "upgrade":
			return true
		}
	}
	return false
}
