package ccm

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// fileValue is a value of the configuration file, and the key as it is written there.
type fileValue struct{ key, text string }

// readConfigFile reads cloud-sa.json, a JSON object. Its values are by the keys
// of the options. Case does not matter: projectId and projectID have both been
// written for as long as there is a file. Numbers and booleans may be strings.
func readConfigFile(content []byte) (map[string]fileValue, error) {
	values := map[string]fileValue{}
	if len(content) == 0 {
		return values, nil
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(content, &raw); err != nil {
		// The decoder's error can quote a piece of the file; its offset is enough.
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return values, fmt.Errorf("the file is not JSON, the mistake is at byte %d", syntax.Offset)
		}
		return values, errors.New("the file is not a JSON object")
	}
	known := options()
	var problems []error
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		i := slices.IndexFunc(known, func(o option) bool { return o.hasKey(key) })
		if i < 0 {
			problems = append(problems, fmt.Errorf("unknown key %q in the file, allowed are %s", key, strings.Join(keys(known), ", ")))
			continue
		}
		text, err := scalar(raw[key])
		name := known[i].key
		switch {
		case err != nil:
			problems = append(problems, fmt.Errorf("key %q of the file %w", key, err))
		case values[name].text != "" && text != "" && values[name].text != text:
			problems = append(problems, fmt.Errorf("keys %q and %q of the file are the same and have two values", values[name].key, key))
		case text != "":
			values[name] = fileValue{key, text}
		}
	}
	return values, errors.Join(problems...)
}

func (o option) hasKey(key string) bool {
	return slices.ContainsFunc(append([]string{o.key}, o.aliases...), func(name string) bool { return strings.EqualFold(name, key) })
}

func keys(table []option) []string {
	names := make([]string, 0, len(table))
	for _, o := range table {
		names = append(names, o.key)
	}
	return names
}

// scalar is the text of a string, number or boolean; null is none.
func scalar(raw json.RawMessage) (string, error) {
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		return "", errors.New("is not JSON")
	}
	switch value := value.(type) {
	case nil:
		return "", nil
	case string:
		return strings.TrimSpace(value), nil
	case bool, float64:
		// As it is written: a large number would become 4.2e+09.
		return strings.TrimSpace(string(raw)), nil
	}
	return "", errors.New("is an object or a list, allowed are a string, a number and a boolean")
}

// tokenOfFile is the token in a configuration file, for reading it again.
func tokenOfFile(content []byte) (string, error) {
	values, err := readConfigFile(content)
	if err != nil {
		return "", err
	}
	if values["apiKey"].text == "" {
		return "", errors.New("the file has no key apiKey")
	}
	return values["apiKey"].text, nil
}
