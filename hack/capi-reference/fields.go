package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// row is a field as the page shows it.
type row struct {
	path, kind, description string
	required                bool
	allowed                 []string
}

// standard are types of Kubernetes and Cluster API, which have pages of their own.
var standard = map[string]string{
	"conditions": "list of [conditions](https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.36/#condition-v1-meta)",
	"metadata":   "labels and annotations",
	"addresses":  "list of type and address",
}

// at finds the schema of a field.
func at(schema apiextensionsv1.JSONSchemaProps, path string) (apiextensionsv1.JSONSchemaProps, bool) {
	for name := range strings.SplitSeq(path, ".") {
		next, ok := schema.Properties[name]
		if !ok {
			return apiextensionsv1.JSONSchemaProps{}, false
		}
		schema = next
	}
	return schema, true
}

// rows are the fields of a schema below a path, required ones first and each followed by its own.
func rows(schema apiextensionsv1.JSONSchemaProps, full, path string, same map[string]string) []row {
	var all []row
	names := slices.SortedFunc(maps.Keys(schema.Properties), func(a, b string) int {
		if x, y := slices.Contains(schema.Required, a), slices.Contains(schema.Required, b); x != y {
			if x {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	for _, name := range names {
		property := schema.Properties[name]
		field := row{
			path: path + name, kind: typeOf(name, property), required: slices.Contains(schema.Required, name),
			description: property.Description, allowed: allowed(property),
		}
		here := full + "." + name
		if kind, ok := same[here]; ok {
			field.kind, field.description = fmt.Sprintf("[%s](#%s-spec)", kind, strings.ToLower(kind)), "The fields are those of the spec of "+kind+"."
			field.allowed = nil
			all = append(all, field)
			continue
		}
		all = append(all, field)
		if isStandard(name, property) {
			continue
		}
		if property.Items != nil && property.Items.Schema != nil {
			all = append(all, rows(*property.Items.Schema, here, field.path+"[].", same)...)
		}
		all = append(all, rows(property, here, field.path+".", same)...)
	}
	return all
}

func isStandard(name string, schema apiextensionsv1.JSONSchemaProps) bool {
	switch name {
	case "conditions":
		return true
	case "metadata":
		return schema.Properties["labels"].Type != ""
	case "addresses":
		return schema.Items != nil && schema.Items.Schema.Properties["address"].Type != ""
	default:
		return false
	}
}

func typeOf(name string, schema apiextensionsv1.JSONSchemaProps) string {
	switch {
	case isStandard(name, schema):
		return standard[name]
	case schema.XIntOrString && schema.AdditionalProperties == nil:
		return "integer or string"
	case schema.Type == "array":
		return "list of " + plural(typeOf("", *schema.Items.Schema))
	case schema.AdditionalProperties != nil:
		return "map"
	case schema.XPreserveUnknownFields != nil:
		return "any JSON object"
	case schema.Format == "date-time":
		return "time"
	default:
		return schema.Type
	}
}

func plural(kind string) string {
	if strings.HasSuffix(kind, "s") {
		return kind
	}
	return kind + "s"
}

// allowed tells what values a field may have, one sentence each.
func allowed(schema apiextensionsv1.JSONSchemaProps) []string {
	var all []string
	add := func(format string, values ...any) { all = append(all, fmt.Sprintf(format, values...)) }
	subject := ""
	value := schema
	if schema.Items != nil && schema.Items.Schema != nil {
		if schema.MaxItems != nil {
			add("at most %d", *schema.MaxItems)
		}
		if schema.XListType != nil && *schema.XListType == "set" {
			add("none twice")
		}
		if len(schema.XListMapKeys) > 0 {
			add("one for each %s", strings.Join(schema.XListMapKeys, " and "))
		}
		if schema.Items.Schema.Type == "object" {
			return append(all, messages(schema.XValidations)...)
		}
		all = append(all, messages(schema.XValidations)...)
		subject, value = "each ", *schema.Items.Schema
	}
	if len(value.Enum) > 0 {
		var values []string
		for _, v := range value.Enum {
			values = append(values, "`"+strings.Trim(string(v.Raw), `"`)+"`")
		}
		add("%s%s", subject, strings.Join(values, ", "))
	}
	if value.Pattern != "" {
		add("%s`%s`", subject, value.Pattern)
	} else if value.MaxLength != nil {
		add("%sat most %d characters", subject, *value.MaxLength)
	}
	switch {
	case value.Minimum != nil && value.Maximum != nil:
		add("%s%.0f to %.0f", subject, *value.Minimum, *value.Maximum)
	case value.Minimum != nil:
		add("%sfrom %.0f", subject, *value.Minimum)
	}
	if schema.Default != nil {
		add("default `%s`", strings.Trim(string(schema.Default.Raw), `"`))
	}
	if value.Type != "object" {
		all = append(all, messages(value.XValidations)...)
	}
	return all
}
