package metallb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	corev1apply "k8s.io/client-go/applyconfigurations/core/v1"
)

// resources writes custom resources.
type resources struct {
	config Config

	// known are the objects with the provider's label, by kind and name, as
	// they were when they were last read or written; nil if they are not known.
	known map[string]objects
	// users are the addresses of pools that are not ours.
	users []addressRange
	// secrets are the passwords in our Secrets, by index.
	secrets []string
	listed  time.Time
	written State
}

func newResources(config Config) *resources { return &resources{config: config} }

func (r *resources) apply(ctx context.Context, state State) (map[netip.Addr]error, error) {
	if r.known == nil || r.config.Clock.Now().Sub(r.listed) >= relistPeriod {
		if err := r.list(ctx); err != nil {
			r.known = nil
			return nil, err
		}
	} else if reflect.DeepEqual(state, r.written) {
		return nil, nil
	}
	pools := r.config.pools(state, r.known[poolKind.name], r.users)
	advertisements := r.config.advertisements(state, pools, r.known[advertisementKind.name])
	peers, passwords := r.config.peers(state)
	// What goes must go first where MetalLB refuses overlaps, that is, pools of
	// one address and peers of one address. Of advertisements there may be too
	// many for a moment, rather than none. Passwords are there before the peers
	// that need them, and for as long as they do.
	err := errors.Join(
		r.prune(ctx, poolKind, pools),
		r.prune(ctx, peerKind, peers),
		r.writeSecrets(ctx, passwords),
		joined(r.write(ctx, peerKind, peers)),
		joined(r.write(ctx, advertisementKind, advertisements)),
	)
	refused := map[netip.Addr]error{}
	for name, err := range r.write(ctx, poolKind, pools) {
		for _, addresses := range rangesOf(blocks(pools[name])) {
			refused[addresses.from] = err
		}
	}
	if err == nil {
		err = errors.Join(r.prune(ctx, advertisementKind, advertisements), r.pruneSecrets(ctx, len(passwords)))
	}
	if err != nil {
		r.known = nil
		return nil, err
	}
	r.written = state
	if len(refused) > 0 {
		r.known = nil
	}
	return refused, nil
}

// joined makes one error of those of several objects.
func joined(failures map[string]error) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(failures)) {
		errs = append(errs, failures[name])
	}
	return errors.Join(errs...)
}

// list reads what there is.
func (r *resources) list(ctx context.Context) error {
	known := map[string]objects{}
	var users []addressRange
	for _, k := range []kind{poolKind, peerKind, advertisementKind} {
		options := metav1.ListOptions{LabelSelector: labelProvider + "=" + labelProviderValue}
		if k.name == poolKind.name {
			options.LabelSelector = "" // The user's pools count, too.
		}
		list, err := r.config.Dynamic.Resource(k.resource).Namespace(r.config.Namespace).List(ctx, options)
		if apierrors.IsNotFound(err) {
			return fmt.Errorf("%w: there are no custom resources of kind %s", ErrNotInstalled, k.name)
		}
		if err != nil {
			return fmt.Errorf("listing objects of kind %s: %w", k.name, err)
		}
		known[k.name] = objects{}
		for i := range list.Items {
			object := &list.Items[i]
			if k.name == poolKind.name && (object.GetLabels()[labelProvider] != labelProviderValue || !r.config.removable(k, object)) {
				users = append(users, rangesOf(blocks(object))...)
				continue
			}
			known[k.name][object.GetName()] = object
		}
	}
	var secrets []string
	for {
		secret, err := r.config.Kubernetes.CoreV1().Secrets(r.config.Namespace).Get(ctx, secretName(len(secrets)), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			break
		}
		if err != nil {
			return fmt.Errorf("reading Secret %s: %w", secretName(len(secrets)), err)
		}
		secrets = append(secrets, string(secret.Data[corev1.BasicAuthPasswordKey]))
	}
	r.known, r.users, r.secrets, r.listed, r.written = known, users, secrets, r.config.Clock.Now(), State{}
	return nil
}

// prune removes what is there and not desired.
func (r *resources) prune(ctx context.Context, k kind, desired objects) error {
	var errs []error
	known := r.known[k.name]
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if desired[name] != nil || !r.config.removable(k, known[name]) {
			continue
		}
		err := r.config.Dynamic.Resource(k.resource).Namespace(r.config.Namespace).Delete(ctx, name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("removing %s %s: %w", k.name, name, err))
			continue
		}
		delete(known, name)
	}
	return errors.Join(errs...)
}

// write makes and changes what is not as desired, and returns what went wrong
// with which object.
func (r *resources) write(ctx context.Context, k kind, desired objects) map[string]error {
	failures := map[string]error{}
	known := r.known[k.name]
	for _, name := range slices.Sorted(maps.Keys(desired)) {
		if object := known[name]; object != nil && r.agrees(k, object, desired[name]) {
			continue
		}
		object, err := r.writeOne(ctx, k, desired[name])
		if err != nil {
			failures[name] = fmt.Errorf("writing %s %s: %w", k.name, name, err)
			continue
		}
		known[name] = object
	}
	return failures
}

// blocks are the addresses of a pool as it has them.
func blocks(pool *unstructured.Unstructured) []string {
	addresses, _, _ := unstructured.NestedStringSlice(pool.Object, "spec", "addresses")
	return addresses
}

func (r *resources) writeOne(ctx context.Context, k kind, desired *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	client := r.config.Dynamic.Resource(k.resource).Namespace(r.config.Namespace)
	object, err := client.Apply(ctx, desired.GetName(), desired, metav1.ApplyOptions{FieldManager: r.config.FieldManager, Force: true})
	if err != nil {
		return nil, err
	}
	// A field that another writer set as well stays after an apply without it:
	// the original's password in the peer, for example.
	unwanted := map[string]any{}
	for _, field := range k.fields {
		if value(desired, field) == nil && value(object, field) != nil {
			unwanted[field] = nil
		}
	}
	if len(unwanted) == 0 {
		return object, nil
	}
	patch, err := json.Marshal(map[string]any{"spec": unwanted})
	if err != nil {
		return nil, err
	}
	return client.Patch(ctx, desired.GetName(), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: r.config.FieldManager})
}

// agrees tells whether an object is as desired in all that this package
// decides on.
func (r *resources) agrees(k kind, object, desired *unstructured.Unstructured) bool {
	for _, field := range k.fields {
		if !reflect.DeepEqual(value(object, field), value(desired, field)) {
			return false
		}
	}
	ours := func(object *unstructured.Unstructured) map[string]string {
		labels := object.GetLabels()
		maps.DeleteFunc(labels, func(name, _ string) bool {
			return name != labelProvider && name != labelManagedBy && !isAdvertised(name)
		})
		return labels
	}
	return maps.Equal(ours(object), ours(desired))
}

// value is a field of an object's spec, nil if it is missing or empty.
func value(object *unstructured.Unstructured, field string) any {
	found, _, _ := unstructured.NestedFieldNoCopy(object.Object, "spec", field)
	switch v := found.(type) {
	case map[string]any:
		if len(v) == 0 {
			return nil
		}
	case []any:
		if len(v) == 0 {
			return nil
		}
	case string:
		if v == "" {
			return nil
		}
	case bool:
		// A flag that is not set may have been left out.
		if !v && field == "ebgpMultiHop" {
			return nil
		}
	}
	return found
}

func (r *resources) writeSecrets(ctx context.Context, passwords []string) error {
	for i, password := range passwords {
		if i < len(r.secrets) && r.secrets[i] == password {
			continue
		}
		secret := corev1apply.Secret(secretName(i), r.config.Namespace).
			WithLabels(map[string]string{labelProvider: labelProviderValue, labelManagedBy: r.config.FieldManager}).
			WithType(corev1.SecretTypeBasicAuth).
			WithData(map[string][]byte{corev1.BasicAuthPasswordKey: []byte(password)})
		_, err := r.config.Kubernetes.CoreV1().Secrets(r.config.Namespace).Apply(ctx, secret, metav1.ApplyOptions{FieldManager: r.config.FieldManager, Force: true})
		if err != nil {
			return fmt.Errorf("writing Secret %s: %w", secretName(i), err)
		}
		if i < len(r.secrets) {
			r.secrets[i] = password
		} else {
			r.secrets = append(r.secrets, password)
		}
	}
	return nil
}

func (r *resources) pruneSecrets(ctx context.Context, wanted int) error {
	for i := len(r.secrets) - 1; i >= wanted; i-- {
		err := r.config.Kubernetes.CoreV1().Secrets(r.config.Namespace).Delete(ctx, secretName(i), metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("removing Secret %s: %w", secretName(i), err)
		}
		r.secrets = r.secrets[:i]
	}
	return nil
}
