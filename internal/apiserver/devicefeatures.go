package apiserver

import (
	"encoding/json"
	"maps"
	"slices"
)

// The two ways to want a feature.
const (
	featureRequired  = "required"
	featurePreferred = "preferred"
)

// featureNames are the features that a server can have.
func featureNames() []string { return []string{"raid", "tpm", "txt", "uefi"} }

// features reads which features a server shall have: a list of names, all
// required, or an object of name to required or preferred.
func (p *problems) features(data json.RawMessage) map[string]string {
	// Old clients send an empty string for none.
	if text := string(data); len(data) == 0 || text == `null` || text == `""` {
		return nil
	}
	wanted := map[string]string{}
	var list []string
	if json.Unmarshal(data, &list) == nil {
		for _, name := range list {
			wanted[name] = featureRequired
		}
	} else if json.Unmarshal(data, &wanted) != nil {
		p.add("features must be a list of names, or an object of name to %s or %s", featureRequired, featurePreferred)
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if !slices.Contains(featureNames(), name) {
			p.notOneOf("features", name, featureNames())
		} else if wanted[name] != featureRequired && wanted[name] != featurePreferred {
			p.notOneOf("features."+name, wanted[name], []string{featureRequired, featurePreferred})
		}
	}
	return wanted
}

// hasFeatures tells whether the servers of the plan have what is required.
func (o *order) hasFeatures() bool {
	specs := o.plan.Specs
	if specs == nil || specs.Features == nil {
		return !slices.Contains(slices.Collect(maps.Values(o.features)), featureRequired)
	}
	has := map[string]bool{"raid": specs.Features.RAID, "txt": specs.Features.TXT, "uefi": specs.Features.UEFI, "tpm": specs.Features.TPM}
	for name, how := range o.features {
		if how == featureRequired && !has[name] {
			return false
		}
	}
	return true
}
