package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/x509roots/fallback/bundle"

	"faultline/inspect"
	"faultline/inspect/lab"
	"faultline/inspect/probe"
	"faultline/inspect/report"
	"faultline/proxy"
)

// options are the flags of the commands that run the proxy.
type options struct {
	stdout, stderr io.Writer

	listen   string
	log      string
	stateDir string
	quiet    bool
	verbose  bool
	probe    string
	roots    string
	resolver string
	upstream string
	lab      bool
	guide    bool // say how to try the lab
	moveOn   bool // to the next free port: listen is a default, not a wish
}

const defaultListen = "127.0.0.1:8080"

// flags gives a command the flags of the proxy.
func (o *options) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.listen, "listen", defaultListen, "listen on this loopback `ADDR:PORT`; when not given and taken, on the next free port")
	f.StringVar(&o.log, "log", "", "write one JSON line for each attempt to this `FILE`, or to standard output (-); default attempts.jsonl in the state directory")
	f.StringVar(&o.stateDir, "state-dir", defaultStateDir(), "the `DIR` for everything that is written")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print failures only")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "print the evidence too")
	f.StringVar(&o.probe, "probe", probes[0], "compare with a connection of our own, to the same host only: `WHEN` is "+list(probes))
	f.StringVar(&o.roots, "roots", "", "trust the certificates in this PEM `FILE` besides the system's, for judging")
	f.StringVar(&o.resolver, "resolver", "", "ask the name server at `ADDR[:PORT]` instead of the system's")
	f.StringVar(&o.upstream, "upstream-proxy", "", "go through the HTTP proxy at this `URL`, http://[USER:PASSWORD@]HOST:PORT")
	// These fail only for a flag that does not exist.
	_ = c.RegisterFlagCompletionFunc("probe", cobra.FixedCompletions(probes, cobra.ShellCompDirectiveNoFileComp))
	for _, name := range []string{"listen", "resolver", "upstream-proxy"} {
		_ = c.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	_ = c.MarkFlagDirname("state-dir")
}

// labFlag gives a command the choice of the lab.
func (o *options) labFlag(c *cobra.Command) {
	c.Flags().BoolVar(&o.lab, "lab", false, "serve the names under "+lab.Domain+" from this machine, each with one fault")
}

// probes are the times for comparisons.
var probes = []string{"failures", "always", "off"}

// list writes choices: "a, b or c".
func list(s []string) string {
	last := len(s) - 1
	return strings.Join(s[:last], ", ") + " or " + s[last]
}

// serve runs the proxy until ctx is done.
func serve(ctx context.Context, o *options) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	server := &proxy.Server{}
	if server.Dial.Upstream, err = parseUpstream(o.upstream); err != nil {
		return err
	}
	resolver, err := parseResolver(o.resolver)
	if err != nil {
		return err
	}
	roots, err := loadRoots(o.roots)
	if err != nil {
		return err
	}
	l, moved, err := listen(o.listen, o.moveOn)
	if err != nil {
		return err
	}
	defer l.Close()
	server.Dial.Resolver = &proxy.Resolver{Server: func(string) string { return resolver }}

	var tests *lab.Lab
	if o.lab {
		if tests, err = lab.Start(ctx, lab.Options{}); err != nil {
			return fmt.Errorf("start the lab: %w", err)
		}
		defer tests.Close()
		withLab(server, tests, resolver)
		roots.add(tests.Root())
	}

	out, err := o.reporter()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()

	judge := func(chain [][]byte, staple []byte, host string, at time.Time) *inspect.CertStep {
		return inspect.JudgeChain(chain, staple, host, at, roots.Roots)
	}
	server.Judge = judge
	server.Record = out.Record
	server.Local = local(l.Addr().String())
	if o.probe != "off" {
		p := &probe.Prober{Dial: server.Redial, Judge: judge}
		server.Probe = p.Compare
		server.ProbeAlways = o.probe == "always"
	}

	o.announce(l.Addr().String(), moved, out.Log.Path())
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	fmt.Fprintln(o.stderr, "faultline: stopping; open connections are recorded (Ctrl-C again to stop at once)")
	// Everything open ends at once and is recorded; a comparison under way may
	// take a little longer.
	end, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := server.Shutdown(end); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return <-done
}

// check finds flags that make no sense, before anything is started.
func (o *options) check() error {
	usage := func(format string, args ...any) error { return usageError{fmt.Errorf(format, args...), "faultline"} }
	if !slices.Contains(probes, o.probe) {
		return usage("--probe %q: say %s", o.probe, list(probes))
	}
	if o.quiet && o.verbose {
		return usage("--quiet and --verbose contradict each other")
	}
	host, port, err := net.SplitHostPort(o.listen)
	if err != nil {
		return usage("--listen %q: give an address and a port, such as %s", o.listen, defaultListen)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n > 65535 {
		return usage("--listen %q: %q is no port; give a number up to 65535, 0 for any that is free", o.listen, port)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return usage("--listen %q: faultline listens on this machine only (127.0.0.1 or ::1), because whoever reaches it can browse through it", o.listen)
	}
	return nil
}

// listener leaves keep-alive to the relay, which sets it for tunnels that live.
var listener = net.ListenConfig{KeepAlive: -1}

// listen takes the address, or, when it is only the default and taken, the next
// free port.
func listen(addr string, mayMove bool) (l net.Listener, moved bool, err error) {
	l, err = listener.Listen(context.Background(), "tcp", addr)
	if err == nil {
		return l, false, nil
	}
	if !mayMove || !errors.Is(err, syscall.EADDRINUSE) {
		next := "choose another address with --listen"
		if errors.Is(err, syscall.EADDRINUSE) {
			next = "end the program that has it, or " + next
		}
		if op := new(net.OpError); errors.As(err, &op) {
			err = op.Err // the rest repeats the address
		}
		return nil, false, fmt.Errorf("listen on %s: %w; %s", addr, err, next)
	}
	host, port, _ := net.SplitHostPort(addr)
	first, _ := strconv.Atoi(port)
	for p := first + 1; p <= first+100; p++ {
		if l, err := listener.Listen(context.Background(), "tcp", net.JoinHostPort(host, strconv.Itoa(p))); err == nil {
			return l, true, nil
		}
	}
	return nil, false, fmt.Errorf("listen: ports %d to %d are all taken; choose another with --listen", first, first+100)
}

func (o *options) announce(addr string, moved bool, log string) {
	if moved {
		fmt.Fprintf(o.stderr, "faultline: %s IS TAKEN; using the next free port\n", o.listen)
	}
	fmt.Fprintf(o.stderr, "faultline: ready on %s — set your browser's HTTP proxy to it, for http and https, and open the site that fails\n", addr)
	if log != "-" {
		fmt.Fprintf(o.stderr, "faultline: every attempt is written to %s\n", log)
	}
	if o.guide {
		fmt.Fprintf(o.stderr, `faultline: the lab is open. Through the proxy, open http://%[2]s/ or try:
    curl -x http://%[1]s https://refused.%[2]s/
    curl -x http://%[1]s -o lab.pem http://%[2]s/root.pem
    curl -x http://%[1]s --cacert lab.pem https://expired.%[2]s/
`, addr, lab.Domain)
	}
}

// withLab sends the lab's names to the lab.
func withLab(s *proxy.Server, l *lab.Lab, resolver string) {
	s.Dial.Resolver.Server = func(host string) string {
		if l.Serves(host) {
			return l.DNS()
		}
		return resolver
	}
	s.Dial.Route = func(host string, addr netip.AddrPort) netip.AddrPort {
		if l.Serves(host) {
			return l.Route(host, addr)
		}
		return addr
	}
	s.Dial.Direct = l.Serves
}

// reporter opens what attempts are told to. Lines for people go to standard
// output, or to standard error when the log has taken standard output.
func (o *options) reporter() (*report.Reporter, error) {
	path, people := o.log, o.stdout
	switch path {
	case "":
		path = filepath.Join(o.stateDir, "attempts.jsonl")
	case "-":
		people = o.stderr
	}
	log, err := report.OpenLog(path, o.stderr)
	if err != nil {
		return nil, err
	}
	console := &report.Console{Out: people}
	if f, ok := people.(*os.File); ok {
		console = report.NewConsole(f)
	}
	console.Quiet, console.Verbose = o.quiet, o.verbose
	return &report.Reporter{Log: log, Console: console, Journal: new(report.Journal)}, nil
}

// judges are the roots that certificates are judged by.
type judges struct{ inspect.Roots }

func (j *judges) add(c *x509.Certificate) {
	j.Pool.AddCert(c)
	j.Known = append(j.Known, c)
}

// loadRoots reads the system's roots and those in a PEM file.
func loadRoots(file string) (*judges, error) {
	pool, err := x509.SystemCertPool()
	if err != nil || pool == nil {
		pool = x509.NewCertPool()
	}
	j := &judges{inspect.Roots{Pool: pool}}
	for r := range bundle.Roots() {
		if c, err := x509.ParseCertificate(r.Certificate); err == nil {
			j.Public = append(j.Public, c)
		}
	}
	if file == "" {
		return j, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--roots: %w; give a file of certificates in PEM", err)
	}
	for rest := b; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if block.Type != "CERTIFICATE" || err != nil {
			continue
		}
		j.add(c)
	}
	if len(j.Known) == 0 {
		return nil, fmt.Errorf("--roots %s: no certificate in it; it must hold PEM blocks that begin with -----BEGIN CERTIFICATE-----", file)
	}
	return j, nil
}

func parseUpstream(s string) (*url.URL, error) {
	if s == "" {
		return nil, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" || u.Hostname() == "" {
		// The words of url.Parse could repeat a password.
		return nil, usageError{errors.New("--upstream-proxy: give it as http://HOST:PORT or http://USER:PASSWORD@HOST:PORT"), "faultline"}
	}
	return u, nil
}

func parseResolver(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	if ap, err := netip.ParseAddrPort(s); err == nil && ap.Port() != 0 {
		return ap.String(), nil
	}
	if ip, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return netip.AddrPortFrom(ip, 53).String(), nil
	}
	return "", usageError{fmt.Errorf("--resolver %q: give the address of a name server, such as 192.0.2.53 or 192.0.2.53:5353", s), "faultline"}
}

// defaultStateDir follows the XDG base directory specification; on Windows it is
// the local application data.
func defaultStateDir() string {
	if d := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "faultline")
	}
	if runtime.GOOS == "windows" {
		if d := os.Getenv("LocalAppData"); d != "" {
			return filepath.Join(d, "faultline")
		}
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return filepath.Join(os.TempDir(), "faultline")
	}
	return filepath.Join(home, ".local", "state", "faultline")
}
