package yard

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/packetyard/packetyard/internal/yard/statedir"
	"github.com/packetyard/packetyard/internal/yard/supervisor"
)

// SuperviseOptions is what the yard's daemon is told.
type SuperviseOptions struct {
	// Image is the machine image's directory.
	Image string
	// Profile is the speed of the Packet API's devices.
	Profile string
	Log     *slog.Logger
}

// Supervise is the yard's daemon. It returns when the context ends.
func Supervise(ctx context.Context, dir statedir.Dir, options SuperviseOptions) error {
	executable, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	programs, err := FindPrograms(executable, options.Image)
	if err != nil {
		return err
	}
	arguments := []string{"--machines", "namespaces", "--machine-image", programs.Image, "--profile", options.Profile}
	if _, err := os.Stat(dir.APIServerSettings()); err == nil {
		arguments = append(arguments, "--config", dir.APIServerSettings())
	}
	return supervisor.Run(ctx, supervisor.Config{
		Dir:           dir,
		APIServer:     programs.APIServer,
		APIServerArgs: arguments,
		Dial:          dialMachines(dir),
		Log:           options.Log,
		Now:           time.Now,
	})
}
