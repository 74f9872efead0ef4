// Package account reads the Packet account of a Shoot: the Secret that its owner made, which says who asks the Packet API, for
// which project and where.
package account

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/packetyard/packetyard/pkg/packet"
)

const (
	// Type is the provider type of every resource that this extension is for.
	Type = "packet"
	// Name is that of the extension.
	Name = "provider-packet"

	// APIToken, ProjectID and APIURL are the keys of the Secret. The last one can be left out.
	APIToken  = "apiToken"
	ProjectID = "projectID"
	APIURL    = "apiURL"
)

// longestToken is longer than any token of the Packet API is.
const longestToken = 256

// Validate tells what is wrong with the Secret's contents, with no word of what the token is.
func Validate(secret *corev1.Secret, at *field.Path) field.ErrorList {
	var problems field.ErrorList
	data := at.Child("data")
	token := string(secret.Data[APIToken])
	switch {
	case token == "":
		problems = append(problems, field.Required(data.Key(APIToken), "the API token of the Packet API"))
	case strings.ContainsAny(token, " \t\r\n"):
		problems = append(problems, field.Invalid(data.Key(APIToken), "(hidden)", "must not contain spaces or line ends; `echo -n` and `base64 -w0` make none"))
	case len(token) > longestToken:
		problems = append(problems, field.TooLong(data.Key(APIToken), "(hidden)", longestToken))
	}
	project := string(secret.Data[ProjectID])
	if project == "" {
		problems = append(problems, field.Required(data.Key(ProjectID), "the ID of the project that devices are made in"))
	} else if _, err := uuid.Parse(project); err != nil || len(project) != 36 {
		problems = append(problems, field.Invalid(data.Key(ProjectID), project, "must be the UUID of a project, such as 93125c2a-8b78-4d4f-a3c4-7367d6b7cca8"))
	}
	if address, has := secret.Data[APIURL]; has {
		problems = append(problems, ValidateAPIURL(string(address), data.Key(APIURL))...)
	}
	return problems
}

// ValidateAPIURL tells what is wrong with the address of a Packet API.
func ValidateAPIURL(address string, at *field.Path) field.ErrorList {
	parsed, err := url.Parse(address)
	switch {
	case err != nil:
		// What could not be parsed may have a password in it.
		return field.ErrorList{field.Invalid(at, "(not shown)", "must be a URL, such as https://packet.example.com/metal/v1")}
	case parsed.User != nil:
		return field.ErrorList{field.Invalid(at, parsed.Redacted(), "must have no user and no password")}
	case parsed.Scheme != "https" && parsed.Scheme != "http" || parsed.Host == "":
		return field.ErrorList{field.Invalid(at, address, "must be an http or https URL, such as https://packet.example.com/metal/v1")}
	default:
		return nil
	}
}

// Read reads the account that a Secret has. An address in the Secret goes before the fallback, of which the first that is not
// empty counts.
func Read(ctx context.Context, reader client.Reader, ref corev1.SecretReference, fallbackAPIURLs ...string) (packet.Credentials, error) {
	secret := &corev1.Secret{}
	if err := reader.Get(ctx, client.ObjectKey{Namespace: ref.Namespace, Name: ref.Name}, secret); err != nil {
		return packet.Credentials{}, fmt.Errorf("reading the Secret %s/%s with the Packet account: %w", ref.Namespace, ref.Name, err)
	}
	return FromSecret(secret, fallbackAPIURLs...)
}

// FromSecret is the account that a Secret has.
func FromSecret(secret *corev1.Secret, fallbackAPIURLs ...string) (packet.Credentials, error) {
	if problems := Validate(secret, nil); len(problems) > 0 {
		return packet.Credentials{}, fmt.Errorf("invalid credentials in Secret %s/%s: %w", secret.Namespace, secret.Name, problems.ToAggregate())
	}
	credentials := packet.Credentials{
		APIURL:    string(secret.Data[APIURL]),
		APIToken:  string(secret.Data[APIToken]),
		ProjectID: string(secret.Data[ProjectID]),
	}
	for _, fallback := range fallbackAPIURLs {
		credentials = credentials.Or(packet.Credentials{APIURL: fallback})
	}
	if credentials.APIURL == "" {
		return packet.Credentials{}, fmt.Errorf("configuration problem: nobody says where the Packet API answers: set %s in Secret %s/%s, or apiURL in the CloudProfile's providerConfig, or packet.apiURL in the extension's configuration",
			APIURL, secret.Namespace, secret.Name)
	}
	return credentials, nil
}
