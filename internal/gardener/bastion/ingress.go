package bastion

import (
	"fmt"
	"net/netip"
	"strings"

	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// allowed is a block of addresses that may reach the bastion by SSH, and parts of it that may not.
type allowed struct {
	block  netip.Prefix
	except []netip.Prefix
}

// parseIngress reads spec.ingress.
func parseIngress(policies []extensionsv1alpha1.BastionIngressPolicy, at *field.Path) ([]allowed, field.ErrorList) {
	var all []allowed
	var problems field.ErrorList
	parse := func(text string, at *field.Path) netip.Prefix {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			problems = append(problems, field.Invalid(at, text, "must be a block of addresses, such as 198.51.100.0/24 or 2001:db8::/48"))
		}
		return prefix.Masked()
	}
	for n, policy := range policies {
		at := at.Index(n).Child("ipBlock")
		one := allowed{block: parse(policy.IPBlock.CIDR, at.Child("cidr"))}
		for m, text := range policy.IPBlock.Except {
			except := parse(text, at.Child("except").Index(m))
			if except.IsValid() && one.block.IsValid() && (!one.block.Contains(except.Addr()) || except.Bits() < one.block.Bits()) {
				problems = append(problems, field.Invalid(at.Child("except").Index(m), text, "must be a part of "+one.block.String()))
			}
			one.except = append(one.except, except)
		}
		all = append(all, one)
	}
	if len(policies) == 0 {
		problems = append(problems, field.Required(at, "where the bastion may be reached from"))
	}
	return all, problems
}

// nftables is a packet filter that lets SSH in from the allowed blocks, and nothing else but what belongs to connections that
// the bastion has made itself. ICMP has its numbers, 1 and 58: its names are in /etc/protocols, which small systems do not have.
func nftables(from []allowed) string {
	var b strings.Builder
	b.WriteString(`table inet gardener_bastion
delete table inet gardener_bastion
table inet gardener_bastion {
	chain input {
		type filter hook input priority 0; policy drop;
		iifname "lo" accept
		ct state established,related accept
		meta l4proto { 1, 58 } accept
`)
	for _, one := range from {
		family := "ip"
		if one.block.Addr().Is6() {
			family = "ip6"
		}
		fmt.Fprintf(&b, "\t\t%s saddr %s tcp dport 22", family, one.block)
		for _, except := range one.except {
			fmt.Fprintf(&b, " %s saddr != %s", family, except)
		}
		b.WriteString(" accept\n")
	}
	b.WriteString("\t}\n}\n")
	return b.String()
}

// iptables is the same as a script for systems without nft.
func iptables(from []allowed) string {
	var b strings.Builder
	for _, family := range []struct {
		program, icmp string
		is6           bool
	}{{"iptables", "icmp", false}, {"ip6tables", "ipv6-icmp", true}} {
		command := family.program + " -w"
		fmt.Fprintf(&b, "%s -N gardener-bastion 2>/dev/null || %s -F gardener-bastion\n", command, command)
		fmt.Fprintf(&b, "%s -A gardener-bastion -i lo -j RETURN\n", command)
		fmt.Fprintf(&b, "%s -A gardener-bastion -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN\n", command)
		fmt.Fprintf(&b, "%s -A gardener-bastion -p %s -j RETURN\n", command, family.icmp)
		for n, one := range from {
			if one.block.Addr().Is6() != family.is6 {
				continue
			}
			// A chain for each block, so that what one leaves out another can let in.
			chain := fmt.Sprintf("gardener-bastion-%d", n)
			fmt.Fprintf(&b, "%s -N %s 2>/dev/null || %s -F %s\n", command, chain, command, chain)
			for _, except := range one.except {
				fmt.Fprintf(&b, "%s -A %s -s %s -j RETURN\n", command, chain, except)
			}
			fmt.Fprintf(&b, "%s -A %s -j ACCEPT\n", command, chain)
			fmt.Fprintf(&b, "%s -A gardener-bastion -s %s -p tcp --dport 22 -j %s\n", command, one.block, chain)
		}
		fmt.Fprintf(&b, "%s -A gardener-bastion -j DROP\n", command)
		fmt.Fprintf(&b, "%s -C INPUT -j gardener-bastion 2>/dev/null || %s -I INPUT -j gardener-bastion\n", command, command)
	}
	return b.String()
}
