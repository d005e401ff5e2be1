package inspect

import "strings"

// IsBackground: a browser asks for the host by itself, and people do not. Hosts
// that people visit too (accounts.google.com, www.mozilla.org) are not in the
// list: a real failure must not be folded away. Observed with Chromium 156 and
// Firefox 153.
func IsBackground(host string) bool {
	return background[strings.ToLower(strings.TrimSuffix(host, "."))]
}

var background = func() map[string]bool {
	m := make(map[string]bool)
	for _, h := range []string{
		// Chromium: components, field trials, spelling, clock, captive portals.
		"clients2.google.com", "update.googleapis.com", "redirector.gvt1.com", "optimizationguide-pa.googleapis.com",
		"content-autofill.googleapis.com", "connectivitycheck.gstatic.com", "safebrowsing.googleapis.com",
		"safebrowsingohttpgateway.googleapis.com", "edgedl.me.gvt1.com",
		// Firefox: settings, updates, push, location, telemetry, captive portals.
		"firefox.settings.services.mozilla.com", "firefox-settings.mozilla-backup.org", "firefox-settings-attachments.cdn.mozilla.net",
		"content-signature-2.cdn.mozilla.net", "location.services.mozilla.com", "detectportal.firefox.com", "push.services.mozilla.com",
		"aus5.mozilla.org", "normandy.cdn.mozilla.net", "services.addons.mozilla.org", "ads.mozilla.org",
		"incoming.telemetry.mozilla.org", "ciscobinary.openh264.org", "mitmdetection.services.mozilla.com",
		"shavar.services.mozilla.com", "tracking-protection.cdn.mozilla.net", "contile.services.mozilla.com",
	} {
		m[h] = true
	}
	return m
}()
