package inspect

import (
	"fmt"
	"slices"
	"strings"
)

// status matches responses by their code. The answer of an upstream proxy and
// our own never get here: they are no response of the site.
func status(ok func(code int) bool) func(*Attempt) *Finding {
	return func(a *Attempt) *Finding {
		h := a.Seen.HTTP
		if h == nil || h.Status < 400 || h.Status > 999 || !ok(h.Status) {
			return nil
		}
		f := &Finding{Why: fmt.Sprintf("the server answered %d %s", h.Status, orElse(h.Reason, statusNames[h.Status]))}
		if h.Server != "" {
			f.Why += " (" + h.Server + ")"
		}
		if h.Body > 0 { // browsers show the body, not a code of their own
			f.Chromium, f.Firefox = none, none
		}
		return f
	}
}

func only(codes ...int) func(*Attempt) *Finding {
	return status(func(c int) bool { return slices.Contains(codes, c) })
}

// none stands for "no code" in a finding, where empty means "as the row says".
const none = "-"

var (
	http401      = only(401)
	http403      = only(403)
	http404      = only(404)
	http421      = only(421)
	http429      = only(429)
	http431      = only(431)
	http500      = only(500)
	http502      = only(502)
	http503      = only(503)
	http504      = only(504)
	named        = []int{401, 403, 404, 421, 429, 431, 500, 502, 503, 504}
	http4xxOther = status(func(c int) bool { return c < 500 && registered(c) && !slices.Contains(named, c) })
	http5xxOther = status(func(c int) bool { return c >= 500 && registered(c) && !slices.Contains(named, c) })

	httpStatusUnregistered = func(a *Attempt) *Finding {
		if cdn(a) {
			return nil
		}
		f := status(func(c int) bool { return !registered(c) })(a)
		if f != nil {
			f.Why += "; no standard registers this code (RFC 9110 §15)"
			if a.Seen.HTTP.Status == 443 {
				f.Why += ", and 443 is the port of HTTPS, not a status"
			}
		}
		return f
	}
	httpCdnOriginConnect = cdnStatus(521, 522, 523, 524)
	httpCdnOriginTls     = cdnStatus(525, 526)
	httpCdnOriginError   = cdnStatus(520, 527, 530)
)

// registered: the code is in the IANA registry of HTTP status codes.
func registered(code int) bool { return statusNames[code] != "" }

// statusNames are the codes of the IANA registry of HTTP status codes (RFC 9110
// §16.2), and 418, with their usual phrases.
var statusNames = map[int]string{
	100: "Continue",
	101: "Switching Protocols",
	102: "Processing",
	103: "Early Hints",
	200: "OK",
	201: "Created",
	202: "Accepted",
	203: "Non-Authoritative Information",
	204: "No Content",
	205: "Reset Content",
	206: "Partial Content",
	207: "Multi-Status",
	208: "Already Reported",
	226: "IM Used",
	300: "Multiple Choices",
	301: "Moved Permanently",
	302: "Found",
	303: "See Other",
	304: "Not Modified",
	305: "Use Proxy",
	307: "Temporary Redirect",
	308: "Permanent Redirect",
	400: "Bad Request",
	401: "Unauthorized",
	402: "Payment Required",
	403: "Forbidden",
	404: "Not Found",
	405: "Method Not Allowed",
	406: "Not Acceptable",
	407: "Proxy Authentication Required",
	408: "Request Timeout",
	409: "Conflict",
	410: "Gone",
	411: "Length Required",
	412: "Precondition Failed",
	413: "Request Entity Too Large",
	414: "Request URI Too Long",
	415: "Unsupported Media Type",
	416: "Requested Range Not Satisfiable",
	417: "Expectation Failed",
	418: "I'm a teapot",
	421: "Misdirected Request",
	422: "Unprocessable Entity",
	423: "Locked",
	424: "Failed Dependency",
	425: "Too Early",
	426: "Upgrade Required",
	428: "Precondition Required",
	429: "Too Many Requests",
	431: "Request Header Fields Too Large",
	451: "Unavailable For Legal Reasons",
	500: "Internal Server Error",
	501: "Not Implemented",
	502: "Bad Gateway",
	503: "Service Unavailable",
	504: "Gateway Timeout",
	505: "HTTP Version Not Supported",
	506: "Variant Also Negotiates",
	507: "Insufficient Storage",
	508: "Loop Detected",
	510: "Not Extended",
	511: "Network Authentication Required",
}

// cdn: a content delivery network that uses 52x codes of its own answered, by
// its own mark.
func cdn(a *Attempt) bool {
	h := a.Seen.HTTP
	return h != nil && h.Status >= 520 && h.Status <= 530 && strings.EqualFold(h.Server, "cloudflare")
}

func cdnStatus(codes ...int) func(*Attempt) *Finding {
	return func(a *Attempt) *Finding {
		if !cdn(a) {
			return nil
		}
		return only(codes...)(a)
	}
}

func httpUpstreamProxyAuth(a *Attempt) *Finding {
	t := a.Seen.TCP
	if t == nil || t.Proxy == nil || t.Proxy.Status != 407 {
		return nil
	}
	return &Finding{Why: fmt.Sprintf("upstream proxy %s answered 407 and asks for credentials (%s)", t.Proxy.Addr, orElse(t.Proxy.Challenge, "it does not say which kind")),
		User: "Give the proxy's user name and password: --upstream-proxy http://USER:PASSWORD@HOST:PORT"}
}

func httpPlainToTlsPort(a *Attempt) *Finding {
	h := a.Seen.HTTP
	if a.Mode != Plain || h == nil || a.Port != 443 && a.Port != 8443 {
		return nil
	}
	if h.Status != 400 && h.Status != 497 && h.Error == "" {
		return nil
	}
	what := "answered " + fmt.Sprint(h.Status)
	if h.Status == 0 {
		what = "did not answer in HTTP: " + h.Error
	}
	f := &Finding{Why: fmt.Sprintf("an http:// address was used for port %d, which expects TLS; the server %s", a.Port, what)}
	if h.Body > 0 {
		f.Chromium, f.Firefox = none, none
	} else if h.Status == 0 {
		f.Chromium, f.Firefox = "ERR_INVALID_HTTP_RESPONSE", none // Firefox shows the bytes
	}
	return f
}

// httpError matches the words of our HTTP library, which are all there is: it
// has no types for these. A test holds them against the library.
func (a *Attempt) httpError(words ...string) string {
	h := a.Seen.HTTP
	if h == nil {
		return ""
	}
	for _, e := range []string{h.Error, h.BodyError} {
		for _, w := range words {
			if e != "" && strings.Contains(e, w) {
				return e
			}
		}
	}
	return ""
}

func httpMalformedResponse(a *Attempt) *Finding {
	e := a.httpError("malformed HTTP", "malformed MIME", "invalid Content-Length", "bad Content-Length", "unsupported transfer encoding",
		"malformed header", "http: message cannot contain multiple Content-Length", "suspiciously long trailer", "too many transfer encodings")
	if a.headCut() {
		return &Finding{Why: "the server closed the connection in the middle of the answer's head", Chromium: "ERR_INVALID_RESPONSE"}
	}
	if e == "" || httpPlainToTlsPort(a) != nil {
		return nil
	}
	f := &Finding{Why: "the answer is not HTTP as the standard has it: " + e}
	switch {
	case strings.Contains(e, "multiple Content-Length"):
		f.Chromium, f.Firefox = "ERR_RESPONSE_HEADERS_MULTIPLE_CONTENT_LENGTH", "NS_ERROR_CORRUPTED_CONTENT"
	case a.Port == 80 && (strings.Contains(e, "malformed HTTP response") || strings.Contains(e, "malformed HTTP status")):
		f.Chromium = none // on port 80 Chromium takes it for HTTP/0.9 and shows it
	}
	return f
}

// headCut: the server closed the connection within the head of its answer.
func (a *Attempt) headCut() bool {
	h := a.Seen.HTTP
	return a.Mode == Plain && h != nil && h.Status == 0 && strings.HasSuffix(h.Error, "unexpected EOF")
}

func httpHeaderTooLarge(a *Attempt) *Finding {
	e := a.httpError("server response headers exceeded", "header list too large")
	if e == "" {
		return nil
	}
	return &Finding{Why: e}
}

func httpEmptyResponse(a *Attempt) *Finding {
	e, t := a.Seen.End, a.Seen.TLS
	if a.Mode == Plain {
		h := a.Seen.HTTP
		if h == nil || h.Status != 0 || !strings.HasSuffix(h.Error, "EOF") || a.headCut() {
			return nil
		}
		return &Finding{Why: "the server closed the connection without answering the request"}
	}
	if e == nil || t == nil || !t.Used || e.First != "server" || e.Server != "fin" || a.responded() {
		return nil
	}
	return &Finding{Why: fmt.Sprintf("the handshake was done and a request sent (%d bytes up); the server closed the connection without an answer", e.Up), Certainty: Inferred}
}

func httpBodyTruncated(a *Attempt) *Finding {
	h := a.Seen.HTTP
	if h == nil || h.Status == 0 || !strings.Contains(h.BodyError, "unexpected EOF") {
		return nil
	}
	why := fmt.Sprintf("the body broke off after %d bytes", h.Body)
	if h.Length > 0 {
		why += fmt.Sprintf(" of %d announced", h.Length)
	}
	f := &Finding{Why: why}
	if h.Length <= 0 {
		f.Chromium = "ERR_INCOMPLETE_CHUNKED_ENCODING"
	}
	return f
}

func httpChunkedInvalid(a *Attempt) *Finding {
	e := a.httpError("invalid byte in chunk length", "malformed chunked encoding", "chunk length too large", "chunked encoding contains too much non-data")
	if e == "" {
		return nil
	}
	// Through the proxy the head arrives and the body does not end.
	return &Finding{Why: e, ChromiumShown: "ERR_INCOMPLETE_CHUNKED_ENCODING", FirefoxShown: "NS_ERROR_NET_PARTIAL_TRANSFER"}
}

// httpH2ProtocolError sees in clear only what TLS 1.2 shows: HTTP/2 agreed upon
// with a cipher suite that it forbids (RFC 9113 §9.2.2 and appendix A).
func httpH2ProtocolError(a *Attempt) *Finding {
	t := a.Seen.TLS
	if t == nil || t.Answer == nil || t.ALPN != "h2" || t.Answer.Version != tls12 || !t.Complete {
		return nil
	}
	if !strings.Contains(t.Cipher, "_CBC_") && !strings.HasPrefix(t.Cipher, "TLS_RSA_") {
		return nil
	}
	return &Finding{Why: fmt.Sprintf("the server agreed on HTTP/2 with %s, which HTTP/2 forbids", t.Cipher),
		Chromium: "ERR_HTTP2_INADEQUATE_TRANSPORT_SECURITY", Firefox: "NS_ERROR_NET_INADEQUATE_SECURITY"}
}

func httpRedirectInvalid(a *Attempt) *Finding {
	h := a.Seen.HTTP
	if h == nil || h.BadLocation == "" {
		return nil
	}
	return &Finding{Why: h.BadLocation}
}

func httpResponseTimeout(a *Attempt) *Finding {
	e, t, h := a.Seen.End, a.Seen.TLS, a.Seen.HTTP
	var waited float64
	switch {
	case a.Mode == Plain && h != nil && h.Status == 0 && (a.Step == StepResponse || a.Step == StepRequest):
		waited = ms(a.Elapsed)
	case a.Mode != Plain && t != nil && t.Used && !a.responded() && (e == nil || e.First == "client"):
		waited = ms(a.Elapsed)
	default:
		return nil
	}
	if a.Mode == Plain && !a.Open && (e == nil || e.First != "client") {
		return nil
	}
	if !a.Open && waited < stallAfter {
		return nil
	}
	return &Finding{Why: fmt.Sprintf("the request was sent, and no answer came for %s", seconds(waited)), Certainty: Inferred}
}

func httpBodyStall(a *Attempt) *Finding {
	h := a.Seen.HTTP
	if h == nil || h.Status == 0 || h.StalledMs < stallAfter {
		return nil
	}
	return &Finding{Why: fmt.Sprintf("after %d bytes of the body nothing more came for %s", h.Body, seconds(h.StalledMs)), Certainty: Inferred}
}

var httpFaults = []Fault{
	{
		ID: "http-upstream-proxy-auth", Layer: LayerHTTP, Step: StepConnect, Kind: Failure, Blame: BlameLocalNetwork,
		Title:       "The company proxy in front wants a user name and password.",
		User:        "Enter your proxy credentials in faultline's upstream setting.",
		Server:      "No action on the site.",
		Chromium:    []string{"ERR_PROXY_AUTH_UNSUPPORTED", "ERR_PROXY_AUTH_REQUESTED", "ERR_PROXY_AUTH_REQUESTED_WITH_NO_CONNECTION", "ERR_TUNNEL_CONNECTION_FAILED"},
		Firefox:     []string{"NS_ERROR_PROXY_AUTHENTICATION_FAILED", "NS_ERROR_PROXY_UNAUTHORIZED"},
		Safari:      []string{"NSURLErrorUserAuthenticationRequired"},
		Curl:        "56 CURLE_RECV_ERROR, 94 CURLE_AUTH_ERROR",
		ProxyStatus: "http_request_denied", Source: "measured, RFC",
		match: httpUpstreamProxyAuth,
	},
	{
		ID: "http-plain-to-tls-port", Layer: LayerHTTP, Step: StepRequest, Kind: Failure, Blame: BlameClient,
		Title:    "You knocked at the secure door with the insecure language.",
		User:     "Type https:// in front of the address.",
		Server:   "Redirect such requests (nginx error_page 497) to https.",
		Chromium: []string{"ERR_HTTP_RESPONSE_CODE_FAILURE", "ERR_INVALID_HTTP_RESPONSE"},
		Firefox:  []string{"NS_ERROR_NET_RESET"},
		Safari:   []string{"NSURLErrorNetworkConnectionLost"},
		Curl:     "52 CURLE_GOT_NOTHING",
		NEL:      "http.error", ProxyStatus: "http_request_error", Source: "measured",
		match: httpPlainToTlsPort,
	},
	{
		ID: "http-cdn-origin-connect", Layer: LayerHTTP, Step: StepResponse, Kind: Failure, Blame: BlameServer,
		Title:    "The delivery network in front works, but cannot reach the site's own server.",
		User:     "Try later; your side is fine.",
		Server:   "Start the origin, allow the CDN's address ranges on 443, correct the origin DNS record.",
		Chromium: []string{"ERR_HTTP_RESPONSE_CODE_FAILURE"},
		Firefox:  []string{"NS_ERROR_NET_ERROR_RESPONSE"},
		Safari:   []string{"NSURLErrorBadServerResponse"},
		Curl:     "22 CURLE_HTTP_RETURNED_ERROR",
		NEL:      "http.error", Source: "judgement",
		match: httpCdnOriginConnect,
	},
	{
		ID: "http-cdn-origin-tls", Layer: LayerHTTP, Step: StepResponse, Kind: Failure, Blame: BlameServer,
		Title:    "The secure link between the delivery network and the site's own server is broken.",
		User:     "Nothing to do on your side.",
		Server:   "Install a valid certificate on the origin and enable TLS 1.2+ with SNI.",
		Chromium: []string{"ERR_HTTP_RESPONSE_CODE_FAILURE"},
		Firefox:  []string{"NS_ERROR_NET_ERROR_RESPONSE"},
		Safari:   []string{"NSURLErrorBadServerResponse"},
		Curl:     "22 CURLE_HTTP_RETURNED_ERROR",
		NEL:      "http.error", Source: "judgement",
		match: httpCdnOriginTls,
	},
	{
		ID: "http-cdn-origin-error", Layer: LayerHTTP, Step: StepResponse, Kind: Failure, Blame: BlameServer,
		Title:    "The site's own server gave the delivery network an unusable answer or none in time.",
		User:     "Try later.",
		Server:   "Check origin crashes, header sizes and long-running requests.",
		Chromium: []string{"ERR_HTTP_RESPONSE_CODE_FAILURE"},
		Firefox:  []string{"NS_ERROR_NET_ERROR_RESPONSE"},
		Safari:   []string{"NSURLErrorBadServerResponse"},
		Curl:     "22 CURLE_HTTP_RETURNED_ERROR",
		NEL:      "http.error", Source: "judgement",
		match: httpCdnOriginError,
	},
	{
		ID: "http-malformed-response", Layer: LayerHTTP, Step: StepResponse, Kind: Failure, Blame: BlameServer,
		Title:    "The server's answer breaks the rules of the web protocol.",
		User:     "Nothing to do on your side.",
		Server:   "Find the component that writes headers twice or prints text before the status line.",
		Chromium: []string{"ERR_INVALID_HTTP_RESPONSE", "ERR_INVALID_RESPONSE", "ERR_RESPONSE_HEADERS_MULTIPLE_CONTENT_LENGTH", "ERR_RESPONSE_HEADERS_MULTIPLE_LOCATION", "ERR_RESPONSE_HEADERS_MULTIPLE_CONTENT_DISPOSITION"},
		Firefox:  []string{"NS_ERROR_PARSING_HTTP_STATUS_LINE", "NS_ERROR_CORRUPTED_CONTENT", "NS_ERROR_DOM_INVALID_HEADER_VALUE"},
		Safari:   []string{"NSURLErrorBadServerResponse", "NSURLErrorCannotParseResponse"},
		Curl:     "1 CURLE_UNSUPPORTED_PROTOCOL, 8 CURLE_WEIRD_SERVER_REPLY",
		NEL:      "http.response.invalid", ProxyStatus: "http_protocol_error", Source: "measured, Chromium",
		match: httpMalformedResponse,
	},
	{
		ID: "http-header-too-large", Layer: LayerHTTP, Step: StepResponse, Kind: Failure, Blame: BlameServer,
		Title:    "The server sends an absurdly long preamble.",
		User:     "Clear this site's cookies and try again.",
		Server:   "Find the runaway header (cookies, CSP, debug headers).",
		Chromium: []string{"ERR_RESPONSE_HEADERS_TOO_BIG"},
		Firefox:  []string{"NS_ERROR_FILE_TOO_BIG"},
		Curl:     "27 CURLE_OUT_OF_MEMORY, 100 CURLE_TOO_LARGE",
		NEL:      "http.response.invalid", ProxyStatus: "http_response_header_section_size", Source: "measured, Chromium, Firefox",
		match: httpHeaderTooLarge,
	},
	{
		ID: "http-empty-response", Layer: LayerHTTP, Step: StepResponse, Kind: Failure, Blame: BlameServer,
		Title:    "The server took the request and hung up without a single word.",
		User:     "Reload; if it repeats, the site's program is crashing.",
		Server:   "Look for worker crashes, request filters and keep-alive races.",
		Chromium: []string{"ERR_EMPTY_RESPONSE"},
		Firefox:  []string{"NS_ERROR_NET_RESET", "NS_ERROR_NET_EMPTY_RESPONSE"},
		Safari:   []string{"NSURLErrorNetworkConnectionLost"},
		Curl:     "52 CURLE_GOT_NOTHING",
		NEL:      "http.response.invalid", ProxyStatus: "http_response_incomplete", Source: "measured, Chromium, W3C",
		match: httpEmptyResponse,
	},
	{
		ID: "http-response-timeout", Layer: LayerHTTP, Step: StepResponse, Kind: Failure, Blame: BlameServer,
		Title:    "The server is connected but takes too long to answer.",
		User:     "Wait, then try again.",
		Server:   "Look at slow queries, locked workers and upstream timeouts.",
		Chromium: []string{"ERR_TIMED_OUT", "ERR_CONNECTION_TIMED_OUT"},
		Firefox:  []string{"NS_ERROR_NET_TIMEOUT"},
		Safari:   []string{"NSURLErrorTimedOut"},
		Curl:     "28 CURLE_OPERATION_TIMEDOUT",
		NEL:      "tcp.timed_out", ProxyStatus: "http_response_timeout", Source: "RFC, Firefox, judgement",
		match: httpResponseTimeout,
	},
	{
		ID: "http-body-truncated", Layer: LayerHTTP, Step: StepResponse, Kind: Degrading, Blame: BlameServer,
		Title:    "The page or file stopped before its announced end.",
		User:     "Reload or resume the download.",
		Server:   "Check for timeouts between proxy and backend and for out-of-memory kills.",
		Chromium: []string{"ERR_CONTENT_LENGTH_MISMATCH", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_RESPONSE_HEADERS_TRUNCATED"},
		Firefox:  []string{"NS_ERROR_NET_PARTIAL_TRANSFER"},
		Safari:   []string{"NSURLErrorNetworkConnectionLost"},
		Curl:     "18 CURLE_PARTIAL_FILE",
		NEL:      "http.response.invalid", ProxyStatus: "http_response_incomplete", Source: "measured, Chromium, W3C",
		match: httpBodyTruncated,
	},
	{
		ID: "http-chunked-invalid", Layer: LayerHTTP, Step: StepResponse, Kind: Failure, Blame: BlameServer,
		Title:    "The server cut the answer into pieces wrongly.",
		User:     "Nothing to do on your side.",
		Server:   "Do not set Transfer-Encoding by hand; check double chunking by proxy and application.",
		Chromium: []string{"ERR_INVALID_CHUNKED_ENCODING"},
		Firefox:  []string{"NS_ERROR_UNEXPECTED"},
		Safari:   []string{"NSURLErrorCannotParseResponse"},
		Curl:     "56 CURLE_RECV_ERROR",
		NEL:      "http.response.invalid", ProxyStatus: "http_response_transfer_coding", Source: "measured, Chromium",
		match: httpChunkedInvalid,
	},
	{
		ID: "http-content-decoding", Layer: LayerHTTP, Step: StepResponse, Kind: Failure, Blame: BlameServer,
		Title:    "The page was packed in a way the browser cannot unpack.",
		User:     "Reload with cache cleared; otherwise tell the owner.",
		Server:   "Look for double compression or a proxy that strips or keeps the header wrongly.",
		Chromium: []string{"ERR_CONTENT_DECODING_FAILED", "ERR_CONTENT_DECODING_INIT_FAILED", "ERR_ZSTD_WINDOW_SIZE_TOO_BIG", "ERR_DICTIONARY_LOAD_FAILED"},
		Firefox:  []string{"NS_ERROR_INVALID_CONTENT_ENCODING"},
		Safari:   []string{"NSURLErrorCannotDecodeRawData", "NSURLErrorCannotDecodeContentData"},
		Curl:     "61 CURLE_BAD_CONTENT_ENCODING",
		NEL:      "http.response.invalid", ProxyStatus: "http_response_content_coding", Source: "measured, Chromium",
	},
	{
		ID: "http-body-stall", Layer: LayerHTTP, Step: StepResponse, Kind: Failure, Blame: BlameUnknown,
		Title:    "The download stopped moving although the line is still open.",
		User:     "Pause and resume, or try another network.",
		Server:   "Check buffers, backend stalls and packet loss.",
		Chromium: []string{"ERR_TIMED_OUT"},
		Firefox:  []string{"NS_ERROR_NET_TIMEOUT", "NS_ERROR_NET_INTERRUPT"},
		Safari:   []string{"NSURLErrorTimedOut"},
		Curl:     "28 CURLE_OPERATION_TIMEDOUT",
		NEL:      "tcp.timed_out", ProxyStatus: "connection_read_timeout", Source: "judgement",
		match: httpBodyStall,
	},
	{
		ID: "http-redirect-loop", Layer: LayerHTTP, Step: StepResponse, Kind: Failure, Blame: BlameServer,
		Title:    "The site keeps sending the browser round in a circle.",
		User:     "Clear this site's cookies and reload.",
		Server:   "Make http, https, www and login rules agree; check who terminates TLS.",
		Chromium: []string{"ERR_TOO_MANY_REDIRECTS"},
		Firefox:  []string{"NS_ERROR_REDIRECT_LOOP"},
		Safari:   []string{"NSURLErrorHTTPTooManyRedirects"},
		Curl:     "47 CURLE_TOO_MANY_REDIRECTS",
		NEL:      "http.response.redirect_loop", Source: "measured, W3C, Firefox",
	},
	{
		ID: "http-redirect-scheme-loop", Layer: LayerHTTP, Step: StepResponse, Kind: Failure, Blame: BlameServer,
		Title:    "Secure and insecure versions of the site keep pointing at each other.",
		User:     "Nothing to do on your side.",
		Server:   "Send and honour X-Forwarded-Proto, or use full TLS between CDN and origin.",
		Chromium: []string{"ERR_TOO_MANY_REDIRECTS"},
		Firefox:  []string{"NS_ERROR_REDIRECT_LOOP"},
		Safari:   []string{"NSURLErrorHTTPTooManyRedirects"},
		Curl:     "47 CURLE_TOO_MANY_REDIRECTS",
		NEL:      "http.response.redirect_loop", Source: "judgement",
	},
	{
		ID: "http-redirect-downgrade", Layer: LayerHTTP, Step: StepResponse, Kind: Degrading, Blame: BlameServer,
		Title:  "The secure page forwards you to an insecure one.",
		User:   "Type https:// yourself; avoid forms on the target page.",
		Server: "Correct the base URL or scheme in the application and add HSTS.",
		Source: "judgement, RFC",
	},
	{
		ID: "http-redirect-invalid", match: httpRedirectInvalid, Layer: LayerHTTP, Step: StepResponse, Kind: Failure, Blame: BlameServer,
		Title:    "The site forwards you to an address that cannot be opened.",
		User:     "Try the site's home page.",
		Server:   "Fix the Location header (absolute https URL, properly encoded).",
		Chromium: []string{"ERR_INVALID_REDIRECT", "ERR_UNSAFE_REDIRECT"},
		Firefox:  []string{"NS_ERROR_CORRUPTED_CONTENT"},
		Safari:   []string{"NSURLErrorRedirectToNonExistentLocation", "NSURLErrorBadServerResponse"},
		Curl:     "3 CURLE_URL_MALFORMAT, 1 CURLE_UNSUPPORTED_PROTOCOL",
		NEL:      "http.response.invalid", ProxyStatus: "http_protocol_error", Source: "measured, Chromium",
	},
	{
		ID: "http-h2-protocol-error", match: httpH2ProtocolError, Layer: LayerHTTP, Step: StepResponse, Kind: Failure, Blame: BlameServer,
		Title:    "The faster version of the web protocol goes wrong with this server.",
		User:     "Reload; another browser may fall back.",
		Server:   "Check the proxy's h2 to backend handling and header rules; turn h2 off as a test.",
		Chromium: []string{"ERR_HTTP2_PROTOCOL_ERROR", "ERR_HTTP2_COMPRESSION_ERROR", "ERR_HTTP2_FRAME_SIZE_ERROR", "ERR_HTTP2_FLOW_CONTROL_ERROR", "ERR_HTTP_1_1_REQUIRED", "ERR_HTTP2_PING_FAILED", "ERR_HTTP2_INADEQUATE_TRANSPORT_SECURITY"},
		Firefox:  []string{"NS_ERROR_NET_HTTP2_SENT_GOAWAY", "NS_ERROR_NET_INADEQUATE_SECURITY", "NS_ERROR_NET_RESET"},
		Safari:   []string{"NSURLErrorNetworkConnectionLost", "NSURLErrorCannotParseResponse"},
		Curl:     "16 CURLE_HTTP2",
		NEL:      "http.protocol.error", ProxyStatus: "http_protocol_error", Source: "measured, Chromium",
	},
	{
		ID: "http-h2-stream-reset", Layer: LayerHTTP, Step: StepResponse, Kind: Failure, Blame: BlameServer,
		Title:    "The server broke off this one request.",
		User:     "Reload.",
		Server:   "Look up the stream error code in the server log; limits and crashed handlers are typical.",
		Chromium: []string{"ERR_HTTP2_PROTOCOL_ERROR", "ERR_HTTP2_SERVER_REFUSED_STREAM", "ERR_HTTP2_RST_STREAM_NO_ERROR_RECEIVED", "ERR_HTTP2_STREAM_CLOSED"},
		Firefox:  []string{"NS_ERROR_NET_RESET", "NS_ERROR_ABORT"},
		Safari:   []string{"NSURLErrorNetworkConnectionLost"},
		Curl:     "92 CURLE_HTTP2_STREAM",
		NEL:      "http.protocol.error", ProxyStatus: "http_protocol_error", Source: "measured, Chromium",
	},
	{
		ID: "http-401", Layer: LayerHTTP, Step: StepResponse, Kind: Failure, Blame: BlameClient,
		Title:    "The site wants you to log in.",
		User:     "Log in; check user name and password.",
		Server:   "Send a WWW-Authenticate scheme browsers support.",
		Chromium: []string{"ERR_HTTP_RESPONSE_CODE_FAILURE", "ERR_INVALID_AUTH_CREDENTIALS", "ERR_UNSUPPORTED_AUTH_SCHEME", "ERR_MISSING_AUTH_CREDENTIALS"},
		Firefox:  []string{"NS_ERROR_NET_ERROR_RESPONSE"},
		Safari:   []string{"NSURLErrorUserCancelledAuthentication", "NSURLErrorUserAuthenticationRequired"},
		Curl:     "22 CURLE_HTTP_RETURNED_ERROR, 67 CURLE_LOGIN_DENIED",
		NEL:      "http.error", Source: "RFC, measured",
		match: http401,
	},
	{
		ID: "http-403", Layer: LayerHTTP, Step: StepResponse, Kind: Failure, Blame: BlameServer,
		Title:    "The server understood and refuses.",
		User:     "Log in, turn off VPN, or ask for access.",
		Server:   "Check file permissions, WAF and geo/IP rules.",
		Chromium: []string{"ERR_HTTP_RESPONSE_CODE_FAILURE"},
		Firefox:  []string{"NS_ERROR_NET_ERROR_RESPONSE"},
		Safari:   []string{"NSURLErrorNoPermissionsToReadFile", "NSURLErrorBadServerResponse"},
		Curl:     "22 CURLE_HTTP_RETURNED_ERROR",
		NEL:      "http.error", Source: "RFC, measured",
		match: http403,
	},
	{
		ID: "http-404", Layer: LayerHTTP, Step: StepResponse, Kind: Failure, Blame: BlameServer,
		Title:    "The server works, but this page does not exist.",
		User:     "Check the address or start from the home page.",
		Server:   "Restore or redirect the page.",
		Chromium: []string{"ERR_HTTP_RESPONSE_CODE_FAILURE"},
		Firefox:  []string{"NS_ERROR_NET_ERROR_RESPONSE"},
		Safari:   []string{"NSURLErrorFileDoesNotExist"},
		Curl:     "22 CURLE_HTTP_RETURNED_ERROR, 78 CURLE_REMOTE_FILE_NOT_FOUND",
		NEL:      "http.error", Source: "RFC, measured",
		match: http404,
	},
	{
		ID: "http-421", Layer: LayerHTTP, Step: StepResponse, Kind: Failure, Blame: BlameServer,
		Title:    "The request reached a server that is not responsible for this name.",
		User:     "Restart the browser.",
		Server:   "Do not share a certificate between hosts on different servers, or route all its names everywhere.",
		Chromium: []string{"ERR_HTTP_RESPONSE_CODE_FAILURE"},
		Firefox:  []string{"NS_ERROR_NET_ERROR_RESPONSE"},
		Safari:   []string{"NSURLErrorBadServerResponse"},
		Curl:     "22 CURLE_HTTP_RETURNED_ERROR",
		NEL:      "http.error", Source: "RFC, measured",
		match: http421,
	},
	{
		ID: "http-429", Layer: LayerHTTP, Step: StepResponse, Kind: Failure, Blame: BlameClient,
		Title:    "Too many requests came from your address; you must wait.",
		User:     "Wait for the time given; stop extensions that reload pages.",
		Server:   "Check the limit and whether many users share one address.",
		Chromium: []string{"ERR_HTTP_RESPONSE_CODE_FAILURE"},
		Firefox:  []string{"NS_ERROR_NET_ERROR_RESPONSE"},
		Safari:   []string{"NSURLErrorBadServerResponse"},
		Curl:     "22 CURLE_HTTP_RETURNED_ERROR",
		NEL:      "http.error", Source: "RFC, measured",
		match: http429,
	},
	{
		ID: "http-431", Layer: LayerHTTP, Step: StepResponse, Kind: Failure, Blame: BlameClient,
		Title:    "Your browser sends too much along, usually piled-up cookies.",
		User:     "Delete this site's cookies.",
		Server:   "Shrink cookies or raise the header limit.",
		Chromium: []string{"ERR_HTTP_RESPONSE_CODE_FAILURE"},
		Firefox:  []string{"NS_ERROR_NET_ERROR_RESPONSE"},
		Safari:   []string{"NSURLErrorBadServerResponse"},
		Curl:     "22 CURLE_HTTP_RETURNED_ERROR",
		NEL:      "http.error", Source: "RFC, measured",
		match: http431,
	},
	{
		ID: "http-4xx-other", Layer: LayerHTTP, Step: StepResponse, Kind: Failure, Blame: BlameClient,
		Title:    "The server rejected the request for the reason its number names (400 means it could not make sense of it).",
		User:     "Clear this site's cookies and try again; 451 means blocked for legal reasons.",
		Server:   "Look the code up in the access log.",
		Chromium: []string{"ERR_HTTP_RESPONSE_CODE_FAILURE", "ERR_UNEXPECTED_PROXY_AUTH"},
		Firefox:  []string{"NS_ERROR_NET_ERROR_RESPONSE"},
		Safari:   []string{"NSURLErrorBadServerResponse"},
		Curl:     "22 CURLE_HTTP_RETURNED_ERROR",
		NEL:      "http.error", Source: "RFC, measured",
		match: http4xxOther,
	},
	{
		ID: "http-status-unregistered", Layer: LayerHTTP, Step: StepResponse, Kind: Failure, Blame: BlameServer,
		Title:    "The server sent a home-made code; the number 443 normally names the secure port, not an error.",
		User:     "Judge by what the page says; see the layer verdict above for the real cause.",
		Server:   "Replace it by a registered status code.",
		Chromium: []string{"ERR_HTTP_RESPONSE_CODE_FAILURE"},
		Firefox:  []string{"NS_ERROR_NET_ERROR_RESPONSE"},
		Safari:   []string{"NSURLErrorBadServerResponse"},
		Curl:     "22 CURLE_HTTP_RETURNED_ERROR",
		NEL:      "http.error", Source: "RFC, measured",
		match: httpStatusUnregistered,
	},
	{
		ID: "http-500", Layer: LayerHTTP, Step: StepResponse, Kind: Failure, Blame: BlameServer,
		Title:    "The site's program crashed on this request.",
		User:     "Try later.",
		Server:   "Read the application's error log at that second.",
		Chromium: []string{"ERR_HTTP_RESPONSE_CODE_FAILURE"},
		Firefox:  []string{"NS_ERROR_NET_ERROR_RESPONSE"},
		Safari:   []string{"NSURLErrorBadServerResponse"},
		Curl:     "22 CURLE_HTTP_RETURNED_ERROR",
		NEL:      "http.error", Source: "RFC, measured",
		match: http500,
	},
	{
		ID: "http-502", Layer: LayerHTTP, Step: StepResponse, Kind: Failure, Blame: BlameServer,
		Title:    "The front server could not get a proper answer from the server behind it.",
		User:     "Try again in a minute.",
		Server:   "Check the backend process and the protocol/port the balancer uses.",
		Chromium: []string{"ERR_HTTP_RESPONSE_CODE_FAILURE"},
		Firefox:  []string{"NS_ERROR_NET_ERROR_RESPONSE"},
		Safari:   []string{"NSURLErrorBadServerResponse"},
		Curl:     "22 CURLE_HTTP_RETURNED_ERROR",
		NEL:      "http.error", Source: "RFC, measured",
		match: http502,
	},
	{
		ID: "http-503", Layer: LayerHTTP, Step: StepResponse, Kind: Failure, Blame: BlameServer,
		Title:    "The site is overloaded or under maintenance.",
		User:     "Come back later.",
		Server:   "Check capacity, health checks and maintenance mode.",
		Chromium: []string{"ERR_HTTP_RESPONSE_CODE_FAILURE"},
		Firefox:  []string{"NS_ERROR_NET_ERROR_RESPONSE"},
		Safari:   []string{"NSURLErrorBadServerResponse"},
		Curl:     "22 CURLE_HTTP_RETURNED_ERROR",
		NEL:      "http.error", Source: "RFC, measured",
		match: http503,
	},
	{
		ID: "http-504", Layer: LayerHTTP, Step: StepResponse, Kind: Failure, Blame: BlameServer,
		Title:    "The server behind the front server answered too slowly.",
		User:     "Try again later.",
		Server:   "Fix the slow backend or raise the proxy timeout.",
		Chromium: []string{"ERR_HTTP_RESPONSE_CODE_FAILURE"},
		Firefox:  []string{"NS_ERROR_NET_ERROR_RESPONSE"},
		Safari:   []string{"NSURLErrorBadServerResponse"},
		Curl:     "22 CURLE_HTTP_RETURNED_ERROR",
		NEL:      "http.error", Source: "RFC, measured",
		match: http504,
	},
	{
		ID: "http-5xx-other", Layer: LayerHTTP, Step: StepResponse, Kind: Failure, Blame: BlameServer,
		Title:    "The server reports a fault of its own.",
		User:     "Try later.",
		Server:   "Look the code up in the server log.",
		Chromium: []string{"ERR_HTTP_RESPONSE_CODE_FAILURE"},
		Firefox:  []string{"NS_ERROR_NET_ERROR_RESPONSE"},
		Safari:   []string{"NSURLErrorBadServerResponse"},
		Curl:     "22 CURLE_HTTP_RETURNED_ERROR",
		NEL:      "http.error", Source: "RFC, measured",
		match: http5xxOther,
	},
	{
		ID: "http-captive-portal", Layer: LayerHTTP, Step: StepResponse, Kind: Failure, Blame: BlameLocalNetwork,
		Title:    "This network wants you to accept its terms or log in before it lets you out.",
		User:     "Open the login page (any http:// address) and sign in.",
		Server:   "No action on the site.",
		Chromium: []string{"ERR_HTTP_RESPONSE_CODE_FAILURE", "ERR_CERT_COMMON_NAME_INVALID"},
		Firefox:  []string{"NS_ERROR_PROXY_NETWORK_AUTHENTICATION_REQUIRED", "NS_ERROR_NET_ERROR_RESPONSE"},
		Safari:   []string{"NSURLErrorBadServerResponse"},
		Curl:     "22 CURLE_HTTP_RETURNED_ERROR",
		NEL:      "http.response.invalid", Source: "RFC, Firefox",
	},
	{
		ID: "http-hsts-missing", Layer: LayerHTTP, Step: StepResponse, Kind: Advisory, Blame: BlameServer,
		Title:  "The site does not tell browsers to insist on the secure version.",
		User:   "Nothing needed.",
		Server: "Add Strict-Transport-Security with a short max-age first, then raise it.",
		Source: "RFC 6797, RFC",
	},
	{
		ID: "http-websocket-failed", Layer: LayerHTTP, Step: StepResponse, Kind: Failure, Blame: BlameServer,
		Title:    "The live connection a page needs (chat, live data) could not be opened.",
		User:     "Reload; check whether a filter blocks live connections.",
		Server:   "Pass Upgrade and Connection through every proxy and raise idle timeouts.",
		Chromium: []string{"ERR_WS_PROTOCOL_ERROR", "ERR_INVALID_HTTP_RESPONSE"},
		Firefox:  []string{"NS_ERROR_WEBSOCKET_CONNECTION_REFUSED"},
		Safari:   []string{"NSURLErrorBadServerResponse"},
		Curl:     "22 CURLE_HTTP_RETURNED_ERROR, 8 CURLE_WEIRD_SERVER_REPLY",
		NEL:      "http.failed", ProxyStatus: "http_upgrade_failed", Source: "Chromium, judgement",
	},
}
