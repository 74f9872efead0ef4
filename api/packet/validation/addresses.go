package validation

import (
	"fmt"
	"net/netip"
	"net/url"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateURL wants an address that anything can be fetched from, with no password in it.
func validateURL(address string, at *field.Path, example string) field.ErrorList {
	parsed, err := url.Parse(address)
	switch {
	case err != nil:
		// What could not be parsed may have a password in it.
		return field.ErrorList{field.Invalid(at, "(not shown)", "must be an http or https URL, such as "+example)}
	case parsed.User != nil:
		return field.ErrorList{field.Invalid(at, parsed.Redacted(), "must have no user and no password")}
	case parsed.Scheme != "https" && parsed.Scheme != "http" || parsed.Host == "":
		return field.ErrorList{field.Invalid(at, address, "must be an http or https URL, such as "+example)}
	}
	return nil
}

// privateRanges are the private addresses of RFC 1918. The Packet API gives private addresses from 10.0.0.0/8; other
// implementations of it may use the others.
func privateRanges() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"),
		netip.MustParsePrefix("172.16.0.0/12"),
		netip.MustParsePrefix("192.168.0.0/16"),
	}
}

// parseBlock reads an IPv4 block that has no host bits.
func parseBlock(block string, at *field.Path) (netip.Prefix, field.ErrorList) {
	const form = "must be an IPv4 block, such as 10.64.12.0/25"
	prefix, err := netip.ParsePrefix(block)
	switch {
	case err != nil:
		return netip.Prefix{}, field.ErrorList{field.Invalid(at, block, form)}
	case !prefix.Addr().Is4():
		return netip.Prefix{}, field.ErrorList{field.Invalid(at, block, form+": machines have one private IPv4 block")}
	case prefix != prefix.Masked():
		return netip.Prefix{}, field.ErrorList{field.Invalid(at, block, fmt.Sprintf("%s: the block that has this address is %s", form, prefix.Masked()))}
	}
	return prefix, nil
}

// disjoint tells whether a block shares addresses with one of another field. A block that has not its form is another check's.
func disjoint(block netip.Prefix, at *field.Path, other *string, otherField string) field.ErrorList {
	if other == nil {
		return nil
	}
	prefix, err := netip.ParsePrefix(*other)
	if err != nil || !block.Overlaps(prefix) {
		return nil
	}
	return field.ErrorList{field.Invalid(at, block.String(), fmt.Sprintf("must share no address with %s, which is %s", otherField, prefix))}
}
