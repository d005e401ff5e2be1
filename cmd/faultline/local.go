package main

import (
	"fmt"
	"html"
	"net"
	"net/http"

	"faultline/inspect/report"
)

// local answers requests for faultline itself: how to use it, and the schema of
// its log.
func local(addr string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /schema/attempt.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/schema+json")
		_, _ = w.Write(report.Schema())
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		host, port, _ := net.SplitHostPort(addr)
		fmt.Fprintf(w, welcome, html.EscapeString(host), html.EscapeString(port))
	})
	return mux
}

const welcome = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>faultline</title>
<style>body{font:1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem}</style>
<h1>faultline is running</h1>
<p>Set your browser's HTTP proxy to <strong>%s</strong>, port <strong>%s</strong>, for http and for https, and open
the site that fails. The terminal in which faultline runs says, for every attempt, which layer failed, who can mend
it and what to do next.
<p>Every attempt is a line of the log; <a href="/schema/attempt.json">its schema</a>.
`
