package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"faultline/inspect"
	"faultline/inspect/browser"
	"faultline/inspect/lab"
)

// faultline runs the program inside the test, with the log in a file.
type faultline struct {
	addr, log string
	stop      func() (status int, stderr string)
}

// start runs faultline with more arguments and waits until it is ready.
func start(t testing.TB, args ...string) *faultline {
	t.Helper()
	dir := t.TempDir()
	f := &faultline{log: filepath.Join(dir, "attempts.jsonl")}
	ctx, cancel := context.WithCancel(context.Background())
	ready := &watcher{seen: make(chan struct{}), word: "ready on "}
	var stdout bytes.Buffer
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, append([]string{"--listen", "127.0.0.1:0", "--state-dir", dir, "--log", f.log}, args...),
			&stdout, ready, func(string) (string, bool) { return "", false })
	}()
	var once sync.Once
	var status int
	f.stop = func() (int, string) {
		once.Do(func() {
			cancel()
			status = <-done
		})
		return status, ready.String()
	}
	t.Cleanup(func() { f.stop() })
	select {
	case <-ready.seen:
	case <-time.After(20 * time.Second):
		t.Fatalf("faultline is not ready: %s", ready)
	case s := <-done:
		done <- s
		t.Fatalf("faultline ended with status %d: %s", s, ready)
	}
	_, rest, _ := strings.Cut(ready.String(), ready.word)
	f.addr, _, _ = strings.Cut(rest, " ")
	return f
}

// watcher keeps what is written and says when a word has been.
type watcher struct {
	mu   sync.Mutex
	b    bytes.Buffer
	word string
	seen chan struct{}
	said bool
}

func (w *watcher) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.b.Write(b)
	if !w.said && strings.Contains(w.b.String(), w.word) && strings.Contains(w.b.String(), " — ") {
		w.said = true
		close(w.seen)
	}
	return len(b), nil
}

func (w *watcher) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

// records reads the log so far; a line that is being written is left out.
func (f *faultline) records(t testing.TB) (all []inspect.Record) {
	t.Helper()
	b, err := os.ReadFile(f.log)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(b[:bytes.LastIndexByte(b, '\n')+1]))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r inspect.Record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatalf("a line of the log is no record: %v\n%s", err, lines.Bytes())
		}
		all = append(all, r)
	}
	return all
}

// await waits until the log has what is looked for.
func (f *faultline) await(t testing.TB, within time.Duration, ok func([]inspect.Record) bool) []inspect.Record {
	t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		all := f.records(t)
		if ok(all) {
			return all
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return all
		}
	}
}

// startLab runs the lab on real addresses and ports, and gives the file of its
// root.
func startLab(t testing.TB) (l *lab.Lab, roots string) {
	t.Helper()
	l, err := lab.Start(t.Context(), lab.Options{Base: labBase, Log: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	roots = filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(roots, l.RootPEM(), 0o644); err != nil {
		t.Fatal(err)
	}
	return l, roots
}

// A case of agreement: one site, what a browser says of it directly and through
// the proxy, and what faultline says.
type agreement struct {
	site            lab.Site
	left            bool // there was no time for it
	direct, proxied browser.Visit
	directErr       error
	proxiedErr      error
	records         []inspect.Record // for the site; provisional ones only where there is no final one
}

// verdict is the record that tells of the fault: the first that failed, else
// the first that is degraded, else the first.
func (c *agreement) verdict() *inspect.Record {
	for _, want := range []inspect.Outcome{inspect.Failed, inspect.Degraded, inspect.OK, inspect.Abandoned} {
		if i := slices.IndexFunc(c.records, func(r inspect.Record) bool { return r.Outcome == want }); i >= 0 {
			return &c.records[i]
		}
	}
	return nil
}

// TestAgreement visits every site of the lab with real browsers, directly and
// through faultline, and holds the verdicts against what the browsers say.
func TestAgreement(t *testing.T) {
	inside(t)
	l, roots := startLab(t)
	if rules := l.Firewall(); rules != "" {
		nft(t, rules)
	}
	for _, kind := range []browser.Kind{browser.Chromium, browser.Firefox} {
		t.Run(string(kind), func(t *testing.T) {
			browser.Need(t, kind)
			t.Parallel() // they wait more than they work
			f := start(t, "--roots", roots, "--quiet")
			cases := visitAll(t, kind, l, f, lab.Sites())
			// A difference may be a busy machine's: it is looked at once more.
			var again []lab.Site
			for _, c := range cases {
				if l, d, s, _ := c.compare(kind); l != nil || d != nil || s != nil {
					again = append(again, c.site)
				}
			}
			for _, c := range visitAll(t, kind, l, f, again) {
				i := slices.IndexFunc(cases, func(old *agreement) bool { return old.site.Name == c.site.Name })
				cases[i] = c
			}
			judgeAgreement(t, kind, cases)
		})
	}
}

// visitAll visits each site directly and through the proxy. Two browsers of
// each sort share the work, because some sites are silent until a browser's
// patience of 30 s ends.
func visitAll(t *testing.T, kind browser.Kind, l *lab.Lab, f *faultline, sites []lab.Site) []*agreement {
	var cases []*agreement
	begun := time.Now()
	defer func() {
		t.Logf("%d sites in %s", len(cases), time.Since(begun).Round(time.Second))
	}()
	for _, s := range sites {
		if only := os.Getenv("FAULTLINE_SITES"); only != "" && !slices.Contains(strings.Split(only, ","), s.Name) {
			continue
		}
		cases = append(cases, &agreement{site: s})
	}
	if len(cases) == 0 {
		return nil
	}
	work := make(chan *agreement, len(cases))
	for _, c := range cases {
		work <- c
	}
	close(work)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			var pair [2]*browser.Browser
			for i, proxy := range []string{"", f.addr} {
				b, err := browser.Start(t.Context(), kind, browser.Options{Proxy: proxy, Roots: [][]byte{l.RootPEM()}, Headless: true, Quiet: true})
				if err != nil {
					t.Error(err)
					return
				}
				defer b.Close()
				pair[i] = b
			}
			for c := range work {
				if end, ok := t.Deadline(); ok && time.Until(end) < reserve {
					c.left = true
					continue
				}
				visitBoth(t, c, pair, f)
			}
		})
	}
	wg.Wait()
	return cases
}

// reserve is what other tests need of the time that go test -timeout leaves; 10
// minutes, the default, are not enough on a small machine to visit every site.
const reserve = 4 * time.Minute

// patience is how long a browser may take over a site that never answers.
const patience = 36 * time.Second

func visitBoth(t *testing.T, c *agreement, pair [2]*browser.Browser, f *faultline) {
	begun := time.Now()
	var wg sync.WaitGroup
	wg.Go(func() {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		c.direct, c.directErr = pair[0].Visit(ctx, c.site.URL())
	})
	wg.Go(func() {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		c.proxied, c.proxiedErr = pair[1].Visit(ctx, c.site.URL())
	})
	wg.Wait()
	mine := func(r inspect.Record) bool {
		return !r.TS.Before(begun) && strings.EqualFold(r.Host, c.site.Host()) && r.Port == c.site.Port
	}
	// A visit that loads keeps its connection; one that failed ended it.
	wait := 6 * time.Second
	if c.proxied.Code == "" {
		wait = time.Second
	}
	final := func(r inspect.Record) bool { return r.Final && mine(r) }
	all := f.await(t, wait, func(all []inspect.Record) bool { return slices.ContainsFunc(all, final) })
	c.records = slices.DeleteFunc(all, func(r inspect.Record) bool { return !mine(r) })
	// A record replaces the earlier ones of its attempt; provisional ones stand
	// only where the browser has not let go yet.
	slices.Reverse(c.records)
	latest := make(map[string]bool)
	c.records = slices.DeleteFunc(c.records, func(r inspect.Record) bool {
		old := latest[r.ID]
		latest[r.ID] = true
		return old
	})
	slices.Reverse(c.records)
	if slices.ContainsFunc(c.records, final) {
		c.records = slices.DeleteFunc(c.records, func(r inspect.Record) bool { return !r.Final })
	}
}

// A miss is a point on which browser and faultline differ.
type miss struct{ what, want, got string }

// compare holds one case's verdict against what the browser said. A browser
// that had said nothing when our patience ended cannot be compared.
func (c *agreement) compare(kind browser.Kind) (layer, direct, shown *miss, compared bool) {
	s, v := c.site, c.verdict()
	if c.left {
		return nil, nil, nil, false
	}
	if s.Name == "revoked-ocsp" && kind == browser.Firefox {
		// Firefox asks the issuer, a third host, which faultline does not do unasked;
		// all it can say is that the client refused a certificate that looks good.
		return nil, nil, nil, false
	}
	c.direct.Code, c.proxied.Code = loaded(c.direct.Code), loaded(c.proxied.Code)
	if v == nil {
		if c.proxied.Code == "" && c.proxiedErr == nil && c.direct.Code == "" {
			return nil, nil, nil, false // a healthy tunnel that is still open
		}
		v = &inspect.Record{}
	}
	want := s.Layer()
	// Whether this browser minds is a matter of the visit that was judged.
	broken := c.proxied.Code != "" || c.proxied.Status >= 400 || c.proxiedErr != nil
	if !visibleInTunnel(s) || !broken && !s.Works {
		want = "none"
	}
	if want != "none" && slices.ContainsFunc(v.Also, func(also inspect.Also) bool { return also.Fault == s.Fault }) && v.Outcome == inspect.OK {
		want = "none" // advice stands beside an attempt that works
	}
	if want == "none" && string(v.Layer) == s.Layer() {
		want = s.Layer() // rightly named, though this browser shrugs or the tunnel hides it
	}
	if got := string(v.Layer); got != want && !(got == "" && want == "none") {
		layer = &miss{"layer", want, got}
	}
	if !visibleInTunnel(s) {
		return layer, nil, nil, false
	}
	predicted, predictedShown := v.Codes.Chromium, v.Codes.ChromiumShown
	if kind == browser.Firefox {
		predicted, predictedShown = v.Codes.Firefox, v.Codes.FirefoxShown
	}
	if c.directErr == nil && predicted != c.direct.Code {
		direct = &miss{"direct", c.direct.Code, predicted}
	}
	if c.proxiedErr == nil && predictedShown != c.proxied.Code {
		shown = &miss{"shown", c.proxied.Code, predictedShown}
	}
	return layer, direct, shown, true
}

// reasons are why faultline and a browser differ where it is known; the rest is
// to be looked into.
var reasons = map[browser.Kind]map[string]string{
	browser.Chromium: {
		"client-cert":       "headless Chromium has no window to ask for a certificate: ERR_SOCKET_NOT_CONNECTED instead",
		"client-cert-tls12": "headless Chromium has no window to ask for a certificate: ERR_SOCKET_NOT_CONNECTED instead",
		"401":               "headless Chromium has no window to ask for a password: ERR_INVALID_AUTH_CREDENTIALS instead of the page",
		"every-other":       "it fails every other time only",
		"not-http":          "on port 80 browsers take anything for HTTP/0.9; what our library says of it does not tell how it began",
		"closed-on-accept":  "whether the close or the reset that follows is seen first is a race",
		"reset-on-accept":   "whether the reset comes before or after the hello is a race",
	},
	browser.Firefox: {
		"every-other":      "it fails every other time only",
		"not-http":         "on port 80 browsers take anything for HTTP/0.9; what our library says of it does not tell how it began",
		"closed-on-accept": "whether the close or the reset that follows is seen first is a race",
		"reset-on-accept":  "whether the reset comes before or after the hello is a race",
	},
}

func judgeAgreement(t *testing.T, kind browser.Kind, cases []*agreement) {
	var layers, direct, shown score
	var table strings.Builder
	left := 0
	for _, c := range cases {
		if c.left {
			left++
			continue
		}
		l, d, s, compared := c.compare(kind)
		layers.add(l == nil)
		if compared {
			if c.directErr == nil {
				direct.add(d == nil)
			}
			if c.proxiedErr == nil {
				shown.add(s == nil)
			}
		}
		for _, m := range []*miss{l, d, s} {
			if m == nil {
				continue
			}
			v := c.verdict()
			if v == nil {
				v = &inspect.Record{}
			}
			if os.Getenv("FAULTLINE_KEEP") != "" {
				b, _ := json.Marshal(v)
				t.Logf("%s", b)
			}
			fmt.Fprintf(&table, "%-6s %-24s %-26s want %-36s got %-36s %s\n\t(%s %s: %s)\n", m.what, c.site.Name, c.site.Fault, m.want, m.got,
				reasons[kind][c.site.Name], v.Outcome, v.Fault, v.Why)
		}
		if c.directErr != nil || c.proxiedErr != nil {
			t.Logf("%s: the browser had not decided: %v; %v", c.site.Name, c.directErr, c.proxiedErr)
		}
	}
	t.Logf("%s: layer %v, direct code %v, code through the proxy %v\n%s", kind, &layers, &direct, &shown, table.String())
	if left > 0 {
		say := t.Logf
		if os.Getenv("FAULTLINE_NO_SKIP") == "1" {
			say = t.Errorf
		}
		say("NOT VISITED: %d of %d sites, for lack of time; go test -timeout 25m leaves enough", left, len(cases))
	}
	if layers.right < layers.all {
		t.Errorf("layer right for %v of the lab, want all", &layers)
	}
	const want = 0.95
	if direct.share() < want {
		t.Errorf("direct code right for %v, want %.0f %%", &direct, want*100)
	}
	if shown.share() < want {
		t.Errorf("code through the proxy right for %v, want %.0f %%", &shown, want*100)
	}
}

// loaded is a code without those that stand for a load that ended without a
// document and without a fault, as a download does.
func loaded(code string) string {
	if code == "ERR_ABORTED" || code == "NS_BINDING_ABORTED" {
		return ""
	}
	return code
}

// visibleInTunnel: without a CA, what HTTP says inside TLS cannot be seen.
func visibleInTunnel(s lab.Site) bool {
	switch s.Fault {
	case "http-content-decoding", "http-redirect-loop", "http-redirect-scheme-loop":
		return false // what is in a body, and how requests hang together, is not looked at
	}
	l := s.Layer()
	return s.Scheme == "http" || l != "http" && l != "content"
}

type score struct{ right, all int }

func (s *score) add(ok bool) bool {
	s.all++
	if ok {
		s.right++
	}
	return ok
}

func (s *score) share() float64 { return float64(s.right) / float64(max(1, s.all)) }

func (s *score) String() string {
	return fmt.Sprintf("%d of %d (%.1f %%)", s.right, s.all, 100*s.share())
}
