package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
)

// chromium drives Chromium, Chrome or Edge by the DevTools protocol.
type chromium struct {
	proc     *process
	link     *link
	proxy    string
	headless bool
	tab      *tab
}

// overPipe says how to reach the browser: by two inherited pipes, which close
// with us and let nobody else in, or by a web socket where a process cannot
// be handed pipes.
var overPipe = runtime.GOOS != "windows"

func launchChromium(ctx context.Context, o Options, home string) (*Browser, error) {
	if len(o.Roots) > 0 && runtime.GOOS != "linux" {
		return nil, errors.New("only on Linux does Chromium trust certificates by profile; elsewhere they have to be trusted by the system")
	}
	if err := trust(ctx, filepath.Join(home, ".pki", "nssdb"), o.Roots); err != nil {
		return nil, err
	}
	if o.Quiet {
		dir := filepath.Join(home, "profile", "Default")
		err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "Preferences"), []byte(quietPreferences), 0o600))
		if err != nil {
			return nil, err
		}
	}
	cmd := exec.Command(o.Path, chromiumArgs(o, home)...)
	// No API keys: it would say so in a bar across the page.
	cmd.Env = environment(home, "GOOGLE_API_KEY=no", "GOOGLE_DEFAULT_CLIENT_ID=no", "GOOGLE_DEFAULT_CLIENT_SECRET=no")
	c := &chromium{proxy: o.Proxy, headless: o.Headless}
	if !overPipe {
		proc, err := run(ctx, cmd, home, o.Stderr)
		if err != nil {
			return nil, err
		}
		c.proc = proc
		return &Browser{proc: proc, pilot: c}, nil
	}
	theirIn, ourOut, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirIn.Close()
	ourIn, theirOut, err := os.Pipe()
	if err != nil {
		ourOut.Close()
		return nil, err
	}
	defer theirOut.Close()
	cmd.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4, as Chromium expects
	proc, err := run(ctx, cmd, home, o.Stderr)
	if err != nil {
		ourOut.Close()
		ourIn.Close()
		return nil, err
	}
	c.proc, c.link = proc, newLink(newPipe(ourIn, ourOut))
	return &Browser{proc: proc, pilot: c}, nil
}

// nowhere is a proxy that refuses: the port is reserved and never served.
const nowhere = "http://127.0.0.1:1"

// chromiumArgs is the command line.
func chromiumArgs(o Options, home string) []string {
	args := []string{
		"--user-data-dir=" + filepath.Join(home, "profile"),
		"--no-first-run",
		"--no-default-browser-check",
		"--no-startup-window", // every visit opens its own
		"--disable-search-engine-choice-screen",
		"--password-store=basic", // never ask the person's keyring
		"--use-mock-keychain",
		"--disable-breakpad",
		"--disable-crash-reporter",
	}
	if overPipe {
		args = append(args, "--remote-debugging-pipe")
	} else {
		args = append(args, "--remote-debugging-port=0")
	}
	if o.Headless {
		args = append(args, "--headless=new", "--hide-scrollbars", "--mute-audio")
	}
	if os.Geteuid() == 0 {
		args = append(args, "--no-sandbox") // as root it refuses to start with one
	}
	switch {
	case o.Quiet && o.Headless:
		// Each visit's context names its own way out, so this is only what the
		// browser would ask for by itself, and there is nobody to miss it.
		args = append(args, "--proxy-server="+nowhere)
	case o.Proxy == "":
		args = append(args, "--no-proxy-server")
	default:
		// <-loopback> takes back the built-in exception for this machine.
		args = append(args, "--proxy-server=http://"+o.Proxy, "--proxy-bypass-list=<-loopback>")
	}
	var off []string
	if o.Quiet {
		args = append(args, quietChromium...)
		off = append(off, quietFeatures...)
	}
	for _, arg := range o.Args { // of two such flags the last would win
		if list, ok := strings.CutPrefix(arg, "--disable-features="); ok {
			off = append(off, list)
			continue
		}
		args = append(args, arg)
	}
	if len(off) > 0 {
		args = append(args, "--disable-features="+strings.Join(off, ","))
	}
	return args
}

// quietChromium and quietFeatures switch off what a fresh profile was seen to
// ask for by itself.
var (
	quietChromium = []string{
		"--disable-background-networking",
		"--disable-client-side-phishing-detection",
		"--disable-component-extensions-with-background-pages",
		"--disable-component-update",
		"--disable-default-apps",
		"--disable-domain-reliability",
		"--disable-extensions",
		"--disable-field-trial-config",
		"--disable-quic",
		"--disable-sync",
		"--allow-browser-signin=false",
		"--disable-auto-reload",
		"--metrics-recording-only",
		"--safebrowsing-disable-auto-update",
		"--no-pings",
	}
	quietFeatures = []string{
		"AutofillServerCommunication",
		"CertificateTransparencyComponentUpdater",
		"DialMediaRouteProvider",
		"InterestFeedContentSuggestions",
		"MediaRouter",
		"NetworkTimeServiceQuerying",
		"OptimizationGuideModelDownloading",
		"OptimizationHints",
		"OptimizationHintsFetching",
		"OptimizationTargetPrediction",
		"SpareRendererForSitePerProcess",
		"Translate",
	}
	// quietPreferences keep error pages from asking a server of Google's
	// whether there is a captive portal. Certificate errors then show at once,
	// not after the 3 s that the answer may take.
	quietPreferences = `{"alternate_error_pages":{"enabled":false},"signin":{"allowed":false}}`
)

func (c *chromium) begin(ctx context.Context) error {
	if c.link == nil {
		url, err := c.proc.where(ctx)
		if err != nil {
			return err
		}
		s, err := dial(ctx, url)
		if err != nil {
			return err
		}
		c.link = newLink(s)
	}
	return c.link.ask(ctx, "", "Browser.getVersion", nil, nil)
}

func (c *chromium) end() {
	if c.link != nil {
		c.link.close()
	}
}

// open opens a blank tab in a browser context of its own. Contexts share no
// cookies, cache, sockets, TLS sessions, HSTS or other memory of a host.
func (c *chromium) open(ctx context.Context) (*tab, error) {
	t := &tab{
		link:     c.link,
		headless: c.headless,
		sessions: make(map[string]bool),
		index:    make(map[string]int),
		ended:    make(chan struct{}),
		shown:    make(chan struct{}),
	}
	profile := obj{"disposeOnDetach": true, "proxyServer": "direct://"}
	if c.proxy != "" {
		profile["proxyServer"], profile["proxyBypassList"] = "http://"+c.proxy, "<-loopback>"
	}
	var got struct{ BrowserContextID, TargetID, SessionID string }
	if err := c.link.ask(ctx, "", "Target.createBrowserContext", profile, &got); err != nil {
		return nil, err
	}
	t.context = got.BrowserContextID
	err := c.link.ask(ctx, "", "Target.createTarget", obj{"url": "about:blank", "browserContextId": t.context, "newWindow": true}, &got)
	if err == nil {
		err = c.link.ask(ctx, "", "Target.attachToTarget", obj{"targetId": got.TargetID, "flatten": true}, &got)
	}
	if err == nil {
		t.frame, t.session = got.TargetID, got.SessionID
		t.sessions[t.session] = true
		err = c.link.ask(ctx, t.session, "Page.enable", nil, nil)
	}
	if err == nil {
		err = c.link.ask(ctx, t.session, "Network.enable", nil, nil)
	}
	if err == nil {
		err = c.link.ask(ctx, t.session, "Target.setAutoAttach", attach, nil)
	}
	if err != nil {
		c.dispose(t)
		return nil, err
	}
	return t, nil
}

// attach makes frames and workers of other processes wait until we hear them.
var attach = obj{"autoAttach": true, "waitForDebuggerOnStart": true, "flatten": true}

func (c *chromium) dispose(t *tab) {
	c.link.tell("", "Target.disposeBrowserContext", obj{"browserContextId": t.context})
}

func (c *chromium) visit(ctx context.Context, url string) (Visit, error) {
	t, err := c.open(ctx)
	if err != nil {
		return Visit{}, err
	}
	// The new tab is open before the old one closes, so that the last window
	// never closes: with it some builds would end.
	if c.tab != nil {
		c.dispose(c.tab)
	}
	c.tab = t
	c.link.listen(t.hear)
	answer, err := c.link.send(t.session, "Page.navigate", obj{"url": url})
	if err != nil {
		return Visit{}, err
	}
	for answer != nil {
		select {
		case a := <-answer:
			if err := t.navigated(a); err != nil {
				return t.visit(), err
			}
			answer = nil
		case <-t.ended:
			answer = nil
		case <-c.proc.exited:
			return t.visit(), errors.New("the browser ended")
		case <-ctx.Done():
			return t.visit(), ctx.Err()
		}
	}
	select {
	case <-t.ended:
	case <-c.proc.exited:
		return t.visit(), errors.New("the browser ended")
	case <-ctx.Done():
		return t.visit(), ctx.Err()
	}
	v := t.visit()
	if v.Code == "" {
		v.Title, err = t.evaluate(ctx, "document.title.slice(0, 1000)")
	}
	return v, err
}

func (c *chromium) screenshot(ctx context.Context) ([]byte, error) {
	if c.tab == nil {
		return nil, errors.New("nothing has been visited")
	}
	c.tab.settle(ctx)
	var got struct{ Data []byte }
	err := c.link.ask(ctx, c.tab.session, "Page.captureScreenshot", obj{"format": "png"}, &got)
	return got.Data, err
}

func (c *chromium) text(ctx context.Context) (string, error) {
	if c.tab == nil {
		return "", errors.New("nothing has been visited")
	}
	c.tab.settle(ctx)
	return c.tab.evaluate(ctx, "(document.body?.innerText ?? '').slice(0, "+maxText+")")
}

// tab is one tab and what was heard of it. It hears until the next replaces
// it: an error page is drawn after its visit has ended.
type tab struct {
	link     *link
	headless bool
	context  string
	frame    string // the id of its main frame
	session  string
	ended    chan struct{} // closed when the outcome is known
	shown    chan struct{} // closed when what it shows has been drawn

	mu       sync.Mutex
	sessions map[string]bool // ours, and those of frames and workers below it
	doc      string          // the request of the document
	loaded   bool            // the document is there, its load ended
	received bool            // the last byte of the document came
	failed   bool            // an error page has come in its place
	code     string
	status   int
	requests []Request
	index    map[string]int // by session and request id, into requests
}

// network is what is used of the events of the domains Network, Page and Target.
type network struct {
	RequestID     string
	FrameID       string
	LoaderID      string
	Type          string
	ErrorText     string
	BlockedReason string
	SessionID     string
	Request       struct{ URL string }
	Response      *struct{ Status int }
	Redirect      *struct{ Status int } `json:"redirectResponse"`
	Frame         struct{ ID, UnreachableURL, ParentID string }
}

// hear takes one event. It runs on the link's goroutine and must not wait.
func (t *tab) hear(e event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.sessions[e.Session] {
		return
	}
	var n network
	if json.Unmarshal(e.Params, &n) != nil {
		return // an event whose fields have other types is none of these
	}
	main := e.Session == t.session
	switch e.Method {
	case "Target.attachedToTarget":
		t.sessions[n.SessionID] = true
		t.link.tell(n.SessionID, "Network.enable", nil)
		t.link.tell(n.SessionID, "Target.setAutoAttach", attach)
		t.link.tell(n.SessionID, "Runtime.runIfWaitingForDebugger", nil)
	case "Network.requestWillBeSent":
		t.sent(e.Session+n.RequestID, n)
		if main && n.Type == "Document" && n.FrameID == t.frame && !t.failed && t.code == "" {
			t.doc, t.status, t.loaded, t.received = n.RequestID, 0, false, false
		}
	case "Network.responseReceived":
		if r := t.request(e.Session + n.RequestID); r != nil && n.Response != nil {
			r.Status = n.Response.Status
		}
		if main && n.RequestID == t.doc && n.Response != nil && t.code == "" {
			t.status = n.Response.Status
		}
	case "Network.loadingFailed":
		code := strings.TrimPrefix(n.ErrorText, "net::")
		if r := t.request(e.Session + n.RequestID); r != nil && r.Code == "" {
			r.Code, r.Blocked = code, n.BlockedReason
		}
		// The first error is the answer. What comes after it belongs to the
		// error page or to another try; ERR_ABORTED says only that something
		// else took the place, or a download.
		if main && n.RequestID == t.doc && t.code == "" && code != "ERR_ABORTED" {
			t.code = code
			shut(t.ended)
		}
	case "Network.loadingFinished":
		if main && n.RequestID == t.doc && t.code == "" {
			t.received = true
			t.settled()
		}
	case "Page.frameNavigated":
		t.failed = t.failed || n.Frame.ID == t.frame && n.Frame.UnreachableURL != ""
	case "Page.loadEventFired":
		t.loaded = true
		t.settled()
	case "Page.frameStoppedLoading":
		if main && n.FrameID == t.frame && (t.failed || t.loaded || t.code != "") {
			shut(t.shown)
		}
	case "Page.javascriptDialogOpening":
		if t.headless { // nobody could answer it, and the load would hang
			t.link.tell(e.Session, "Page.handleJavaScriptDialog", obj{"accept": true})
		}
	}
}

// settled notes that a document has loaded: all of it came, and the load event
// was fired.
func (t *tab) settled() {
	if t.loaded && t.received {
		shut(t.ended)
	}
}

// sent notes a request, or its next hop after a redirect. The browser's own
// upgrade of http to https, and its way back, look like redirects too.
func (t *tab) sent(id string, n network) {
	if r := t.request(id); r != nil && n.Redirect != nil {
		r.Status = n.Redirect.Status
	}
	if len(t.requests) >= maxRequests || !strings.HasPrefix(n.Request.URL, "http") {
		return
	}
	t.index[id] = len(t.requests)
	t.requests = append(t.requests, Request{URL: clip(n.Request.URL)})
}

func (t *tab) request(id string) *Request {
	if i, ok := t.index[id]; ok {
		return &t.requests[i]
	}
	return nil
}

// navigated takes the answer to Page.navigate, which comes when the document
// or the error page has been put in place, or neither will be.
func (t *tab) navigated(a answer) error {
	if a.err != nil {
		return a.err
	}
	var got struct{ ErrorText string }
	if err := json.Unmarshal(a.result, &got); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if got.ErrorText != "" {
		if t.code == "" {
			t.code = strings.TrimPrefix(got.ErrorText, "net::")
		}
		if t.code == "ERR_ABORTED" {
			shut(t.shown) // no error page comes
		}
		shut(t.ended)
	}
	return nil
}

func (t *tab) visit() Visit {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Visit{Code: t.code, Status: t.status, Requests: append([]Request(nil), t.requests...)}
}

// settle waits until the tab shows what it will show.
func (t *tab) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	select {
	case <-t.shown:
	case <-t.link.gone:
	case <-ctx.Done(): // then what there is
	}
}

// evaluate returns the string that a script returns.
func (t *tab) evaluate(ctx context.Context, script string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var got struct {
		Result           struct{ Value any }
		ExceptionDetails struct{ Text string }
	}
	err := t.link.ask(ctx, t.session, "Runtime.evaluate", obj{"expression": script, "returnByValue": true}, &got)
	if err != nil {
		return "", err
	}
	s, ok := got.Result.Value.(string)
	if !ok {
		return "", fmt.Errorf("the script returned no text: %s", got.ExceptionDetails.Text)
	}
	return s, nil
}

// shut closes c if it is open. All that shut a tab's channels hold its lock.
func shut(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

func clip(s string) string { return s[:min(len(s), maxURL)] }
