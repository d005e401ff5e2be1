package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// question is a query with EDNS, or without, with some of the header's bits.
type question struct {
	name string
	kind dnsmessage.Type
	cd   bool
	bare bool // no EDNS
}

func (q question) pack() ([]byte, error) {
	name, err := dnsmessage.NewName(q.name + ".")
	if err != nil {
		return nil, err
	}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 0x1234, RecursionDesired: true, CheckingDisabled: q.cd},
		Questions: []dnsmessage.Question{{Name: name, Type: q.kind, Class: dnsmessage.ClassINET}},
	}
	if !q.bare {
		m.Additionals = []dnsmessage.Resource{opt(extended{})}
	}
	return m.Pack()
}

// ask sends a question once and returns the reply as it came.
func (l *Lab) ask(ctx context.Context, network string, q question, wait time.Duration) ([]byte, error) {
	b, err := q.pack()
	if err != nil {
		return nil, err
	}
	c, err := new(net.Dialer).DialContext(ctx, network, l.DNS())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(wait))
	if network == "udp" {
		if _, err := c.Write(b); err != nil {
			return nil, err
		}
		buf := make([]byte, 4096)
		n, err := c.Read(buf)
		return buf[:n], err
	}
	if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)); err != nil {
		return nil, err
	}
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, err
	}
	buf := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err = io.ReadFull(c, buf)
	return buf, err
}

// addrs resolves a name: AAAA first, as a browser's happy eyeballs would have it.
func (l *Lab) addrs(ctx context.Context, host string) (addrs []netip.Addr, err error) {
	for _, kind := range []dnsmessage.Type{dnsmessage.TypeAAAA, dnsmessage.TypeA} {
		q := question{name: host, kind: kind}
		reply, err := l.ask(ctx, "udp", q, 5*time.Second)
		if err != nil {
			return nil, err
		}
		var m dnsmessage.Message
		if err := m.Unpack(reply); err != nil {
			return nil, err
		}
		if m.Truncated {
			if reply, err = l.ask(ctx, "tcp", q, 5*time.Second); err != nil {
				return nil, err
			}
			if err := m.Unpack(reply); err != nil {
				return nil, err
			}
		}
		if m.RCode != dnsmessage.RCodeSuccess {
			return nil, fmt.Errorf("%s: %v", host, m.RCode)
		}
		for _, rr := range m.Answers {
			switch body := rr.Body.(type) {
			case *dnsmessage.AResource:
				addrs = append(addrs, netip.AddrFrom4(body.A))
			case *dnsmessage.AAAAResource:
				addrs = append(addrs, netip.AddrFrom16(body.AAAA))
			}
		}
	}
	return addrs, nil
}

// told is a reply in words: its code, flags, records and extended error.
func told(b []byte) string {
	var m dnsmessage.Message
	if err := m.Unpack(b); err != nil {
		return "malformed"
	}
	words := []string{strings.TrimPrefix(m.RCode.String(), "RCode")}
	if m.ID != 0x1234 {
		words = append(words, "wrong id")
	}
	if m.Truncated {
		words = append(words, "truncated")
	}
	for _, rr := range m.Answers {
		switch body := rr.Body.(type) {
		case *dnsmessage.AResource:
			addr := netip.AddrFrom4(body.A)
			if strings.HasPrefix(addr.String(), "127.83.") {
				words = append(words, "site")
				continue
			}
			words = append(words, addr.String())
		case *dnsmessage.AAAAResource:
			words = append(words, netip.AddrFrom16(body.AAAA).String())
		case *dnsmessage.CNAMEResource:
			words = append(words, "-> "+strings.TrimSuffix(body.CNAME.String(), "."+Domain+"."))
		}
	}
	for _, rr := range m.Authorities {
		words = append(words, strings.TrimPrefix(rr.Header.Type.String(), "Type"))
	}
	for _, rr := range m.Additionals {
		for _, o := range rr.Body.(*dnsmessage.OPTResource).Options {
			words = append(words, fmt.Sprintf("EDE %d", binary.BigEndian.Uint16(o.Data)))
		}
	}
	return strings.Join(words, " ")
}

func TestDNS(t *testing.T) {
	l := start(t)
	a, aaaa, tls := dnsmessage.TypeA, dnsmessage.TypeAAAA, dnsmessage.TypeHTTPS
	for _, test := range []struct {
		q    question
		want string
	}{
		{question{name: "", kind: a}, "Success site"}, // the index
		{question{name: "h2", kind: a}, "Success site"},
		{question{name: "H2", kind: a}, "Success site"},
		{question{name: "h2", kind: aaaa}, "Success SOA"},
		{question{name: "h2", kind: tls}, "Success SOA"},
		{question{name: "one-address-dead", kind: a}, "Success site site"},
		{question{name: "no-such-site", kind: a}, "NameError SOA"},
		{question{name: "below.h2", kind: a}, "NameError SOA"},
		{question{name: "alias", kind: a}, "Success -> h2 site"},
		{question{name: "dns-tcp", kind: a}, "Success truncated"},
		{question{name: "slow-dns", kind: a}, "Success site"},

		{question{name: "nxdomain", kind: a}, "NameError SOA"},
		{question{name: "nxdomain", kind: aaaa}, "NameError SOA"},
		{question{name: "nxdomain-alias", kind: a}, "NameError -> gone"},
		{question{name: "nodata", kind: a}, "Success SOA"},
		{question{name: "nodata", kind: aaaa}, "Success SOA"},
		{question{name: "servfail", kind: a}, "ServerFailure"},
		{question{name: "servfail-delegation", kind: a}, "ServerFailure EDE 22"},
		{question{name: "servfail-delegation", kind: a, bare: true}, "ServerFailure"},
		{question{name: "dns-refused", kind: a}, "Refused"},
		{question{name: "dns-timeout", kind: a}, "silence"},
		{question{name: "dns-noise", kind: a}, "malformed"},
		{question{name: "dns-cut", kind: a}, "malformed"},
		{question{name: "dns-wrong-id", kind: a}, "Success wrong id site"},
		{question{name: "dns-formerr", kind: a}, "FormatError"},
		{question{name: "dns-notimp", kind: a}, "NotImplemented"},
		{question{name: "dns-tcp-blocked", kind: a}, "Success truncated"},
		{question{name: "dnssec-bogus", kind: a}, "ServerFailure EDE 6"},
		{question{name: "dnssec-bogus", kind: a, cd: true}, "Success site"},
		{question{name: "dnssec-expired", kind: a}, "ServerFailure EDE 7"},
		{question{name: "dns-blocked", kind: a}, "NameError SOA EDE 15"},
		{question{name: "dns-censored", kind: a}, "NameError SOA EDE 16"},
		{question{name: "dns-filtered", kind: a}, "NameError SOA EDE 17"},
		{question{name: "dns-prohibited", kind: a}, "Refused EDE 18"},
		{question{name: "bogus-address", kind: a}, "Success 0.0.0.0"},
		{question{name: "name-collision", kind: a}, "Success 127.0.53.53"},
		{question{name: "ipv6-broken", kind: a}, "Success site"},
		{question{name: "ipv6-broken", kind: aaaa}, "Success ::1"},
	} {
		q := test.q
		q.name = strings.TrimPrefix(q.name+"."+Domain, ".")
		t.Run(fmt.Sprintf("%s/%v", test.q.name, q.kind), func(t *testing.T) {
			t.Parallel()
			wait := 5 * time.Second
			if test.want == "silence" {
				wait = soon
			}
			b, err := l.ask(t.Context(), "udp", q, wait)
			got := told(b)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				got = "silence"
			} else if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestDNSWrongName(t *testing.T) {
	l := start(t)
	q := question{name: "dns-wrong-name." + Domain, kind: dnsmessage.TypeA}
	b, err := l.ask(t.Context(), "udp", q, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var m dnsmessage.Message
	if err := m.Unpack(b); err != nil {
		t.Fatal(err)
	}
	if got := m.Questions[0].Name.String(); got == q.name+"." || len(got) != len(q.name)+1 {
		t.Errorf("the reply is for %s", got)
	}
}

func TestDNSOverTCP(t *testing.T) {
	l := start(t)
	for name, want := range map[string]string{
		"dns-tcp":         "Success site",
		"h2":              "Success site",
		"dns-tcp-blocked": "closed",
		"dns-timeout":     "silence",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wait := 5 * time.Second
			if want == "silence" {
				wait = soon
			}
			b, err := l.ask(t.Context(), "tcp", question{name: name + "." + Domain, kind: dnsmessage.TypeA}, wait)
			got := told(b)
			switch {
			case errors.Is(err, os.ErrDeadlineExceeded):
				got = "silence"
			case err != nil:
				got = "closed"
			}
			if got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// TestDNSElsewhere: names that are not the lab's are refused.
func TestDNSElsewhere(t *testing.T) {
	l := start(t)
	for _, name := range []string{"example.com", "faultline.internal", "internal"} {
		b, err := l.ask(t.Context(), "udp", question{name: name, kind: dnsmessage.TypeA}, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if got := told(b); got != "Refused" {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

// TestDNSJunk: what is no question gets no answer, and the server goes on.
func TestDNSJunk(t *testing.T) {
	l := start(t)
	q := question{name: "h2." + Domain, kind: dnsmessage.TypeA}
	whole, err := q.pack()
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("udp", l.DNS())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for n := range whole {
		c.Write(whole[:n])
	}
	answer := slices.Clone(whole)
	answer[2] |= 0x80 // a reply, not a query
	c.Write(answer)
	if b, err := l.ask(t.Context(), "udp", q, 5*time.Second); err != nil || told(b) != "Success site" {
		t.Errorf("got %q, %v", told(b), err)
	}
}
