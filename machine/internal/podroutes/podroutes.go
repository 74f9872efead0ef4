// Package podroutes routes a node to the pods of the cluster's other nodes. It
// does what flannel's VXLAN backend does on a real node: packets for another
// node's pods travel in UDP datagrams (VXLAN, RFC 7348) between the nodes'
// addresses, so that the network between the nodes need not know any pod.
//
// Nodes exchange nothing for it. All that one has to know of another follows
// from its Node object: spec.podCIDRs, and an address in status.addresses.
//
// The machine must forward packets between its interfaces; this package only
// makes the tunnel and the routes into it.
package podroutes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"
	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
)

const (
	// retryAfter is how long what the kernel refused waits for the next attempt.
	retryAfter = 5 * time.Second
	// resyncAfter is when the kernel is looked at again although no Node has
	// changed: somebody else may have changed a route or an interface.
	resyncAfter = time.Minute
)

// Run keeps the node's routes to the pods of other nodes in step with the API
// server's Nodes until the context ends, whose error it returns. node is the
// name of the Node it runs on, in whose network namespace it is called. What
// cannot be done is logged and tried again, and is no reason to return.
//
// The routes stay when Run returns, as connections that use them outlive a
// kube-proxy; the next Run takes them over.
func Run(ctx context.Context, log *slog.Logger, config *rest.Config, node string) error {
	source, err := listWatch(config)
	if err != nil {
		return err
	}
	watch := newNodeWatch(source)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return watch.run(ctx) })
	group.Go(func() error { return keep(ctx, newRoutes(log, node), watch) })
	return group.Wait()
}

// keep applies the watched Nodes to the routes whenever they change. It changes
// the network namespace of the thread that it is called on.
func keep(ctx context.Context, r *routes, watch *nodeWatch) error {
	for {
		wait := resyncAfter
		if watch.synced() {
			wait = r.update(watch.nodes())
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-watch.changed:
		case <-time.After(wait):
		}
	}
}

// routes is the node's side of the network between nodes. Its methods are
// called by one goroutine at a time.
type routes struct {
	log  *slog.Logger
	node string
	// said are the remarks and problems that the last update came to. What lasts
	// is logged once, not with every update.
	said map[remark]bool
}

func newRoutes(log *slog.Logger, node string) *routes {
	return &routes{log: log, node: node}
}

// update makes the kernel agree with the Nodes, and returns how long it can be
// left alone if none of them changes.
func (r *routes) update(nodes []*v1.Node) time.Duration {
	wait := resyncAfter
	p := planFor(nodes, r.node)
	remarks := p.remarks
	for _, o := range p.overlays {
		changed, err := o.apply()
		if err == nil {
			if changed.any() {
				r.log.Info("routes to the pods of other nodes have changed", "device", o.device(),
					"nodes", len(o.peers), "added", len(changed.add.routes), "removed", len(changed.remove.routes))
			}
			continue
		}
		remarks = append(remarks, problem(o.family, err))
		if !errors.Is(err, errNoVXLAN) {
			wait = retryAfter
		}
	}
	r.say(remarks)
	return wait
}

// say logs the remarks that are new.
func (r *routes) say(remarks []remark) {
	said := map[remark]bool{}
	for _, one := range remarks {
		if !r.said[one] && !said[one] {
			r.log.Log(context.Background(), one.level, one.text, "node", one.node)
		}
		said[one] = true
	}
	r.said = said
}

// errNoVXLAN is the answer of a kernel that lacks what the routes are made with.
var errNoVXLAN = errors.New("this kernel has no VXLAN (CONFIG_VXLAN)")

// problem describes what could not be done for a family.
func problem(f family, err error) remark {
	if errors.Is(err, errNoVXLAN) {
		return remark{level: slog.LevelWarn, text: fmt.Sprintf("pods of other machines cannot be reached from this one by %s, nor its pods from them: %v", f, err)}
	}
	return remark{level: slog.LevelWarn, text: fmt.Sprintf("some pods of other machines cannot be reached by %s yet: %v", f, err)}
}
