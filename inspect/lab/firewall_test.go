package lab

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestFirewallOnLoopback: there are no rules to harm anyone with.
func TestFirewallOnLoopback(t *testing.T) {
	if rules := start(t).Firewall(); rules != "" {
		t.Errorf("got %s", rules)
	}
}

// missing skips a test that needs what this machine does not have, loudly; with
// FAULTLINE_NO_SKIP=1 it fails instead.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("FAULTLINE_NO_SKIP") == "1" {
		t.Fatalf("NEEDED: "+format, args...)
	}
	t.Skipf("SKIPPED: "+format, args...)
}

// TestNamespace runs TestInNamespace in a network namespace of its own.
func TestNamespace(t *testing.T) {
	for _, tool := range []string{"unshare", "ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing(t, "%v", err)
		}
	}
	if out, err := exec.Command("unshare", "--net", "--map-root-user", "nft", "list", "ruleset").CombinedOutput(); err != nil {
		missing(t, "no namespaces here: %v\n%s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), "unshare", "--net", "--map-root-user", os.Args[0], "-test.run=^TestInNamespace$", "-test.v")
	cmd.Env = append(os.Environ(), "FAULTLINE_LAB_NAMESPACE=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestInNamespace") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestInNamespace(t *testing.T) {
	if os.Getenv("FAULTLINE_LAB_NAMESPACE") == "" {
		t.Skip("TestNamespace runs it")
	}
	run := func(stdin string, args ...string) {
		t.Helper()
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Stdin = strings.NewReader(stdin)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", args, err, out)
		}
	}
	run("", "ip", "link", "set", "lo", "up")
	run("", "ip", "addr", "add", "10.83.0.1/16", "dev", "lo")
	l, err := Start(t.Context(), Options{Base: netip.MustParseAddr("10.83.0.1"), Log: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if l.DNS() != "10.83.0.1:53" || l.Addr("h2").Port() != 443 {
		t.Errorf("DNS %s, h2 %v", l.DNS(), l.Addr("h2"))
	}
	fine := func() {
		t.Helper()
		for _, name := range []string{"h2", "plain", "ipv6-broken", "one-address-dead"} {
			if _, _, err := l.get(rowOf(t, name).URL()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	fine()
	// Without the rules the sites that need them are healthy.
	for _, s := range Sites() {
		if s.Needs == "netns" {
			if _, _, err := l.get(s.URL()); err != nil {
				t.Errorf("%s, without rules: %v", s.Name, err)
			}
		}
	}
	run(l.Firewall(), "nft", "-f", "-")
	run(l.Firewall(), "nft", "-f", "-") // again: it replaces itself
	fine()

	dial := func(name string, port uint16) error {
		c, err := net.DialTimeout("tcp", netip.AddrPortFrom(l.Addr(name).Addr(), port).String(), soon)
		if err == nil {
			c.Close()
		}
		return err
	}
	for _, test := range []struct {
		name string
		port uint16
		want error // nil: a connection; os.ErrDeadlineExceeded: silence
	}{
		{"refused", 443, syscall.ECONNREFUSED},
		{"bogus-address", 443, syscall.ECONNREFUSED},
		{"timeout", 443, os.ErrDeadlineExceeded},
		{"blackhole", 443, os.ErrDeadlineExceeded},
		{"unreachable", 443, syscall.EHOSTUNREACH},
		{"net-unreachable", 443, syscall.ENETUNREACH},
		{"prohibited", 443, syscall.EHOSTUNREACH},
		{"prohibited", 80, nil},
		{"only-80", 443, os.ErrDeadlineExceeded},
		{"only-80", 80, nil},
		{"443-dropped", 443, os.ErrDeadlineExceeded},
		{"443-dropped", 80, nil},
		{"443-reset", 443, syscall.ECONNREFUSED},
		{"443-reset", 80, nil},
		{"hello-dropped", 443, nil},
		{"pmtu", 443, nil},
	} {
		err := dial(test.name, test.port)
		switch {
		case test.want == os.ErrDeadlineExceeded:
			if !isTimeout(err) {
				t.Errorf("%s:%d: got %v, want silence", test.name, test.port, err)
			}
		case !errors.Is(err, test.want):
			t.Errorf("%s:%d: got %v, want %v", test.name, test.port, err, test.want)
		}
	}
	for _, test := range []struct {
		name string
		send int // bytes of a hello
		want string
	}{
		{"hello-dropped", 2000, "silence"},
		{"pmtu", 2000, "silence"},
		{"pmtu", 20, "silence"}, // passes; the server waits for more
	} {
		c := l.dialSite(t, rowOf(t, test.name))
		hello := helloOf(t, test.name+"."+Domain)
		c.Write(hello[:min(test.send, len(hello))])
		if said, how := ending(c, soon); how != test.want || len(said) > 0 {
			t.Errorf("%s: %d bytes, %s", test.name, len(said), how)
		}
	}
}
