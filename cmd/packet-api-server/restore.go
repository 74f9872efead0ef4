package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/packetyard/packetyard/internal/apiserver/store"
)

const restoreLong = `restore makes the records of a server those of a backup: in --data-dir, or in
the etcd at --etcd-endpoints. No server may run on either.

The backup is read and checked as a whole before anything is written. Records
that are there already are kept, and restore refuses, unless --force is given:
those of a data directory are then put aside in a folder beside them, those of
an etcd are removed. A restore that is broken off is to be repeated with
--force; no server starts on what it left.

Backups of earlier versions can be restored: the server brings the records to
its own format when it starts.`

func restoreCommand() *cobra.Command {
	var into storeFlags
	var input string
	var force, check bool
	cmd := &cobra.Command{
		Use:   "restore --input FILE",
		Short: "Make the records those of a backup",
		Long:  restoreLong,
		Example: `  packet-api-server restore --data-dir /var/lib/packet --input packet.backup
  packet-api-server restore --input packet.backup --check`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return restore(cmd.Context(), into, input, force, check, cmd.InOrStdin(), cmd.ErrOrStderr())
		},
	}
	into.add(cmd)
	cmd.Flags().StringVarP(&input, "input", "i", "", "the backup to read, or - for the standard input")
	cmd.Flags().BoolVar(&force, "force", false, "replace records that are there already")
	cmd.Flags().BoolVar(&check, "check", false, "only check the backup, and write nothing")
	_ = cmd.MarkFlagRequired("input")
	return cmd
}

func restore(ctx context.Context, into storeFlags, input string, force, check bool, stdin io.Reader, stderr io.Writer) error {
	from := stdin
	if input != "-" {
		file, err := os.Open(input)
		if err != nil {
			return fmt.Errorf("--input: %w", err)
		}
		defer file.Close()
		from = file
	}
	if check {
		summary, err := store.Verify(from)
		if err != nil {
			return fmt.Errorf("checking %s: %w", input, err)
		}
		_, _ = fmt.Fprintf(stderr, "%s is a whole backup of %d records, in format %d as of %s.\n",
			input, summary.Records, summary.Schema, summary.TakenAt.Format(time.RFC3339))
		return nil
	}
	summary, err := store.Restore(ctx, into.config(), from, force)
	if errors.Is(err, store.ErrNotEmpty) {
		return fmt.Errorf("restoring %s: %w: replace them with --force", input, err)
	}
	if err != nil {
		return fmt.Errorf("restoring %s: %w", input, err)
	}
	tell(stderr, "Restored", summary, input, into.String())
	return nil
}
