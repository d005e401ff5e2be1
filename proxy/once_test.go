package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"faultline/inspect"
)

// Every attempt has one final record, whatever happens: that is what the log is
// worth. newStand's end counts them; these tests make it hard.

// Many at once, good and bad and cut short.
func TestOnceUnderLoad(t *testing.T) {
	const each, kinds = 63, 8
	refused := closed(t, "127.0.0.1:0").String()
	good, cut, web := secure(t, 0), serving(t, resets), website(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "well") })
	s := newStand(t, func(s *stand) {
		s.names["down.test A"], s.names["down.test AAAA"] = code(dnsmessage.RCodeServerFailure), code(dnsmessage.RCodeServerFailure)
		lim := quick()
		lim.resolve = lim.dial // no name server is slow here, only the machine
		s.server.Dial.limits = &lim
	})

	connect := func(target, agent string) (net.Conn, string, error) {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			return nil, "", err
		}
		_ = c.SetDeadline(time.Now().Add(3 * patience))
		if _, err = fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: x\r\nUser-Agent: %s\r\n\r\n", target, agent); err != nil {
			c.Close()
			return nil, "", err
		}
		return c, agent, nil
	}
	status := func(want string) func(c net.Conn) error {
		return func(c net.Conn) error {
			if got := head(c); !strings.HasPrefix(got, "HTTP/1.1 "+want) {
				return fmt.Errorf("got %q, want %s", got, want)
			}
			return nil
		}
	}
	type kind struct {
		name, target string
		fault        []string // one of them
		then         func(c net.Conn) error
	}
	all := [kinds]kind{
		{"good", good, []string{inspect.FaultOK}, func(c net.Conn) error {
			if err := status("200")(c); err != nil {
				return err
			}
			tc, err := greetTLS(c)
			if err == nil {
				err = tc.Close()
			}
			return err
		}},
		{"refused", refused, []string{"tcp-refused"}, status("502")},
		{"unknown", "nothing.test:443", []string{"dns-nxdomain"}, status("404")},
		{"broken name server", "down.test:443", []string{"dns-servfail"}, status("404")},
		{"reset", cut, []string{"tcp-reset-after-hello"}, func(c net.Conn) error {
			if err := status("200")(c); err != nil {
				return err
			}
			if err := tls.Client(c, &tls.Config{ServerName: "site.test"}).Handshake(); err == nil {
				return errors.New("a handshake with nobody")
			}
			return nil
		}},
		{"aborted at once", good, []string{"client-preconnect-unused", "client-aborted"}, func(net.Conn) error { return nil }},
		{"aborted in the hello", good, []string{"client-aborted", "client-preconnect-unused", "tls-client-protocol"}, func(c net.Conn) error {
			if err := status("200")(c); err != nil {
				return err
			}
			_, err := io.WriteString(c, "\x16\x03\x01\x02\x00\x01")
			return err
		}},
		{"plain", web, []string{inspect.FaultOK}, nil},
	}
	tr := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: s.addr})}
	defer tr.CloseIdleConnections()
	var wg sync.WaitGroup
	want := map[string][]string{}
	for i := range each {
		for _, k := range all {
			agent := fmt.Sprintf("%s %d", k.name, i)
			want[agent] = k.fault
			wg.Go(func() {
				if k.then == nil {
					req, _ := http.NewRequest("GET", "http://"+k.target+"/", nil)
					req.Header.Set("User-Agent", agent)
					resp, err := tr.RoundTrip(req)
					if err != nil {
						t.Errorf("%s: %v", agent, err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					return
				}
				c, _, err := connect(k.target, agent)
				if err == nil {
					err = k.then(c)
					c.Close()
				}
				if err != nil {
					t.Errorf("%s: %v", agent, err)
				}
			})
		}
	}
	wg.Wait()
	for range len(want) {
		r := s.final()
		faults := want[r.Client.UserAgent]
		if faults == nil {
			t.Errorf("unknown or twice: %q", r.Client.UserAgent)
		}
		delete(want, r.Client.UserAgent)
		ok := false
		for _, f := range faults {
			ok = ok || r.Fault == f
		}
		if !ok {
			t.Errorf("%s: got %s (%s), want %v", r.Client.UserAgent, r.Fault, r.Why, faults)
		}
	}
	for agent := range want {
		t.Errorf("no record of %s", agent)
	}
}

// A mistake of faultline's own costs neither the record nor the others.
func TestOncePanic(t *testing.T) {
	cut, old, web := serving(t, resets), secure(t, tls.VersionTLS12), website(t, func(w http.ResponseWriter, r *http.Request) {})
	hello := func(s *stand, target string) {
		if c, err := greetTLS(s.tunnel(target)); err == nil {
			c.Close()
		}
	}
	bad := func(string, netip.AddrPort) netip.AddrPort { panic("bad route") }
	tests := []struct {
		name    string
		prepare func(*Server)
		do      func(s *stand)
		fault   string
	}{
		{"probe", func(s *Server) {
			s.Probe = func(context.Context, *inspect.Attempt) []inspect.Probe { panic("bad probe") }
		}, func(s *stand) { hello(s, cut) }, "tcp-reset-after-hello"},
		{"judge", func(s *Server) {
			s.Judge = func([][]byte, []byte, string, time.Time) *inspect.CertStep { panic("bad judge") }
		}, func(s *stand) { hello(s, old) }, "client-faultline-internal"},
		{"dial", func(s *Server) { s.Dial.Route = bad }, func(s *stand) {
			a := s.ask("CONNECT 192.0.2.1:443 HTTP/1.1\r\nHost: x\r\n\r\n")
			checkRefusal(s.t, a, 500, "proxy_internal_error", "client-faultline-internal")
		}, "client-faultline-internal"},
		{"plain dial", func(s *Server) { s.Dial.Route = bad }, func(s *stand) {
			a := s.ask("GET http://192.0.2.1/ HTTP/1.1\r\nHost: x\r\n\r\n")
			checkRefusal(s.t, a, 500, "proxy_internal_error", "client-faultline-internal")
		}, "client-faultline-internal"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStand(t, func(s *stand) { tt.prepare(s.server) })
			tt.do(s)
			r := s.expect(tt.fault)
			if words := fmt.Sprint(r.Internal, r.Probes); !strings.Contains(words, "bad ") || !strings.Contains(words, "once_test.go:") {
				t.Errorf("the record does not say what panicked and where: %q", words)
			}
		})
	}
	t.Run("record", func(t *testing.T) {
		var once sync.Once
		s := newStand(t, func(s *stand) {
			s.server.Record = func(r *inspect.Record) {
				once.Do(func() { panic("bad record") })
				s.record(r)
			}
		})
		for range 2 {
			if a := s.ask("GET http://" + web + "/ HTTP/1.1\r\nHost: x\r\n\r\n"); a.StatusCode != 200 {
				t.Errorf("got %s", a.Status)
			}
		}
		s.expect(inspect.FaultOK)
	})
	t.Run("handler", func(t *testing.T) {
		s := newStand(t, nil)
		p := &plainAttempt{attempt: s.server.begin(inspect.Plain, &http.Request{Header: http.Header{}}, "site.test")}
		func() {
			defer func() {
				if e := recover(); e != http.ErrAbortHandler {
					t.Errorf("the panic goes on as %v", e)
				}
			}()
			defer s.server.finish(p.attempt)
			panic("bad handler")
		}()
		s.expect("client-faultline-internal")
	})
}

// Everything that is open at the end is recorded, ends, and leaves nothing.
func TestOnceShutdown(t *testing.T) {
	working, silent := serving(t, echo), serving(t, hold)
	asked := make(chan struct{}, 8)
	trickle := website(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "beginning")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	at, holed := hole(t)
	s := newStand(t, func(s *stand) {
		s.names["dead.test A"], s.names["dead.test AAAA"] = silence, silence
		if holed {
			s.name("hole.test", "192.0.2.1", at)
		}
		for kind, then := range s.names {
			s.names[kind] = func(q query) []byte { asked <- struct{}{}; return then(q) }
		}
	})
	send := func(words string) *net.TCPConn {
		c := s.client()
		tell(t, c, words)
		return c
	}
	var ends []*net.TCPConn
	for range 10 {
		c := s.tunnel(working)
		tell(t, c, "word")
		hear(t, c, "word")
		ends = append(ends, c, s.tunnel(silent))
		// A response half-way, and a request without an answer.
		c = send("GET http://" + trickle + "/ HTTP/1.1\r\nHost: x\r\n\r\n")
		head(c)
		ends = append(ends, c)
	}
	want := map[string]int{"tunnel": 20, "plain": 10}
	for range 2 { // a name without an answer
		ends = append(ends, send("CONNECT dead.test:443 HTTP/1.1\r\nHost: x\r\n\r\n"))
		<-asked
		<-asked
		want["tunnel"]++
	}
	ends = append(ends, send("GET http://dead.test/ HTTP/1.1\r\nHost: x\r\n\r\n"))
	<-asked
	<-asked
	want["plain"]++
	if holed { // an address without an answer
		ends = append(ends, send("CONNECT hole.test:443 HTTP/1.1\r\nHost: x\r\n\r\n"))
		<-asked
		want["tunnel"]++
	}
	ends = append(ends, s.client(), send("GET http://half"))                                      // no attempts
	ends = append(ends, s.ask("GET http://faultline.internal/ HTTP/1.1\r\nHost: x\r\n\r\n").conn) // idle

	begin := time.Now()
	s.end()
	if took := time.Since(begin); took > slack {
		t.Errorf("the end took %s", took)
	}
	for _, r := range s.seen {
		want[string(r.Mode)]--
		if r.Outcome == inspect.Failed {
			t.Errorf("%s %s is called failed: %s, %s", r.Mode, r.Target, r.Fault, r.Why)
		}
	}
	for mode, n := range want {
		if n != 0 {
			t.Errorf("%d more records of mode %s expected", n, mode)
		}
	}
	for _, c := range ends {
		if _, err := io.Copy(io.Discard, c); err != nil && !isReset(err) {
			t.Errorf("a connection is still open: %v", err)
		}
	}
	if _, err := net.Dial("tcp", s.addr); err == nil {
		t.Error("it still listens")
	}
}

// Who takes the records may be slow.
func TestOnceSlowRecord(t *testing.T) {
	release, blocked := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s := newStand(t, func(s *stand) {
		s.server.Record = func(r *inspect.Record) {
			once.Do(func() { close(blocked); <-release })
			if strings.HasPrefix(r.Target, "first") {
				<-release
			}
			s.record(r)
		}
	})
	first := s.client()
	tell(t, first, "CONNECT first.test:443 HTTP/1.1\r\nHost: x\r\n\r\n")
	s.read(first, false)
	first.Close()
	<-blocked
	for i := range 20 {
		s.ask(fmt.Sprintf("CONNECT other%d.test:443 HTTP/1.1\r\nHost: x\r\n\r\n", i))
	}
	ended := make(chan struct{})
	go func() { defer close(ended); s.end() }()
	select {
	case <-ended:
		t.Error("the end did not wait for the record")
	case <-s.server.ctx.Done():
	}
	close(release)
	<-ended
	if len(s.seen) != 21 {
		t.Errorf("%d records of 21", len(s.seen))
	}
}

// A client may leave at every stage.
func TestOnceClientLeaves(t *testing.T) {
	silent, working, safe := serving(t, hold), serving(t, echo), secure(t, 0)
	arrived := make(chan struct{}, 8)
	web := website(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			_, _ = io.WriteString(w, "beginning")
			_ = http.NewResponseController(w).Flush()
		}
		arrived <- struct{}{}
		if r.Method == "POST" {
			_, _ = io.Copy(io.Discard, r.Body)
		}
		<-r.Context().Done()
	})
	asked, answer := make(chan struct{}, 8), make(chan struct{})
	s := newStand(t, func(s *stand) {
		for i, name := range []string{"tunnel.fin.test", "tunnel.reset.test", "plain.fin.test", "plain.reset.test"} {
			s.name(name, fmt.Sprintf("192.0.2.%d", i+1), silent)
			for _, kind := range []string{name + " A", name + " AAAA"} {
				then := s.names[kind]
				s.names[kind] = func(q query) []byte { asked <- struct{}{}; <-answer; return then(q) }
			}
		}
	})
	type ender func(c *net.TCPConn)
	fin := func(c *net.TCPConn) { c.Close() }
	rst := func(c *net.TCPConn) { _ = c.SetLinger(0); c.Close() }
	stages := []struct {
		name string
		do   func(t *testing.T, end string, leave ender)
		want string // an outcome
	}{
		{"without a word", func(t *testing.T, end string, leave ender) { leave(s.client()) }, ""},
		{"in the request", func(t *testing.T, end string, leave ender) {
			c := s.client()
			tell(t, c, "CONNECT "+working+" HT")
			leave(c)
		}, ""},
		{"after 200", func(t *testing.T, end string, leave ender) { leave(s.tunnel(working)) }, "abandoned"},
		{"in the hello", func(t *testing.T, end string, leave ender) {
			c := s.tunnel(silent)
			tell(t, c, "\x16\x03\x01\x02\x00\x01\x00")
			leave(c)
		}, "abandoned"},
		{"after the hello", func(t *testing.T, end string, leave ender) {
			c := s.tunnel(silent)
			tell(t, c, string(helloBytes(t)))
			leave(c)
		}, "abandoned"},
		{"in use", func(t *testing.T, end string, leave ender) {
			c := s.tunnel(safe)
			if _, err := greetTLS(c); err != nil {
				t.Error(err)
			}
			leave(c)
		}, "ok"},
		{"before the answer", func(t *testing.T, end string, leave ender) {
			c := s.client()
			tell(t, c, "GET http://"+web+"/ HTTP/1.1\r\nHost: x\r\n\r\n")
			<-arrived
			leave(c)
		}, "abandoned"},
		{"in the body", func(t *testing.T, end string, leave ender) {
			c := s.client()
			tell(t, c, "GET http://"+web+"/body HTTP/1.1\r\nHost: x\r\n\r\n")
			head(c)
			<-arrived
			leave(c)
		}, "abandoned"},
		{"in the upload", func(t *testing.T, end string, leave ender) {
			c := s.client()
			tell(t, c, "POST http://"+web+"/ HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nten bytes.")
			<-arrived
			leave(c)
		}, "abandoned"},
		{"while a plain name is looked up", func(t *testing.T, end string, leave ender) {
			c := s.client()
			tell(t, c, "GET http://plain."+end+".test/ HTTP/1.1\r\nHost: x\r\n\r\n")
			<-asked
			<-asked
			leave(c)
		}, "abandoned"},
		{"while a name is looked up", func(t *testing.T, end string, leave ender) { // the last: it lets the answer come
			c := s.client()
			tell(t, c, "CONNECT tunnel."+end+".test:443 HTTP/1.1\r\nHost: x\r\n\r\n")
			<-asked
			<-asked
			leave(c)
			select {
			case <-answer:
			default:
				close(answer)
			}
		}, "abandoned"},
	}
	for name, leave := range map[string]ender{"fin": fin, "reset": rst} {
		for _, st := range stages {
			t.Run(st.name+", "+name, func(t *testing.T) {
				st.do(t, name, leave)
				if st.want == "" {
					return
				}
				if r := s.final(); string(r.Outcome) != st.want {
					t.Errorf("got %s, %s: %s", r.Outcome, r.Fault, r.Why)
				}
			})
		}
	}
}

// helloBytes are a client's first words in TLS.
func helloBytes(t *testing.T) []byte {
	t.Helper()
	a, b := net.Pipe()
	defer b.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = tls.Client(a, &tls.Config{ServerName: "site.test"}).Handshake()
	}()
	r := bufio.NewReader(b)
	h, err := r.Peek(5)
	must(t, err)
	all := make([]byte, 5+int(h[3])<<8+int(h[4]))
	_, err = io.ReadFull(r, all)
	must(t, err)
	a.Close()
	<-done
	return all
}
