// Faultline is a local forward proxy that says, for every browsing attempt that
// comes through it, which layer failed, who can mend it and what to do next.
//
// This page is for those who read or change the program; the README is for those
// who use it. What is promised to users are the command line, the fields of the
// log and the IDs of the faults. The Go packages are free to change.
//
// # Where things are
//
// The folder is the stage, and the file is the layer: how a comparison makes a
// TLS handshake is in inspect/probe/tls.go, and what is made of an alert is in
// inspect/tls.go.
//
//	cmd/faultline     flags and wiring: run, serve, lab, explain, replay
//	proxy             observe: accept, resolve, dial, relay; knows goproxy
//	inspect           decide: attempts, evidence, faults, verdicts
//	inspect/wire      read: TLS records and hellos out of bytes
//	inspect/probe     compare: a connection of our own to the same place
//	inspect/report    tell: log, console, journal, explanations; knows zap
//	inspect/lab       break: servers with one fault each
//	inspect/browser   join: a clean browser that tells its own error code
//
// Imports point one way:
//
//	cmd → proxy, probe, report, lab, browser → inspect → wire
//
// Packages of one rank do not know each other. What one needs from another it is
// given as a function: [faultline/proxy.Server] has Record, Probe and Judge, and
// this package fills them in (serve.go). inspect and wire do no input or output
// and have no clock. TestImports holds all of this.
//
// # The life of an attempt
//
//  1. proxy accepts a connection and reads a request. A CONNECT is hijacked, a
//     plain http:// request is served in place, anything else that a browser with
//     a wrong setting may say is recognized by its first byte (proxy/front.go).
//  2. It resolves the name, keeping every question and answer, and tries the
//     addresses as RFC 8305 wants, keeping every try (resolve.go, dial.go).
//  3. Only then the client is answered: 200, or a status and a body that say what
//     failed (connect.go).
//  4. The relay passes bytes both ways and shows them to an
//     [faultline/inspect/wire.Conversation], until nothing more can be read in
//     clear. How each side ended is kept, and passed on as it was (relay.go).
//  5. When both sides have ended, [faultline/inspect.Diagnose] reads the facts and
//     gives a verdict.
//  6. If the facts leave a question ([faultline/inspect.Attempt.Puzzle]), a
//     connection of our own is made to the same address with one thing changed,
//     and the verdict is given again (inspect/probe).
//  7. The record, which is the facts and the verdict, goes to the log, then to
//     the console, then to the journal (inspect/report). An attempt is recorded
//     once when it is over, whatever happens; before that once as provisional if
//     a step stalls.
//
// # Where to add a fault
//
// A fault is a row of the table in the file of its layer, with a match that reads
// an [faultline/inspect.Attempt] and returns why, or nil. Rows stand in the order
// of a connection, because the first failure that matches is the root. Then:
//
//   - a site in the lab that has the fault and nothing else (inspect/lab/sites.go);
//   - a record of it in inspect/testdata, copied from the log; go test -update
//     ./inspect rewrites verdicts, so read the diff;
//   - the codes by which programs call it, in inspect/glossary.tsv, if they are new.
//
// Tests walk the catalogue and name what is missing. A row without a match is
// known by name only, for explain; inspect/golden_test.go lists why.
//
// # Where to add a site of the lab
//
// A row of sites.go, made of parts: what the name server says, what listens, what
// it does when it hears a hello, which certificate it shows. The command
// "faultline lab --list" prints the table, and the tests of the lab look whether
// every site is broken in the way it says.
//
// # Where to add a comparison
//
// A Change in inspect/evidence.go, how to make it in inspect/probe/tls.go, when it
// helps in Puzzle (inspect/client.go), and the match that reads its result. Only
// one thing may differ from another connection that was made, or nothing is shown
// by it.
//
// # Tests
//
// go test ./... is all of them. On Linux the tests of this package start
// themselves again in a network namespace, in which the lab has real addresses and
// ports (enclose_test.go); testdata/script drives the program as a person does;
// agreement_test.go visits every site of the lab with real browsers, directly and
// through the proxy, and holds the verdicts against what the browsers say.
package main
