package lab

import (
	"fmt"
	"strings"
)

// Firewall is a ruleset for "nft -f", for the faults that only a packet filter
// can make. It works on what this machine sends to the lab's addresses, so it
// must be loaded in the network namespace in which lab and client run. It is
// "" on loopback, where the addresses stand for nothing.
//
// A filter that looks for a name in the hello is not among the rules: nft finds
// bytes at fixed places only, and browsers shuffle their extensions. The sites
// sni-filtered and sni-swallowed do that themselves.
func (l *Lab) Firewall() string {
	if !l.base.IsValid() {
		return ""
	}
	var b strings.Builder
	b.WriteString("table inet faultline_lab\ndelete table inet faultline_lab\n\n")
	b.WriteString("table inet faultline_lab {\n\tchain output {\n\t\ttype filter hook output priority filter; policy accept;\n")
	for _, p := range l.places {
		if p.rule == "" {
			continue
		}
		for _, addr := range p.addrs {
			fmt.Fprintf(&b, "\t\tip daddr %v %s comment %q\n", addr, p.rule, p.Name)
		}
	}
	b.WriteString("\t}\n}\n")
	return b.String()
}
