package metallb

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/yaml"
)

// configKey is the key of the ConfigMap that holds the configuration.
const configKey = "config"

// The original marked its peers by selectors of nodes that no node has,
// because the file has no place for marks. So do we.
const (
	markPrefix = "nomatch.metal.equinix.com/"
	markOfOurs = markPrefix + "managed-by"
)

// configMap writes the ConfigMap of MetalLB up to 0.12. That has no selectors
// of nodes for addresses, and no Secrets for passwords.
type configMap struct {
	config  Config
	written State
	at      time.Time
}

func (c *configMap) apply(ctx context.Context, state State) (map[netip.Addr]error, error) {
	if !c.at.IsZero() && c.config.Clock.Now().Sub(c.at) < relistPeriod && reflect.DeepEqual(state, c.written) {
		return nil, nil
	}
	c.at = time.Time{}
	if err := retry.RetryOnConflict(retry.DefaultRetry, func() error { return c.write(ctx, state) }); err != nil {
		return nil, err
	}
	c.written, c.at = state, c.config.Clock.Now()
	return nil, nil
}

func (c *configMap) write(ctx context.Context, state State) error {
	client := c.config.Kubernetes.CoreV1().ConfigMaps(c.config.Namespace)
	found, err := client.Get(ctx, c.config.ConfigMap, metav1.GetOptions{})
	missing := apierrors.IsNotFound(err)
	if missing {
		found = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: c.config.Namespace, Name: c.config.ConfigMap}}
	} else if err != nil {
		return fmt.Errorf("reading ConfigMap %s: %w", c.config.ConfigMap, err)
	}
	before := map[string]any{}
	if err := yaml.Unmarshal([]byte(found.Data[configKey]), &before); err != nil {
		// The error may quote a password.
		return fmt.Errorf("ConfigMap %s: key %s is not a YAML object", c.config.ConfigMap, configKey)
	}
	after, err := c.merge(before, state)
	if err != nil {
		return err
	}
	if reflect.DeepEqual(before, after) {
		return nil
	}
	encoded, err := yaml.Marshal(after)
	if err != nil {
		return errors.New("encoding MetalLB's configuration failed")
	}
	if found.Data == nil {
		found.Data = map[string]string{}
	}
	found.Data[configKey] = string(encoded)
	if missing {
		_, err = client.Create(ctx, found, metav1.CreateOptions{FieldManager: c.config.FieldManager})
	} else {
		_, err = client.Update(ctx, found, metav1.UpdateOptions{FieldManager: c.config.FieldManager})
	}
	if err != nil {
		return fmt.Errorf("writing ConfigMap %s: %w", c.config.ConfigMap, err)
	}
	return nil
}

// merge gives a configuration with our pools and peers as they should be, and
// everything else as it was.
func (c *configMap) merge(before map[string]any, state State) (map[string]any, error) {
	after := map[string]any{}
	for key, value := range before {
		after[key] = value
	}
	pools := make([]any, 0, len(state.Pools))
	users := usersRanges(before)
	for _, pool := range state.Pools {
		if contained(users, pool.Address) {
			continue
		}
		block := netip.PrefixFrom(pool.Address, pool.Address.BitLen()).String()
		pools = append(pools, map[string]any{
			"name": nameOf("packet-", pool.Address), "protocol": "bgp", "auto-assign": false, "addresses": []any{block},
		})
	}
	peers := make([]any, 0, len(state.Peers))
	for _, peer := range state.Peers {
		entry := map[string]any{
			"my-asn": float64(peer.MyASN), "peer-asn": float64(peer.PeerASN), "peer-address": peer.Address.String(),
			"node-selectors": []any{
				map[string]any{"match-labels": map[string]any{corev1.LabelHostname: peer.Hostname}},
				map[string]any{"match-labels": map[string]any{markOfOurs: c.config.FieldManager}},
			},
		}
		if peer.Source.IsValid() {
			entry["source-address"] = peer.Source.String()
		}
		if peer.Password != "" {
			entry["password"] = peer.Password
		}
		peers = append(peers, entry)
	}
	for _, list := range []struct {
		key  string
		ours []any
		is   func(map[string]any) bool
	}{
		{"address-pools", pools, isOurPool},
		{"peers", peers, isOurPeer},
	} {
		entries, ok := before[list.key].([]any)
		if !ok && before[list.key] != nil {
			return nil, fmt.Errorf("ConfigMap %s: %s in key %s is not a list", c.config.ConfigMap, list.key, configKey)
		}
		merged := slices.DeleteFunc(slices.Clone(entries), func(entry any) bool {
			object, ok := entry.(map[string]any)
			return ok && list.is(object)
		})
		merged = append(merged, list.ours...)
		if len(merged) == 0 {
			delete(after, list.key)
		} else {
			after[list.key] = merged
		}
	}
	return after, nil
}

// usersRanges are the addresses of all pools that are not ours.
func usersRanges(config map[string]any) []addressRange {
	pools, _ := config["address-pools"].([]any)
	var ranges []addressRange
	for _, entry := range pools {
		if pool, ok := entry.(map[string]any); ok && !isOurPool(pool) {
			ranges = append(ranges, rangesOf(texts(pool["addresses"]))...)
		}
	}
	return ranges
}

func texts(list any) []string {
	entries, _ := list.([]any)
	var texts []string
	for _, entry := range entries {
		if text, ok := entry.(string); ok {
			texts = append(texts, text)
		}
	}
	return texts
}

// isOurPool tells whether a controller made a pool: this one, which names it
// after its address, or the original, which named it after namespaces and
// names of Services.
func isOurPool(pool map[string]any) bool {
	addresses := texts(pool["addresses"])
	name, _ := pool["name"].(string)
	if len(addresses) != 1 {
		return false
	}
	block, err := netip.ParsePrefix(addresses[0])
	if err != nil || !block.IsSingleIP() {
		return false
	}
	return name == nameOf("packet-", block.Addr()) ||
		strings.Contains(name, "/") && pool["protocol"] == "bgp" && pool["auto-assign"] == false
}

// isOurPeer tells whether a controller made a peer, by its marks.
func isOurPeer(peer map[string]any) bool {
	selectors, _ := peer["node-selectors"].([]any)
	for _, selector := range selectors {
		object, _ := selector.(map[string]any)
		labels, _ := object["match-labels"].(map[string]any)
		for label := range labels {
			if strings.HasPrefix(label, markPrefix) {
				return true
			}
		}
	}
	return false
}
