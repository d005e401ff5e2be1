package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"faultline/inspect"
	"faultline/inspect/lab"
)

// nft loads rules into the namespace's packet filter.
func nft(t testing.TB, rules string) {
	t.Helper()
	path, err := exec.LookPath("nft")
	if err != nil {
		path = "/usr/sbin/nft"
	}
	cmd := exec.Command(path, "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v\n%s\n%s", err, out, rules)
	}
}

// TestFirewall: what a packet filter can do to a connection is told apart, and
// the server is accused of none of it.
func TestFirewall(t *testing.T) {
	inside(t)
	need(t, "nft")
	curl := need(t, "curl")
	l, roots := startLab(t)
	nft(t, l.Firewall())
	t.Cleanup(func() { nft(t, "delete table inet faultline_lab\n") })
	f := start(t, "--roots", roots, "--quiet")

	cases := []struct {
		site  string
		fault string
		blame inspect.Blame
		// firewall: a firewall made it, though this machine's own, which cannot be
		// told from one of the server's.
		firewall bool
		icmp     *inspect.ICMP
		chromium string
		client   func(ctx context.Context, path, proxy, roots, host string) (string, error)
		patience time.Duration // of the client; 0 for as long as it takes
	}{
		{site: "blackhole", fault: "tcp-timeout", blame: inspect.BlameUnknown, firewall: true, chromium: "ERR_CONNECTION_TIMED_OUT"},
		{site: "443-dropped", fault: "tcp-timeout", blame: inspect.BlameUnknown, firewall: true, chromium: "ERR_CONNECTION_TIMED_OUT"},
		{site: "refused", fault: "tcp-refused", blame: inspect.BlameUnknown, chromium: "ERR_CONNECTION_REFUSED"},
		// The same on the wire: only its TTL or its delay could betray a firewall.
		{site: "443-reset", fault: "tcp-refused", blame: inspect.BlameUnknown, firewall: true, chromium: "ERR_CONNECTION_REFUSED"},
		{site: "prohibited", fault: "tcp-admin-prohibited", blame: inspect.BlameUnknown, firewall: true, icmp: &inspect.ICMP{Type: 3, Code: 13}, chromium: "ERR_ADDRESS_UNREACHABLE"},
		{site: "unreachable", fault: "tcp-unreachable", blame: inspect.BlamePath, firewall: true, icmp: &inspect.ICMP{Type: 3, Code: 1}, chromium: "ERR_ADDRESS_UNREACHABLE"},
		{site: "net-unreachable", fault: "tcp-unreachable", blame: inspect.BlamePath, firewall: true, icmp: &inspect.ICMP{Type: 3, Code: 0}, chromium: "ERR_ADDRESS_UNREACHABLE"},
		{site: "reset-after-hello", fault: "tcp-reset-after-hello", blame: inspect.BlameUnknown, chromium: "ERR_CONNECTION_RESET"},
		{site: "hello-dropped", fault: "tls-handshake-timeout", blame: inspect.BlameUnknown, firewall: true, chromium: "ERR_TIMED_OUT", patience: 12 * time.Second},
		{site: "sni-filtered", fault: "tcp-sni-filtered", blame: inspect.BlamePath, firewall: true, chromium: "ERR_CONNECTION_RESET"},
		{site: "sni-swallowed", fault: "tcp-sni-filtered", blame: inspect.BlamePath, firewall: true, chromium: "ERR_TIMED_OUT", patience: 12 * time.Second},
		// curl's hello is small enough to pass.
		{site: "pmtu", fault: "tcp-pmtu-blackhole", blame: inspect.BlamePath, firewall: true, chromium: "ERR_TIMED_OUT", client: visitGo, patience: 12 * time.Second},
	}
	for _, c := range cases {
		t.Run(c.site, func(t *testing.T) {
			t.Parallel() // most of it is waiting
			host := c.site + "." + lab.Domain
			visit := c.client
			if visit == nil {
				visit = visitCurl
			}
			ctx, cancel := context.WithTimeout(t.Context(), cmp.Or(c.patience, time.Minute))
			defer cancel()
			begun := time.Now()
			if _, err := visit(ctx, curl, f.addr, roots, host); err == nil {
				t.Error("it loaded")
			}
			r := f.final(t, host, begun)
			if r.Outcome != inspect.Failed || r.Fault != c.fault || r.Blame != c.blame {
				t.Errorf("got %s, %s, blame %s (%s); want %s, blame %s", r.Outcome, r.Fault, r.Blame, r.Why, c.fault, c.blame)
			}
			if c.firewall && r.Blame == inspect.BlameServer {
				t.Error("the server is accused of what a firewall did")
			}
			if r.Codes.Chromium != c.chromium {
				t.Errorf("the code is %s, want %s", r.Codes.Chromium, c.chromium)
			}
			if c.icmp != nil && !slices.ContainsFunc(r.TCP.Tries, func(y inspect.Try) bool {
				return y.ICMP != nil && y.ICMP.Type == c.icmp.Type && y.ICMP.Code == c.icmp.Code && y.ICMP.From != ""
			}) {
				t.Errorf("the ICMP message %+v is not among the evidence: %+v", *c.icmp, r.TCP.Tries)
			}
			t.Logf("%s, blame %s, %s: %s", r.Fault, r.Blame, r.Certainty, r.Why)
		})
	}
	// At once means before the hello, and which of the two is seen first is a
	// race that the client decides: it must have said nothing.
	t.Run("reset-on-accept", func(t *testing.T) {
		host := "reset-on-accept." + lab.Domain
		begun := time.Now()
		c, err := net.Dial("tcp", f.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "CONNECT %s:443 HTTP/1.1\r\nHost: %s:443\r\n\r\n", host, host)
		io.Copy(io.Discard, c)
		r := f.final(t, host, begun)
		if r.Fault != "tcp-dropped-on-accept" || r.Blame != inspect.BlameUnknown {
			t.Errorf("got %s, blame %s (%s)", r.Fault, r.Blame, r.Why)
		}
	})
}
