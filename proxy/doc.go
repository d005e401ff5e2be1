// Package proxy observes: it is a forward proxy that passes everything on as it
// came and keeps what it saw of every attempt. What is made of the facts is for
// [faultline/inspect.Diagnose]; where the result goes is for the function Record.
//
// # The life of a CONNECT
//
//  1. The listener looks at the first byte. A browser that was told that this is
//     an HTTPS or a SOCKS proxy is recorded and answered in its own words
//     (front.go).
//  2. goproxy dispatches the request, and hands the connection over with whatever
//     the client has sent behind it (keepEarly in connect.go).
//  3. An attempt begins. From here on it is recorded once, whatever happens
//     (attempt.go).
//  4. The name is resolved: A and AAAA at once, over UDP and, when the answer was
//     cut short, over TCP; every question and every answer is kept (resolve.go).
//  5. The addresses are tried by RFC 8305: a new try begins every quarter of a
//     second until one connects; every try is kept with its error, its ICMP
//     message and its retransmissions where the system tells (dial.go). With an
//     upstream proxy the same happens to its address, and it is asked to CONNECT
//     (chain.go).
//  6. No connection: the client gets a status, a Proxy-Status field (RFC 9209) and
//     a body that says what failed. The status is the one that makes Firefox show
//     its own page for the cause.
//  7. A connection: the client gets 200. What a server says first is held back
//     for a moment, until the client has spoken: Chromium takes bytes right
//     behind a 200 for a broken proxy.
//  8. Bytes are relayed both ways. The parser of inspect/wire reads along until
//     both sides have said what can be read in clear; after that the cheapest copy
//     is used that still tells which side ended the connection, how and when. A
//     reset is passed on as a reset and an end as an end (relay.go).
//  9. Both sides have ended: the facts are closed, judged, compared with a
//     connection of our own if that can settle a question, judged again, and
//     recorded. If a step stalls meanwhile, a provisional verdict is recorded
//     first.
//
// A plain http:// request goes the same way with goproxy's round trip in the place
// of the relay; a body that broke off is broken off for the client too (plain.go).
//
// # What goproxy does here, and what not
//
// It parses proxy requests, dispatches them, and makes the round trip of plain
// requests with hooks before and after. A CONNECT is always hijacked, because its
// own tunnel answers before it dials, drops bytes that came early, turns resets
// into clean ends, and tells nobody what failed. Its interception of TLS is not
// used: it hides failed handshakes and failed upstreams, and its built-in
// authority has a public key. This is the only package that knows it.
//
// # Limits
//
// Everything that a peer can make wait, or make large, is bounded; the numbers and
// their reasons stand together in limits.go, server.go and relay.go. Dialling ends
// under 20 s, because browsers give up on a CONNECT at 30 s and then say nothing of
// the cause. The proxy does not dial its own address under any name.
package proxy
