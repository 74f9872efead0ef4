package yard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/packetyard/packetyard/internal/yard/statedir"
)

// Console writes all that a machine has written to its console, and with
// follow also what it still writes, until the context ends or the machine is
// removed.
func Console(ctx context.Context, dir statedir.Dir, machine string, out io.Writer, follow bool) error {
	id, err := FindMachine(ctx, dir, machine)
	if err != nil {
		return err
	}
	path := consoleLog(dir, id)
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("machine %s has not written to its console yet", machine)
	}
	if err != nil {
		return fmt.Errorf("reading the console of machine %s: %w", machine, err)
	}
	defer file.Close()
	if _, err := io.Copy(out, file); err != nil {
		return fmt.Errorf("reading the console of machine %s: %w", machine, err)
	}
	if !follow {
		return nil
	}
	err = poll(ctx, interval, func(context.Context) (bool, error) {
		if _, err := io.Copy(out, file); err != nil {
			return false, fmt.Errorf("reading the console of machine %s: %w", machine, err)
		}
		_, err := os.Stat(path)
		return errors.Is(err, fs.ErrNotExist), nil
	})
	// Ctrl-C is how a user ends it.
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
