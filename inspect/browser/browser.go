// Package browser starts a clean Chromium or Firefox that is already installed
// on this machine, and hears from the browser itself how each page load ended:
// ERR_CERT_DATE_INVALID, SEC_ERROR_EXPIRED_CERTIFICATE, or that it worked.
//
// In order: [Find] looks for the program; [Start] makes a throw-away home with
// a fresh profile in it, puts the wanted roots there, starts the program in a
// process group of its own and connects to its remote control (Chromium: the
// DevTools protocol over a pipe; Firefox: WebDriver BiDi over a web socket);
// [Browser.Visit] loads one page in a new tab that shares no connection,
// cookie or memory with the tab before; [Browser.Close] kills the process
// group and removes the home.
//
// Nothing of the person's own profile is read or written.
package browser

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

// Kind is a family of browsers: those of one kind share an engine, a remote
// control and a vocabulary of error codes.
type Kind string

const (
	Chromium Kind = "chromium" // also Chrome and Edge
	Firefox  Kind = "firefox"
)

// Options say how to start a browser. The zero value is a visible window of
// the browser that Find finds, with direct connections.
type Options struct {
	// Path is the program to start; "" means what Find finds.
	Path string
	// Proxy is the "host:port" of an HTTP proxy that everything goes through,
	// loopback too. "" means direct connections, whatever the environment says.
	Proxy string
	// Roots are certificates, DER or PEM, trusted in this profile only. They
	// need certutil (Debian: libnss3-tools, Fedora: nss-tools, macOS: nss);
	// Chromium reads such a profile on Linux only, and Start fails elsewhere.
	Roots [][]byte
	// Headless shows no window. It is for measuring: together with Quiet, all
	// that the browser asks for on its own goes nowhere, and Firefox forgets
	// HSTS between visits, which it does not do in a visible window.
	Headless bool
	// Args are further arguments of the command line.
	Args []string
	// Prefs are further Firefox preferences; they win over those set here.
	Prefs map[string]any
	// Stderr receives what the browser writes to standard error.
	Stderr io.Writer
	// Quiet switches off what the browser would do on its own: update checks,
	// telemetry, connectivity checks, the reloading of error pages. How it
	// treats the visited site stays as it is.
	Quiet bool
}

// Visit is how one page load ended, in the browser's own words.
type Visit struct {
	// URL is what was asked for.
	URL string
	// Code is the browser's error code without "net::"; "" when the document
	// loaded. ERR_ABORTED and NS_BINDING_ABORTED stand for a load that ended
	// without a document and without a fault: status 204, and in Chromium a
	// download. An error that has no name in Firefox has the page's instead,
	// as in "deniedPortAccess".
	Code string
	// Page is the name of Firefox's error page, as in "connectionFailure";
	// "" when there was none, and with Chromium.
	Page string
	// Shown is the code that Firefox's error page shows to the person under
	// "Advanced", where it has one: PR_CONNECT_RESET_ERROR when Code is
	// NS_ERROR_NET_RESET.
	Shown string
	// Status is the HTTP status of the document, 0 when none came.
	Status int
	// Title is the document's title; "" on error pages.
	Title string
	// Requests are the requests of the visit in the order they were made,
	// redirects one by one, at most maxRequests.
	Requests []Request
	Took     time.Duration
}

// Request is one request of a visit.
type Request struct {
	URL     string
	Code    string // the browser's error code; "" when it succeeded or did not end
	Blocked string // Chromium: why it refused to make the request, as in "mixed-content"
	Status  int    // 0 when no response came
}

const (
	// startTimeout is how long a browser may take until it can be controlled:
	// about 1 s for Chromium and 3 s for Firefox when idle, many times that on
	// a machine that is busy with other browsers.
	startTimeout = 60 * time.Second
	// askTimeout is for questions a living browser answers at once, such as
	// the title, and for the error page to be drawn. Chromium waits up to 3 s
	// for a captive portal check before it shows a certificate error.
	askTimeout = 10 * time.Second
	// removeTimeout is how long Close tries to remove the profile while killed
	// processes may still be finishing a write.
	removeTimeout = 5 * time.Second

	// These bound what a page can make us remember; maxText is in UTF-16
	// units, for scripts.
	maxRequests = 2000
	maxURL      = 8 << 10
	maxText     = "1000000"
)

// Browser is a running browser. Its methods may be called from several
// goroutines; visits are made one after the other.
type Browser struct {
	proc *process
	pilot
	visiting sync.Mutex
	close    sync.Once
	closeErr error
}

// pilot drives the tab in the language of one kind of browser.
type pilot interface {
	// begin gets the browser ready for its first visit.
	begin(ctx context.Context) error
	visit(ctx context.Context, url string) (Visit, error)
	screenshot(ctx context.Context) ([]byte, error)
	text(ctx context.Context) (string, error)
	// end ends the remote control and waits for it.
	end()
}

// Start starts a browser. When ctx ends the browser is killed; Close must be
// called all the same.
func Start(ctx context.Context, k Kind, o Options) (*Browser, error) {
	if o.Path == "" {
		path, ok := Find(k)
		if !ok {
			return nil, fmt.Errorf("start %s: no such browser is installed here", k)
		}
		o.Path = path
	}
	home, err := makeHome()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", k, err)
	}
	b, err := launch(ctx, k, o, home)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", o.Path, err), removeHome(home))
	}
	ready, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := b.begin(ready); err != nil {
		left := b.Close() // after it, everything has been said
		return nil, errors.Join(fmt.Errorf("start %s: %w%s", o.Path, err, b.proc.lastWords()), left)
	}
	return b, nil
}

func launch(ctx context.Context, k Kind, o Options, home string) (*Browser, error) {
	switch k {
	case Chromium:
		return launchChromium(ctx, o, home)
	case Firefox:
		return launchFirefox(ctx, o, home)
	}
	return nil, fmt.Errorf("unknown kind of browser %q", k)
}

// Visit loads url in a new tab, closing the one before, and waits until the
// load has ended or failed. It returns as soon as the outcome is known, which
// for an error can be before its page is drawn; Text and Screenshot wait for
// that. When ctx ends first, Visit returns what is known so far and an error.
func (b *Browser) Visit(ctx context.Context, url string) (Visit, error) {
	b.visiting.Lock()
	defer b.visiting.Unlock()
	start := time.Now()
	v, err := b.visit(ctx, url)
	v.URL, v.Took = url, time.Since(start)
	if err != nil {
		return v, fmt.Errorf("visit %s: %w", url, err)
	}
	return v, nil
}

// Screenshot returns what the tab shows, as PNG.
func (b *Browser) Screenshot(ctx context.Context) ([]byte, error) {
	b.visiting.Lock()
	defer b.visiting.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 2*askTimeout)
	defer cancel()
	png, err := b.screenshot(ctx)
	if err != nil {
		return nil, fmt.Errorf("screenshot: %w", err)
	}
	return png, nil
}

// Text returns the visible text of what the tab shows, error pages included.
func (b *Browser) Text(ctx context.Context) (string, error) {
	b.visiting.Lock()
	defer b.visiting.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 2*askTimeout)
	defer cancel()
	s, err := b.text(ctx)
	if err != nil {
		return "", fmt.Errorf("text: %w", err)
	}
	return s, nil
}

// Done is closed when the browser has ended: closed by the person, crashed,
// or killed.
func (b *Browser) Done() <-chan struct{} { return b.proc.exited }

// Close kills the browser with all its children, waits for it to be gone, and
// removes the profile. Further calls return what the first returned.
func (b *Browser) Close() error {
	b.close.Do(func() {
		b.proc.kill()
		b.end()
		b.proc.wait()
		b.closeErr = removeHome(b.proc.home)
	})
	return b.closeErr
}

// names are the programs to look for, the likeliest to be a plain one first.
var names = map[Kind][]string{
	Chromium: {"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge", "microsoft-edge-stable", "msedge"},
	Firefox:  {"firefox", "firefox-esr"},
}

// places are where these programs are when they are not in PATH.
func places(k Kind) []string {
	switch {
	case runtime.GOOS == "darwin" && k == Chromium:
		return []string{
			"/Applications/Chromium.app/Contents/MacOS/Chromium",
			"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
			"/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
		}
	case runtime.GOOS == "darwin":
		return []string{"/Applications/Firefox.app/Contents/MacOS/firefox"}
	case runtime.GOOS == "windows":
		under := []string{`Mozilla Firefox\firefox.exe`}
		if k == Chromium {
			under = []string{`Chromium\Application\chrome.exe`, `Google\Chrome\Application\chrome.exe`, `Microsoft\Edge\Application\msedge.exe`}
		}
		var all []string
		for _, root := range []string{"ProgramFiles", "ProgramFiles(x86)", "LocalAppData"} {
			if dir := os.Getenv(root); dir != "" {
				for _, p := range under {
					all = append(all, filepath.Join(dir, p))
				}
			}
		}
		return all
	}
	return nil
}

// Find returns the browser of a kind that is installed on this machine.
func Find(k Kind) (path string, ok bool) {
	for _, name := range append(names[k], places(k)...) {
		if path, err := exec.LookPath(name); err == nil {
			return path, true
		}
	}
	return "", false
}

// Need returns the path of a browser of kind k for a test, which is skipped
// where none is installed. With FAULTLINE_NO_SKIP=1 it fails instead, so that
// a machine meant to run everything cannot pass by leaving it out.
func Need(t interface {
	Helper()
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
}, k Kind) string {
	t.Helper()
	path, ok := Find(k)
	switch {
	case ok:
	case os.Getenv("FAULTLINE_NO_SKIP") == "1":
		t.Fatalf("NEEDED: %s is not installed, and FAULTLINE_NO_SKIP=1 forbids skipping", k)
	default:
		t.Skipf("SKIPPED: %s is not installed, so what it says was not tested", k)
	}
	return path
}
