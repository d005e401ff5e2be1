package lab

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"
)

// ending says how the other side ended a connection, and what it said before.
func ending(c net.Conn, wait time.Duration) (said []byte, how string) {
	c.SetReadDeadline(time.Now().Add(wait))
	said, err := io.ReadAll(c)
	switch {
	case err == nil:
		return said, "fin"
	case errors.Is(err, syscall.ECONNRESET):
		return said, "reset"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return said, "silence"
	}
	return said, err.Error()
}

// TestEndings looks at how connections are refused and ended, on the socket.
func TestEndings(t *testing.T) {
	l := start(t)
	const nothing, hello, request = "", "hello", "request"
	for _, test := range []struct {
		name string
		send string
		want string
		said bool // the server says something first
	}{
		{"reset-on-accept", nothing, "reset", false},
		{"closed-on-accept", nothing, "fin", false},
		{"half-closed-on-accept", nothing, "fin", false},
		{"half-closed-on-accept", hello, "fin", false},
		{"reset-after-hello", nothing, "silence", false},
		{"reset-after-hello", hello, "reset", false},
		{"closed-after-hello", nothing, "silence", false},
		{"closed-after-hello", hello, "fin", false},
		{"sni-filtered", hello, "reset", false},
		{"sni-swallowed", hello, "silence", false},
		{"silent", nothing, "silence", false},
		{"silent", hello, "silence", false},
		{"deaf", hello, "silence", false},
		{"stalled-flight", hello, "silence", true},
		{"closed-in-flight", hello, "fin", true},
		{"closed-in-flight-tls12", hello, "fin", true},
		{"reset-in-flight", hello, "reset", true},
		{"tls13-intolerant", hello, "reset", false},
		{"large-hello-reset", hello, "reset", false},
		{"large-hello-silent", hello, "silence", false},
		{"ssh-on-443", nothing, "silence", true},
		{"smtp-on-443", nothing, "silence", true},
		{"ssh-after-hello", nothing, "silence", false},
		{"ssh-after-hello", hello, "fin", true},
		{"http-on-443", hello, "fin", true},
		{"echo-on-443", hello, "silence", true},
		{"empty", request, "fin", false},
		{"no-answer", request, "silence", false},
		{"short-body", request, "fin", true},
		{"stalled-body", request, "silence", true},
		{"reset-mid-transfer-http", request, "reset", true},
		{"alert-40", hello, "fin", true},
	} {
		t.Run(test.name+" "+test.send, func(t *testing.T) {
			t.Parallel()
			s := rowOf(t, test.name)
			c, err := l.dial(t.Context(), s.Host(), s.Port)
			if errors.Is(err, syscall.ECONNRESET) && test.want == "reset" {
				return // the reset was there before connect returned
			}
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			switch test.send {
			case hello:
				c.Write(helloOf(t, s.Host()))
			case request:
				io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+s.Host()+"\r\n\r\n")
			}
			wait := 10 * time.Second
			if test.want == "silence" {
				wait = soon
			}
			if test.said { // however slow the machine
				c.SetReadDeadline(time.Now().Add(10 * time.Second))
				if _, err := c.Read(make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
			}
			said, how := ending(c, wait)
			if how != test.want || (len(said) > 0) != test.said {
				t.Errorf("the server said %d bytes, then %s; want %s", len(said), how, test.want)
			}
		})
	}
}

// isTimeout: nobody answered in time. A dial has two different errors for that.
func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

func TestRefused(t *testing.T) {
	l := start(t)
	for _, name := range []string{"refused", "refused-http", "bogus-address", "name-collision"} {
		s := rowOf(t, name)
		if _, err := l.dial(t.Context(), s.Host(), s.Port); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFull: a server whose queue is full is not there, while its neighbour is.
func TestFull(t *testing.T) {
	if !canFill {
		t.Skip("only Linux drops a SYN when the queue is full")
	}
	l := start(t)
	for _, name := range []string{"timeout", "only-80"} {
		if _, err := net.DialTimeout("tcp", l.Addr(name).String(), soon); !isTimeout(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if resp, _, err := l.get("http://only-80." + Domain + "/"); err != nil || resp.StatusCode != 200 {
		t.Errorf("port 80: %v", err)
	}
}

// TestAddresses: of two addresses the first is dead and the last one works.
func TestAddresses(t *testing.T) {
	l := start(t)
	refused := func(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
	for name, dead := range map[string]func(error) bool{
		"one-address-dead":   refused,
		"one-address-silent": isTimeout,
		"ipv6-broken":        refused,
	} {
		t.Run(name, func(t *testing.T) {
			s := rowOf(t, name)
			if !l.here(s) {
				t.Skip("needs " + s.Needs)
			}
			addrs, err := l.addrs(t.Context(), s.Host())
			if err != nil || len(addrs) != 2 {
				t.Fatalf("addresses %v, %v", addrs, err)
			}
			for i, addr := range addrs {
				c, err := net.DialTimeout("tcp", l.Route(s.Host(), netip.AddrPortFrom(addr, 443)).String(), soon)
				if err == nil {
					c.Close()
				}
				switch {
				case i == 1 && err != nil:
					t.Errorf("%v: %v", addr, err)
				case i == 0 && (err == nil || !dead(err)):
					if addr.Is6() && err != nil {
						t.Logf("without IPv6 here: %v", err)
						continue
					}
					t.Errorf("%v: got %v", addr, err)
				}
			}
		})
	}
}

// TestTurns: the connections of every-other differ in turn.
func TestTurns(t *testing.T) {
	l := start(t)
	var got []bool
	for range 4 {
		_, _, err := l.get(rowOf(t, "every-other").URL())
		got = append(got, err == nil)
	}
	if got[0] == got[1] || got[0] != got[2] || got[1] != got[3] {
		t.Errorf("got %v", got)
	}
}
