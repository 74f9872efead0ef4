package ccm

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// maxConfigSize is far more than a configuration needs.
const maxConfigSize = 1 << 20

// Source is where the provider's configuration comes from beside the
// environment. It goes through cloudprovider.GetCloudProvider as the reader of
// the configuration, which is the only way in that Kubernetes gives a provider;
// the provider takes it for what it is. A plain reader is a file without flags.
type Source struct {
	// Path is the configuration file, of --cloud-config. It may be empty.
	Path  string
	Flags *Flags
}

var _ io.Reader = (*Source)(nil)

// Read implements io.Reader for its type's sake.
func (s *Source) Read([]byte) (int, error) {
	return 0, errors.New("a Source is for the cloud provider packet alone")
}

// content is a configuration file as it was read.
type content struct {
	bytes []byte
	// path is empty if it cannot be read again.
	path  string
	flags map[string]string
}

// readContent reads what the factory was given: a *Source, a file, any other
// reader, or nil.
func readContent(reader io.Reader) (content, error) {
	var c content
	switch r := reader.(type) {
	case nil:
		return c, nil
	case *Source:
		c.path, c.flags = r.Path, r.Flags.given()
		if c.path == "" {
			return c, nil
		}
		file, err := os.Open(c.path)
		if err != nil {
			return c, fmt.Errorf("opening the configuration file of --cloud-config: %w", err)
		}
		defer file.Close()
		reader = file
	case *os.File:
		c.path = r.Name()
	}
	var err error
	if c.bytes, err = io.ReadAll(io.LimitReader(reader, maxConfigSize)); err != nil {
		return c, fmt.Errorf("reading the configuration file: %w", err)
	}
	return c, nil
}
