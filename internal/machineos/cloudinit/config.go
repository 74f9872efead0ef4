package cloudinit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// cloudConfig is a cloud-config document, or several merged.
type cloudConfig map[string]json.RawMessage

// simulated are the keys whose work a simulated machine has no use for. They
// are accepted.
var simulated = map[string]string{
	"ntp": "the machine has the host's time", "timezone": "the machine has the host's time zone",
	"disk_setup": "the machine has no disks", "fs_setup": "the machine has no disks", "device_aliases": "the machine has no disks",
	"mounts": "the machine has no disks", "mount_default_fields": "the machine has no disks", "swap": "the machine has no swap",
	"growpart": "the machine has no disks", "resize_rootfs": "the machine has no disks",
	"package_update": "packages are the host's", "package_upgrade": "packages are the host's",
	"package_reboot_if_required": "packages are the host's",
	"yum_repos":                  "packages are the host's", "snap": "packages are the host's",
	"chpasswd": "nobody logs in with a password", "password": "nobody logs in with a password", "ssh_pwauth": "nobody logs in with a password",
	"locale": "the machine has the host's locales", "keyboard": "the machine has no keyboard", "power_state": "the machine stays on",
	"final_message": "", "output": "output goes to the console and to " + logFile, "datasource": "", "datasource_list": "",
	"manage_resolv_conf": "the network is set up by the switch", "resolv_conf": "the network is set up by the switch",
	"ssh_deletekeys": "the machine runs no SSH server", "ssh_genkeytypes": "the machine runs no SSH server",
	"disable_root": "root is the only user with processes", "phone_home": "the machine phones home by itself",
}

// executed are the keys that are carried out.
var executed = []string{
	"bootcmd", "write_files", "runcmd", "hostname", "fqdn", "preserve_hostname", "prefer_fqdn_over_hostname", "manage_etc_hosts",
	"users", "groups", "user", "ssh_authorized_keys", "merge_how", "merge_type", "apt", "packages",
}

// merge adds a document. As in cloud-init, a key of a later document replaces
// the same key of an earlier one, or adds to it where the document asks so.
// The warning tells of keys that appear twice, which is no error to it.
func (c *cloudConfig) merge(document []byte) (warning string, err error) {
	encoded, strictErr := yaml.YAMLToJSONStrict(document)
	if strictErr != nil {
		if encoded, err = yaml.YAMLToJSON(document); err != nil {
			return "", fmt.Errorf("reading YAML: %w", err)
		}
		warning = strictErr.Error()
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(encoded, &keys); err != nil {
		return "", errors.New("the document must be a map of keys such as runcmd and write_files")
	}
	if *c == nil {
		*c = make(cloudConfig)
	}
	appends := strings.Contains(string(keys["merge_how"])+string(keys["merge_type"]), "append")
	for key, value := range keys {
		if earlier, there := (*c)[key]; there && appends {
			value = joinLists(earlier, value)
		}
		(*c)[key] = value
	}
	return warning, nil
}

// joinLists returns both lists as one, or the later value where one is no list.
func joinLists(earlier, later json.RawMessage) json.RawMessage {
	var first, second []json.RawMessage
	if json.Unmarshal(earlier, &first) != nil || json.Unmarshal(later, &second) != nil {
		return later
	}
	joined, err := json.Marshal(append(first, second...))
	if err != nil {
		return later
	}
	return joined
}

// check tells of the keys that have no effect.
func (c cloudConfig) check() []string {
	var warnings []string
	for _, key := range slices.Sorted(maps.Keys(c)) {
		reason, accepted := simulated[key]
		switch {
		case slices.Contains(executed, key):
		case !accepted:
			warnings = append(warnings, fmt.Sprintf("%s is unknown and ignored; known are %s", key, strings.Join(executed, ", ")))
		case reason != "":
			warnings = append(warnings, fmt.Sprintf("%s is accepted and has no effect: %s", key, reason))
		}
	}
	return warnings
}

// text reads one key that is a string. A value of another type is an error
// that names the key, as it is in boolean and list.
func (c cloudConfig) text(key string) (string, error) {
	raw, there := c[key]
	if !there || string(raw) == "null" {
		return "", nil
	}
	value, ok := scalar(raw)
	if !ok {
		return "", fmt.Errorf("%s is %s, it must be a string", key, shape(raw))
	}
	return value, nil
}

func (c cloudConfig) boolean(key string) bool {
	value, _ := scalar(c[key])
	return isTrue(value)
}

// isTrue reads a boolean as cloud-init does.
func isTrue(value string) bool {
	switch strings.ToLower(strings.TrimSpace(value)) {
	case "true", "1", "on", "yes":
		return true
	}
	return false
}

func (c cloudConfig) list(key string) ([]json.RawMessage, error) {
	raw, there := c[key]
	if !there || string(raw) == "null" {
		return nil, nil
	}
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		return nil, fmt.Errorf("%s is %s, it must be a list", key, shape(raw))
	}
	return items, nil
}

// scalar reads a string, number or boolean as the text that it was written as.
func scalar(raw json.RawMessage) (string, bool) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return "", false
	}
	switch value := value.(type) {
	case string:
		return value, true
	case json.Number:
		return value.String(), true
	case bool:
		if value {
			return "True", true
		}
		return "False", true
	}
	return "", false
}

// shape names a value's type for people; the value itself may be a secret.
func shape(raw json.RawMessage) string {
	switch text := strings.TrimSpace(string(raw)); {
	case text == "" || text == "null":
		return "empty"
	case text[0] == '{':
		return "a map"
	case text[0] == '[':
		return "a list"
	case text[0] == '"':
		return "a string"
	case text == "true" || text == "false":
		return "a boolean"
	}
	return "a number"
}

// stringList reads a list of texts, or one text with commas in it.
func stringList(raw json.RawMessage) ([]string, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	if one, ok := scalar(raw); ok {
		var values []string
		for _, value := range strings.Split(one, ",") {
			if value = strings.TrimSpace(value); value != "" {
				values = append(values, value)
			}
		}
		return values, nil
	}
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		return nil, fmt.Errorf("it is %s and must be a string or a list of strings", shape(raw))
	}
	var values []string
	for _, item := range items {
		value, ok := scalar(item)
		if !ok {
			return nil, fmt.Errorf("an entry is %s and must be a string", shape(item))
		}
		values = append(values, value)
	}
	return values, nil
}
