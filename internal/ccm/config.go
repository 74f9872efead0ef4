package ccm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/packetyard/packetyard/pkg/packet"
)

// The keys of the configuration file, cloud-sa.json. Case does not matter:
// projectId has been written in both ways for as long as there is a file.
const (
	keyAPIKey    = "apiKey"
	keyProjectID = "projectID"
	keyBaseURL   = "base-url"
)

// reservedKeys are those of the original's file that nothing here uses yet. A
// file that has them is no mistake.
var reservedKeys = []string{
	"loadbalancer", "metro", "facility", "localASN", "bgpPass",
	"annotationLocalASN", "annotationPeerASN", "annotationPeerIP", "annotationSrcIP", "annotationBGPPass",
	"annotationNetworkIPv4Private", "annotationEIPMetro", "annotationEIPFacility",
	"eipTag", "apiServerPort", "bgpNodeSelector", "eipHealthCheckUseHostIP", "loadBalancerID",
}

// maxConfigSize is far more than a configuration needs.
const maxConfigSize = 1 << 20

// config is the provider's configuration.
type config struct {
	credentials packet.Credentials
	// unused are keys of the file that have no effect.
	unused []string
}

// readConfig takes each setting from the environment, or else from the file,
// which may be nil. Its error names everything that is wrong, not only the
// first, and never a value that may be secret.
func readConfig(file io.Reader, getenv func(string) string) (config, error) {
	var c config
	var problems []error
	if file != nil {
		fromFile, unused, err := readConfigFile(file)
		if err != nil {
			problems = append(problems, err)
		}
		c.credentials, c.unused = fromFile, unused
	}
	c.credentials = packet.CredentialsFromEnvironment(getenv).Or(c.credentials)
	if err := c.credentials.Validate(); err != nil {
		problems = append(problems, err)
	}
	if len(problems) > 0 {
		return config{}, fmt.Errorf("%w\n(keys of the file: %s, %s, %s; they give way to the environment)",
			errors.Join(problems...), keyAPIKey, keyProjectID, keyBaseURL)
	}
	return c, nil
}

func readConfigFile(file io.Reader) (credentials packet.Credentials, unused []string, err error) {
	content, err := io.ReadAll(io.LimitReader(file, maxConfigSize))
	if err != nil {
		return credentials, nil, fmt.Errorf("reading the file: %w", err)
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(content, &raw); err != nil {
		// The decoder's error can quote a piece of the file; its offset is enough.
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return credentials, nil, fmt.Errorf("the file is not JSON, the mistake is at byte %d", syntax.Offset)
		}
		return credentials, nil, errors.New("the file is not a JSON object")
	}

	settings := []struct {
		key  string
		into *string
	}{
		{keyAPIKey, &credentials.APIToken},
		{keyProjectID, &credentials.ProjectID},
		{keyBaseURL, &credentials.APIURL},
	}
	var problems []error
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		known := false
		for _, setting := range settings {
			if !strings.EqualFold(key, setting.key) {
				continue
			}
			known = true
			var value string
			if json.Unmarshal(raw[key], &value) != nil {
				problems = append(problems, fmt.Errorf("key %q of the file is not a string", key))
			} else if value = strings.TrimSpace(value); *setting.into != "" && *setting.into != value {
				problems = append(problems, fmt.Errorf("key %q of the file is there twice, with two values", setting.key))
			} else {
				*setting.into = value
			}
		}
		switch {
		case known:
		case slices.ContainsFunc(reservedKeys, func(reserved string) bool { return strings.EqualFold(key, reserved) }):
			unused = append(unused, key)
		default:
			problems = append(problems, fmt.Errorf("unknown key %q in the file, allowed are %s, %s, %s and, without effect, %s",
				key, keyAPIKey, keyProjectID, keyBaseURL, strings.Join(reservedKeys, ", ")))
		}
	}
	return credentials, unused, errors.Join(problems...)
}
