// Package inspect decides: it holds what is known of an attempt to reach a site
// and says what is to be made of it. It does no input or output and has no clock,
// so the same facts give the same verdict on any machine, any day.
//
// # The words
//
// An attempt is one try of a client to reach one origin: a CONNECT tunnel, or one
// plain HTTP request ([Attempt]). What a person calls "the page does not load" is
// often several attempts; those that repeat an earlier one carry its ID (RetryOf).
//
// A step is when something happened: resolve, connect, hello, handshake, request,
// response, end ([Step]).
//
// A layer is where a fault is: client, dns, tcp, tls, certificate, http, content, or
// none ([Layer]). A reset in the handshake step is a fault of the tcp layer.
//
// Evidence is what is known of each step ([Evidence]). The same type holds what was
// seen of the client's connection and what a connection of our own showed.
//
// A fault is a row of the catalogue ([Fault], [Faults]). It is of a kind: a failure;
// degraded, when it works but not as it should; an advisory, which is never the
// verdict by itself; or not a fault, when somebody merely went away.
//
// Blame is the party that can mend it: the server, the local network, the path, the
// client, nobody, or unknown ([Blame]).
//
// Certainty is how a verdict is known: seen on the wire of this attempt, shown by a
// comparison, or inferred from timing or absence ([Certainty]).
//
// A verdict is all of that for one attempt: which fault, why, whose, how sure, what
// else, what others call it, and what to do ([Verdict]). An attempt with its verdict
// is a [Record], a line of the log.
//
// # Four states
//
// Not reached, could not be seen, looked at and fine, looked at and bad: they are
// never mixed. A nil step is one of the first two, and a field that is absent is not
// known. Methods on steps work on nil, so that rules need no ladders of checks.
//
// # The rules of a verdict
//
//  1. The root is the first failure in the order of a connection. What follows from
//     it and what is found besides goes to Also.
//  2. Of several faults of one certificate all are kept; which code a browser shows
//     is ranked as Chromium ranks them, and apart from that as Firefox does.
//  3. The codes are those of a direct visit, and those of the visit through this
//     proxy, which differ where a browser hides the cause behind the proxy.
//  4. Nobody is accused on thin evidence: a spare connection, a load that was broken
//     off and a closed tab are no faults, and a refusal that a firewall could have
//     forged is not blamed on the server.
//  5. What cannot be explained is "unexplained", with the raw words; never the
//     nearest fault.
//  6. "Now" in a rule is the attempt's own start.
//  7. A verdict on an attempt that is still under way is provisional; the final one
//     replaces it under the same ID.
//  8. Facts decide, not settings: [Diagnose] reads the attempt and nothing else.
//
// # The files
//
// A layer has its rules, its words and its rows of the catalogue in the file of its
// name. record.go turns an attempt into a line and back; evidence.go is what can be
// known; glossary.go looks up the codes of other programs. testdata holds an opinion
// for every fault that is looked for.
package inspect
