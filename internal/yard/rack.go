package yard

import (
	"context"
	"net"
	"sync"

	"github.com/packetyard/packetyard/internal/machines"
	"github.com/packetyard/packetyard/internal/machines/namespaces"
	"github.com/packetyard/packetyard/internal/yard/statedir"
)

// listMachines asks the machine driver what runs.
func listMachines(ctx context.Context, dir statedir.Dir) ([]machines.Status, error) {
	client, err := namespaces.Dial(ctx, dir.API())
	if err != nil {
		return nil, err
	}
	return client.List(ctx)
}

// dialMachines returns a function that connects from inside the machines'
// network. That network comes into being with the first machine, after the
// supervisor, and the client of it holds no connection open.
func dialMachines(dir statedir.Dir) func(ctx context.Context, network, address string) (net.Conn, error) {
	var mu sync.Mutex
	var client *namespaces.Client
	connect := func(ctx context.Context) (*namespaces.Client, error) {
		mu.Lock()
		defer mu.Unlock()
		if client == nil {
			found, err := namespaces.Dial(ctx, dir.API())
			if err != nil {
				return nil, err
			}
			client = found
		}
		return client, nil
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		client, err := connect(ctx)
		if err != nil {
			return nil, err
		}
		return client.DialContext(ctx, network, address)
	}
}
