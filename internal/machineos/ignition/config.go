// Package ignition executes a machine's user data as Ignition does: once, at
// the first boot, and before any unit starts.
//
// It takes the specifications 2.0 to 2.4, which are what the Cluster API's
// kubeadm bootstrap provider writes (2.3.0), and 3.0 to 3.6. Parsing,
// validation and merging are those of the official libraries. What a simulated
// machine has not got (disks, partitions, file systems, kernel arguments) is
// accepted and said to be without effect.
package ignition

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// config is what a document asks for, whatever its specification.
type config struct {
	directories []directory
	files       []file
	links       []link
	groups      []group
	users       []user
	units       []unit
	// simulated are the parts that have no effect, in words.
	simulated []string
}

// node is what files, directories and links have in common.
type node struct {
	// field is where the document has it, for errors.
	field string
	path  string
	mode  *int
	// overwrite is nil where the document does not say.
	overwrite *bool
	// owner is the user and group in words, empty where it is root.
	owner string
}

type directory struct{ node }

type file struct {
	node
	// contents replace a file, where there are any; appended are added to it.
	contents *resource
	appended []resource
	// replaces is true where a file that exists is replaced unless the document
	// forbids it, as version 2 has it.
	replaces bool
}

type link struct {
	node
	target string
	hard   bool
}

// resource is content that is somewhere else, or in a data URL.
type resource struct {
	field       string
	source      string
	compression string
	// hash is empty, or the function's name, a dash and the sum.
	hash    string
	headers map[string]string
}

type group struct {
	field, name string
	id          *int
}

type user struct {
	field, name, gecos, home, shell, primaryGroup string

	id      *int
	groups  []string
	keys    []string
	noHome  bool
	removed bool
}

type unit struct {
	field, name string
	contents    *string
	dropIns     map[string]string
	enabled     *bool
	mask        bool
}

// IsConfig tells whether user data is an Ignition document: a JSON object with
// the key ignition.
func IsConfig(userData []byte) bool {
	var document struct {
		Ignition json.RawMessage `json:"ignition"`
	}
	return json.Unmarshal(userData, &document) == nil && len(document.Ignition) > 0
}

// errNoConfig is about user data that is for something else.
var errNoConfig = errors.New("the user data is no Ignition document: it must be a JSON object with the key ignition")

// version reads the version of a document's specification.
func version(document []byte) (string, error) {
	var stub struct {
		Ignition struct {
			Version string `json:"version"`
		} `json:"ignition"`
	}
	if err := json.Unmarshal(document, &stub); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return "", fmt.Errorf("%w (at byte %d: %w)", errNoConfig, syntax.Offset, err)
		}
		return "", errNoConfig
	}
	if !IsConfig(document) {
		return "", errNoConfig
	}
	return stub.Ignition.Version, nil
}

// isVersion2 tells whether a version is of the first specification. Documents
// without a version are of its beginnings, which nobody writes any more.
func isVersion2(version string) (bool, error) {
	switch major, _, _ := strings.Cut(version, "."); major {
	case "2":
		return true, nil
	case "3":
		return false, nil
	}
	return false, fmt.Errorf("ignition.version is %q, it must be 2.0.0 to 2.4.0 or 3.0.0 to 3.6.0", version)
}

// ownerOf puts a user and group into words, empty where both are root.
func ownerOf(userName string, userID *int, groupName string, groupID *int) string {
	name := func(name string, id *int) string {
		if name == "" && id != nil && *id != 0 {
			return fmt.Sprint(*id)
		}
		if name == "root" {
			return ""
		}
		return name
	}
	owner, group := name(userName, userID), name(groupName, groupID)
	if owner == "" && group == "" {
		return ""
	}
	return cmp.Or(owner, "root") + ":" + cmp.Or(group, "root")
}

func deref[T any](value *T) T {
	var zero T
	if value == nil {
		return zero
	}
	return *value
}
