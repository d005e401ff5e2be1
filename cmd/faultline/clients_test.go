package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"faultline/inspect"
	"faultline/inspect/lab"
)

// clientTime is how long a client program may take over one visit, on a machine
// that is busy with browsers.
const clientTime = 30 * time.Second

// A program is a TLS client that can be sent through the proxy. visit returns
// what the program said, and an error when it did not get its answer. roots is
// the file of the authorities it is to trust, "" for those of the system.
type program struct {
	name  string
	needs string // the program to find; "" for none
	visit func(ctx context.Context, path, proxy, roots, host string) (said string, err error)
}

var programs = []program{
	{"curl", "curl", visitCurl},
	{"wget", "wget", visitWget},
	{"go", "", visitGo},
	{"node", "node", visitNode},
	{"python", "python3", visitPython},
	{"java", "javac", visitJava},
	{"openssl", "openssl", visitOpenSSL},
	{"gnutls", "gnutls-cli", visitGnuTLS},
}

// A reading is what may be said of a visit; several where the wire does not
// tell more.
type reading struct {
	outcome inspect.Outcome
	layer   inspect.Layer
	fault   string
	blame   inspect.Blame
}

var (
	fine     = reading{inspect.OK, inspect.LayerNone, inspect.FaultOK, inspect.BlameNone}
	expired  = reading{inspect.Failed, inspect.LayerCertificate, "cert-expired", inspect.BlameServer}
	misnamed = reading{inspect.Failed, inspect.LayerCertificate, "cert-name-mismatch", inspect.BlameServer}
	// The client refused what nobody else minds.
	refusal = reading{inspect.Failed, inspect.LayerClient, "client-rejected-cert", inspect.BlameClient}
	// The client left in the middle of the handshake, and does not say why.
	hungUp = reading{inspect.Failed, inspect.LayerClient, "client-handshake-abandoned", inspect.BlameClient}
	// The client finished the handshake and left, without a word: it may have
	// refused the certificate, or have had no need of the connection. Nobody is
	// accused.
	unused = reading{inspect.Abandoned, inspect.LayerNone, "client-preconnect-unused", inspect.BlameNone}
)

func readingOf(r inspect.Record) reading { return reading{r.Outcome, r.Layer, r.Fault, r.Blame} }

// TestClients sends real client programs through faultline: each with a good
// certificate, an expired one, one for another name, and one whose authority it
// does not know, with TLS 1.3 and 1.2.
func TestClients(t *testing.T) {
	inside(t)
	_, roots := startLab(t)
	f := start(t, "--roots", roots, "--quiet")
	cases := []struct {
		name    string
		site    string // with TLS 1.3, and with 1.2
		site12  string
		trusted bool // the client trusts the lab
		loads   bool
		want    reading
		other   map[string]reading // by client, and client and version
	}{
		{"good", "http11", "tls12", true, true, fine, nil},
		{"expired", "expired", "expired-tls12", true, false, expired, nil},
		{"wrong-name", "wrong-name", "wrong-name-tls12", true, false, misnamed, nil},
		{"unknown-authority", "rsa", "tls12-rsa", false, false, refusal, map[string]reading{
			"node 1.3": hungUp, // not a byte after the server's flight
			// These judge after they have finished the handshake, and a spare
			// connection of any program looks the same.
			"node 1.2": unused,
			"wget":     unused,
		}},
	}
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			path := ""
			if p.needs != "" {
				path = need(t, p.needs)
			}
			for _, c := range cases {
				for i, site := range []string{c.site, c.site12} {
					version := []string{"1.3", "1.2"}[i]
					t.Run(c.name+" "+version, func(t *testing.T) {
						want := c.want
						for _, key := range []string{p.name, p.name + " " + version} {
							if other, ok := c.other[key]; ok {
								want = other
							}
						}
						host := site + "." + lab.Domain
						trust := roots
						if !c.trusted {
							trust = ""
						}
						begun := time.Now()
						ctx, cancel := context.WithTimeout(t.Context(), clientTime)
						defer cancel()
						said, err := p.visit(ctx, path, f.addr, trust, host)
						if (err == nil) != c.loads {
							t.Errorf("the client itself: got %v, want it to load: %v\n%s", err, c.loads, said)
						}
						r := f.final(t, host, begun)
						if got := readingOf(r); got != want {
							t.Errorf("got %+v (%s), want %+v\nthe client said: %v %s", got, r.Why, want, err, said)
						}
						if r.TLS == nil || r.TLS.Version != "TLS "+version {
							t.Errorf("the version is %+v, want TLS %s", r.TLS, version)
						}
						rejected := inspect.Rejection("")
						if r.TLS != nil {
							rejected = r.TLS.Rejected
						}
						t.Logf("%s %s (%s, %q): %s", r.Outcome, r.Fault, r.Certainty, rejected, r.Why)
					})
				}
			}
		})
	}
}

// final waits for the final record of an attempt to reach host that began after
// a moment: the first that tells of a fault, when there are several.
func (f *faultline) final(t testing.TB, host string, after time.Time) inspect.Record {
	t.Helper()
	mine := func(r inspect.Record) bool {
		return r.Final && strings.EqualFold(r.Host, host) && !r.TS.Before(after.Truncate(time.Microsecond))
	}
	all := f.await(t, clientTime, func(all []inspect.Record) bool { return slices.ContainsFunc(all, mine) })
	all = slices.DeleteFunc(all, func(r inspect.Record) bool { return !mine(r) })
	if len(all) == 0 {
		t.Fatalf("no record for %s", host)
	}
	for _, want := range []inspect.Outcome{inspect.Failed, inspect.Degraded, inspect.OK} {
		if i := slices.IndexFunc(all, func(r inspect.Record) bool { return r.Outcome == want }); i >= 0 {
			return all[i]
		}
	}
	return all[0]
}

// need finds a program for a test, which is skipped where it is missing, loudly;
// with FAULTLINE_NO_SKIP=1 it fails instead.
func need(t *testing.T, program string) string {
	t.Helper()
	for _, dir := range []string{"", "/usr/sbin/", "/usr/local/sbin/"} { // servers are not in everybody's PATH
		if path, err := exec.LookPath(dir + program); err == nil {
			return path
		}
	}
	if os.Getenv("FAULTLINE_NO_SKIP") == "1" {
		t.Fatalf("NEEDED: %s is not installed, and FAULTLINE_NO_SKIP=1 forbids skipping", program)
	}
	t.Skipf("SKIPPED: %s is not installed, so it was not tested", program)
	return ""
}

// say runs a program to its end, with something to read.
func say(ctx context.Context, input, path string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin = strings.NewReader(input)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(strings.ToLower(v), "=")
		return strings.HasSuffix(name, "_proxy") || strings.HasPrefix(name, "ssl_cert") || name == "node_extra_ca_certs"
	}), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func visitCurl(ctx context.Context, path, proxy, roots, host string) (string, error) {
	args := []string{"-q", "-sS", "-o", os.DevNull, "-w", "%{http_code}", "-x", "http://" + proxy}
	if roots != "" {
		args = append(args, "--cacert", roots)
	}
	return say(ctx, "", path, append(args, "https://"+host+"/")...)
}

func visitWget(ctx context.Context, path, proxy, roots, host string) (string, error) {
	args := []string{"--no-config", "--no-hsts", "-nv", "-t", "1", "-O", os.DevNull, "-e", "use_proxy=on", "-e", "https_proxy=http://" + proxy}
	if roots != "" {
		args = append(args, "--ca-certificate="+roots)
	}
	return say(ctx, "", path, append(args, "https://"+host+"/")...)
}

func visitGo(ctx context.Context, _, proxy, roots, host string) (string, error) {
	transport := &http.Transport{
		Proxy:           http.ProxyURL(&url.URL{Scheme: "http", Host: proxy}),
		TLSClientConfig: &tls.Config{RootCAs: x509.NewCertPool()},
	}
	defer transport.CloseIdleConnections()
	if roots != "" {
		pem, err := os.ReadFile(roots)
		if err != nil {
			return "", err
		}
		transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/", nil)
	if err != nil {
		return "", err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.Status, err
}

const nodeScript = `
const net = require("net"), tls = require("tls"), fs = require("fs");
const [proxy, roots, host] = process.argv.slice(1);
const [addr, port] = proxy.split(":");
const fail = e => { console.error(String(e)); process.exitCode = 1; };
const tcp = net.connect(port, addr, () => tcp.write("CONNECT " + host + ":443 HTTP/1.1\r\nHost: " + host + ":443\r\n\r\n"));
tcp.on("error", fail);
tcp.once("data", d => {
	if (!/^HTTP\/1.1 200/.test(d)) { fail(d); tcp.destroy(); return; }
	const s = tls.connect({socket: tcp, servername: host, ca: roots ? fs.readFileSync(roots) : undefined}, () =>
		s.write("GET / HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n"));
	let n = 0;
	s.on("data", d => n += d.length);
	s.on("error", fail);
	s.on("end", () => console.log(n));
});`

func visitNode(ctx context.Context, path, proxy, roots, host string) (string, error) {
	return say(ctx, "", path, "-e", nodeScript, proxy, roots, host)
}

const pythonScript = `
import socket, ssl, sys
proxy, roots, host = sys.argv[1:]
addr, port = proxy.split(":")
s = socket.create_connection((addr, int(port)))
s.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
head = b""
while not head.endswith(b"\r\n\r\n"):
    b = s.recv(1)
    if not b: sys.exit("the proxy closed")
    head += b
if b" 200 " not in head: sys.exit(head.decode())
c = ssl.create_default_context(cafile=roots or None)
with c.wrap_socket(s, server_hostname=host) as t:
    t.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    n = 0
    while b := t.recv(65536): n += len(b)
    print(n)`

func visitPython(ctx context.Context, path, proxy, roots, host string) (string, error) {
	return say(ctx, "", path, "-c", pythonScript, proxy, roots, host)
}

const javaProgram = `
import java.io.*; import java.net.*; import java.security.*; import java.security.cert.*; import javax.net.ssl.*;
class Visit {
	public static void main(String[] a) throws Exception {
		String[] proxy = a[0].split(":");
		var url = new URL("https://" + a[2] + "/");
		var c = (HttpsURLConnection) url.openConnection(new Proxy(Proxy.Type.HTTP, new InetSocketAddress(proxy[0], Integer.parseInt(proxy[1]))));
		if (!a[1].isEmpty()) {
			var keys = KeyStore.getInstance(KeyStore.getDefaultType());
			keys.load(null, null);
			try (var in = new FileInputStream(a[1])) {
				keys.setCertificateEntry("root", CertificateFactory.getInstance("X.509").generateCertificate(in));
			}
			var trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
			trust.init(keys);
			var context = SSLContext.getInstance("TLS");
			context.init(null, trust.getTrustManagers(), null);
			c.setSSLSocketFactory(context.getSocketFactory());
		}
		try (var in = c.getInputStream()) {
			System.out.println(c.getResponseCode() + " " + in.readAllBytes().length);
		}
	}
}
`

// visitJava has the program compiled on the way, as Java does with a single file.
func visitJava(ctx context.Context, path, proxy, roots, host string) (string, error) {
	dir, err := os.MkdirTemp("", "faultline-java")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "Visit.java")
	if err := os.WriteFile(file, []byte(javaProgram), 0o600); err != nil {
		return "", err
	}
	return say(ctx, "", filepath.Join(filepath.Dir(path), "java"), "-XX:TieredStopAtLevel=1", file, proxy, roots, host)
}

func visitOpenSSL(ctx context.Context, path, proxy, roots, host string) (string, error) {
	args := []string{"s_client", "-proxy", proxy, "-connect", host + ":443", "-servername", host, "-verify_return_error", "-verify_hostname", host, "-quiet", "-ign_eof"}
	if roots != "" {
		args = append(args, "-CAfile", roots)
	}
	return answered(say(ctx, getOnce(host), path, args...))
}

// visitGnuTLS gives the client, which knows no proxies, a port that leads
// through one.
func visitGnuTLS(ctx context.Context, path, proxy, roots, host string) (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		bridge(c.(*net.TCPConn), proxy, host)
	})
	defer wg.Wait()
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	args := []string{"--port", port, "--sni-hostname", host, "--verify-hostname", host}
	if roots != "" {
		args = append(args, "--x509cafile", roots)
	}
	return answered(say(ctx, getOnce(host), path, append(args, "127.0.0.1")...))
}

// bridge opens a tunnel through the proxy and copies both ways until both
// directions have ended.
func bridge(client *net.TCPConn, proxy, host string) {
	defer client.Close()
	c, err := net.Dial("tcp", proxy)
	if err != nil {
		return
	}
	server := c.(*net.TCPConn)
	defer server.Close()
	fmt.Fprintf(server, "CONNECT %s:443 HTTP/1.1\r\nHost: %s:443\r\n\r\n", host, host)
	r := bufio.NewReader(server)
	resp, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err != nil || resp.StatusCode != http.StatusOK {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { io.Copy(server, client); server.CloseWrite() })
	wg.Go(func() { io.Copy(client, r); client.CloseWrite() })
	wg.Wait()
}

func getOnce(host string) string {
	return "GET / HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n"
}

// answered: programs that connect and nothing else do not say by their status
// whether an answer came.
func answered(said string, err error) (string, error) {
	if strings.Contains(said, "HTTP/1.1 ") {
		return "", nil
	}
	return said, errors.Join(errors.New("no answer"), err)
}
