package main

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// messages are what the API server says when rules are broken.
func messages(rules apiextensionsv1.ValidationRules) []string {
	var all []string
	for _, rule := range rules {
		for _, message := range messagesOf(rule) {
			if !slices.Contains(all, message) {
				all = append(all, message)
			}
		}
	}
	return all
}

func messagesOf(rule apiextensionsv1.ValidationRule) []string {
	if rule.MessageExpression == "" {
		return []string{rule.Message}
	}
	return texts(rule.MessageExpression)
}

// literal finds the texts in an expression.
var literal = regexp.MustCompile(`'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"`)

// texts are the messages that an expression can have, with … for what it puts in: a choice between two has both. What is in
// parentheses counts as put in.
func texts(expression string) []string {
	var (
		all     []string
		current strings.Builder
		depth   int
		last    int
		putIn   bool
	)
	flush := func() {
		if putIn && current.Len() > 0 {
			current.WriteString("…")
		}
		if current.Len() > 0 {
			all = append(all, current.String())
		}
		current.Reset()
		putIn = false
	}
	read := func(code string) {
		for _, r := range code {
			switch {
			case r == '(':
				depth++
			case r == ')':
				depth--
			case depth == 0 && (r == '?' || r == ':'):
				flush()
			case depth == 0 && (r >= 'a' && r <= 'z'):
				putIn = true
			}
		}
	}
	for _, found := range literal.FindAllStringIndex(expression, -1) {
		code := expression[last:found[0]]
		read(code)
		last = found[1]
		if depth > 0 || strings.HasSuffix(strings.TrimSpace(code), "==") {
			putIn = depth > 0
			continue
		}
		if putIn && current.Len() > 0 {
			current.WriteString("…")
		}
		putIn = false
		text := expression[found[0]+1 : found[1]-1]
		current.WriteString(strings.NewReplacer(`\"`, `"`, `\'`, `'`, `\\`, `\`).Replace(text))
	}
	read(expression[last:])
	flush()
	return all
}

// schemaRules are the messages of the rules of an object and of the objects in it, but for those of another kind.
func schemaRules(schema apiextensionsv1.JSONSchemaProps, path string, same map[string]string) []string {
	here, _ := at(schema, path)
	return objectRules(here, path, same)
}

func objectRules(schema apiextensionsv1.JSONSchemaProps, path string, same map[string]string) []string {
	if _, ok := same[path]; ok {
		return nil
	}
	var all []string
	if schema.Type == "object" {
		all = messages(schema.XValidations)
	}
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		property := schema.Properties[name]
		all = append(all, objectRules(property, path+"."+name, same)...)
		if property.Items != nil && property.Items.Schema != nil {
			all = append(all, objectRules(*property.Items.Schema, path+"."+name, same)...)
		}
	}
	return all
}
