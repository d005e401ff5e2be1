package lab

import (
	"crypto/sha256"
	"fmt"
	"html/template"
	"net/http"
	"strings"
)

// index is the lab's front page, at [Domain] itself. It also hands out what
// certificates refer to: the root, the intermediate, and who is revoked.
var index = Site{
	Title: "The lab's index", Works: true, Scheme: "http", Port: 80,
	serve: front{},
	extra: []door{{port: 443, serve: front{tls: true}}},
}

// front is the behaviour of the index.
type front struct{ tls bool }

func (f front) open(l *Lab, s *Site) func(*conn) {
	page := l.index()
	if f.tls {
		return https{page: page}.open(l, s)
	}
	return plain{page}.open(l, s)
}

func (l *Lab) index() http.HandlerFunc {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", l.serveIndex)
	mux.HandleFunc("GET /root.pem", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-x509-ca-cert")
		w.Header().Set("Content-Disposition", `attachment; filename="faultline-lab-root.pem"`)
		w.Write(l.RootPEM())
	})
	mux.HandleFunc("GET /intermediate.der", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/pkix-cert")
		w.Write(l.forge.inter.cert.Raw)
	})
	mux.HandleFunc("POST /ocsp", func(w http.ResponseWriter, r *http.Request) { l.forge.responder(w, r) })
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	})
	return mux.ServeHTTP
}

func (l *Lab) serveIndex(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	page := struct {
		Layers      []layer
		Faults      int
		Healthy     int
		Fingerprint string
		Root        string
		Until       string
	}{Root: l.Root().Subject.CommonName, Until: l.Root().NotAfter.Format("2 January 2006")}
	sum := sha256.Sum256(l.Root().Raw)
	page.Fingerprint = strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
	page.Layers = l.layers()
	for _, y := range page.Layers {
		if y.ID == "none" {
			page.Healthy += len(y.Sites)
		} else {
			page.Faults += len(y.Sites)
		}
	}
	if err := indexPage.Execute(w, page); err != nil {
		l.logf("lab: index: %v", err)
	}
}

// A layer is a part of the index page.
type layer struct {
	ID, Title, About string
	Sites            []row
}

type row struct {
	Site
	Here bool // it works in this lab
}

var layers = []layer{
	{ID: "dns", Title: "Names", About: "The browser is told that the name cannot be found; the proxy knows why."},
	{ID: "tcp", Title: "Connections", About: "The name has an address, and the connection to it fails or breaks."},
	{ID: "tls", Title: "TLS", About: "The connection is made, and the encrypted one inside it is not."},
	{ID: "certificate", Title: "Certificates", About: "Everything works, and the server cannot prove who it is."},
	{ID: "http", Title: "HTTP", About: "The connection is fine, and the answer is not."},
	{ID: "content", Title: "Content", About: "The page comes, and a part of it does not. A proxy sees this only with a certificate authority of its own."},
	{ID: "none", Title: "Healthy", About: "Nothing is wrong with these, unusual as some are."},
}

func (l *Lab) layers() []layer {
	all := append([]layer(nil), layers...)
	for i := range all {
		for _, s := range Sites() {
			if s.Layer() == all[i].ID {
				all[i].Sites = append(all[i].Sites, row{s, s.Needs == "" || s.Needs == "netns" && l.base.IsValid()})
			}
		}
	}
	return all
}

var indexPage = template.Must(template.New("index").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>faultline lab</title>
<style>
:root { color-scheme: light dark; --line: light-dark(#c8c8c8, #4a4a4a); --quiet: light-dark(#555, #aaa); }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; color: var(--quiet); padding: .25rem 0; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .75rem .3rem 0; text-align: left; vertical-align: top; }
th[scope=row] { font-weight: normal; white-space: nowrap; }
code { font-size: .875em; overflow-wrap: anywhere; }
small { color: var(--quiet); display: block; }
aside { border: 1px solid var(--line); border-radius: .5rem; padding: 0 1rem; }
@media (max-width: 40rem) { table, tbody, tr, th, td { display: block; } thead { display: none; } tr { border-bottom: 1px solid var(--line); } th, td { border: 0; } }
</style>
</head>
<body>
<header>
<h1>faultline lab</h1>
<p>{{.Faults}} servers with one fault each, and {{.Healthy}} healthy ones to compare them with. They run on this machine and
are reached through faultline. Open one, and compare what the browser shows with what faultline says.</p>
</header>
<aside aria-labelledby="root">
<h2 id="root">The lab's certificate authority</h2>
<p>The lab signs its own certificates. A browser that does not trust its root finds fault with <em>every</em> https page
below, the healthy ones too: Chromium shows <code>ERR_CERT_AUTHORITY_INVALID</code>, Firefox
<code>SEC_ERROR_UNKNOWN_ISSUER</code>, in place of the fault that the page is about. The faults of names, of connections and of
TLS come earlier and show all the same.</p>
<p>For the certificates, import <a href="/root.pem">{{.Root}}</a> into a browser profile that you throw away afterwards. It
exists only in this lab's memory, is another one each time the lab starts, and ends on {{.Until}}. SHA-256:</p>
<p><code>{{.Fingerprint}}</code></p>
</aside>
<nav aria-label="Layers"><p>{{range $i, $l := .Layers}}{{if $i}} · {{end}}<a href="#{{.ID}}">{{.Title}}</a> ({{len .Sites}}){{end}}</p></nav>
<main>
{{range .Layers}}
<section aria-labelledby="{{.ID}}">
<h2 id="{{.ID}}">{{.Title}}</h2>
<table>
<caption>{{.About}}</caption>
<thead><tr><th scope="col">Site</th><th scope="col">What it is</th><th scope="col">faultline says</th><th scope="col">The browser shows</th></tr></thead>
<tbody>
{{range .Sites}}<tr>
<th scope="row">{{if .Here}}<a href="{{.URL}}">{{.Name}}</a>{{else}}{{.Name}}{{end}}</th>
<td>{{.Title}}{{with .Note}}<small>{{.}}</small>{{end}}{{if not .Here}}<small>Not here: {{if eq .Needs "netns"}}it needs a packet filter in a network namespace{{else}}it needs Linux{{end}}.</small>{{end}}</td>
<td>{{with .Fault}}<code>{{.}}</code>{{else}}<code>ok</code>{{end}}{{range .Also}}<small>also <code>{{.}}</code></small>{{end}}</td>
<td>{{if .Works}}the page{{else if .Note}}an error, or the page{{else}}an error{{end}}</td>
</tr>
{{end}}</tbody>
</table>
</section>
{{end}}
</main>
</body>
</html>
`))
