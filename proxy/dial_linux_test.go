package proxy

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"faultline/inspect"
)

// blackHole is an address that never answers: a listener whose queue is full
// drops every SYN.
func blackHole(t *testing.T, v6 bool) netip.AddrPort {
	t.Helper()
	family, sa := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	if v6 {
		family, sa = unix.AF_INET6, &unix.SockaddrInet6{Addr: [16]byte{15: 1}}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		skipf(t, "no socket: %v", err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, sa); err != nil {
		skipf(t, "no address: %v", err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.AddrPortFrom(netip.IPv6Loopback(), 0)
	switch name := name.(type) {
	case *unix.SockaddrInet4:
		addr = netip.AddrPortFrom(netip.AddrFrom4(name.Addr), uint16(name.Port))
	case *unix.SockaddrInet6:
		addr = netip.AddrPortFrom(addr.Addr(), uint16(name.Port))
	}
	c, err := net.Dial("tcp", addr.String()) // fills the queue, which holds one
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return addr
}

// IPv6 is silent, IPv4 well: the browser must not notice, and the record must.
func TestDialSilentIPv6(t *testing.T) {
	p := newPlace(t, map[string]say{"x.test A": addresses("192.0.2.1"), "x.test AAAA": addresses("2001:db8::1", "2001:db8::2")},
		map[string]netip.AddrPort{"2001:db8::1": blackHole(t, true), "2001:db8::2": blackHole(t, true)})
	p.limits.stagger = 30 * time.Millisecond
	before := openFiles(t)
	ignore := goleak.IgnoreCurrent()
	addr, stop := listen(t, "127.0.0.1:0")
	p.to["192.0.2.1"] = addr
	conn, _, tcp, err := p.dial(t.Context(), "x.test", 443, nil)
	if err != nil {
		t.Fatal(err)
	}
	checkOutcomes(t, tcp, "[2001:db8::1]:443 cancelled", "192.0.2.1:443 ok")
	if at := tcp.Tries[1].StartMs; at < 30 {
		t.Errorf("the second try began after %v ms, before its time", at)
	}
	if tcp.Untried != 0 {
		t.Errorf("got %d untried, but nobody needed them", tcp.Untried)
	}
	conn.Close()
	stop()
	goleak.VerifyNone(t, ignore)
	if after := openFiles(t); after != before {
		t.Errorf("got %d open files, want %d", after, before)
	}
}

func TestDialAllSilent(t *testing.T) {
	p := newPlace(t, map[string]say{"x.test A": addresses("192.0.2.1", "192.0.2.2"), "x.test AAAA": addresses("2001:db8::1")},
		map[string]netip.AddrPort{
			"192.0.2.1": blackHole(t, false), "192.0.2.2": closed(t, "127.0.0.1:0"), "2001:db8::1": blackHole(t, true),
		})
	p.limits.stagger, p.limits.connect = time.Millisecond, 200*time.Millisecond
	before := openFiles(t)
	ignore := goleak.IgnoreCurrent()
	conn, _, tcp, err := p.dial(t.Context(), "x.test", 443, nil)
	if conn != nil || !errors.Is(err, errConnect) {
		t.Fatalf("got %v, %v", conn, err)
	}
	got := outcomes(tcp)
	slices.Sort(got) // which answer came first decides the order
	want := []string{"192.0.2.1:443 ETIMEDOUT gave up", "192.0.2.2:443 ECONNREFUSED", "[2001:db8::1]:443 ETIMEDOUT gave up"}
	if !slices.Equal(got, want) {
		t.Errorf("tries:\n got %q\nwant %q", got, want)
	}
	for _, y := range tcp.Tries {
		if y.GaveUp && y.Ms < 200 || y.Error == "" {
			t.Errorf("got %+v, want 200 ms of waiting", y)
		}
	}
	goleak.VerifyNone(t, ignore)
	if after := openFiles(t); after != before {
		t.Errorf("got %d open files, want %d", after, before)
	}
}

// The whole budget ends every try, whatever each may take.
func TestDialBudget(t *testing.T) {
	p := newPlace(t, map[string]say{"x.test A": addresses("192.0.2.1")},
		map[string]netip.AddrPort{"192.0.2.1": blackHole(t, false)})
	p.limits.dial = 200 * time.Millisecond
	_, _, tcp, err := p.dial(t.Context(), "x.test", 443, nil)
	if !errors.Is(err, errConnect) {
		t.Fatal(err)
	}
	checkOutcomes(t, tcp, "192.0.2.1:443 ETIMEDOUT gave up")
}

func TestDialCancelledWhileConnecting(t *testing.T) {
	p := newPlace(t, map[string]say{"x.test A": addresses("192.0.2.1"), "x.test AAAA": code(0)},
		map[string]netip.AddrPort{"192.0.2.1": blackHole(t, false)})
	before := openFiles(t)
	ignore := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(t.Context())
	conn, _, tcp, err := p.dial(ctx, "x.test", 443, func(_ *inspect.DNSStep, tcp *inspect.TCPStep) {
		if tcp != nil {
			cancel()
		}
	})
	if conn != nil || !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, %v, want cancelled", conn, err)
	}
	checkOutcomes(t, tcp, "192.0.2.1:443 cancelled")
	goleak.VerifyNone(t, ignore)
	if after := openFiles(t); after != before {
		t.Errorf("got %d open files, want %d", after, before)
	}
}

// The winner is an ordinary connection: nothing of the gathering of evidence
// stays on it, and it is kept alive.
func TestDialWinnerIsOrdinary(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(address, func(t *testing.T) {
			to := listening(t, address)
			before := openFiles(t)
			conn, _, _, err := new(Dialer).dial(t.Context(), to.Addr().String(), to.Port(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			// One here, and perhaps one where it was accepted.
			if n := openFiles(t) - before; n > 2 {
				t.Errorf("got %d more open files for one connection", n)
			}
			rc, err := conn.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			rc.Control(func(fd uintptr) {
				level, opt := unix.SOL_IP, unix.IP_RECVERR
				if to.Addr().Is6() {
					level, opt = unix.SOL_IPV6, unix.IPV6_RECVERR
				}
				if on, err := unix.GetsockoptInt(int(fd), level, opt); err != nil || on != 0 {
					t.Errorf("queue of errors: got %d, %v, want off", on, err)
				}
				// Who uses the connection sets it, once it lives long enough to need it.
				if on, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE); err != nil || on != 0 {
					t.Errorf("keep-alive: got %d, %v, want off", on, err)
				}
			})
		})
	}
}

// Firewalls as they are met, in a network namespace of the test's own. Nothing
// outside is touched.
func TestDialEvidence(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	// Ports 1001 to 1004 misbehave; on 1005 nothing listens.
	run(t, "ip", "link", "set", "lo", "up")
	const rules = `
		table inet t {
			chain in {
				type filter hook input priority 0
				tcp dport 1001 drop
				tcp dport 1002 reject with icmpx type admin-prohibited
				tcp dport 1003 reject with icmpx type host-unreachable
				tcp dport 1004 reject with tcp reset
			}
			chain out {
				type filter hook output priority 0
				tcp dport 1006 reject with icmpx type admin-prohibited
				tcp dport 1007 drop
			}
		}`
	file := filepath.Join(t.TempDir(), "rules.nft")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "nft", "-f", file)

	tests := []struct {
		name        string
		port        uint16
		errno4      string
		icmp4       *inspect.ICMP
		errno6      string
		icmp6       *inspect.ICMP
		retransmits int // at least
	}{
		{"drop", 1001, "ETIMEDOUT", nil, "ETIMEDOUT", nil, 1},
		{"admin-prohibited", 1002, "EHOSTUNREACH", &inspect.ICMP{Type: 3, Code: 13}, "EACCES", &inspect.ICMP{Type: 1, Code: 1}, 0},
		{"host-unreachable", 1003, "EHOSTUNREACH", &inspect.ICMP{Type: 3, Code: 1}, "EHOSTUNREACH", &inspect.ICMP{Type: 1, Code: 3}, 0},
		{"tcp reset", 1004, "ECONNREFUSED", nil, "ECONNREFUSED", nil, 0},
		{"nothing listens", 1005, "ECONNREFUSED", nil, "ECONNREFUSED", nil, 0},
		{"own firewall prohibits", 1006, "EHOSTUNREACH", &inspect.ICMP{Type: 3, Code: 13}, "EACCES", &inspect.ICMP{Type: 1, Code: 1}, 0},
		{"own firewall drops", 1007, "ETIMEDOUT", nil, "ETIMEDOUT", nil, 0},
	}
	for _, tt := range tests {
		for _, host := range []string{"127.0.0.1", "::1"} {
			t.Run(tt.name+" "+host, func(t *testing.T) {
				lim := quick()
				lim.connect = 1500 * time.Millisecond // a SYN is sent again after a second
				d := &Dialer{limits: &lim}
				before := openFiles(t)
				conn, _, tcp, err := d.dial(t.Context(), host, tt.port, nil)
				if conn != nil || !errors.Is(err, errConnect) || len(tcp.Tries) != 1 {
					t.Fatalf("got %v, %+v, %v, want one failed try", conn, tcp, err)
				}
				errno, icmp := tt.errno4, tt.icmp4
				if host == "::1" {
					errno, icmp = tt.errno6, tt.icmp6
				}
				y := tcp.Tries[0]
				t.Logf("%+v %+v", y, y.ICMP)
				if y.Errno != errno || y.GaveUp != (errno == "ETIMEDOUT") {
					t.Errorf("got %q, gave up %v, want %q", y.Errno, y.GaveUp, errno)
				}
				if (y.ICMP == nil) != (icmp == nil) {
					t.Fatalf("ICMP: got %+v, want %+v", y.ICMP, icmp)
				}
				if icmp != nil && (y.ICMP.Type != icmp.Type || y.ICMP.Code != icmp.Code || y.ICMP.From != host) {
					t.Errorf("ICMP: got %+v, want %+v from %s", y.ICMP, icmp, host)
				}
				if y.Retransmits < tt.retransmits {
					t.Errorf("got %d retransmits, want %d or more", y.Retransmits, tt.retransmits)
				}
				if after := openFiles(t); after != before {
					t.Errorf("got %d open files, want %d", after, before)
				}
			})
		}
	}

	t.Run("no route", func(t *testing.T) {
		_, _, tcp, err := new(Dialer).dial(t.Context(), "192.0.2.1", 443, nil)
		if !errors.Is(err, errConnect) {
			t.Fatal(err)
		}
		checkOutcomes(t, tcp, "192.0.2.1:443 ENETUNREACH")
	})
}

// The system's own configuration, replaced by a test's in a mount namespace:
// hosts file, search list, a dead name server.
func TestResolveSystem(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	run(t, "ip", "link", "set", "lo", "up")
	etc := map[string]string{
		"/etc/hosts":         "192.0.2.10 fixed.test alias\n2001:db8::10 six.test\n",
		"/etc/resolv.conf":   "nameserver 127.0.0.1\nsearch corp.test\n",
		"/etc/nsswitch.conf": "hosts: files dns\n",
	}
	// A name that only the C library knows. The variable also makes Go ask it for
	// every name that it could not find itself.
	aliases := filepath.Join(t.TempDir(), "aliases")
	if err := os.WriteFile(aliases, []byte("mybox dns.test\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOSTALIASES", aliases)
	for name, text := range etc {
		file := filepath.Join(t.TempDir(), filepath.Base(name))
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		real, err := filepath.EvalSymlinks(name)
		if err != nil {
			skipf(t, "no %s here: %v", name, err)
		}
		if err := unix.Mount(file, real, "", unix.MS_BIND, ""); err != nil {
			skipf(t, "cannot replace %s: %v", name, err)
		}
	}

	lim := quick()
	step, _ := found(t, t.Context(), nil, "any.test", lim)
	if x := step.A.Asked[0]; x.Errno != "ECONNREFUSED" || x.Server != "127.0.0.1:53" {
		t.Errorf("nobody at port 53: got %+v, want ECONNREFUSED", x)
	}

	ns := &nameServer{say: map[string]say{
		"intranet.corp.test A": addresses("192.0.2.20"), "dns.test A": addresses("192.0.2.30"),
	}}
	var err error
	if ns.udp, err = net.ListenPacket("udp", "127.0.0.1:53"); err != nil {
		t.Fatal(err)
	}
	ns.serves.Go(ns.serveUDP)
	defer ns.serves.Wait()
	defer ns.udp.Close()

	tests := []struct{ host, from, a, aaaa, asked string }{
		{"fixed.test", "hosts", "192.0.2.10", "", ""},
		{"ALIAS", "hosts", "192.0.2.10", "", ""},
		{"six.test", "hosts", "", "2001:db8::10", ""},
		{"dns.test", "dns", "192.0.2.30", "", "dns.test."},
		{"intranet", "dns", "192.0.2.20", "", "intranet.corp.test."},
		{"nothing.test", "dns", "", "", "nothing.test. nothing.test.corp.test."},
		{"mybox", "system", "192.0.2.30", "", "mybox.corp.test. mybox."},
	}
	if !hasCgo() {
		t.Log("without cgo: the C library is never asked")
		tests = tests[:len(tests)-1]
	}
	for _, tt := range tests {
		t.Run(tt.host, func(t *testing.T) {
			step, _ := found(t, t.Context(), nil, tt.host, lim)
			if step.From != tt.from || strings.Join(step.A.Addrs, " ") != tt.a || strings.Join(step.AAAA.Addrs, " ") != tt.aaaa {
				t.Errorf("got %v and %v from %q, want %q and %q from %q",
					step.A.Addrs, step.AAAA.Addrs, step.From, tt.a, tt.aaaa, tt.from)
			}
			var names []string
			for _, x := range step.A.Asked {
				names = append(names, x.Name)
			}
			if got := strings.Join(names, " "); got != tt.asked {
				t.Errorf("asked for %q, want %q", got, tt.asked)
			}
		})
	}
}

func hasCgo() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "CGO_ENABLED", Value: "1"})
}

func TestDialICMPError(t *testing.T) {
	// struct sock_extended_err, then a sockaddr_in.
	ee := func(origin, typ, code byte) []byte {
		b := make([]byte, 16, 32)
		b[4], b[5], b[6] = origin, typ, code
		b = binary.NativeEndian.AppendUint16(b, unix.AF_INET)
		return append(b, 0, 0, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0)
	}
	message := func(level, typ int, data []byte) []byte {
		b := make([]byte, unix.CmsgSpace(len(data)))
		binary.NativeEndian.PutUint64(b, uint64(unix.CmsgLen(len(data))))
		binary.NativeEndian.PutUint32(b[unix.CmsgLen(0)-8:], uint32(level))
		binary.NativeEndian.PutUint32(b[unix.CmsgLen(0)-4:], uint32(typ))
		copy(b[unix.CmsgLen(0):], data)
		return b
	}
	whole := message(unix.SOL_IP, unix.IP_RECVERR, ee(unix.SO_EE_ORIGIN_ICMP, 3, 13))
	if got := icmpError(whole); got == nil || *got != (inspect.ICMP{Type: 3, Code: 13, From: "192.0.2.1"}) {
		t.Errorf("got %+v", got)
	}
	for n := range whole { // cut anywhere, it is nothing or less
		icmpError(whole[:n])
	}
	for name, b := range map[string][]byte{
		"local":        message(unix.SOL_IP, unix.IP_RECVERR, ee(unix.SO_EE_ORIGIN_LOCAL, 3, 13)),
		"other option": message(unix.SOL_IP, unix.IP_TTL, ee(unix.SO_EE_ORIGIN_ICMP, 3, 13)),
		"short":        message(unix.SOL_IP, unix.IP_RECVERR, []byte{1, 2, 3}),
		"nothing":      nil,
	} {
		if got := icmpError(b); got != nil {
			t.Errorf("%s: got %+v, want nothing", name, got)
		}
	}
}

// inNamespace reports whether the test is inside a network and mount namespace
// of its own. If it is not, it has been run in one and its result is known.
func inNamespace(t *testing.T) bool {
	t.Helper()
	const mark = "FAULTLINE_TEST_NAMESPACE"
	if os.Getenv(mark) == t.Name() {
		return true
	}
	for _, tool := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			skipf(t, "needs %s: %v", tool, err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^"+t.Name()+"$", "-test.v=true", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), mark+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	var failed *exec.ExitError
	switch {
	case err == nil && strings.Contains(string(out), "--- SKIP: "+t.Name()):
		skipf(t, "in the namespace:\n%s", out)
	case err == nil:
		t.Logf("in the namespace:\n%s", out)
	case errors.As(err, &failed):
		t.Fatalf("in the namespace: %v\n%s", err, out)
	default:
		skipf(t, "no namespaces here: %v", err)
	}
	return false
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		skipf(t, "%s: %v\n%s", name, err, out)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}
