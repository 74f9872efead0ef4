package components

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// mergeRoles adds the rules of the providers to the ClusterRole of the manager.
func mergeRoles(upstream, ours fs.FS, objects Manifests, providers []Provider) error {
	var target *unstructured.Unstructured
	for _, object := range objects {
		if object.GetKind() == "ClusterRole" {
			target = object
		}
	}
	if target == nil {
		return fmt.Errorf("there is no ClusterRole to merge the rules of the providers into")
	}
	rules, err := rulesOf(target)
	if err != nil {
		return err
	}
	for _, provider := range providers {
		files, name := ours, "rbac/infrastructure/role.yaml"
		if provider.upstream != "" {
			files, name = upstream, path.Join(provider.upstream, "rbac/role.yaml")
		}
		roles, err := readFile(files, name)
		if err != nil {
			return err
		}
		for _, role := range roles {
			more, err := rulesOf(role)
			if err != nil {
				return err
			}
			rules = append(rules, more...)
		}
	}
	return setRules(target, mergeRules(rules))
}

func rulesOf(role *unstructured.Unstructured) ([]rbacv1.PolicyRule, error) {
	typed := rbacv1.ClusterRole{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(role.Object, &typed); err != nil {
		return nil, fmt.Errorf("reading %s %s: %w", role.GetKind(), role.GetName(), err)
	}
	return typed.Rules, nil
}

func setRules(role *unstructured.Unstructured, rules []rbacv1.PolicyRule) error {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&rbacv1.ClusterRole{Rules: rules})
	if err != nil {
		return fmt.Errorf("encoding the merged rules: %w", err)
	}
	role.Object["rules"] = content["rules"]
	return nil
}

// target is what a permission is about: one resource, or one object of it.
type target struct{ group, resource, name string }

// mergeRules makes one rule per resource group and set of verbs out of many that overlap.
func mergeRules(rules []rbacv1.PolicyRule) []rbacv1.PolicyRule {
	verbs := map[target][]string{}
	var urls []rbacv1.PolicyRule
	for _, rule := range rules {
		if len(rule.NonResourceURLs) > 0 {
			urls = append(urls, rule)
			continue
		}
		names := rule.ResourceNames
		if len(names) == 0 {
			names = []string{""}
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, name := range names {
					key := target{group, resource, name}
					verbs[key] = append(verbs[key], rule.Verbs...)
				}
			}
		}
	}
	for key := range verbs {
		slices.Sort(verbs[key])
		verbs[key] = slices.Compact(verbs[key])
	}
	dropCovered(verbs)

	// Resources of one group with the same verbs and names share a rule.
	type shape struct{ group, verbs, names string }
	names := map[struct{ group, resource, verbs string }][]string{}
	for key, list := range verbs {
		id := struct{ group, resource, verbs string }{key.group, key.resource, strings.Join(list, ",")}
		names[id] = append(names[id], key.name)
	}
	shapes := map[shape][]string{}
	for id, list := range names {
		slices.Sort(list)
		key := shape{id.group, id.verbs, strings.Join(list, ",")}
		shapes[key] = append(shapes[key], id.resource)
	}
	merged := make([]rbacv1.PolicyRule, 0, len(shapes))
	for key, resources := range shapes {
		slices.Sort(resources)
		rule := rbacv1.PolicyRule{APIGroups: []string{key.group}, Resources: resources, Verbs: strings.Split(key.verbs, ",")}
		if key.names != "" {
			rule.ResourceNames = strings.Split(key.names, ",")
		}
		merged = append(merged, rule)
	}
	slices.SortFunc(merged, func(a, b rbacv1.PolicyRule) int { return strings.Compare(a.String(), b.String()) })
	return append(merged, urls...)
}

// dropCovered removes what a rule for all objects or for all resources of the group allows anyway.
func dropCovered(verbs map[target][]string) {
	for key, list := range verbs {
		for _, wider := range []target{{key.group, key.resource, ""}, {key.group, "*", ""}} {
			if wider == key {
				continue
			}
			if covering, ok := verbs[wider]; ok && !slices.ContainsFunc(list, func(v string) bool { return !slices.Contains(covering, v) }) {
				delete(verbs, key)
				break
			}
		}
	}
}
