package loadbalancers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/packetyard/packetyard/internal/ccm/loadbalancers/metallb"
)

// toBeDeletedTaint is what the cluster autoscaler puts on nodes that it is
// about to remove.
const toBeDeletedTaint = "ToBeDeletedByClusterAutoscaler"

// current is what was last decided about a Service, which the informer's cache
// may not show yet.
type current struct {
	service   *corev1.Service
	addresses []netip.Addr
	// gone tells that it has no load balancer any more.
	gone bool
}

// announce has the addresses of all Services announced by the nodes that are
// to, and no others. What was decided about one of them is remembered until
// the cache shows it: else the next Service would undo it.
//
// All is told every time, because what is announced is made of all Services:
// several may have one address, and each node announces those of all.
func (l *LoadBalancers) announce(ctx context.Context, known *current) error {
	if l.announcer == nil {
		return nil
	}
	l.announcing.Lock()
	defer l.announcing.Unlock()
	if known != nil {
		l.decided[cache.MetaObjectToName(known.service)] = *known
	}
	state, err := l.state()
	if err != nil {
		return err
	}
	refused, err := l.announcer.Apply(ctx, state)
	if errors.Is(err, metallb.ErrNotInstalled) && (len(state.Pools) == 0 || known != nil && known.gone) {
		// Where there is nothing that announces, nothing has to be withdrawn.
		return nil
	}
	errs := []error{err}
	for address, err := range refused {
		// An address that cannot be announced must not keep others from theirs.
		if known == nil || slices.Contains(known.addresses, address) {
			errs = append(errs, fmt.Errorf("announcing address %s: %w", address, err))
		}
	}
	return errors.Join(errs...)
}

// decisions are the Services with load balancers and their addresses. The
// caller holds announcing.
func (l *LoadBalancers) decisions() ([]current, error) {
	all, err := l.services.List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("listing Services: %w", err)
	}
	cached := make(map[cache.ObjectName]*corev1.Service, len(all))
	for _, service := range all {
		cached[cache.MetaObjectToName(service)] = service
	}
	services := make([]current, 0, len(all))
	for name, decision := range l.decided {
		service := cached[name]
		switch {
		case service == nil || service.UID != decision.service.UID:
			// The Service is gone, or another one of its name is there.
			delete(l.decided, name)
		case decision.gone:
			if !l.served(service) {
				delete(l.decided, name)
			}
			delete(cached, name)
		default:
			if slices.Equal(l.held(service), decision.addresses) || !l.served(service) {
				delete(l.decided, name)
				continue
			}
			services = append(services, current{service: service, addresses: decision.addresses})
			delete(cached, name)
		}
	}
	for _, service := range cached {
		if l.served(service) {
			services = append(services, current{service: service, addresses: l.held(service)})
		}
	}
	return services, nil
}

func (l *LoadBalancers) state() (metallb.State, error) {
	services, err := l.decisions()
	if err != nil {
		return metallb.State{}, err
	}
	slices.SortFunc(services, func(a, b current) int {
		return cmp.Or(cmp.Compare(a.service.Namespace, b.service.Namespace), cmp.Compare(a.service.Name, b.service.Name))
	})

	pools := map[netip.Addr]*metallb.Pool{}
	for _, service := range services {
		selector, restricted, err := nodeSelector(service.service)
		for _, address := range service.addresses {
			pool := pools[address]
			if pool == nil {
				pool = &metallb.Pool{Address: address}
				pools[address] = pool
			}
			switch {
			case err != nil:
				// Its user has an event. It is announced from where it was.
				pool.KeepSelectors = true
			case restricted:
				pool.Selectors = append(pool.Selectors, selector)
			default:
				pool.AllNodes = true
			}
		}
	}
	var state metallb.State
	for _, pool := range pools {
		state.Pools = append(state.Pools, *pool)
	}
	slices.SortFunc(state.Pools, func(a, b metallb.Pool) int { return a.Address.Compare(b.Address) })
	if len(state.Pools) == 0 {
		return state, nil
	}
	state.Peers, err = l.peers()
	return state, err
}

// peers are the BGP peers of all nodes that announce addresses.
func (l *LoadBalancers) peers() ([]metallb.Peer, error) {
	nodes, err := l.nodes.List(l.config.NodeSelector)
	if err != nil {
		return nil, fmt.Errorf("listing nodes: %w", err)
	}
	slices.SortFunc(nodes, func(a, b *corev1.Node) int { return cmp.Compare(a.Name, b.Name) })
	var peers []metallb.Peer
	for _, node := range nodes {
		if !announces(node) {
			continue
		}
		found, err := l.config.BGP.Peers(node)
		if err != nil {
			// One node that somebody spoiled must not stop the others.
			klog.ErrorS(err, "A node announces no load balancers, because its BGP annotations cannot be read", "node", klog.KObj(node))
			continue
		}
		for i, peer := range found {
			peers = append(peers, metallb.Peer{
				Node:     node.Name,
				Hostname: cmp.Or(node.Labels[corev1.LabelHostname], node.Name),
				Number:   i,
				MyASN:    peer.NodeASN,
				PeerASN:  peer.PeerASN,
				Address:  peer.PeerIP,
				Source:   peer.SourceIP,
				Password: peer.Password,
				MultiHop: peer.MultiHop,
			})
		}
	}
	return peers, nil
}

// announces tells whether a node may have the traffic of load balancers, by
// the same rules as the service controller of k8s.io/cloud-provider.
func announces(node *corev1.Node) bool {
	if node.DeletionTimestamp != nil {
		return false
	}
	if value, found := node.Labels[corev1.LabelNodeExcludeBalancers]; found && value != "false" {
		return false
	}
	return !slices.ContainsFunc(node.Spec.Taints, func(taint corev1.Taint) bool { return taint.Key == toBeDeletedTaint })
}
