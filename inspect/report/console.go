package report

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"faultline/inspect"
)

const (
	// quietTime is how long no repeat may come before the repeats are summed
	// up. Browsers repeat within a second, and once more after a few.
	quietTime = 2 * time.Second
	// burstTime is when they are summed up although they go on.
	burstTime = 10 * time.Second
	// maxBursts bounds how many first attempts are remembered.
	maxBursts = 512
)

// Console prints one line per attempt for people:
//
//	time  mark host:port  layer  party  sentence  code  phase times
//
// and under a failure the next step. Repeats of an attempt are counted and
// summed up when they have stopped. Set the fields before the first Print.
//
// A terminal that is stopped (Ctrl-S) holds up Print, and with it whoever
// records; the log has the line by then.
type Console struct {
	Out io.Writer
	// Quiet shows failures only; Verbose adds the evidence, and shows the
	// browser's background traffic.
	Quiet, Verbose bool
	// Color and ASCII are how Out is to be written to; see NewConsole.
	Color, ASCII bool

	mu     sync.Mutex
	closed bool
	bursts map[string]*burst // by the ID of the first attempt
	shown  map[string]bool   // attempts whose provisional verdict was printed
	last   string            // the first attempt of the line printed last
	timer  *time.Timer       // for the earliest sum; owned, stopped by Close
}

// burst is an attempt that may be repeated.
type burst struct {
	id, target, fault string
	hidden            bool
	count             int
	since, latest     time.Time // the first and the last of the repeats counted
}

// NewConsole returns a console for f, plain unless f is a terminal that wants
// colour (https://no-color.org), and ASCII unless the locale says UTF-8.
func NewConsole(f *os.File) *Console {
	return &Console{Out: f, Color: wantsColor(f, os.Getenv), ASCII: !isUTF8(os.Getenv)}
}

func wantsColor(f *os.File, env func(string) string) bool {
	info, err := f.Stat()
	switch {
	case err != nil || info.Mode()&os.ModeCharDevice == 0 || f.Name() == os.DevNull:
		return false
	case env("NO_COLOR") != "" || env("TERM") == "dumb":
		return false
	case runtime.GOOS == "windows":
		// The old console prints escape codes; the new ones say who they are.
		return env("WT_SESSION") != "" || env("TERM") != "" || env("ConEmuANSI") == "ON"
	}
	return env("TERM") != ""
}

func isUTF8(env func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} { // POSIX: the first that is set
		if v := strings.ToLower(env(name)); v != "" {
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	// Go writes UTF-16 to a Windows console, and macOS is UTF-8 throughout.
	return runtime.GOOS == "windows" || runtime.GOOS == "darwin"
}

// Print shows a record, or counts it when it repeats what was shown.
func (c *Console) Print(r *inspect.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	if !r.Final {
		c.provisional(r)
		return
	}
	announced := c.shown[r.ID]
	delete(c.shown, r.ID)
	if c.repeats(r) {
		return
	}
	hidden := !announced && c.hides(r)
	c.remember(r, hidden)
	if !hidden {
		c.write(r)
	}
}

// Close prints the sums that are still owed. Later records are not shown.
func (c *Console) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.timer != nil {
		c.timer.Stop()
	}
	c.sumUp(func(*burst) bool { return true })
}

// provisional says once that an attempt is stalled.
func (c *Console) provisional(r *inspect.Record) {
	if r.RetryOf != "" || c.shown[r.ID] || r.Background && !c.Verbose {
		return
	}
	if c.shown == nil || len(c.shown) >= maxBursts {
		c.shown = make(map[string]bool)
	}
	c.shown[r.ID] = true
	c.write(r)
}

// repeats counts a record that says again what its first attempt said. One that
// says something else (it worked this time) is worth a line of its own.
func (c *Console) repeats(r *inspect.Record) bool {
	b := c.bursts[r.RetryOf]
	if r.RetryOf == "" || b == nil {
		return false
	}
	if b.fault != r.Fault {
		c.sumUp(func(x *burst) bool { return x == b })
		return false
	}
	if b.hidden {
		return true
	}
	b.latest = time.Now()
	if b.count++; b.count == 1 {
		b.since = b.latest
	}
	c.arm()
	return true
}

// hides: what is not shown at all.
func (c *Console) hides(r *inspect.Record) bool {
	return r.Background && !c.Verbose || c.Quiet && r.Outcome != inspect.Failed
}

// remember makes a record the one that later ones are compared with.
func (c *Console) remember(r *inspect.Record, hidden bool) {
	if c.bursts == nil {
		c.bursts = make(map[string]*burst)
	}
	if len(c.bursts) >= maxBursts {
		c.forget()
	}
	id := first(r)
	c.bursts[id] = &burst{id: id, target: r.Target, fault: r.Fault, hidden: hidden, latest: time.Now()}
}

// first is the ID under which an attempt and its repeats are counted.
func first(r *inspect.Record) string {
	if r.RetryOf != "" {
		return r.RetryOf
	}
	return r.ID
}

// forget drops the attempts that nothing is owed for: the old ones, or all of
// them if that is not enough.
func (c *Console) forget() {
	old := time.Now().Add(-burstTime - quietTime)
	for id, b := range c.bursts {
		if b.count == 0 && b.latest.Before(old) {
			delete(c.bursts, id)
		}
	}
	if len(c.bursts) >= maxBursts {
		c.sumUp(func(*burst) bool { return true })
		clear(c.bursts)
	}
}

// due is when a burst is to be summed up.
func (b *burst) due() time.Time {
	end := b.latest.Add(quietTime)
	if most := b.since.Add(burstTime); most.Before(end) {
		return most
	}
	return end
}

// arm sets the timer for the earliest sum that is owed.
func (c *Console) arm() {
	var next time.Time
	for _, b := range c.bursts {
		if b.count > 0 && (next.IsZero() || b.due().Before(next)) {
			next = b.due()
		}
	}
	if next.IsZero() || c.closed {
		return
	}
	if c.timer == nil {
		c.timer = time.AfterFunc(time.Until(next), c.tick)
	} else {
		c.timer.Reset(time.Until(next))
	}
}

func (c *Console) tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	now := time.Now()
	c.sumUp(func(b *burst) bool { return !b.due().After(now) })
	c.arm()
}

// sumUp prints the sums that are owed and fit, the oldest first.
func (c *Console) sumUp(fits func(*burst) bool) {
	var owed []*burst
	for _, b := range c.bursts {
		if b.count > 0 && fits(b) {
			owed = append(owed, b)
		}
	}
	slices.SortFunc(owed, func(a, b *burst) int { return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.id, b.id)) })
	for _, b := range owed {
		times, where := "times", ""
		if b.count == 1 {
			times = "time"
		}
		if c.last != b.id {
			where = ": " + place(b.target)
		}
		s := fmt.Sprintf("  … the same %d more %s%s", b.count, times, where)
		io.WriteString(c.Out, c.plain(c.paint(dim, s)+"\n"))
		b.count = 0
	}
}

// write prints a record with all its lines in one piece.
func (c *Console) write(r *inspect.Record) {
	c.last = first(r)
	var b strings.Builder
	c.head(&b, r)
	if r.Why != "" && (r.Outcome == inspect.Failed || r.Outcome == inspect.Degraded || c.Verbose) {
		c.detail(&b, r.Why)
	}
	if r.Fix.User != "" && r.Final && (r.Outcome == inspect.Failed || c.Verbose) {
		c.detail(&b, "→ "+r.Fix.User)
	}
	if c.Verbose {
		c.evidence(&b, r)
	}
	io.WriteString(c.Out, c.plain(b.String()))
}

const (
	targetWidth = 28  // room for most names; a longer one pushes the rest on
	targetMax   = 120 // a name has up to 253 characters
	wordsMax    = 400 // a sentence; evidence may quote a peer at length
	listMax     = 8   // of a list in the evidence
	indent      = "          "
)

// head prints the line itself.
func (c *Console) head(b *strings.Builder, r *inspect.Record) {
	m := markOf(r)
	sign := m.sign
	if c.ASCII {
		sign = pad(m.word, 4)
	}
	part := func(color, s string) {
		if s != "" {
			b.WriteString("  ")
			b.WriteString(c.paint(color, s))
		}
	}
	fmt.Fprintf(b, "%s  %s %s", c.paint(dim, r.TS.Local().Format("15:04:05")), c.paint(m.color, sign),
		pad(place(r.Target), targetWidth))
	if r.Outcome == inspect.OK && r.Final {
		part("", "ok")
	} else {
		part(bold, pad(Clean(string(r.Layer)), len("certificate")))
		part("", pad(party(r.Blame), len("local network")))
		part("", cut(Clean(r.Title), wordsMax))
		if !r.Final {
			part(m.color, "… still waiting")
		}
		part("", cut(Clean(code(r)), targetMax))
	}
	part(dim, times(r.Timing))
	b.WriteByte('\n')
}

func (c *Console) detail(b *strings.Builder, s string) {
	b.WriteString(indent + cut(Clean(s), wordsMax) + "\n")
}

// evidence prints what a verbose console adds.
func (c *Console) evidence(b *strings.Builder, r *inspect.Record) {
	say := func(what, s string) {
		if s != "" {
			c.detail(b, what+": "+s)
		}
	}
	say("sure", string(r.Certainty))
	say("server", r.Fix.Server)
	if r.HTTPReached != nil && !*r.HTTPReached && r.Outcome == inspect.Failed {
		say("http", "not reached, so there is no status code")
	}
	for _, a := range few(r.Also) {
		say("also", string(a.Layer)+", "+a.Fault+": "+a.Why)
	}
	say("addresses", tries(r.TCP))
	for _, p := range few(r.Probes) {
		say("compared", p.Changed+": "+p.Result)
	}
	say("shown", shown(r.Codes))
	say("inside", r.Internal)
}

// few bounds what a list may print.
func few[T any](all []T) []T { return all[:min(len(all), listMax)] }

// tries puts the addresses tried in words.
func tries(t *inspect.TCPStep) string {
	if t == nil {
		return ""
	}
	var all []string
	for _, y := range few(t.Tries) {
		how := "no answer"
		switch {
		case y.OK:
			how = "connected"
		case y.Cancelled:
			how = "not needed"
		case y.Pending:
			how = "still trying"
		case y.Errno != "":
			how = y.Errno
		}
		all = append(all, fmt.Sprintf("%s %s after %s", y.Addr, how, ms(y.Ms)))
	}
	if n := len(t.Tries) - len(all) + t.Untried; n > 0 {
		all = append(all, fmt.Sprintf("and %d more", n))
	}
	return strings.Join(all, ", ")
}

// shown says what the browsers show where that is not the code of the line:
// behind a proxy Chromium has one code for most failures.
func shown(c inspect.Codes) string {
	var all []string
	add := func(browser string, codes ...string) {
		for _, code := range codes {
			if code != "" {
				all = append(all, browser+" "+code)
				return
			}
		}
	}
	if c.ChromiumShown != c.Chromium {
		add("Chromium", c.ChromiumShown)
	}
	add("Firefox", c.FirefoxShown, c.Firefox)
	return strings.Join(all, ", ")
}

// code is the name by which a person may know the fault: what the browser
// itself said, else what Chromium shows on a direct visit.
func code(r *inspect.Record) string {
	return cmp.Or(r.Codes.Browser, r.Codes.Chromium, r.Codes.Firefox)
}

// party names who can mend it.
func party(b inspect.Blame) string {
	switch b {
	case inspect.BlameNone, "":
		return "nobody"
	case inspect.BlameLocalNetwork:
		return "local network"
	}
	return Clean(string(b))
}

func times(t inspect.Timing) string {
	var all []string
	add := func(name string, v *float64) {
		if v != nil {
			all = append(all, name+" "+ms(*v))
		}
	}
	add("dns", t.DNS)
	add("connect", t.Connect)
	add("tls", t.TLS)
	add("first byte", t.FirstByte)
	add("total", t.Total)
	return strings.Join(all, ", ")
}

// ms writes milliseconds for people.
func ms(v float64) string {
	switch {
	case v < 9.95:
		return fmt.Sprintf("%.1f ms", v)
	case v < 999.5:
		return fmt.Sprintf("%.0f ms", v)
	}
	return fmt.Sprintf("%.1f s", v/1000)
}

// mark is the sign of an outcome; colour only repeats what it says.
type mark struct{ sign, word, color string }

const (
	bold   = "\x1b[1m"
	dim    = "\x1b[2m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	cyan   = "\x1b[36m"
	reset  = "\x1b[0m"
)

func markOf(r *inspect.Record) mark {
	switch {
	case !r.Final:
		return mark{"…", "wait", cyan}
	case r.Outcome == inspect.OK:
		return mark{"✔", "ok", green}
	case r.Outcome == inspect.Degraded:
		return mark{"▲", "warn", yellow}
	case r.Outcome == inspect.Abandoned:
		return mark{"○", "left", dim}
	}
	return mark{"✖", "FAIL", red}
}

func (c *Console) paint(color, s string) string {
	if !c.Color || color == "" {
		return s
	}
	return color + s + reset
}

// plain writes our own typography in ASCII, and the rest of Unicode by number,
// for a terminal that could not show it.
func (c *Console) plain(s string) string {
	if c.ASCII {
		return ascii(s)
	}
	return s
}

func ascii(s string) string {
	var b strings.Builder
	for _, r := range asciiSigns.Replace(s) {
		if r < utf8.RuneSelf {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

var asciiSigns = strings.NewReplacer("…", "...", "→", "->", "–", "-", "—", "-", "’", "'", "‘", "'", "“", `"`, "”", `"`,
	"≤", "<=", "≥", ">=", "×", "x", "§", "section ")

// cut shortens to n characters.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// place is a target for people: a very long one loses its middle, since the end
// of a name and the port tell most.
func place(target string) string {
	const tail = 40
	s := Clean(target)
	if n := utf8.RuneCountInString(s); n > targetMax {
		r := []rune(s)
		return string(r[:targetMax-tail-1]) + "…" + string(r[n-tail:])
	}
	return s
}

// pad fills up to n characters. Wide ones (Chinese, emoji) count as one: a
// ragged column.
func pad(s string, n int) string {
	return s + strings.Repeat(" ", max(0, n-utf8.RuneCountInString(s)))
}
