package lab

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// web is the one HTTP server of the lab. Sites give it their connections when
// nothing below HTTP is wrong with them any more.
type web struct {
	lab    *Lab
	server http.Server
	queue  chan net.Conn
}

// connKey is where a request's context has its *conn.
type connKey struct{}

func (l *Lab) serveWeb() *web {
	w := &web{lab: l, queue: make(chan net.Conn)}
	w.server = http.Server{
		Handler: w,
		// A browser keeps a spare connection open for minutes before its first
		// request, and an idle one after it; neither is to be taken for a fault.
		ReadHeaderTimeout: patience,
		IdleTimeout:       patience,
		WriteTimeout:      2 * patience,
		MaxHeaderBytes:    1 << 20,
		ErrorLog:          log.New(io.Discard, "", 0), // refused handshakes are our daily bread
		BaseContext:       func(net.Listener) context.Context { return l.ctx },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if t, ok := c.(*tls.Conn); ok {
				c = t.NetConn()
			}
			return context.WithValue(ctx, connKey{}, c.(interface{ base() *conn }).base())
		},
		ConnState: func(_ net.Conn, s http.ConnState) {
			// The server does not wait for its connections, so the lab does.
			switch s {
			case http.StateNew:
				l.wg.Add(1)
			case http.StateClosed, http.StateHijacked:
				l.wg.Done()
			}
		},
	}
	l.keep(&w.server)
	l.do(func() { w.server.Serve(w) })
	return w
}

// give hands a connection over: c, as t where it is not nil.
func (w *web) give(c *conn, t *tls.Conn) {
	var give net.Conn = c
	if t != nil {
		give = t
	}
	select {
	case w.queue <- give:
		c.given = true
	case <-w.lab.ctx.Done():
	}
}

// Accept, Close and Addr make it the server's listener.
func (w *web) Accept() (net.Conn, error) {
	select {
	case c := <-w.queue:
		return c, nil
	case <-w.lab.ctx.Done():
		return nil, net.ErrClosed
	}
}

func (w *web) Close() error   { return nil }
func (w *web) Addr() net.Addr { return &net.TCPAddr{} }

func (w *web) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if !w.lab.enter() { // a handler of HTTP/2 outlives its connection
		return
	}
	defer w.lab.wg.Done()
	connOf(r).page.ServeHTTP(rw, r)
}

func connOf(r *http.Request) *conn { return r.Context().Value(connKey{}).(*conn) }

// A plain is a behaviour: HTTP without TLS, served as it should be.
type plain struct{ page http.HandlerFunc }

func (p plain) open(l *Lab, s *Site) func(*conn) {
	page := p.page
	if page == nil {
		page = welcome(s)
	}
	return func(c *conn) {
		c.page = page
		l.web.give(c, nil)
	}
}

// document is the page of a site.
var document = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{{.Name}}</title>
<style>:root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;margin:2rem auto;max-width:40rem;padding:0 1rem}</style>
</head>
<body>
<main>
<h1>{{.Name}}</h1>
<p>{{.Title}}.</p>
{{.Body}}
<p>This page was sent by {{.Host}}. <a href="http://` + Domain + `/">All sites of the lab</a></p>
</main>
</body>
</html>
`))

func render(s *Site, body template.HTML) string {
	var b strings.Builder
	document.Execute(&b, struct {
		*Site
		Body template.HTML
	}{s, body})
	return b.String()
}

// welcome is a healthy site: a page, a picture, no favicon.
func welcome(s *Site) http.HandlerFunc {
	return withBody(s, "", nil)
}

// withBody is a healthy site whose page has something special in it.
func withBody(s *Site, body template.HTML, headers map[string]string) http.HandlerFunc {
	text := render(s, body)
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		if r.TLS != nil {
			// For a day: nobody is to be stuck with a lab's promise (RFC 6797 §6.1.1).
			h.Set("Strict-Transport-Security", "max-age=86400")
		}
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		for k, v := range headers {
			if v == "" {
				h.Del(k)
				continue
			}
			h.Set(k, v)
		}
		switch r.URL.Path {
		case "/favicon.ico":
			w.WriteHeader(http.StatusNoContent)
		case "/picture.png":
			h.Set("Content-Type", "image/png")
			w.Write(picture)
		case "/script.js":
			h.Set("Content-Type", "text/javascript")
			io.WriteString(w, "document.documentElement.dataset.script = \"ran\";\n")
		case "/style.css":
			h.Set("Content-Type", "text/css")
			io.WriteString(w, "h1 { letter-spacing: 0.05em }\n")
		case "/data.json":
			h.Set("Content-Type", "application/json")
			io.WriteString(w, "{\"site\":"+strconv.Quote(s.Name)+"}\n")
		default:
			h.Set("Content-Type", "text/html; charset=utf-8")
			io.WriteString(w, text)
		}
	}
}

// picture is a PNG of one grey pixel.
var picture, _ = base64.StdEncoding.DecodeString(
	"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==")

// status answers every request with a status of that number. The page in it
// says so, as real ones do.
func status(code int, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/favicon.ico" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		text := http.StatusText(code)
		if text == "" {
			text = "Unknown"
		}
		w.WriteHeader(code)
		fmt.Fprintf(w, "<!doctype html>\n<html lang=\"en\">\n<title>%d %s</title>\n<h1>%d %s</h1>\n", code, text, code, text)
	}
}

func redirect(code int, to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/favicon.ico" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Location", to)
		w.WriteHeader(code)
	}
}

// slowly answers after d.
func slowly(d time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := connOf(r)
		if c.lab.wait(r.Context(), d) {
			welcome(c.site)(w, r)
		}
	}
}

// never answers.
func never(w http.ResponseWriter, r *http.Request) {
	connOf(r).lab.wait(r.Context(), patience)
}

// stalls sends the first half of what it announced, and then nothing.
func stalls(w http.ResponseWriter, r *http.Request) {
	page := render(connOf(r).site, "")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(2*len(page)))
	io.WriteString(w, page)
	http.NewResponseController(w).Flush()
	never(w, r)
}

// abort breaks off the request and nothing else: in HTTP/2 a RST_STREAM.
func abort(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// large sends 64 MiB, at /large.bin.
func large(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/large.bin" {
		withBody(connOf(r).site, `<p><a href="/large.bin">Download it</a></p>`, nil)(w, r)
		return
	}
	const size = 64 << 20
	chunk := bytes.Repeat([]byte("faultline lab download. "), 1<<12)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="large.bin"`)
	w.Header().Set("Content-Length", strconv.Itoa(size))
	for sent := 0; sent < size; {
		n, err := w.Write(chunk[:min(len(chunk), size-sent)])
		sent += n
		if err != nil {
			return
		}
	}
}

// undecodable says gzip and sends something else.
func undecodable(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Encoding", "gzip")
	io.WriteString(w, render(connOf(r).site, ""))
}

// echoes is a page with a WebSocket at /socket that says everything back.
func echoes(s *Site) http.HandlerFunc {
	page := withBody(s, template.HTML(`<p role="status" id="said">The socket has not answered.</p>
<script>
const said = document.getElementById("said"), socket = new WebSocket("wss://"+location.host+"/socket");
socket.onopen = () => socket.send("hello");
socket.onmessage = m => said.textContent = "The socket answered: " + m.data;
socket.onerror = () => said.textContent = "The socket failed.";
</script>`), nil)
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/socket" {
			page(w, r)
			return
		}
		socket, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer socket.CloseNow()
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		for {
			kind, message, err := socket.Read(ctx)
			if err != nil || socket.Write(ctx, kind, message) != nil {
				return
			}
		}
	}
}

// Responses written by hand, for faults that package net/http will not make.

// rawPage is a whole response of HTTP/1.1 with further headers, each ended by
// CRLF.
func rawPage(s *Site, headers string) string {
	return rawBody(headers, render(s, ""))
}

func rawBody(headers, body string) string {
	return "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: " +
		strconv.Itoa(len(body)) + "\r\n" + headers + "\r\n" + body
}

// raw is a behaviour: whatever is asked, the answer is this text. Scheme decides
// whether it is inside TLS.
type raw struct {
	// text is written as it is; "" is no answer at all.
	text func(*Site) string
	then func(*conn) // nil: close, with all the manners of the protocol
}

func (a raw) open(l *Lab, s *Site) func(*conn) {
	text := ""
	if a.text != nil {
		text = a.text(s)
	}
	if s.Scheme == "http" {
		then := a.then
		if then == nil {
			then = (*conn).finish
		}
		return onRequest(say(text, then)).open(l, s)
	}
	return https{after: func(c *conn, t *tls.Conn) {
		if readRequest(t) != nil {
			return
		}
		if _, err := io.WriteString(t, text); err != nil {
			return
		}
		if a.then != nil {
			a.then(c)
			return
		}
		t.CloseWrite()
		c.finish()
	}}.open(l, s)
}

func literally(text string) func(*Site) string { return func(*Site) string { return text } }

// notHTTP2 answers the preface of HTTP/2 with a frame that may not come first
// and has an impossible length (RFC 9113 §3.4, §4.2).
func notHTTP2(c *conn, t *tls.Conn) {
	io.ReadFull(t, make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")))
	io.WriteString(t, "\xff\xff\xff\x00\x00\x00\x00\x00\x01not a frame")
	t.CloseWrite()
	c.finish()
}
