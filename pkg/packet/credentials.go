package packet

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
)

// The environment variables that credentials are read from.
const (
	EnvAPIURL    = "PACKET_API_URL"
	EnvAPIToken  = "PACKET_API_TOKEN"
	EnvProjectID = "PACKET_PROJECT_ID"
)

// Older names of the same, in the order in which they are asked.
const (
	EnvPacketAPIKey   = "PACKET_API_KEY"
	EnvMetalAPIKey    = "METAL_API_KEY"
	EnvMetalProjectID = "METAL_PROJECT_ID"
)

const redacted = "[redacted]"

// Credentials say where the API is and who asks. The JSON form is that of the
// credentials.json that the API server writes.
type Credentials struct {
	// APIURL is the base of all paths, for example http://127.0.0.1:8080/metal/v1.
	APIURL string `json:"apiURL"`
	// APIToken is a secret. No method of Credentials shows it.
	APIToken  string `json:"apiToken"`
	ProjectID string `json:"projectID"`
}

// CredentialsFromEnvironment reads the variables above by lookup, which is
// os.Getenv outside of tests. What is not set stays empty.
func CredentialsFromEnvironment(lookup func(string) string) Credentials {
	first := func(names ...string) string {
		for _, name := range names {
			if value := strings.TrimSpace(lookup(name)); value != "" {
				return value
			}
		}
		return ""
	}
	return Credentials{
		APIURL:    first(EnvAPIURL),
		APIToken:  first(EnvAPIToken, EnvPacketAPIKey, EnvMetalAPIKey),
		ProjectID: first(EnvProjectID, EnvMetalProjectID),
	}
}

// Or fills what is empty in c from other.
func (c Credentials) Or(other Credentials) Credentials {
	if c.APIURL == "" {
		c.APIURL = other.APIURL
	}
	if c.APIToken == "" {
		c.APIToken = other.APIToken
	}
	if c.ProjectID == "" {
		c.ProjectID = other.ProjectID
	}
	return c
}

// Validate returns everything that is wrong, not only the first.
func (c Credentials) Validate() error {
	var problems []error
	if _, err := parseBaseURL(c.APIURL); err != nil {
		problems = append(problems, err)
	}
	if err := checkToken(c.APIToken); err != nil {
		problems = append(problems, err)
	}
	switch {
	case c.ProjectID == "":
		problems = append(problems, fmt.Errorf("no project ID: set %s", EnvProjectID))
	case !isUUID(c.ProjectID):
		problems = append(problems, fmt.Errorf("project ID %q is not a UUID", c.ProjectID))
	}
	return errors.Join(problems...)
}

// String shows everything but the token.
func (c Credentials) String() string {
	token := "none"
	if c.APIToken != "" {
		token = redacted
	}
	return fmt.Sprintf("{apiURL: %s, apiToken: %s, projectID: %s}", c.APIURL, token, c.ProjectID)
}

// GoString implements fmt.GoStringer, so that %#v shows no token either.
func (c Credentials) GoString() string { return "packet.Credentials" + c.String() }

// LogValue implements slog.LogValuer.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// parseBaseURL checks the API's address. There is no default: the service
// that the well-known addresses belonged to is gone, and a token must not go
// to whoever answers there now.
func parseBaseURL(raw string) (*url.URL, error) {
	if strings.TrimSpace(raw) == "" {
		return nil, fmt.Errorf("no API URL: set %s, for example to http://127.0.0.1:8080/metal/v1", EnvAPIURL)
	}
	base, err := url.Parse(strings.TrimSpace(raw))
	if err != nil {
		// The error of url.Parse repeats the URL, which could hold a password.
		return nil, errors.New("the API URL cannot be parsed; it is like http://127.0.0.1:8080/metal/v1")
	}
	switch {
	case base.Scheme != "http" && base.Scheme != "https":
		return nil, fmt.Errorf("API URL %q: scheme is %q, allowed are http and https", base.Redacted(), base.Scheme)
	case base.Host == "":
		return nil, fmt.Errorf("API URL %q has no host", base.Redacted())
	case base.User != nil:
		return nil, fmt.Errorf("API URL %q holds a user name or password; the token goes into %s", base.Redacted(), EnvAPIToken)
	case base.RawQuery != "" || base.Fragment != "":
		return nil, fmt.Errorf("API URL %q has a query or fragment; it ends with the path, as in /metal/v1", base.Redacted())
	}
	base.Path = strings.TrimRight(base.Path, "/")
	base.RawPath = ""
	return base, nil
}

func checkToken(token string) error {
	if token == "" {
		return fmt.Errorf("no API token: set %s", EnvAPIToken)
	}
	for _, r := range token {
		if r <= ' ' || r > '~' {
			// A header cannot carry it, and net/http would print it in its error.
			return errors.New("the API token has a character that is not printable ASCII, for example a line break; allowed are ! to ~")
		}
	}
	return nil
}
