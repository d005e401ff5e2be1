package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// firefox drives Firefox by WebDriver BiDi.
type firefox struct {
	proc     *process
	link     *link
	headless bool
	// system: the remote control reaches the browser itself, not only pages.
	// While nobody has connected yet, so could any program of this machine,
	// which is why a visible browser goes without.
	system bool
	window string // the browser's own window, where system reaches it
	user   string // the user context of the tab

	mu sync.Mutex
	heard
}

func launchFirefox(ctx context.Context, o Options, home string) (*Browser, error) {
	profile := filepath.Join(home, "profile")
	if err := trust(ctx, profile, o.Roots); err != nil {
		return nil, err
	}
	prefs, err := userJS(o)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(profile, "user.js"), prefs, 0o600); err != nil {
		return nil, err
	}
	args := []string{"--profile", profile, "--no-remote", "--new-instance", "--remote-debugging-port", "0"}
	if o.Headless {
		args = append(args, "--headless")
	}
	system := o.Headless && o.Quiet
	if system {
		args = append(args, "--remote-allow-system-access")
	}
	cmd := exec.Command(o.Path, append(args, o.Args...)...)
	cmd.Env = environment(home, "MOZ_CRASHREPORTER_DISABLE=1", "MOZ_DISABLE_AUTO_SAFE_MODE=1")
	if o.Quiet { // without it a release ignores services.settings.server
		cmd.Env = append(cmd.Env, "MOZ_REMOTE_SETTINGS_DEVTOOLS=1")
	}
	proc, err := run(ctx, cmd, home, o.Stderr)
	if err != nil {
		return nil, err
	}
	return &Browser{proc: proc, pilot: &firefox{proc: proc, headless: o.Headless, system: system}}, nil
}

// userJS is the profile's preferences file.
func userJS(o Options) ([]byte, error) {
	prefs := map[string]any{
		"browser.startup.page":                                        0,
		"browser.startup.homepage_override.mstone":                    "ignore",
		"browser.aboutwelcome.enabled":                                false,
		"browser.shell.checkDefaultBrowser":                           false,
		"datareporting.policy.dataSubmissionPolicyBypassNotification": true,
		"trailhead.firstrun.didSeeAboutWelcome":                       true,
		"termsofuse.bypassNotification":                               true,
		// The remote control would change dozens of preferences to suit tests.
		"remote.prefs.recommended": false,
		// Names are resolved by the system: DNS over HTTPS would hide the
		// faults of the resolver that is being looked at.
		"network.trr.mode":   5,
		"network.proxy.type": 0,
	}
	if o.Proxy != "" {
		host, port, err := net.SplitHostPort(o.Proxy)
		if err != nil {
			return nil, fmt.Errorf("proxy: %w", err)
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			return nil, fmt.Errorf("proxy: %w", err)
		}
		maps.Copy(prefs, map[string]any{
			"network.proxy.type":                      1,
			"network.proxy.http":                      host,
			"network.proxy.http_port":                 n,
			"network.proxy.ssl":                       host,
			"network.proxy.ssl_port":                  n,
			"network.proxy.no_proxies_on":             "",
			"network.proxy.allow_hijacking_localhost": true,
			"network.proxy.failover_direct":           false,
			"network.proxy.allow_bypass":              false,
		})
	}
	if o.Quiet {
		maps.Copy(prefs, quietFirefox)
	}
	maps.Copy(prefs, o.Prefs)
	var js strings.Builder
	for _, name := range slices.Sorted(maps.Keys(prefs)) {
		value, err := json.Marshal(prefs[name])
		if err != nil {
			return nil, fmt.Errorf("preference %s: %w", name, err)
		}
		fmt.Fprintf(&js, "user_pref(%q, %s);\n", name, value)
	}
	return []byte(js.String()), nil
}

// quietFirefox switches off what a fresh profile was seen to ask for by itself.
var quietFirefox = map[string]any{
	"app.normandy.enabled":                                          false,
	"app.update.auto":                                               false,
	"app.update.disabledForTesting":                                 true,
	"app.update.enabled":                                            false,
	"browser.contentblocking.report.lockwise.enabled":               false,
	"browser.discovery.enabled":                                     false,
	"browser.newtab.preload":                                        false,
	"browser.newtabpage.enabled":                                    false,
	"browser.newtabpage.activity-stream.feeds.system.topsites":      false,
	"browser.newtabpage.activity-stream.feeds.topsites":             false,
	"browser.newtabpage.activity-stream.feeds.section.topstories":   false,
	"browser.newtabpage.activity-stream.showSponsored":              false,
	"browser.newtabpage.activity-stream.showSponsoredTopSites":      false,
	"browser.newtabpage.activity-stream.unifiedAds.adsFeed.enabled": false,
	"browser.newtabpage.activity-stream.unifiedAds.spocs.enabled":   false,
	"browser.newtabpage.activity-stream.unifiedAds.tiles.enabled":   false,
	"browser.region.network.url":                                    "",
	"browser.region.update.enabled":                                 false,
	"browser.safebrowsing.blockedURIs.enabled":                      false,
	"browser.safebrowsing.downloads.enabled":                        false,
	"browser.safebrowsing.downloads.remote.enabled":                 false,
	"browser.safebrowsing.malware.enabled":                          false,
	"browser.safebrowsing.phishing.enabled":                         false,
	"browser.safebrowsing.provider.google4.updateURL":               "",
	"browser.safebrowsing.provider.google5.updateURL":               "",
	"browser.safebrowsing.provider.mozilla.updateURL":               "",
	"browser.safebrowsing.update.enabled":                           false,
	"browser.search.geoSpecificDefaults":                            false,
	"browser.search.update":                                         false,
	"browser.topsites.contile.enabled":                              false,
	"browser.urlbar.quicksuggest.enabled":                           false,
	"datareporting.healthreport.uploadEnabled":                      false,
	"datareporting.policy.dataSubmissionEnabled":                    false,
	"dom.push.connection.enabled":                                   false,
	"dom.push.enabled":                                              false,
	"extensions.blocklist.enabled":                                  false,
	"extensions.getAddons.cache.enabled":                            false,
	"extensions.systemAddon.update.enabled":                         false,
	"extensions.update.enabled":                                     false,
	"geo.provider.network.url":                                      "",
	"identity.fxaccounts.enabled":                                   false,
	"media.gmp-gmpopenh264.autoupdate":                              false,
	"media.gmp-manager.updateEnabled":                               false,
	"media.gmp-manager.url":                                         "data:application/json,{}",
	"messaging-system.rsexperimentloader.enabled":                   false,
	"network.captive-portal-service.enabled":                        false,
	"network.connectivity-service.enabled":                          false,
	"nimbus.rollouts.enabled":                                       false,
	"security.certerrors.mitm.priming.enabled":                      false,
	"services.settings.server":                                      "data:,#remote-settings-dummy/v1",
	"services.settings.poll_interval":                               86400 * 365,
	"telemetry.fog.test.localhost_port":                             -1,
	"toolkit.telemetry.enabled":                                     false,
	"toolkit.telemetry.server":                                      "",
	"toolkit.telemetry.unified":                                     false,
}

// begin dials the web socket that Firefox names and opens a session.
func (f *firefox) begin(ctx context.Context) error {
	url, err := f.proc.where(ctx)
	if err != nil {
		return err
	}
	s, err := dial(ctx, url+"/session")
	if err != nil {
		return err
	}
	f.link = newLink(s)
	f.link.listen(f.hear)
	err = f.link.ask(ctx, "", "session.new", obj{"capabilities": obj{"alwaysMatch": obj{
		"acceptInsecureCerts": false,
		// In a visible window the person answers.
		"unhandledPromptBehavior": obj{"default": map[bool]string{true: "dismiss", false: "ignore"}[f.headless]},
	}}}, nil)
	if err != nil {
		return err
	}
	err = f.link.ask(ctx, "", "session.subscribe", obj{"events": []string{
		"network.beforeRequestSent", "network.responseStarted", "network.fetchError", "browsingContext.navigationCommitted",
	}}, nil)
	if err != nil || !f.system {
		return err
	}
	var tree struct{ Contexts []struct{ Context string } }
	err = f.link.ask(ctx, "", "browsingContext.getTree", obj{"moz:scope": "chrome", "maxDepth": 0}, &tree)
	if err == nil && len(tree.Contexts) > 0 {
		f.window = tree.Contexts[0].Context
	}
	return nil // a Firefox before this control exists has to do without
}

func (f *firefox) end() {
	if f.link != nil {
		f.link.close()
	}
}

// open opens a tab in a user context (a container) of its own, and closes the
// one before. Containers share no cookies, cache, sockets or TLS sessions; HSTS
// they do share, and so it is cleared where we reach it.
func (f *firefox) open(ctx context.Context) error {
	var got struct{ UserContext, Context string }
	if err := f.link.ask(ctx, "", "browser.createUserContext", nil, &got); err != nil {
		return err
	}
	old := f.user
	f.user = got.UserContext
	if err := f.link.ask(ctx, "", "browsingContext.create", obj{"type": "tab", "userContext": got.UserContext}, &got); err != nil {
		return err
	}
	f.mu.Lock()
	f.heard = heard{tab: got.Context, index: make(map[string]int)}
	f.mu.Unlock()
	// The old one goes last: closing the last window would end the browser.
	if old != "" {
		if err := f.link.ask(ctx, "", "browser.removeUserContext", obj{"userContext": old}, nil); err != nil {
			return err
		}
	}
	if f.window != "" {
		if _, err := f.run(ctx, f.window, forget); err != nil {
			return fmt.Errorf("forget the visit before: %w", err)
		}
	}
	return nil
}

// forget clears what Firefox remembers of hosts across containers.
const forget = `(() => {
	const get = (id, type) => Components.classes[id].getService(Components.interfaces[type]);
	get('@mozilla.org/ssservice;1', 'nsISiteSecurityService').clearAll();
	get('@mozilla.org/security/certoverride;1', 'nsICertOverrideService').clearAllOverrides();
	Services.dns.clearCache(true);
	return '';
})()`

func (f *firefox) visit(ctx context.Context, url string) (Visit, error) {
	if err := f.open(ctx); err != nil {
		return Visit{}, err
	}
	answer, err := f.link.send("", "browsingContext.navigate", obj{"context": f.tab, "url": url, "wait": "complete"})
	if err != nil {
		return Visit{}, err
	}
	select {
	case a := <-answer:
		f.navigated(a)
	case <-f.link.gone:
		return f.soFar(), f.link.reason()
	case <-ctx.Done():
		return f.soFar(), ctx.Err()
	}
	v := f.soFar()
	if v.Page != "" {
		// An error page that says nothing more is no reason to fail.
		script := shownCode
		if strings.HasPrefix(v.Code, "S") || strings.HasPrefix(v.Code, "MOZILLA_") {
			script = shownSoon
		}
		v.Shown, _ = f.evaluate(ctx, script)
	} else if v.Code == "" {
		v.Title, err = f.evaluate(ctx, "document.title.slice(0, 1000)")
	}
	return v, err
}

const (
	// shownCode is the code that an error page shows to the person. The two
	// functions exist in the documents of error pages only.
	shownCode = `(document.getFailedCertSecurityInfo?.() ?? document.getNetErrorInfo?.())?.errorCodeString ?? ''`

	// shownSoon waits up to 3 s for it: a page about TLS or a certificate has one,
	// and on a busy machine not at once.
	shownSoon = `(async () => {
		for (let left = 30; ; left--) {
			const code = ` + shownCode + `;
			if (code || !left) return code;
			await new Promise(next => setTimeout(next, 100));
		}
	})()`

	// visibleText waits for an error page to have been drawn, which shows by
	// its text staying the same: it is built by scripts and filled in by
	// translators, and is in shadow trees, which innerText leaves out.
	visibleText = `(async () => {
		if (!/^about:(neterror|certerror|httpsonlyerror|blocked)/.test(document.documentURI))
			return (document.body?.innerText ?? '').slice(0, ` + maxText + `);
		const text = n => n.nodeType === Node.TEXT_NODE ? n.data
			: n.nodeType === Node.ELEMENT_NODE && !n.checkVisibility() && n.nodeName !== 'SLOT' ? ''
			: n.nodeName === 'SLOT' ? n.assignedNodes({flatten: true}).map(text).join(' ')
			: [...(n.shadowRoot ?? n).childNodes].map(text).join(' ');
		for (let left = 50, last = ''; ; left--) {
			const s = text(document.body).replace(/\s+/g, ' ').trim();
			const titled = document.querySelector('.title-text')?.textContent !== '';
			if (s && s === last && titled && document.readyState !== 'loading' || !left) return s;
			last = s;
			await new Promise(next => setTimeout(next, 100));
		}
	})()`
)

func (f *firefox) screenshot(ctx context.Context) ([]byte, error) {
	if _, err := f.text(ctx); err != nil { // it waits for an error page to be drawn
		return nil, err
	}
	var got struct{ Data []byte }
	err := f.link.ask(ctx, "", "browsingContext.captureScreenshot", obj{"context": f.tab}, &got)
	return got.Data, err
}

func (f *firefox) text(ctx context.Context) (string, error) { return f.evaluate(ctx, visibleText) }

// evaluate runs a script in the tab.
func (f *firefox) evaluate(ctx context.Context, script string) (string, error) {
	if f.tab == "" {
		return "", errors.New("nothing has been visited")
	}
	return f.run(ctx, f.tab, script)
}

// run returns the string that a script returns or promises.
func (f *firefox) run(ctx context.Context, where, script string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var got struct {
		Result           struct{ Value any }
		ExceptionDetails struct{ Text string }
	}
	err := f.link.ask(ctx, "", "script.evaluate", obj{
		"expression": script, "awaitPromise": true, "target": obj{"context": where},
	}, &got)
	if err != nil {
		return "", err
	}
	s, ok := got.Result.Value.(string)
	if !ok {
		return "", fmt.Errorf("the script returned no text: %s", got.ExceptionDetails.Text)
	}
	return s, nil
}

// heard is what was heard of one tab.
type heard struct {
	tab      string
	doc      string // the request of the document
	code     string
	page     string
	status   int
	requests []Request
	index    map[string]int // by request id, into requests
}

// bidi is what is used of the events of network and browsingContext.
type bidi struct {
	Context    string
	Navigation string
	URL        string
	Request    struct{ Request, URL, Destination string }
	Response   struct{ Status int }
	ErrorText  string
}

// hear takes one event. It runs on the link's goroutine and must not wait.
func (f *firefox) hear(e event) {
	var n bidi
	if json.Unmarshal(e.Params, &n) != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	top := n.Context == f.tab && n.Navigation != ""
	i, known := f.index[n.Request.Request]
	switch e.Method {
	case "network.beforeRequestSent":
		if f.index == nil || len(f.requests) >= maxRequests || !strings.HasPrefix(n.Request.URL, "http") {
			return
		}
		f.index[n.Request.Request] = len(f.requests)
		f.requests = append(f.requests, Request{URL: clip(n.Request.URL)})
		if top {
			f.doc, f.code, f.status = n.Request.Request, "", 0
		}
	case "network.responseStarted":
		if known {
			f.requests[i].Status = n.Response.Status
		}
		if n.Request.Request == f.doc {
			f.status = n.Response.Status
		}
	case "network.fetchError":
		code := codeIn(n.ErrorText)
		if known {
			f.requests[i].Code = code
		}
		if n.Request.Request == f.doc && f.code == "" {
			f.code = code
		}
	case "browsingContext.navigationCommitted":
		if n.Context == f.tab {
			f.page = pageIn(n.URL)
		}
	}
}

// navigated takes the answer to browsingContext.navigate, which comes when the
// load has ended or an error page has been put in place.
func (f *firefox) navigated(a answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if a.err != nil && f.code == "" { // it failed without any request
		_, words, _ := strings.Cut(a.err.Error(), "Error: ")
		f.code = codeIn(words)
	}
}

func (f *firefox) soFar() Visit {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Visit{Code: f.code, Page: f.page, Status: f.status, Requests: slices.Clone(f.requests)}
}

// codeIn finds the code in what Firefox says of an error. The codes of its TLS
// library come wrapped:
// NS_ERROR_GENERATE_FAILURE(NS_ERROR_MODULE_SECURITY, SEC_ERROR_UNKNOWN_ISSUER).
func codeIn(words string) string {
	if _, code, ok := strings.Cut(words, "NS_ERROR_MODULE_SECURITY, "); ok {
		return strings.TrimRight(code, ") ")
	}
	return strings.TrimSpace(words)
}

// pageIn finds the name of an error page in its address:
// about:neterror?e=connectionFailure&u=…
func pageIn(address string) string {
	page, query, ok := strings.Cut(address, "?")
	if !ok || !strings.HasPrefix(page, "about:") {
		return ""
	}
	values, _ := url.ParseQuery(query)
	return values.Get("e")
}
