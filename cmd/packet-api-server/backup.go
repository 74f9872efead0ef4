package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/packetyard/packetyard/internal/apiserver/store"
)

const backupLong = `backup writes all records of a server, as of one moment, to a file: of the
server that has --data-dir, whether it runs or not, or of those that share the
etcd at --etcd-endpoints. Nobody needs to stop working meanwhile.

A backup holds secrets: root passwords, user data, MD5 passwords of BGP, and
the hashes of tokens. The file gets mode 0600. It does not hold the tokens
themselves, nor credentials.json: a server that starts on restored records
makes another token, unless that file or PACKET_API_TOKEN gives it one.

The file is a gzip stream of JSON lines and ends with a checksum, which
restore checks before it writes anything.`

// storeFlags say whose records a command is about.
type storeFlags struct {
	dataDir       string
	etcdEndpoints []string
	etcdTLS       store.EtcdTLS
}

func (f *storeFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.dataDir, "data-dir", "packet-api-server.data", "the data directory of the server")
	cmd.Flags().StringSliceVar(&f.etcdEndpoints, "etcd-endpoints", nil,
		"URLs of the etcd that has the records, instead of --data-dir, separated by commas")
	addEtcdTLS(cmd.Flags(), &f.etcdTLS)
}

func (f *storeFlags) config() store.Config {
	return store.Config{
		DataDir: f.dataDir, Endpoints: f.etcdEndpoints, TLS: &f.etcdTLS,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
}

func (f *storeFlags) String() string {
	if len(f.etcdEndpoints) > 0 {
		return "etcd at " + strings.Join(f.etcdEndpoints, ",")
	}
	return f.dataDir
}

func backupCommand() *cobra.Command {
	var from storeFlags
	var output string
	var force bool
	cmd := &cobra.Command{
		Use:   "backup --output FILE",
		Short: "Write all records to a file",
		Long:  backupLong,
		Example: `  packet-api-server backup --data-dir /var/lib/packet --output packet.backup
  packet-api-server backup --etcd-endpoints http://etcd:2379 --output - | age -r KEY > packet.backup.age`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return backup(cmd.Context(), from, output, force, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	from.add(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "", "the file to write, or - for the standard output")
	cmd.Flags().BoolVar(&force, "force", false, "replace a file that exists")
	_ = cmd.MarkFlagRequired("output")
	return cmd
}

func backup(ctx context.Context, from storeFlags, output string, force bool, stdout, stderr io.Writer) error {
	if output == "-" {
		summary, err := store.Backup(ctx, from.config(), stdout)
		if err != nil {
			return fmt.Errorf("backing up %s: %w", from.String(), err)
		}
		tell(stderr, "Backed up", summary, from.String(), "the standard output")
		return nil
	}
	if _, err := os.Lstat(output); err == nil && !force {
		return fmt.Errorf("--output %q exists: choose another name, or replace it with --force", output)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("--output: %w", err)
	}
	// The file has its name only once it is whole. os.CreateTemp gives it mode
	// 0600.
	file, err := os.CreateTemp(filepath.Dir(output), filepath.Base(output)+".*")
	if err != nil {
		return fmt.Errorf("--output: %w", err)
	}
	summary, err := store.Backup(ctx, from.config(), file)
	if err == nil {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		err = os.Rename(file.Name(), output)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("backing up %s: %w", from.String(), err), os.Remove(file.Name()))
	}
	tell(stderr, "Backed up", summary, from.String(), output)
	return nil
}

// tell says what was done.
func tell(to io.Writer, done string, summary store.Summary, from, into string) {
	_, _ = fmt.Fprintf(to, "%s %d records of %s, in format %d as of %s, to %s.\n",
		done, summary.Records, from, summary.Schema, summary.TakenAt.Format(time.RFC3339), into)
}
