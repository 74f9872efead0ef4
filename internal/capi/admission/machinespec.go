package admission

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/pkg/packet"
)

// maxJSON is how many bytes the fields that hold any JSON may have: all of an object has to fit into a request to etcd, with
// its managed fields and its status.
const maxJSON = 64 << 10

// maxShown is how much of a wrong value is repeated.
const maxShown = 40

var uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// machineSpec tells what is wrong with a machine, wherever it is written: in a PacketMachine, a template or a pool.
func machineSpec(spec infrav1.PacketMachineSpec, path *field.Path) field.ErrorList {
	errs := sshKeys(spec.SSHKeys, path.Child("sshKeys"))
	errs = append(errs, reservations(spec.HardwareReservationID, path.Child("hardwareReservationID"))...)
	errs = append(errs, network(spec.Network, path.Child("network"))...)
	errs = append(errs, jsonObject(spec.CustomData, path.Child("customData"))...)
	return append(errs, storage(spec.Storage, path.Child("storage"))...)
}

// sshKeys checks that each key is what the Packet API takes. A private key that was pasted by mistake is not repeated.
func sshKeys(keys []string, path *field.Path) field.ErrorList {
	const allowed = "must be a public key as in authorized_keys (type, base64, comment), or the UUID of an SSH key of the project"
	var errs field.ErrorList
	for n, key := range keys {
		if uuid.MatchString(key) {
			continue
		}
		_, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(key))
		switch {
		case strings.Contains(key, "PRIVATE KEY"):
			errs = append(errs, field.Invalid(path.Index(n), "(not shown)", "is a private key, and "+allowed))
		case err != nil:
			errs = append(errs, field.Invalid(path.Index(n), shortened(key), allowed))
		case len(bytes.TrimSpace(rest)) > 0:
			errs = append(errs, field.Invalid(path.Index(n), shortened(key), "has more than one key: make each an entry of its own"))
		}
	}
	return errs
}

// reservations checks a list of hardware reservations. Its shape is checked by the definition.
func reservations(list string, path *field.Path) field.ErrorList {
	if list == "" || list == infrav1.HardwareReservationNextAvailable {
		return nil
	}
	var errs field.ErrorList
	seen := map[string]bool{}
	for _, id := range strings.Split(list, ",") {
		switch key := strings.ToLower(id); {
		case !uuid.MatchString(id):
			errs = append(errs, field.Invalid(path, shortened(id), "must be UUIDs of hardware reservations separated by commas, or next-available"))
		case seen[key]:
			errs = append(errs, field.Duplicate(path, id))
		default:
			seen[key] = true
		}
	}
	return errs
}

// jsonObject checks a field that holds any JSON object.
func jsonObject(value *apiextensionsv1.JSON, path *field.Path) field.ErrorList {
	if value == nil {
		return nil
	}
	if len(value.Raw) > maxJSON {
		return field.ErrorList{field.Invalid(path, fmt.Sprintf("(%d bytes)", len(value.Raw)), fmt.Sprintf("must have at most %d bytes", maxJSON))}
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(value.Raw, &object); err != nil || object == nil {
		return field.ErrorList{field.Invalid(path, shortened(string(value.Raw)), "must be a JSON object")}
	}
	return nil
}

// storage checks that a layout of drives has the shape that the Packet API reads. What is in it depends on the plan, and is
// for the API to judge.
func storage(value *apiextensionsv1.JSON, path *field.Path) field.ErrorList {
	errs := jsonObject(value, path)
	if value == nil || len(errs) > 0 {
		return errs
	}
	const allowed = "must be a layout of disks, raid and filesystems"
	var layout packet.Storage
	if err := json.Unmarshal(value.Raw, &layout); err != nil {
		return field.ErrorList{field.Invalid(path, shortened(string(value.Raw)), fmt.Sprintf("%s: %v", allowed, err))}
	}
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(value.Raw, &parts); err != nil {
		return field.ErrorList{field.Invalid(path, shortened(string(value.Raw)), fmt.Sprintf("%s: %v", allowed, err))}
	}
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		switch name {
		case "disks", "raid", "filesystems":
		default:
			errs = append(errs, field.Invalid(path.Child(shortened(name)), shortened(string(parts[name])), allowed))
		}
	}
	return errs
}

// machineWarnings tell what works and is better done otherwise.
func machineWarnings(spec infrav1.PacketMachineSpec, path *field.Path) admission.Warnings {
	var warnings admission.Warnings
	if spec.Facility != "" {
		warnings = append(warnings, facilityWarning(path, spec.Facility))
	}
	if t := spec.Network.Type; t == infrav1.NetworkTypeLayer2Bonded || t == infrav1.NetworkTypeLayer2Individual {
		warnings = append(warnings, fmt.Sprintf("%s: %s: the device will have no address of Packet once it is in layer 2: "+
			"its user data must bring the way by which it reaches the endpoint of the cluster", path.Child("network", "type"), t))
	}
	return warnings
}

func shortened(value string) string {
	if len(value) <= maxShown {
		return value
	}
	return strings.ToValidUTF8(value[:maxShown], "") + "…"
}
