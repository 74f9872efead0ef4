package ccm

import (
	"fmt"

	"github.com/spf13/pflag"
)

// Flags are the provider's options as flags of a program.
type Flags struct{ set *pflag.FlagSet }

// NewFlags makes the flags, one for each option that is no secret.
func NewFlags() *Flags {
	set := pflag.NewFlagSet("packet", pflag.ContinueOnError)
	for _, o := range options() {
		if o.flag != "" {
			set.String(o.flag, "", fmt.Sprintf("%s Allowed: %s. Default: %s. Environment: %s.", o.about, o.allowed, o.fallback, o.env[0]))
		}
	}
	return &Flags{set: set}
}

// FlagSet is for the program to add to its own.
func (f *Flags) FlagSet() *pflag.FlagSet { return f.set }

// given are the flags that the command line has, by name.
func (f *Flags) given() map[string]string {
	values := map[string]string{}
	if f == nil {
		return values
	}
	// It is the program's own set that was parsed, not this one, so that only
	// the flags themselves know.
	f.set.VisitAll(func(flag *pflag.Flag) {
		if flag.Changed {
			values[flag.Name] = flag.Value.String()
		}
	})
	return values
}
