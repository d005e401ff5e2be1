package proxy

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"faultline/inspect"
)

// A stand is a whole proxy on loopback, and all that it records.
type stand struct {
	t       *testing.T
	server  *Server
	addr    string
	names   map[string]say            // what the name server says
	places  map[string]netip.AddrPort // where its addresses lead
	records chan *inspect.Record
	served  chan error
	ended   bool

	mu   sync.Mutex
	seen []*inspect.Record
}

// newStand starts a proxy; prepare may change it before. At the end of the test
// it is shut down, each of its attempts must have one final record, and nothing
// may be left of it.
func newStand(t *testing.T, prepare func(*stand)) *stand {
	t.Helper()
	noLeaks(t)
	s := &stand{
		t: t, server: &Server{}, names: map[string]say{}, places: map[string]netip.AddrPort{},
		records: make(chan *inspect.Record, 4096), served: make(chan error, 1),
	}
	s.server.Record = s.record
	if prepare != nil {
		prepare(s)
	}
	place := newPlace(t, s.names, s.places)
	d := &s.server.Dial
	d.Resolver = place.Resolver
	if d.limits == nil {
		d.limits = place.limits
	}
	if d.Route == nil {
		d.Route = place.Route
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s.addr = l.Addr().String()
	go func() { s.served <- s.server.Serve(l) }()
	t.Cleanup(s.end)
	return s
}

func (s *stand) record(r *inspect.Record) {
	s.mu.Lock()
	s.seen = append(s.seen, r)
	s.mu.Unlock()
	s.records <- r
}

// name makes a name lead to a server, by an address of the documentation.
func (s *stand) name(name, address, to string) {
	s.names[name+" A"] = addresses(address)
	s.names[name+" AAAA"] = code(0)
	s.places[address] = netip.MustParseAddrPort(to)
}

// end shuts the proxy down and looks at the books.
func (s *stand) end() {
	if s.ended {
		return
	}
	s.ended = true
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.server.Shutdown(ctx); err != nil {
		s.t.Errorf("shutdown: %v", err)
	}
	if err := <-s.served; err != nil {
		s.t.Errorf("serve: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	finals := map[string]int{}
	for _, r := range s.seen {
		if finals[r.ID] > 0 {
			s.t.Errorf("a record after the final one of attempt %s: %s %s", r.ID, r.Target, r.Fault)
		}
		if r.Final {
			finals[r.ID]++
		} else {
			finals[r.ID] += 0
		}
		if again := inspect.Diagnose(r.Attempt()); again.Fault != r.Fault && r.Internal == "" {
			s.t.Errorf("%s: the record's facts give %s, it says %s", r.Target, again.Fault, r.Fault)
		}
	}
	for id, n := range finals {
		if n != 1 {
			s.t.Errorf("attempt %s has %d final records", id, n)
		}
	}
}

// final waits for the next final record.
func (s *stand) final() *inspect.Record {
	s.t.Helper()
	for {
		if r := s.next(); r.Final {
			return r
		}
	}
}

func (s *stand) next() *inspect.Record {
	s.t.Helper()
	select {
	case r := <-s.records:
		return r
	case <-time.After(patience):
		s.t.Fatal("no record")
	}
	return nil
}

// expect waits for the next final record and checks its fault.
func (s *stand) expect(fault string) *inspect.Record {
	s.t.Helper()
	r := s.final()
	if r.Fault != fault {
		s.t.Errorf("%s: got %s (%s: %s), want %s", r.Target, r.Fault, r.Title, r.Why, fault)
	}
	return r
}

// client is a connection to the proxy.
func (s *stand) client() *net.TCPConn {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr)
	must(s.t, err)
	must(s.t, c.SetDeadline(time.Now().Add(2*patience)))
	s.t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// ask says words to the proxy on a connection of its own and reads the answer.
func (s *stand) ask(words string) *heard {
	s.t.Helper()
	c := s.client()
	tell(s.t, c, words)
	return s.read(c, strings.HasPrefix(words, "HEAD "))
}

// heard is a response as it came.
type heard struct {
	*http.Response
	body string
	err  error // that ended the body
	conn *net.TCPConn
	r    *bufio.Reader
}

func (s *stand) read(c *net.TCPConn, head bool) *heard {
	s.t.Helper()
	return s.readFrom(c, bufio.NewReader(c), head)
}

func (s *stand) readFrom(c *net.TCPConn, r *bufio.Reader, head bool) *heard {
	s.t.Helper()
	req := &http.Request{Method: "GET"}
	if head {
		req.Method = "HEAD"
	}
	resp, err := http.ReadResponse(r, req)
	if err != nil {
		s.t.Fatalf("no response: %v", err)
	}
	b, err := io.ReadAll(resp.Body)
	return &heard{resp, string(b), err, c, r}
}

// tunnel is a connection through the proxy.
func (s *stand) tunnel(target string) *net.TCPConn {
	s.t.Helper()
	c := s.client()
	tell(s.t, c, "CONNECT "+target+" HTTP/1.1\r\nHost: "+target+"\r\n\r\n")
	if got := head(c); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		s.t.Fatalf("CONNECT %s: %q", target, got)
	}
	return c
}

// browser is an HTTP client that uses the proxy.
func (s *stand) browser() *http.Client {
	tr := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: s.addr}), DisableCompression: true, ExpectContinueTimeout: patience}
	s.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 3 * patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// serving is a server that does the same with every connection, and closes it
// then.
func serving(t *testing.T, do func(c *net.TCPConn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var all sync.WaitGroup
	stop := make(chan struct{})
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(3 * patience))
			all.Go(func() {
				defer c.Close()
				ended := make(chan struct{})
				defer close(ended)
				all.Go(func() { // nobody waits for a peer at the end of the test
					select {
					case <-stop:
						c.Close()
					case <-ended:
					}
				})
				do(c.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() { l.Close(); close(stop); all.Wait() })
	return l.Addr().String()
}

// website is an HTTP server.
func website(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close(); <-done })
	return l.Addr().String()
}

// echo says back what it hears. A splice would leave pipes behind.
func echo(c *net.TCPConn) { _, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c}) }

// hold keeps the connection until the other side ends it.
func hold(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) }

// resets resets after the first words.
func resets(c *net.TCPConn) {
	_, _ = c.Read(make([]byte, 16<<10))
	_ = c.SetLinger(0)
}

var testCert = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "site.test"}, DNSNames: []string{"site.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

// secure is a server that echoes inside TLS.
func secure(t *testing.T, version uint16) string {
	return serving(t, func(c *net.TCPConn) {
		s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{testCert()}, MaxVersion: version})
		_, _ = io.Copy(s, s)
		_ = s.Close()
	})
}

// greetTLS makes a handshake and passes a word both ways.
func greetTLS(c net.Conn) (*tls.Conn, error) {
	s := tls.Client(c, &tls.Config{ServerName: "site.test", InsecureSkipVerify: true})
	for range 3 { // until it is known that the client accepted
		if _, err := io.WriteString(s, "word"); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(s, make([]byte, 4)); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func TestServerLocal(t *testing.T) {
	s := newStand(t, nil)
	for _, words := range []string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET http://faultline.internal/ HTTP/1.1\r\nHost: faultline.internal\r\n\r\n",
		"GET http://FAULTLINE.internal:80/ HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		if a := s.ask(words); a.StatusCode != 200 || !strings.Contains(a.body, "This is faultline") {
			t.Errorf("%q: got %d %q", words, a.StatusCode, a.body)
		}
	}
	s.end()
	if len(s.seen) != 0 {
		t.Errorf("a record of no attempt: %+v", s.seen[0])
	}
}

// A client whose setting is of the wrong type hears so in its own words, if it
// has any, and is recorded once.
func TestServerNotHTTP(t *testing.T) {
	s := newStand(t, nil)
	t.Run("socks5", func(t *testing.T) {
		c := s.client()
		tell(t, c, "\x05\x02\x00\x02")
		if got, err := io.ReadAll(c); string(got) != "\x05\xff" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		checkWhy(t, s.expect("client-proxy-misconfigured"), "SOCKS")
	})
	t.Run("socks4", func(t *testing.T) {
		c := s.client()
		tell(t, c, "\x04\x01\x01\xbb\xc0\x00\x02\x01user\x00")
		if got, err := io.ReadAll(c); string(got) != "\x00\x5b\x00\x00\x00\x00\x00\x00" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		checkWhy(t, s.expect("client-proxy-misconfigured"), "SOCKS")
	})
	t.Run("tls", func(t *testing.T) {
		if err := tls.Client(s.client(), &tls.Config{ServerName: "site.test"}).Handshake(); err == nil {
			t.Error("the handshake succeeded")
		}
		checkWhy(t, s.expect("client-proxy-misconfigured"), "HTTPS proxy")
	})
	t.Run("nothing", func(t *testing.T) {
		s.client().Close()
	})
}

func checkWhy(t *testing.T, r *inspect.Record, part string) {
	t.Helper()
	if !strings.Contains(r.Why, part) {
		t.Errorf("%s: %s says %q, want %q in it", r.Target, r.Fault, r.Why, part)
	}
}

// What net/http refuses by itself is recorded all the same.
func TestServerBadRequests(t *testing.T) {
	s := newStand(t, nil)
	site := website(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(400) })
	tests := []struct {
		name, words string
		status      int
	}{
		{"a space in the authority", "CONNECT a b:443 HTTP/1.1\r\n\r\n", 400},
		{"no host field", "GET http://127.0.0.1/ HTTP/1.1\r\n\r\n", 400},
		{"garbage", "\x00\x01\x02\r\n\r\n", 400},
		{"an enormous head", "GET http://127.0.0.1/ HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", maxRequestHead+8<<10) + "\r\n\r\n", 431},
		{"an unknown coding", "POST http://127.0.0.1/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: odd\r\n\r\n", 501},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := s.client()
			go func() { _, _ = io.WriteString(c, tt.words) }()
			if a := s.read(c, false); a.StatusCode != tt.status {
				t.Errorf("got %s", a.Status)
			}
			checkWhy(t, s.expect("client-proxy-misconfigured"), fmt.Sprint(tt.status))
		})
	}
	t.Run("after a good one", func(t *testing.T) {
		c := s.client()
		tell(t, c, "GET http://"+site+"/ HTTP/1.1\r\nHost: x\r\n\r\n")
		r := bufio.NewReader(c)
		if a := s.readFrom(c, r, false); a.StatusCode != 400 {
			t.Errorf("got %s", a.Status)
		}
		s.expect("http-4xx-other") // the site's own 400, and no other
		tell(t, c, "nonsense\r\n\r\n")
		if a := s.readFrom(c, r, false); a.StatusCode != 400 {
			t.Errorf("got %s", a.Status)
		}
		s.expect("client-proxy-misconfigured")
	})
}

// Four identical failures of one client are one failure and three repeats.
func TestServerRetryOf(t *testing.T) {
	s := newStand(t, nil)
	target := closed(t, "127.0.0.1:0").String()
	fail := func(agent string) *inspect.Record {
		s.ask("CONNECT " + target + " HTTP/1.1\r\nHost: x\r\nUser-Agent: " + agent + "\r\n\r\n")
		return s.expect("tcp-refused")
	}
	first := fail("one")
	if first.RetryOf != "" {
		t.Errorf("the first repeats %s", first.RetryOf)
	}
	last := first.ID
	for range 3 {
		r := fail("one")
		if r.RetryOf != first.ID {
			t.Errorf("repeats %q, want %s", r.RetryOf, first.ID)
		}
		if r.ID <= last {
			t.Errorf("%s comes after %s", r.ID, last)
		}
		last = r.ID
	}
	if r := fail("other"); r.RetryOf != "" {
		t.Errorf("another client's attempt repeats %s", r.RetryOf)
	}
}

func TestServerRepeats(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	attempt := func(id string, after time.Duration) *inspect.Attempt {
		return &inspect.Attempt{ID: id, Start: now.Add(after), Target: "a:443", Client: inspect.Client{Addr: "127.0.0.1:1"}}
	}
	v := inspect.Verdict{Fault: "x"}
	var r repeats
	for _, tt := range []struct {
		id    string
		after time.Duration
		fault string
		want  string
	}{
		{"1", 0, "x", ""},
		{"2", repeatWindow - 1, "x", "1"},
		{"3", time.Second, "y", ""},
		{"4", repeatWindow, "x", ""},
		{"5", repeatWindow + time.Second, "x", "4"},
	} {
		v.Fault = tt.fault
		if got := r.of(attempt(tt.id, tt.after), v); got != tt.want {
			t.Errorf("%s repeats %q, want %q", tt.id, got, tt.want)
		}
	}
	open := attempt("6", 0)
	open.Open, v.Fault = true, "z"
	if got := r.of(open, v); got != "" {
		t.Errorf("a provisional record repeats %q", got)
	}
	if got := r.of(attempt("7", 0), v); got != "" {
		t.Errorf("the first repeats the provisional %q", got)
	}
	for i := range 2 * maxRepeats {
		r.of(&inspect.Attempt{ID: fmt.Sprint(i), Start: now, Target: fmt.Sprint(i)}, v)
	}
	if len(r.first) > maxRepeats {
		t.Errorf("%d are remembered", len(r.first))
	}
}

func TestServerIDs(t *testing.T) {
	const each, at = 2500, 4
	var all [at][]string
	var wg sync.WaitGroup
	now := time.Now()
	for i := range at {
		wg.Go(func() {
			for range each {
				all[i] = append(all[i], newID(now))
			}
		})
	}
	wg.Wait()
	var ids []string
	for _, some := range all {
		if !slices.IsSorted(some) {
			t.Error("not in order")
		}
		ids = append(ids, some...)
	}
	slices.Sort(ids)
	if n := len(slices.Compact(ids)); n != at*each {
		t.Errorf("%d of %d are unique", n, at*each)
	}
	if later := newID(now.Add(time.Hour)); later <= ids[len(ids)-1] || len(later) != 16 {
		t.Errorf("%s after %s", later, ids[len(ids)-1])
	}
	lastID.Store(0) // or the rest of the tests are an hour ahead
}

// A step that stalls is told before it ends, under the same identity, and when
// it goes on after all, that is told too.
func TestServerStall(t *testing.T) {
	compared := make(chan struct{}, 8)
	answer := make(chan struct{})
	s := newStand(t, func(s *stand) {
		s.server.Probe = func(context.Context, *inspect.Attempt) []inspect.Probe {
			compared <- struct{}{}
			panic("in a comparison")
		}
		s.name("late.test", "192.0.2.9", serving(t, echo))
		for _, kind := range []string{"late.test A", "late.test AAAA"} {
			s.names[kind] = after(answer, s.names[kind])
		}
		s.names["dead.test A"], s.names["dead.test AAAA"] = silence, silence
	})
	silent := serving(t, hold)
	stalled := website(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", r.URL.Query().Get("type"))
		_, _ = io.WriteString(w, "beginning")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})

	begin := time.Now()
	say := func(words string) *net.TCPConn {
		c := s.client()
		tell(t, c, words)
		return c
	}
	clients := []*net.TCPConn{
		say("CONNECT dead.test:443 HTTP/1.1\r\nHost: x\r\nUser-Agent: dns\r\n\r\n"),
		say("GET http://" + silent + "/ HTTP/1.1\r\nHost: x\r\nUser-Agent: answer\r\n\r\n"),
		say("GET http://" + stalled + "/ HTTP/1.1\r\nHost: x\r\nUser-Agent: body\r\n\r\n"),
		say("GET http://" + stalled + "/?type=text/event-stream HTTP/1.1\r\nHost: x\r\nUser-Agent: events\r\n\r\n"),
		say("CONNECT " + silent + " HTTP/1.1\r\nHost: x\r\nUser-Agent: unused\r\n\r\n"),
		say("CONNECT " + serving(t, echo) + " HTTP/1.1\r\nHost: x\r\nUser-Agent: used\r\n\r\nhello"),
		say("CONNECT " + secure(t, 0) + " HTTP/1.1\r\nHost: x\r\nUser-Agent: secure\r\n\r\n"),
		say("CONNECT late.test:443 HTTP/1.1\r\nHost: x\r\nUser-Agent: late\r\n\r\n"),
	}
	want := map[string][]string{ // the provisional verdicts of each
		"dns":    {"dns-timeout"},
		"answer": {"http-response-timeout"},
		"body":   {"http-body-stall"},
		"hello":  {"tls-handshake-timeout"},
		"events": nil, "unused": nil, "used": nil, "secure": nil,
		"late": {"dns-timeout", inspect.FaultOK},
	}
	if hole, ok := hole(t); ok {
		clients = append(clients, say("CONNECT "+hole+" HTTP/1.1\r\nHost: x\r\nUser-Agent: connect\r\n\r\n"))
		want["connect"] = []string{"tcp-timeout"}
	}
	head(clients[6])
	if _, err := greetTLS(clients[6]); err != nil {
		t.Error(err)
	}
	hello := say("CONNECT " + silent + " HTTP/1.1\r\nHost: x\r\nUser-Agent: hello\r\n\r\n")
	head(hello)
	var wg sync.WaitGroup
	wg.Go(func() { _ = tls.Client(hello, &tls.Config{ServerName: "site.test"}).Handshake() })

	got, ids := map[string][]string{}, map[string]string{}
	for len(got) < 6-btoi(want["connect"] == nil) || len(got["late"]) < 2 {
		r := s.next()
		if r.Final {
			t.Fatalf("a final record of %s: %s", r.Client.UserAgent, r.Fault)
		}
		agent := r.Client.UserAgent
		if took := time.Since(begin); r.Fault != inspect.FaultOK && took > 5*time.Second+slack {
			t.Errorf("%s: told after %s", agent, took)
		}
		got[agent], ids[agent] = append(got[agent], r.Fault), r.ID
		if agent == "late" && len(got[agent]) == 1 {
			close(answer)
		}
	}
	select {
	case <-compared:
	case <-time.After(patience):
		t.Error("the silence after the hello was not compared")
	}
	for _, c := range append(clients, hello) {
		c.Close()
	}
	wg.Wait()
	s.end()
	for _, r := range s.seen {
		agent := r.Client.UserAgent
		if id := ids[agent]; id != "" && id != r.ID {
			t.Errorf("%s: two attempts, %s and %s", agent, id, r.ID)
		}
		if agent == "hello" && r.Final && (r.Fault != "tls-handshake-timeout" || len(r.Probes) != 1 || !strings.Contains(r.Probes[0].Result, "panic")) {
			t.Errorf("silence after the hello: at last %s, compared %+v", r.Fault, r.Probes)
		}
	}
	for agent, faults := range want {
		if !slices.Equal(got[agent], faults) {
			t.Errorf("%s: provisional verdicts %v, want %v", agent, got[agent], faults)
		}
	}
}

// slack is what a busy machine may add to a promise.
const slack = 5 * time.Second

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestServerSelf(t *testing.T) {
	at := func(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
	tests := []struct {
		listen, addr string
		want         bool
	}{
		{"127.0.0.1:8080", "127.0.0.1:8080", true},
		{"127.0.0.1:8080", "[::ffff:127.0.0.1]:8080", true},
		{"127.0.0.1:8080", "127.0.0.1:80", false},
		{"127.0.0.1:8080", "127.0.0.2:8080", false}, // another server may listen there
		{"[::1]:8080", "[::1]:8080", true},
		{"[::1]:8080", "127.0.0.1:8080", false},
		{"[::]:8080", "127.0.0.2:8080", true},
		{"0.0.0.0:8080", "127.0.0.1:8080", true},
		{"0.0.0.0:8080", "192.0.2.1:8080", false},
	}
	for _, tt := range tests {
		s := &Server{self: ownAddresses(net.TCPAddrFromAddrPort(at(tt.listen)))}
		if got := s.isSelf(at(tt.addr)); got != tt.want {
			t.Errorf("listening on %s, %s is self: %v, want %v", tt.listen, tt.addr, got, tt.want)
		}
	}
}

func isReset(err error) bool { return how(err) == "reset" }

// checkRefusal checks an answer of faultline's own: the status, and the same
// cause in Proxy-Status and in the text.
func checkRefusal(t *testing.T, a *heard, status int, kind, fault string) {
	t.Helper()
	if a.StatusCode != status {
		t.Errorf("got status %s, want %d", a.Status, status)
	}
	if got, want := a.Header.Get("Proxy-Status"), `faultline; error=`+kind+`; details="`+fault+`"`; got != want {
		t.Errorf("Proxy-Status: got %s\n want %s", got, want)
	}
	checkStructured(t, a.Header.Get("Proxy-Status"))
	if got := a.Header.Get("Content-Type"); got != "text/plain; charset=utf-8" {
		t.Errorf("Content-Type: %s", got)
	}
	if a.err != nil || !strings.Contains(a.body, "Fault: "+fault) || int64(len(a.body)) != a.ContentLength {
		t.Errorf("the text does not name %s: %q, %v", fault, a.body, a.err)
	}
}

// structured is a list of one token with parameters (RFC 8941 §3.1, 3.1.2, 3.3.3,
// 3.3.4), as RFC 9209 §2 has it.
var structured = regexp.MustCompile(`^[A-Za-z*][!#$%&'*+.^_|~\x60A-Za-z0-9:/-]*( *; *[a-z*][a-z0-9_.*-]*=([A-Za-z*][!#$%&'*+.^_|~\x60A-Za-z0-9:/-]*|"([ !#-\[\]-~]|\\["\\])*"))*$`)

func checkStructured(t *testing.T, field string) {
	t.Helper()
	if !structured.MatchString(field) {
		t.Errorf("no structured field: %q", field)
	}
}
