package proxy

import (
	"bufio"
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// edgeWriter is the client of a plain request. It passes on what it gets at
// once, the head too: goproxy and net/http would hold it back until there is
// more, and the server's first event may take its time.
type edgeWriter struct {
	http.ResponseWriter
	rc    *http.ResponseController
	stop  context.Context // when the proxy stops
	began bool            // the head is written
	err   error           // of writing to the client

	mu       sync.Mutex
	sealed   bool     // there is an answer, so nothing may come before it
	hijacked net.Conn // by a WebSocket
}

// inform passes on what the server says before its answer: 103 Early Hints (RFC
// 8297) is for browsers.
func (w *edgeWriter) inform(code int, header http.Header) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sealed {
		return
	}
	maps.Copy(w.Header(), header)
	w.ResponseWriter.WriteHeader(code)
	clear(w.Header())
}

func (w *edgeWriter) seal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sealed = true
}

func (w *edgeWriter) WriteHeader(code int) {
	if w.Header()["Content-Type"] == nil {
		w.Header()["Content-Type"] = nil // no guess by net/http
	}
	w.began = true
	w.ResponseWriter.WriteHeader(code)
	if code != http.StatusSwitchingProtocols {
		w.Flush()
	}
}

func (w *edgeWriter) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b)
	if err == nil {
		err = w.rc.Flush()
	}
	w.keep(err)
	return n, err
}

func (w *edgeWriter) Flush() { w.keep(w.rc.Flush()) }

// keep keeps the first error; a body where none may be is not the client's
// doing.
func (w *edgeWriter) keep(err error) {
	if w.err == nil && !errors.Is(err, http.ErrBodyNotAllowed) && !errors.Is(err, http.ErrContentLength) {
		w.err = err
	}
}

// Hijack gives the connection to goproxy for a WebSocket. It closes neither that
// nor anything else at the end of the proxy; see close.
func (w *edgeWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := w.rc.Hijack()
	if err == nil {
		w.hijacked = conn
		context.AfterFunc(w.stop, func() { conn.Close() })
	}
	return conn, rw, err
}

// close ends a connection that was hijacked.
func (w *edgeWriter) close() {
	if w.hijacked != nil {
		w.hijacked.Close()
	}
}

// hopByHop are the fields that concern one connection only, besides those that
// Connection names (RFC 9110 §7.6.1).
var hopByHop = []string{"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Transfer-Encoding", "Upgrade"}

// dropHopByHop takes them out, but for the request to become a WebSocket, and
// the word that trailers are welcome, which hold for our connections too.
func dropHopByHop(h http.Header) {
	named := tokens(h, "Connection")
	webSocket := slices.Contains(named, "upgrade") && slices.Contains(tokens(h, "Upgrade"), "websocket")
	trailers := slices.Contains(tokens(h, "Te"), "trailers")
	for _, name := range slices.Concat(hopByHop, named) {
		h.Del(name)
	}
	if webSocket {
		h["Connection"], h["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
	}
	if trailers {
		h["Te"] = []string{"trailers"}
	}
}

// tokens are the members of a list field in small letters.
func tokens(h http.Header, name string) (all []string) {
	for _, list := range h[name] {
		for token := range strings.SplitSeq(list, ",") {
			if token = strings.ToLower(strings.TrimSpace(token)); token != "" {
				all = append(all, token)
			}
		}
	}
	return all
}
