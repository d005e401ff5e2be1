package report

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"faultline/inspect"
)

// Times of day are local, and golden files are not.
func init() { time.Local = time.UTC }

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want := string(read(t, path)); got != want {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

// day is a bit of everything.
func day() []*inspect.Record {
	again := func(r *inspect.Record, id string) *inspect.Record {
		return but(r, func(c *inspect.Record) { c.RetryOf, c.ID = r.ID, id })
	}
	stalled := but(refused(), func(r *inspect.Record) {
		r.ID, r.Target, r.Final = "stalled", "slow.example:443", false
		r.Layer, r.Fault, r.Blame, r.Certainty = inspect.LayerTCP, "tcp-timeout", inspect.BlameUnknown, inspect.Inferred
		r.Title = "The other machine never answered."
		r.Codes = inspect.Codes{Chromium: "ERR_CONNECTION_TIMED_OUT"}
		r.Fix = inspect.Fix{User: "Test another site and another network."}
		r.TCP = &inspect.TCPStep{Untried: 3, Tries: []inspect.Try{
			{Addr: "[2001:db8::1]:443", Ms: 250, Cancelled: true}, {Addr: "192.0.2.7:443", Ms: 5000, Pending: true},
			{Addr: "192.0.2.8:443", Ms: 4750, GaveUp: true}}}
		r.Timing = inspect.Timing{DNS: ptr(12.0), Total: ptr(5000.0)}
	})
	return []*inspect.Record{
		fine(),
		refused(), again(refused(), "r1"), again(refused(), "r2"),
		expired(),
		stalled,
		but(fine(), func(r *inspect.Record) { r.ID, r.Target, r.Background = "bg", "update.example:443", true }),
		again(refused(), "r3"),
		but(stalled, func(r *inspect.Record) { r.Final = true }),
		but(fine(), func(r *inspect.Record) {
			r.ID, r.Target, r.Outcome, r.Layer = "mixed", "news.example:443", inspect.Degraded, inspect.LayerContent
			r.Fault, r.Blame, r.Title = "content-mixed-blockable", inspect.BlameServer, "Parts of the page are insecure and were blocked."
		}),
		but(fine(), func(r *inspect.Record) {
			r.ID, r.Target, r.Outcome, r.Layer = "left", "chat.example:443", inspect.Abandoned, inspect.LayerClient
			r.Fault, r.Title = "client-aborted", "You (or the page) stopped loading before the answer arrived."
		}),
		// The same place again, and now it works.
		but(fine(), func(r *inspect.Record) { r.ID, r.RetryOf, r.Target = "r4", refused().ID, refused().Target }),
		but(refused(), func(r *inspect.Record) {
			r.ID, r.Blame = "long", inspect.BlameLocalNetwork
			r.Target = strings.Repeat("long-label.", 20) + "example:443"
			r.Title = "Grüße aus der Firewall – “no”."
		}),
	}
}

func TestConsole(t *testing.T) {
	for name, c := range map[string]*Console{
		"plain.txt":   {},
		"ascii.txt":   {ASCII: true},
		"color.txt":   {Color: true},
		"quiet.txt":   {Quiet: true},
		"verbose.txt": {Verbose: true},
	} {
		var out bytes.Buffer
		c.Out = &out
		for _, r := range day() {
			c.Print(r)
		}
		c.Close()
		c.Print(refused()) // shows nothing any more
		golden(t, "console-"+name, out.String())
		if name == "ascii.txt" && strings.ContainsFunc(out.String(), func(r rune) bool { return r > 0x7e }) {
			t.Error("the ASCII console is not ASCII")
		}
		if name != "color.txt" && strings.Contains(out.String(), "\x1b") {
			t.Errorf("%s has escapes", name)
		}
	}
}

// Nothing from outside reaches the terminal, in whatever field it comes.
func TestConsoleHostile(t *testing.T) {
	for name, s := range hostile {
		lines := func(s string) int {
			var out bytes.Buffer
			c := &Console{Out: &out, Verbose: true}
			r := but(expired(), func(r *inspect.Record) {
				r.Target, r.Host, r.Title, r.Why, r.Layer, r.Blame = s, s, s, s, inspect.Layer(s), inspect.Blame(s)
				r.Fix = inspect.Fix{User: s, Server: s}
				r.Codes = inspect.Codes{Browser: s, Chromium: s, ChromiumShown: s + s, FirefoxShown: s}
				r.Also = []inspect.Also{{Fault: s, Layer: inspect.Layer(s), Why: s}}
				r.TCP = &inspect.TCPStep{Tries: []inspect.Try{{Addr: s, Errno: s}}}
				r.Probes = []inspect.Probe{{Changed: s, Result: s}}
				r.Certainty, r.Internal = inspect.Certainty(s), s
			})
			c.Print(r)
			c.Print(but(r, func(r *inspect.Record) { r.RetryOf, r.ID = r.ID, "again" }))
			c.Print(fine())
			c.Close()
			if bad := strings.IndexFunc(out.String(), func(r rune) bool { return r != '\n' && !visible(r) }); bad >= 0 {
				t.Errorf("%s: invisible character at %d of\n%q", name, bad, out.String())
			}
			return strings.Count(out.String(), "\n")
		}
		if got, want := lines(s), lines("harmless"); got != want {
			t.Errorf("%s makes %d lines, want %d", name, got, want)
		}
	}
}

// safeBuffer is for a console whose timer prints.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// Repeats are summed up two seconds after the last, ten after the first.
func TestConsoleRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out safeBuffer
		c := &Console{Out: &out}
		defer c.Close()
		n := 0
		again := func() {
			n++
			c.Print(but(refused(), func(r *inspect.Record) { r.RetryOf, r.ID = r.ID, fmt.Sprint(n) }))
		}
		after := func(d time.Duration, want string) {
			t.Helper()
			time.Sleep(d) // the bubble's clock, not a real wait
			synctest.Wait()
			if got := sums(out.String()); got != want {
				t.Errorf("summed up %q, want %q", got, want)
			}
		}
		c.Print(refused())
		again()
		after(time.Second, "")
		again()
		after(1999*time.Millisecond, "")
		after(time.Millisecond, "the same 2 more times")
		again()
		after(2*time.Second, "the same 2 more times|the same 1 more time")
		for range 9 {
			again()
			after(time.Second, "the same 2 more times|the same 1 more time")
		}
		again()
		after(time.Second, "the same 2 more times|the same 1 more time|the same 10 more times")
	})
}

// sums are the lines of out that count repeats.
func sums(out string) string {
	var all []string
	for line := range strings.Lines(out) {
		if _, s, ok := strings.Cut(strings.TrimSpace(line), "… "); ok && strings.HasPrefix(s, "the same") {
			all = append(all, s)
		}
	}
	return strings.Join(all, "|")
}

// The end tells what is owed, and stops the timer.
func TestConsoleCloseSumsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out safeBuffer
		c := &Console{Out: &out}
		c.Print(refused())
		c.Print(but(refused(), func(r *inspect.Record) { r.RetryOf, r.ID = r.ID, "again" }))
		c.Close()
		c.Close()
		if got, want := sums(out.String()), "the same 1 more time"; got != want {
			t.Errorf("summed up %q, want %q", got, want)
		}
	})
}

// A long day does not fill the memory, and no count is lost.
func TestConsoleBounded(t *testing.T) {
	var out bytes.Buffer
	c := &Console{Out: &out}
	for i := range 3 * maxBursts {
		r := but(refused(), func(r *inspect.Record) { r.ID = fmt.Sprint(i) })
		c.Print(but(r, func(r *inspect.Record) { r.Final = false }))
		if i%2 == 0 {
			c.Print(r)
			c.Print(but(r, func(r *inspect.Record) { r.RetryOf, r.ID = r.ID, "again" }))
		}
	}
	if len(c.bursts) > maxBursts || len(c.shown) > maxBursts {
		t.Errorf("%d bursts and %d provisional remembered, want at most %d", len(c.bursts), len(c.shown), maxBursts)
	}
	c.Close()
	if got, want := strings.Count(out.String(), "the same 1 more time"), 3*maxBursts/2; got != want {
		t.Errorf("%d repeats told, want %d", got, want)
	}
}

// Quiet shows how it ended when it said that it was waiting.
func TestConsoleQuietAnnounced(t *testing.T) {
	var out bytes.Buffer
	c := &Console{Out: &out, Quiet: true}
	c.Print(but(refused(), func(r *inspect.Record) { r.ID, r.Final = fine().ID, false }))
	c.Print(fine())
	c.Print(but(fine(), func(r *inspect.Record) { r.ID = "other" }))
	if n := strings.Count(out.String(), "✔"); n != 1 {
		t.Errorf("%d successes shown, want the one announced:\n%s", n, out.String())
	}
}

func TestConsoleDetects(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	env := func(pairs ...string) func(string) string {
		return func(name string) string {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == name {
					return pairs[i+1]
				}
			}
			return ""
		}
	}
	if wantsColor(file, env("TERM", "xterm")) {
		t.Error("a file gets colour")
	}
	if tty, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0); err == nil {
		defer tty.Close()
		for _, c := range []struct {
			env  []string
			want bool
		}{
			{[]string{"TERM", "xterm"}, true},
			{[]string{"TERM", "xterm", "NO_COLOR", "1"}, false},
			{[]string{"TERM", "xterm", "NO_COLOR", ""}, true}, // set but empty means nothing
			{[]string{"TERM", "dumb"}, false},
			{nil, false},
		} {
			if got := wantsColor(tty, env(c.env...)); got != c.want {
				t.Errorf("a terminal with %q: colour %v, want %v", c.env, got, c.want)
			}
		}
	}
	for _, c := range []struct {
		env  []string
		want bool
	}{
		{[]string{"LANG", "de_DE.UTF-8"}, true},
		{[]string{"LANG", "C.utf8"}, true},
		{[]string{"LANG", "de_DE.UTF-8", "LC_ALL", "C"}, false},
		{[]string{"LANG", "C", "LC_CTYPE", "en_US.UTF-8"}, true},
		{[]string{"LANG", "de_DE.ISO-8859-1"}, false},
	} {
		if got := isUTF8(env(c.env...)); got != c.want {
			t.Errorf("%q: UTF-8 %v, want %v", c.env, got, c.want)
		}
	}
}

// Everything at once, as the proxy does it.
func TestReporter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "attempts.jsonl")
	var out safeBuffer
	r := &Reporter{Log: open(t, path, nil), Console: &Console{Out: &out}, Journal: &Journal{}}
	var wg sync.WaitGroup
	const each = 50
	for i := range 8 {
		wg.Go(func() {
			for n := range each {
				r.Record(but(refused(), func(r *inspect.Record) { r.ID = fmt.Sprint(i, "-", n) }))
			}
		})
	}
	wg.Wait()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if got := bytes.Count(read(t, path), []byte("\n")); got != 8*each {
		t.Errorf("%d lines in the log, want %d", got, 8*each)
	}
	if got := strings.Count(out.String(), "✖"); got != 8*each {
		t.Errorf("%d lines on the console, want %d", got, 8*each)
	}
	if got := len(r.Journal.All()); got != 8*each {
		t.Errorf("%d records in the journal, want %d", got, 8*each)
	}
	(&Reporter{}).Record(refused()) // all parts may be left out
	if err := (&Reporter{}).Close(); err != nil {
		t.Error(err)
	}
}

func BenchmarkConsole(b *testing.B) {
	c := &Console{Out: io.Discard}
	r := refused()
	for b.Loop() {
		c.Print(r)
	}
}
