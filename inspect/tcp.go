package inspect

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// failed: addresses were tried, and none answered or still may.
func (t *TCPStep) failed() bool {
	return t != nil && t.Addr == "" && !t.Reused && len(t.Tries) > 0 &&
		!slices.ContainsFunc(t.Tries, func(y Try) bool { return y.Pending })
}

// all: the connection failed, and every try that was decided failed in a way
// that ok accepts.
func (t *TCPStep) all(ok func(Try) bool) bool {
	if !t.failed() {
		return false
	}
	n := 0
	for _, y := range t.Tries {
		if y.Cancelled {
			continue
		}
		if !ok(y) {
			return false
		}
		n++
	}
	return n > 0
}

// any: the connection failed, and some try failed in a way that ok accepts.
func (t *TCPStep) any(ok func(Try) bool) *Try {
	if !t.failed() {
		return nil
	}
	if i := slices.IndexFunc(t.Tries, ok); i >= 0 {
		return &t.Tries[i]
	}
	return nil
}

// said puts the tries in words: "198.51.100.7:443 refused after 0.3 ms; …".
func (t *TCPStep) said() string {
	if t == nil {
		return ""
	}
	words := make([]string, 0, len(t.Tries))
	for _, y := range t.Tries {
		words = append(words, y.said())
	}
	if len(words) > 4 {
		words = append(words[:4], fmt.Sprintf("and %d more", len(t.Tries)-4))
	}
	return strings.Join(words, "; ")
}

func (y Try) said() string {
	var how string
	switch {
	case y.OK:
		how = "connected"
	case y.Cancelled:
		how = "given up, another address was faster"
	case y.GaveUp:
		how = "never answered"
	case y.Errno == "ECONNREFUSED":
		how = "refused"
	case y.Errno == "":
		how = "no answer yet"
	default:
		how = "failed with " + y.Errno
	}
	s := fmt.Sprintf("%s %s after %s", y.Addr, how, seconds(y.Ms))
	if y.Retransmits > 0 {
		s += fmt.Sprintf(" (SYN sent %d times)", y.Retransmits+1)
	}
	if y.ICMP != nil {
		s += fmt.Sprintf(" (ICMP type %d code %d", y.ICMP.Type, y.ICMP.Code)
		if y.ICMP.From != "" {
			s += " from " + y.ICMP.From
		}
		s += ")"
	}
	return s
}

// prohibited: an ICMP message that says somebody forbids it (RFC 1812 §5.2.7.1:
// type 3 codes 9, 10, 13; RFC 4443 §3.1: type 1 codes 1, 5, 6).
func (y Try) prohibited() bool {
	if y.ICMP == nil {
		return false
	}
	switch y.ICMP.Type {
	case 3:
		return y.ICMP.Code == 9 || y.ICMP.Code == 10 || y.ICMP.Code == 13
	case 1:
		return y.ICMP.Code == 1 || y.ICMP.Code == 5 || y.ICMP.Code == 6
	}
	return false
}

func errno(names ...string) func(Try) bool {
	return func(y Try) bool { return slices.Contains(names, y.Errno) }
}

func tcpUpstreamProxyFailed(a *Attempt) *Finding {
	t := a.Seen.TCP
	if a.Chain == "" || t == nil || t.Proxy == nil || t.Proxy.Status/100 == 2 || t.Proxy.Status == 407 {
		return nil
	}
	p := t.Proxy
	if a.Mode == Plain && t.Addr != "" { // the request itself went to the proxy
		if h := a.Seen.HTTP; h != nil && h.Status == 0 && h.Error != "" {
			return &Finding{Why: fmt.Sprintf("upstream proxy %s gave no proper answer: %s", p.Addr, h.Error), Step: StepResponse}
		}
		return nil
	}
	if p.Status == 0 {
		why := "upstream proxy " + p.Addr + ": " + orElse(p.Error, t.said())
		return &Finding{Why: why, Title: "The proxy in front of faultline cannot be used.",
			User: "Check the address given with --upstream-proxy, and that the proxy is up."}
	}
	why := fmt.Sprintf("upstream proxy %s answered CONNECT with %d %s", p.Addr, p.Status, p.Reason)
	if p.ProxyStatus != "" {
		why += ", Proxy-Status: " + p.ProxyStatus
	}
	return &Finding{Why: why}
}

func tcpLocalDenied(a *Attempt) *Finding {
	t := a.Seen.TCP
	// An ICMP rejection by IPv6 arrives as EACCES too; it comes from elsewhere.
	if y := t.any(errno("EACCES", "EPERM")); y != nil && y.ICMP == nil {
		return &Finding{Why: t.said()}
	}
	return nil
}

func tcpLocalResources(a *Attempt) *Finding {
	t := a.Seen.TCP
	if y := t.any(errno("EADDRNOTAVAIL", "EMFILE", "ENFILE", "ENOBUFS", "ENOMEM")); y != nil {
		return &Finding{Why: t.said()}
	}
	return nil
}

func tcpAdminProhibited(a *Attempt) *Finding {
	t := a.Seen.TCP
	y := t.any(Try.prohibited)
	if y == nil {
		return nil
	}
	f := &Finding{Why: t.said()}
	if host, _, ok := cutAddr(y.Addr); ok && y.ICMP.From == host {
		// The rejecting party answered from the server's own address: its own
		// firewall, or a box that forges it. Either way not ours to place.
		f.Blame = BlameUnknown
		f.Why += "; the rejection carries the server's own address"
	}
	return f
}

func tcpUnreachable(a *Attempt) *Finding {
	t := a.Seen.TCP
	if !t.all(errno("EHOSTUNREACH", "ENETUNREACH", "ENETDOWN", "EHOSTDOWN", "EINVAL", "EAFNOSUPPORT")) {
		return nil
	}
	return &Finding{Why: t.said()}
}

func tcpRefused(a *Attempt) *Finding {
	t := a.Seen.TCP
	if t.any(errno("ECONNREFUSED")) == nil || t.any(func(y Try) bool { return y.GaveUp }) != nil {
		return nil
	}
	f := &Finding{Why: t.said()}
	if t.any(Try.here) != nil {
		f.Blame = BlameServer
		if a.Port != 443 {
			f.Title = fmt.Sprintf("This computer answered, but nothing is listening on port %d of it.", a.Port)
		}
		return f
	}
	// A firewall's reset looks the same as that of a closed port, whatever other
	// ports of the address do, so nobody is accused.
	f.Why += "; a closed port and a firewall's reset look the same from here"
	if a.Port != 443 {
		f.Title = fmt.Sprintf("The machine, or a firewall in front of it, refuses connections to port %d.", a.Port)
	}
	return f
}

// here: it was refused by this computer itself; nothing is in between.
func (y Try) here() bool {
	ap, err := netip.ParseAddrPort(y.Addr)
	return err == nil && y.Errno == "ECONNREFUSED" && ap.Addr().Unmap().IsLoopback()
}

func tcpTimeout(a *Attempt) *Finding {
	t := a.Seen.TCP
	if a.Open && a.Step == StepConnect && t != nil && t.Addr == "" {
		return &Finding{Why: orElse(t.said(), "no address has answered yet"), Certainty: Inferred}
	}
	if t.any(func(y Try) bool { return y.GaveUp || y.Errno == "ETIMEDOUT" }) == nil {
		return nil
	}
	return &Finding{Why: t.said(), Certainty: Inferred}
}

// cut looks for a connection that was made and then ended by the server before
// it had said anything. It needs the client to have begun with TLS, or to have
// said nothing yet.
func (a *Attempt) cut(how string) bool {
	e, t := a.Seen.End, a.Seen.TLS
	return a.Mode != Plain && e != nil && e.First == "server" && e.Server == how && t.silent() && a.Seen.TCP.connected()
}

func (t *TCPStep) connected() bool { return t != nil && (t.Addr != "" || t.Reused) }

// early: the server ended it before the client's first byte came, so the hello
// cannot have been the reason.
func (a *Attempt) early() bool {
	h, e := a.Seen.Hello, a.Seen.End
	return h == nil || h.Protocol == "" || e.ServerMs != nil && *e.ServerMs < h.Ms
}

func tcpDroppedOnAccept(a *Attempt) *Finding {
	// A reset at once can be faster than the system tells us of the connection.
	if t := a.Seen.TCP; t.any(errno("ECONNRESET", "ECONNABORTED", "EPIPE")) != nil {
		return &Finding{Why: t.said(), Blame: BlameUnknown}
	}
	for _, how := range []string{"reset", "fin"} {
		if a.cut(how) && a.early() {
			f := &Finding{Blame: BlameUnknown, Why: fmt.Sprintf("%s accepted the connection and ended it (%s) after %s, before a byte was sent to it",
				a.Seen.TCP.Addr, ending(how), sinceMs(a.Seen.End.ServerMs))}
			if how == "fin" { // no reset came of it, so the browser sees a close
				f.Chromium = "ERR_CONNECTION_CLOSED"
				f.Blame = BlameServer // a reset may be anybody's, a close takes part in the connection
			}
			return f
		}
	}
	return nil
}

func tcpResetAfterHello(a *Attempt) *Finding {
	if !a.cut("reset") || a.early() || tlsLargeHelloIntolerant(a) != nil || tlsVersionIntolerant(a) != nil {
		return nil
	}
	return &Finding{Why: fmt.Sprintf("the connection to %s was reset %s after the hello of %s, before any answer",
		a.Seen.TCP.Addr, gapMs(a.Seen.Hello, a.Seen.End.ServerMs), a.Seen.Hello.said())}
}

func tcpClosedAfterHello(a *Attempt) *Finding {
	if !a.cut("fin") || a.early() || tlsLargeHelloIntolerant(a) != nil || tlsVersionIntolerant(a) != nil {
		return nil
	}
	return &Finding{Why: fmt.Sprintf("%s closed the connection %s after the hello of %s, without any answer",
		a.Seen.TCP.Addr, gapMs(a.Seen.Hello, a.Seen.End.ServerMs), a.Seen.Hello.said())}
}

func tcpResetMidTransfer(a *Attempt) *Finding {
	e, t := a.Seen.End, a.Seen.TLS
	if a.Mode == Plain {
		h := a.Seen.HTTP
		if h == nil || !strings.Contains(h.BodyError+h.Error, "connection reset") {
			return nil
		}
		f := &Finding{Why: fmt.Sprintf("the server reset the connection after %d bytes of the body", h.Body)}
		if h.Status == 0 {
			f.Why = "the server reset the connection instead of answering the request"
			f.Step = StepResponse
		}
		return f
	}
	if e == nil || e.First != "server" || e.Server != "reset" || t == nil || t.Protocol != "tls" || !t.Complete || t.Rejected != "" {
		return nil
	}
	if tlsClientCertRequired(a) != nil {
		return nil // the reset only follows the alert about the missing certificate
	}
	f := &Finding{Why: fmt.Sprintf("reset by %s after %d bytes up and %d down, %s into the connection", a.Seen.TCP.Addr, e.Up, e.Down, seconds(e.Ms)), Step: StepResponse}
	if t.ServerAfter > 2 {
		f.ChromiumShown = ""
	}
	return f
}

// compared: the client's hello was not answered, nor was one of our own as large
// as it, so its parts can be tried one by one.
func (a *Attempt) compared() bool {
	p := a.probe(ChangeClient)
	return p != nil && a.unanswered() && !p.answered()
}

// answered: the server answered the comparison's hello in TLS, be it with a
// refusal.
func (p *Probe) answered() bool {
	return p != nil && p.Evidence.TLS != nil && p.Evidence.TLS.Protocol == "tls"
}

func tcpSniFiltered(a *Attempt) *Finding {
	if !a.compared() || a.probe(ChangeSize).answered() || a.probe(ChangeVersion).answered() || a.probe(ChangeSegments).answered() || !a.probe(ChangeName).answered() {
		return nil
	}
	f := &Finding{Certainty: Shown, Chromium: a.cutCode(),
		Why: fmt.Sprintf("%s; the same address answers a hello without the name %q", a.cutWords(), a.sni())}
	if a.cut("fin") {
		// Filters on the way reset or swallow; balancers close on names that they
		// do not know.
		f.Blame = BlameUnknown
		f.Title = "Something reads the name of the site and hangs up because of it: the server's own gateway, or a filter on the way."
	}
	return f
}

func tcpPmtuBlackhole(a *Attempt) *Finding {
	if !a.compared() || a.cut("reset") || a.cut("fin") || !a.probe(ChangeSegments).answered() {
		return nil
	}
	return &Finding{Certainty: Shown, Chromium: a.cutCode(),
		Why: fmt.Sprintf("%s; in small packets it is answered", a.cutWords())}
}

// cutWords says how the hello was met.
func (a *Attempt) cutWords() string {
	how := "ignored"
	switch {
	case a.cut("reset"):
		how = "met with a reset"
	case a.cut("fin"):
		how = "met with a close"
	}
	return fmt.Sprintf("the client's hello of %s was %s, and so was one of our own", a.Seen.Hello.said(), how)
}

// cutCode is what Chromium calls it.
func (a *Attempt) cutCode() string {
	switch {
	case a.cut("reset"):
		return "ERR_CONNECTION_RESET"
	case a.cut("fin"):
		return "ERR_CONNECTION_CLOSED"
	}
	return "ERR_TIMED_OUT"
}

func tcpIpv6Broken(a *Attempt) *Finding {
	t := a.Seen.TCP
	if t == nil || t.Addr == "" || a.localhost() {
		return nil
	}
	six := 0
	for _, y := range t.Tries {
		ip, _, ok := cutAddr(y.Addr)
		addr, err := netip.ParseAddr(ip)
		if !ok || err != nil || !addr.Is6() || addr.Is4In6() {
			continue
		}
		// A machine without IPv6 fails at once and costs nothing.
		if y.OK || y.Cancelled || y.Errno == "ENETUNREACH" || y.Errno == "EADDRNOTAVAIL" || y.Errno == "EAFNOSUPPORT" {
			return nil
		}
		six++
	}
	if six == 0 {
		return nil
	}
	return &Finding{Why: t.said(), Chromium: none, Firefox: none} // it works, after a delay
}

// localhost: the name stands for both loopback addresses (RFC 6761), and most
// servers listen on one of them only. That is no fault.
func (a *Attempt) localhost() bool { return a.Seen.DNS != nil && a.Seen.DNS.From == "localhost" }

func tcpSomeAddressesDead(a *Attempt) *Finding {
	t := a.Seen.TCP
	if t == nil || t.Addr == "" || a.localhost() {
		return nil
	}
	dead := t.dead()
	if dead == 0 || tcpIpv6Broken(a) != nil {
		return nil
	}
	return &Finding{Why: t.said(), Chromium: none, Firefox: none} // it works, after a delay
}

// dead counts the addresses that failed by themselves, an absent IPv6 aside.
func (t *TCPStep) dead() (n int) {
	for _, y := range t.Tries {
		if !y.OK && !y.Cancelled && y.Errno != "ENETUNREACH" && y.Errno != "EADDRNOTAVAIL" && y.Errno != "EAFNOSUPPORT" && y.Errno != "" {
			n++
		}
	}
	return n
}

// ending puts an ending in words.
func ending(how string) string {
	switch how {
	case "fin":
		return "closed it politely"
	case "reset":
		return "reset it"
	case "timeout":
		return "let it time out"
	}
	return how
}

func sinceMs(ms *float64) string {
	if ms == nil {
		return "an unknown time"
	}
	return seconds(*ms)
}

func gapMs(h *HelloStep, ms *float64) string {
	if h == nil || ms == nil {
		return "right"
	}
	return seconds(max(0, *ms-h.Ms))
}

// cutAddr splits "host:port" and "[v6]:port".
func cutAddr(s string) (host, port string, ok bool) {
	ap, err := netip.ParseAddrPort(s)
	if err != nil {
		return "", "", false
	}
	return ap.Addr().String(), fmt.Sprint(ap.Port()), true
}

var tcpFaults = []Fault{
	{
		ID: "tcp-upstream-proxy-failed", Layer: LayerTCP, Step: StepConnect, Kind: Failure, Blame: BlameLocalNetwork,
		Title:    "The company or provider proxy in front of you could not or would not reach the site.",
		User:     "Ask the proxy's administrator, giving the status it returned.",
		Server:   "No action on the origin unless the proxy's log names it.",
		Chromium: []string{"ERR_TUNNEL_CONNECTION_FAILED", "ERR_PROXY_CONNECTION_FAILED", "ERR_PROXY_UNABLE_TO_CONNECT_TO_DESTINATION"},
		Firefox:  []string{"NS_ERROR_PROXY_BAD_GATEWAY", "NS_ERROR_PROXY_CONNECTION_REFUSED", "NS_ERROR_PROXY_FORBIDDEN"},
		Safari:   []string{"NSURLErrorNetworkConnectionLost"},
		Curl:     "5 CURLE_COULDNT_RESOLVE_PROXY, 7 CURLE_COULDNT_CONNECT, 97 CURLE_PROXY, 56 CURLE_RECV_ERROR",
		NEL:      "tcp.failed", ProxyStatus: "destination_unavailable", Source: "RFC, measured",
		match: tcpUpstreamProxyFailed,
	},
	{
		ID: "tcp-local-denied", Layer: LayerTCP, Step: StepConnect, Kind: Failure, Blame: BlameClient,
		Title:    "A firewall on this very computer forbids the connection.",
		User:     "Allow the browser (and faultline) in the local firewall or security program.",
		Server:   "No server action.",
		Chromium: []string{"ERR_NETWORK_ACCESS_DENIED", "ERR_ACCESS_DENIED"},
		Firefox:  []string{"NS_ERROR_CONNECTION_REFUSED"},
		Safari:   []string{"NSURLErrorCannotConnectToHost"},
		Curl:     "7 CURLE_COULDNT_CONNECT",
		NEL:      "tcp.failed", ProxyStatus: "destination_ip_prohibited", Source: "Chromium, judgement",
		match: tcpLocalDenied,
	},
	{
		ID: "tcp-local-resources", Layer: LayerTCP, Step: StepConnect, Kind: Failure, Blame: BlameClient,
		Title:    "This computer has run out of network resources for new connections.",
		User:     "Close programs or tabs, or restart; it usually clears in a few minutes.",
		Server:   "No server action, unless the machine is your proxy: raise limits.",
		Chromium: []string{"ERR_INSUFFICIENT_RESOURCES", "ERR_NO_BUFFER_SPACE", "ERR_ADDRESS_IN_USE", "ERR_OUT_OF_MEMORY"},
		Firefox:  []string{"NS_ERROR_OUT_OF_MEMORY"},
		Curl:     "7 CURLE_COULDNT_CONNECT, 27 CURLE_OUT_OF_MEMORY",
		NEL:      "tcp.failed", ProxyStatus: "proxy_internal_error", Source: "judgement",
		match: tcpLocalResources,
	},
	{
		ID: "tcp-admin-prohibited", Layer: LayerTCP, Step: StepConnect, Kind: Failure, Blame: BlameLocalNetwork,
		Title:    "A firewall between you and the site openly rejects this connection.",
		User:     "Ask the network's administrator, or use another network.",
		Server:   "Allow 443 from the visitor's network if the rejecting device is yours.",
		Chromium: []string{"ERR_ADDRESS_UNREACHABLE", "ERR_NETWORK_ACCESS_DENIED"},
		Firefox:  []string{"NS_ERROR_CONNECTION_REFUSED"},
		Safari:   []string{"NSURLErrorCannotConnectToHost"},
		Curl:     "7 CURLE_COULDNT_CONNECT",
		NEL:      "tcp.address_unreachable", ProxyStatus: "destination_ip_unroutable", Source: "measured, RFC",
		match: tcpAdminProhibited,
	},
	{
		ID: "tcp-443-blocked", Layer: LayerTCP, Step: StepConnect, Kind: Failure, Blame: BlameLocalNetwork,
		Title:    "Something blocks secure web traffic (port 443).",
		User:     "If other https sites fail too, the local firewall, antivirus or network blocks 443: check there first.",
		Server:   "If only your site is affected, open inbound TCP 443 in the host firewall and the cloud security group.",
		Chromium: []string{"ERR_CONNECTION_TIMED_OUT", "ERR_CONNECTION_REFUSED"},
		Firefox:  []string{"NS_ERROR_NET_TIMEOUT"},
		Safari:   []string{"NSURLErrorTimedOut"},
		Curl:     "28 CURLE_OPERATION_TIMEDOUT, 7 CURLE_COULDNT_CONNECT",
		NEL:      "tcp.timed_out", ProxyStatus: "connection_timeout", Source: "judgement, measured",
	},
	{
		ID: "tcp-unreachable", Layer: LayerTCP, Step: StepConnect, Kind: Failure, Blame: BlamePath,
		Title:    "There is no path from here to that machine at the moment.",
		User:     "Check your connection or VPN, then try another network.",
		Server:   "Check routing and that the address is still assigned to the server.",
		Chromium: []string{"ERR_ADDRESS_UNREACHABLE"},
		Firefox:  []string{"NS_ERROR_CONNECTION_REFUSED"},
		Safari:   []string{"NSURLErrorCannotConnectToHost"},
		Curl:     "7 CURLE_COULDNT_CONNECT",
		NEL:      "tcp.address_unreachable", ProxyStatus: "destination_ip_unroutable", Source: "measured, Chromium",
		match: tcpUnreachable,
	},
	{
		ID: "tcp-refused", Layer: LayerTCP, Step: StepConnect, Kind: Failure, Blame: BlameUnknown,
		Title:    "The machine, or a firewall in front of it, refuses connections for secure web traffic.",
		User:     "Check the address and port; try again later, the site may be restarting; if another network reaches it, a firewall of this one refuses.",
		Server:   "Start the web server, make it listen on 443 on this address, or open the load balancer listener.",
		Chromium: []string{"ERR_CONNECTION_REFUSED"},
		Firefox:  []string{"NS_ERROR_CONNECTION_REFUSED"},
		Safari:   []string{"NSURLErrorCannotConnectToHost"},
		Curl:     "7 CURLE_COULDNT_CONNECT",
		NEL:      "tcp.refused", ProxyStatus: "connection_refused", Source: "RFC, measured, Chromium",
		match: tcpRefused,
	},
	{
		ID: "tcp-timeout", Layer: LayerTCP, Step: StepConnect, Kind: Failure, Blame: BlameUnknown,
		Title:    "The other machine never answered; it is down, unreachable or something swallows the traffic.",
		User:     "Test another site and another network (phone hotspot); if only this site fails, wait.",
		Server:   "Check that the host is up, that its firewall and security group allow 443, and that replies route back.",
		Chromium: []string{"ERR_CONNECTION_TIMED_OUT", "ERR_TIMED_OUT"},
		Firefox:  []string{"NS_ERROR_NET_TIMEOUT"},
		Safari:   []string{"NSURLErrorTimedOut"},
		Curl:     "28 CURLE_OPERATION_TIMEDOUT, 7 CURLE_COULDNT_CONNECT",
		NEL:      "tcp.timed_out", ProxyStatus: "connection_timeout", Source: "RFC, measured",
		match: tcpTimeout,
	},
	{
		ID: "tcp-dropped-on-accept", Layer: LayerTCP, Step: StepConnect, Kind: Failure, Blame: BlameServer,
		Title:    "The server picked up and hung up at once, before any secure setup.",
		User:     "Try again; if it persists try another network, your address may be refused.",
		Server:   "Check allow lists, connection limits, PROXY-protocol expectation and a crashed backend behind the balancer.",
		Chromium: []string{"ERR_CONNECTION_RESET", "ERR_CONNECTION_CLOSED"},
		Firefox:  []string{"NS_ERROR_NET_RESET"},
		Safari:   []string{"NSURLErrorNetworkConnectionLost"},
		Curl:     "35 CURLE_SSL_CONNECT_ERROR, 56 CURLE_RECV_ERROR",
		NEL:      "tcp.reset", ProxyStatus: "connection_terminated", Source: "measured, Chromium",
		match: tcpDroppedOnAccept,
	},
	{
		ID: "tcp-sni-filtered", match: tcpSniFiltered, Layer: LayerTCP, Step: StepHello, Kind: Failure, Blame: BlamePath,
		Title:    "Something on the way reads the name of the site and cuts the line because of it.",
		User:     "Ask the network owner; another network or an ECH-capable setup will show whether it is local.",
		Server:   "If your own gateway does it, allow the name.",
		Chromium: []string{"ERR_CONNECTION_RESET", "ERR_CONNECTION_CLOSED", "ERR_TIMED_OUT"},
		Firefox:  []string{"NS_ERROR_NET_RESET"},
		Safari:   []string{"NSURLErrorNetworkConnectionLost"},
		Curl:     "35 CURLE_SSL_CONNECT_ERROR, 28 CURLE_OPERATION_TIMEDOUT",
		NEL:      "tcp.reset", ProxyStatus: "connection_terminated", Source: "judgement",
	},
	{
		ID: "tcp-pmtu-blackhole", match: tcpPmtuBlackhole, Layer: LayerTCP, Step: StepHandshake, Kind: Failure, Blame: BlamePath,
		Title:    "Small messages get through but large ones vanish on the way (a packet size problem).",
		User:     "Lower the MTU of the VPN or PPPoE connection to 1400, or try another network.",
		Server:   "Allow ICMP fragmentation-needed and clamp MSS on the tunnel or balancer.",
		Chromium: []string{"ERR_TIMED_OUT", "ERR_CONNECTION_RESET"},
		Firefox:  []string{"NS_ERROR_NET_TIMEOUT"},
		Safari:   []string{"NSURLErrorTimedOut"},
		Curl:     "28 CURLE_OPERATION_TIMEDOUT",
		NEL:      "tcp.timed_out", ProxyStatus: "connection_read_timeout", Source: "judgement",
	},
	{
		ID: "tcp-reset-after-hello", Layer: LayerTCP, Step: StepHello, Kind: Failure, Blame: BlameUnknown,
		Title:    "The connection was cut the moment the secure greeting was sent.",
		User:     "Try another network or turn off VPN/antivirus web scanning to see if the cut moves.",
		Server:   "Check what terminates TLS on 443 and its logs; a protocol filter or wrong backend is typical.",
		Chromium: []string{"ERR_CONNECTION_RESET"},
		Firefox:  []string{"NS_ERROR_NET_RESET"},
		Safari:   []string{"NSURLErrorNetworkConnectionLost"},
		Curl:     "35 CURLE_SSL_CONNECT_ERROR",
		NEL:      "tcp.reset", ProxyStatus: "connection_terminated", Source: "measured, Chromium",
		match: tcpResetAfterHello,
	},
	{
		ID: "tcp-closed-after-hello", Layer: LayerTCP, Step: StepHello, Kind: Failure, Blame: BlameServer,
		Title:    "The server closed politely right after the secure greeting, without answering.",
		User:     "Try again later; the site's secure service is not really running.",
		Server:   "The listener on 443 is probably not a TLS server, or the balancer has no healthy target.",
		Chromium: []string{"ERR_CONNECTION_CLOSED"},
		Firefox:  []string{"NS_ERROR_NET_RESET"},
		Safari:   []string{"NSURLErrorNetworkConnectionLost"},
		Curl:     "35 CURLE_SSL_CONNECT_ERROR",
		NEL:      "tcp.closed", ProxyStatus: "connection_terminated", Source: "measured, Chromium",
		match: tcpClosedAfterHello,
	},
	{
		ID: "tcp-reset-mid-transfer", Layer: LayerTCP, Step: StepResponse, Kind: Failure, Blame: BlameUnknown,
		Title:    "The connection broke while data was flowing.",
		User:     "Reload; if it always breaks at the same point try another network.",
		Server:   "Look for idle timeouts, crashing workers or a middlebox killing long connections.",
		Chromium: []string{"ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE", "ERR_CONTENT_LENGTH_MISMATCH"},
		Firefox:  []string{"NS_ERROR_NET_RESET", "NS_ERROR_NET_PARTIAL_TRANSFER"},
		Safari:   []string{"NSURLErrorNetworkConnectionLost"},
		Curl:     "56 CURLE_RECV_ERROR",
		NEL:      "tcp.reset", ProxyStatus: "connection_terminated", Source: "measured, Chromium",
		match: tcpResetMidTransfer,
	},
	{
		ID: "tcp-ipv6-broken", Layer: LayerTCP, Step: StepConnect, Kind: Degrading, Blame: BlamePath,
		Title:    "The modern kind of address does not work here, so every visit first waits for it to fail.",
		User:     "Restart the router or turn IPv6 off on this network as a test.",
		Server:   "Make the service listen on its AAAA address or remove the record.",
		Chromium: []string{"ERR_CONNECTION_TIMED_OUT", "ERR_ADDRESS_UNREACHABLE"},
		Firefox:  []string{"NS_ERROR_NET_TIMEOUT"},
		Safari:   []string{"NSURLErrorTimedOut"},
		Curl:     "28 CURLE_OPERATION_TIMEDOUT, 7 CURLE_COULDNT_CONNECT",
		NEL:      "tcp.timed_out", ProxyStatus: "connection_timeout", Source: "RFC, measured",
		match: tcpIpv6Broken,
	},
	{
		ID: "tcp-some-addresses-dead", Layer: LayerTCP, Step: StepConnect, Kind: Degrading, Blame: BlameServer,
		Title:    "One of the site's several machines is broken, so it works only sometimes.",
		User:     "Reload once or twice; you may land on a healthy machine.",
		Server:   "Take the failing address out of DNS or the pool and repair it.",
		Chromium: []string{"ERR_CONNECTION_TIMED_OUT", "ERR_CONNECTION_REFUSED"},
		Firefox:  []string{"NS_ERROR_CONNECTION_REFUSED"},
		Safari:   []string{"NSURLErrorCannotConnectToHost"},
		Curl:     "7 CURLE_COULDNT_CONNECT",
		NEL:      "tcp.failed", ProxyStatus: "destination_unavailable", Source: "judgement",
		match: tcpSomeAddressesDead,
	},
}
