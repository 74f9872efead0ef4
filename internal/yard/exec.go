package yard

import (
	"context"
	"fmt"

	"github.com/packetyard/packetyard/internal/machineexec"
	"github.com/packetyard/packetyard/internal/yard/statedir"
)

// Exec runs a command in a machine and returns its exit code.
func Exec(ctx context.Context, dir statedir.Dir, machine string, request machineexec.Request, streams machineexec.Streams) (int, error) {
	id, err := FindMachine(ctx, dir, machine)
	if err != nil {
		return 0, err
	}
	code, err := machineexec.RunAt(ctx, execSocket(dir, id), request, streams)
	if err != nil {
		return 0, fmt.Errorf("%w (is the machine on? `packetyard status` tells)", err)
	}
	return code, nil
}
