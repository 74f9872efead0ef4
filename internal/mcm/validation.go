package mcm

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	machineclassv1alpha1 "github.com/packetyard/packetyard/api/machineclass/v1alpha1"
	"github.com/packetyard/packetyard/pkg/packet"
)

// maxUserData is what the Packet API takes, in bytes.
const maxUserData = 64 << 10

// hidden stands in errors for what may be a secret.
const hidden = "(hidden)"

// validateCredentials tells what is wrong with the account, by where it can be mended.
func validateCredentials(credentials packet.Credentials, spec *machineclassv1alpha1.ProviderSpec, at *field.Path) field.ErrorList {
	var problems field.ErrorList
	secret := field.NewPath("secret", "data")
	switch token := credentials.APIToken; {
	case token == "":
		problems = append(problems, field.Required(secret.Key(machineclassv1alpha1.SecretAPIToken),
			"the API token of the Packet API, which can be in "+machineclassv1alpha1.SecretAlternateAPIToken+" too"))
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		problems = append(problems, field.Invalid(secret.Key(machineclassv1alpha1.SecretAPIToken), hidden,
			"must be printable ASCII without spaces and line ends; `echo -n` and `base64 -w0` make none"))
	}

	project := at.Child("projectID")
	if spec.ProjectID == "" {
		project = secret.Key(machineclassv1alpha1.SecretProjectID)
	}
	if credentials.ProjectID == "" {
		problems = append(problems, field.Required(at.Child("projectID"), "the project that devices are made in, here or as "+project.String()))
	} else {
		problems = append(problems, validateID(project, credentials.ProjectID, "a project")...)
	}

	address := at.Child("apiURL")
	if credentials.APIURL != spec.APIURL {
		address = secret.Key(machineclassv1alpha1.SecretAPIURL)
	}
	if credentials.APIURL == "" {
		return append(problems, field.Required(address, "where the Packet API answers, such as https://packet.example.com/metal/v1, here or as "+
			secret.Key(machineclassv1alpha1.SecretAPIURL).String()))
	}
	return append(problems, validateURL(address, credentials.APIURL, "http", "https")...)
}

// validateSpec tells what is wrong with how devices are to be made. What only the Packet API knows, such as which plans there
// are, it tells itself.
func validateSpec(spec *machineclassv1alpha1.ProviderSpec, secret *corev1.Secret) field.ErrorList {
	var problems field.ErrorList
	at := field.NewPath("providerSpec")
	if spec.MachineType == "" {
		problems = append(problems, field.Required(at.Child("machineType"), "the plan of the devices, such as c3.small.x86"))
	}
	if spec.Metro == "" && len(spec.Facilities) == 0 {
		problems = append(problems, field.Required(at.Child("metro"), "where devices are made: this or facilities"))
	}
	for n, facility := range spec.Facilities {
		if facility == "" {
			problems = append(problems, field.Required(at.Child("facilities").Index(n), "the code of a facility, such as ny5"))
		}
	}
	switch {
	case spec.IPXEScriptURL != "" && spec.OS != "" && spec.OS != packet.OSCustomIPXE:
		problems = append(problems, field.Invalid(at.Child("OS"), spec.OS, "must be empty or "+packet.OSCustomIPXE+" with an ipxeScriptUrl"))
	case spec.IPXEScriptURL != "":
		problems = append(problems, validateURL(at.Child("ipxeScriptUrl"), spec.IPXEScriptURL, "http", "https", "tftp")...)
	case spec.OS == "":
		problems = append(problems, field.Required(at.Child("OS"), "the slug of an operating system, such as ubuntu_24_04, or an ipxeScriptUrl"))
	}
	if cycles := []string{"hourly", "daily", "monthly", "yearly"}; spec.BillingCycle != "" && !slices.Contains(cycles, spec.BillingCycle) {
		problems = append(problems, field.NotSupported(at.Child("billingCycle"), spec.BillingCycle, cycles))
	}
	problems = append(problems, validateTags(at.Child("tags"), spec.Tags)...)
	for n, key := range spec.SSHKeys {
		problems = append(problems, validateID(at.Child("sshKeys").Index(n), key, "an SSH key of the project")...)
	}
	for n, network := range spec.VLANs {
		problems = append(problems, validateID(at.Child("vlans").Index(n), network, "a virtual network")...)
		if slices.Contains(spec.VLANs[:n], network) {
			problems = append(problems, field.Duplicate(at.Child("vlans").Index(n), network))
		}
	}
	for n, block := range spec.PrivateIPReservationIDs {
		problems = append(problems, validateID(at.Child("privateIPReservationIDs").Index(n), block, "a private block of the project")...)
	}
	problems = append(problems, validateSupply(at, spec)...)
	problems = append(problems, validateStorage(at.Child("storage"), spec)...)
	return append(problems, validateUserData(at, spec, secret)...)
}

func validateTags(at *field.Path, tags []string) field.ErrorList {
	var problems field.ErrorList
	for n, tag := range tags {
		switch {
		case tag == "":
			problems = append(problems, field.Required(at.Index(n), "a tag cannot be empty"))
		case len(tag) > packet.MaxTagLength:
			problems = append(problems, field.TooLong(at.Index(n), tag, packet.MaxTagLength))
		case strings.HasPrefix(tag, machineclassv1alpha1.TagPrefixMachine), strings.HasPrefix(tag, machineclassv1alpha1.TagPrefixVLAN):
			problems = append(problems, field.Invalid(at.Index(n), tag, "tags that begin with "+machineclassv1alpha1.TagPrefixMachine+" or "+
				machineclassv1alpha1.TagPrefixVLAN+" are the driver's own"))
		}
	}
	return problems
}

// validateSupply tells what is wrong with where the servers come from: reservations, the spot market.
func validateSupply(at *field.Path, spec *machineclassv1alpha1.ProviderSpec) field.ErrorList {
	var problems field.ErrorList
	for n, id := range spec.ReservationIDs {
		if id != packet.NextAvailableHardware {
			problems = append(problems, validateID(at.Child("reservationIDs").Index(n), id, "a hardware reservation, or "+packet.NextAvailableHardware+",")...)
		}
		if slices.Contains(spec.ReservationIDs[:n], id) {
			problems = append(problems, field.Duplicate(at.Child("reservationIDs").Index(n), id))
		}
	}
	if spec.ReservedDevicesOnly && len(spec.ReservationIDs) == 0 {
		problems = append(problems, field.Required(at.Child("reservationIDs"), "with reservedDevicesOnly there is nothing else to make devices of; "+packet.NextAvailableHardware+" is any reservation"))
	}
	if spec.SpotPriceMax == "" {
		return problems
	}
	if _, err := price(spec.SpotPriceMax); err != nil {
		problems = append(problems, field.Invalid(at.Child("spotPriceMax"), spec.SpotPriceMax, `must be a decimal number above 0, such as "0.35"`))
	}
	if spec.ReservedDevicesOnly {
		problems = append(problems, field.Forbidden(at.Child("spotPriceMax"), "reservedDevicesOnly leaves nothing to rent on the spot market"))
	}
	return problems
}

// price reads a number of US dollars.
func price(text string) (float64, error) {
	dollars, err := strconv.ParseFloat(text, 64)
	// Infinity and what is not a number are read too, and they are no price. Nor are 0x1p3 and 1e3, which nobody writes.
	if err != nil || !(dollars > 0) || strings.Trim(text, "0123456789.") != "" {
		return 0, strconv.ErrSyntax
	}
	return dollars, nil
}

// validateStorage reads storage as the Packet API does. Unknown fields are mistakes there too.
func validateStorage(at *field.Path, spec *machineclassv1alpha1.ProviderSpec) field.ErrorList {
	if spec.Storage == nil || len(spec.Storage.Raw) == 0 {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(spec.Storage.Raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&packet.Storage{}); err != nil {
		shown := string(spec.Storage.Raw)
		return field.ErrorList{field.Invalid(at, shown[:min(len(shown), 200)], "must have disks, raid and filesystems as the Packet API has: "+strings.TrimPrefix(err.Error(), "json: "))}
	}
	return nil
}

// validateUserData does not repeat any of it: it holds the token by which a machine joins.
func validateUserData(at *field.Path, spec *machineclassv1alpha1.ProviderSpec, secret *corev1.Secret) field.ErrorList {
	path := field.NewPath("secret", "data").Key(machineclassv1alpha1.SecretUserData)
	data := userData(spec, secret)
	if spec.UserData != "" && data == spec.UserData {
		path = at.Child("userdata")
	}
	switch {
	case data == "" && spec.IPXEScriptURL == "":
		return field.ErrorList{field.Required(path, "what a device does when it boots for the first time")}
	case len(data) > maxUserData:
		return field.ErrorList{field.TooLong(path, hidden, maxUserData)}
	}
	return nil
}

// userData is a secret.
func userData(spec *machineclassv1alpha1.ProviderSpec, secret *corev1.Secret) string {
	if secret != nil && len(secret.Data[machineclassv1alpha1.SecretUserData]) > 0 {
		return string(secret.Data[machineclassv1alpha1.SecretUserData])
	}
	return spec.UserData
}

func validateID(at *field.Path, id, of string) field.ErrorList {
	if _, err := uuid.Parse(id); err != nil || len(id) != 36 {
		return field.ErrorList{field.Invalid(at, id, "must be the UUID of "+of+" such as 93125c2a-8b78-4d4f-a3c4-7367d6b7cca8")}
	}
	return nil
}

func validateURL(at *field.Path, address string, schemes ...string) field.ErrorList {
	parsed, err := url.Parse(address)
	switch {
	case err != nil:
		// What could not be parsed may have a password in it.
		return field.ErrorList{field.Invalid(at, "(not shown)", "must be a URL")}
	case parsed.User != nil:
		return field.ErrorList{field.Invalid(at, parsed.Redacted(), "must have no user and no password")}
	case !slices.Contains(schemes, parsed.Scheme) || parsed.Host == "":
		return field.ErrorList{field.Invalid(at, address, "must be a URL that begins with "+strings.Join(schemes, "://, ")+"://")}
	}
	return nil
}
