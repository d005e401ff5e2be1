//go:build linux

package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/elazarl/goproxy"

	"faultline/inspect/report"
)

// The proxy beside bare goproxy, in the same minutes on the same machine: each
// proxy is a process of its own, they take turns, and what is reported is the
// median of the ratios of the rounds, for two runs are never alike:
//
//	go test -run '^$' -bench Relay -benchtime 9x ./proxy
//
// One iteration is one turn of each. "cpu/goproxy" below 1 means less CPU than
// goproxy for the same work, "rate/goproxy" above 1 means faster.

// proxies are what can be measured: how each is started, inside its own process.
var proxies = map[string]func() (addr string, stop func()){
	"goproxy":   startGoproxy,
	"faultline": startServer,
}

// startGoproxy is goproxy as it comes: ConnectAccept.
func startGoproxy() (addr string, stop func()) {
	return serveHTTP(goproxy.NewProxyHttpServer(), net.ListenConfig{})
}

// startServer is the whole proxy, with its log: every tunnel is watched, judged
// and written down.
func startServer() (addr string, stop func()) {
	dir, err := os.MkdirTemp("", "faultline-bench")
	if err != nil {
		panic(err)
	}
	log, err := report.OpenLog(filepath.Join(dir, "attempts.jsonl"), os.Stderr)
	if err != nil {
		panic(err)
	}
	lc := net.ListenConfig{KeepAlive: -1} // the relay sets it, on tunnels that live long
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	s := &Server{Record: log.Write}
	go s.Serve(l)
	return l.Addr().String(), func() {
		_ = s.Shutdown(context.Background())
		_ = log.Close()
		_ = os.RemoveAll(dir)
	}
}

func serveHTTP(h http.Handler, lc net.ListenConfig) (addr string, stop func()) {
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	s := &http.Server{Handler: h}
	go s.Serve(l)
	return l.Addr().String(), func() { s.Close() }
}

// TestRelayBenchProxy is not a test but a process with one proxy in it: it says
// the address, then the CPU time used so far for each line that it reads.
func TestRelayBenchProxy(t *testing.T) {
	start := proxies[os.Getenv("RELAY_BENCH_PROXY")]
	if start == nil {
		t.Skip("only for benchmarks")
	}
	addr, stop := start()
	defer stop()
	fmt.Println(addr)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		fmt.Println(u.Utime.Nano() + u.Stime.Nano())
	}
}

// A measured proxy is one in a process of its own.
type measured struct {
	addr string
	cpu  func() time.Duration // used so far
}

// benchProxy starts a proxy in a process of its own until the benchmark ends.
func benchProxy(b *testing.B, name string) measured {
	b.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestRelayBenchProxy$")
	cmd.Env = append(os.Environ(), "RELAY_BENCH_PROXY="+name)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(b, err)
	out, err := cmd.StdoutPipe()
	must(b, err)
	must(b, cmd.Start())
	b.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	next := func() string {
		if !lines.Scan() {
			b.Fatalf("%s: no answer: %v", name, lines.Err())
		}
		return lines.Text()
	}
	return measured{addr: next(), cpu: func() time.Duration {
		_, err := io.WriteString(in, "\n")
		must(b, err)
		n, err := strconv.ParseInt(next(), 10, 64)
		must(b, err)
		return time.Duration(n)
	}}
}

// turn is what one round cost one proxy.
type turn struct{ cpu, took time.Duration }

// compare lets the proxies take turns at work and reports the medians: units is
// how much there is in one turn.
func compare(b *testing.B, units float64, unit string, work func(addr string) error) {
	names := []string{"goproxy", "faultline"}
	turns := make(map[string][]turn)
	running := make(map[string]measured)
	for _, name := range names {
		running[name] = benchProxy(b, name)
		must(b, work(running[name].addr)) // warm
	}
	for b.Loop() {
		for _, name := range names {
			p := running[name]
			before, began := p.cpu(), time.Now()
			must(b, work(p.addr))
			took := time.Since(began)
			turns[name] = append(turns[name], turn{p.cpu() - before, took})
		}
		slices.Reverse(names) // being first is no advantage
	}
	base, mine := turns["goproxy"], turns["faultline"]
	b.ReportMetric(median(b.N, func(i int) float64 { return mine[i].cpu.Seconds() / base[i].cpu.Seconds() }), "cpu/goproxy")
	b.ReportMetric(median(b.N, func(i int) float64 { return base[i].took.Seconds() / mine[i].took.Seconds() }), "rate/goproxy")
	b.ReportMetric(median(b.N, func(i int) float64 { return float64(mine[i].cpu.Microseconds()) / units }), "µscpu/"+unit)
	b.ReportMetric(median(b.N, func(i int) float64 { return units / mine[i].took.Seconds() }), unit+"/s")
	b.ReportMetric(0, "ns/op") // of both together: says nothing
}

func median(n int, f func(i int) float64) float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = f(i)
	}
	slices.Sort(v)
	return v[n/2]
}

// through makes a tunnel to target and says what it is for.
func through(addr, target, words string) (*net.TCPConn, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %[1]s\r\n\r\n", target); err != nil {
		c.Close()
		return nil, err
	}
	var head [256]byte
	n := 0
	for !strings.HasSuffix(string(head[:n]), "\r\n\r\n") {
		m, err := c.Read(head[n:])
		if n += m; err != nil {
			c.Close()
			return nil, fmt.Errorf("%q: %w", head[:n], err)
		}
	}
	if _, err := io.WriteString(c, words); err != nil {
		c.Close()
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// site serves each connection with f until the benchmark ends.
func site(b *testing.B, f func(c *net.TCPConn)) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				f(c.(*net.TCPConn))
			}()
		}
	}()
	return l.Addr().String()
}

// hello is 64 bytes that need no handshake: the tap settles once both have
// spoken.
var hello = "GET /bench HTTP/1.1\r\nHost: bench\r\nUser-Agent: none whatever\r\n\r\n "[:64]

func BenchmarkRelayConnectEcho(b *testing.B) {
	const tunnels, atOnce = 4000, 16
	target := site(b, func(c *net.TCPConn) {
		var buf [64]byte
		if _, err := io.ReadFull(c, buf[:]); err == nil {
			_, _ = c.Write(buf[:])
			_, _ = c.Read(buf[:])
		}
	})
	compare(b, tunnels, "tunnel", func(addr string) error {
		return crowd(atOnce, func() error {
			var buf [64]byte
			for range tunnels / atOnce {
				c, err := through(addr, target, hello)
				if err != nil {
					return err
				}
				_, err = io.ReadFull(c, buf[:])
				c.Close()
				if err != nil {
					return err
				}
			}
			return nil
		})
	})
}

func BenchmarkRelayBulk(b *testing.B) {
	const total = 1 << 30
	for _, way := range []string{"down", "up"} {
		for _, tunnels := range []int{1, 8} {
			b.Run(fmt.Sprintf("%s/%d", way, tunnels), func(b *testing.B) {
				size := int64(total / tunnels)
				target := site(b, func(c *net.TCPConn) {
					if _, err := io.CopyN(io.Discard, c, int64(len(hello))); err != nil {
						return
					}
					if _, err := io.WriteString(c, greeting); err != nil {
						return
					}
					if way == "down" {
						_ = pour(c, size)
						return
					}
					if drink(c, size) == nil {
						_, _ = c.Write([]byte{1})
					}
				})
				compare(b, total>>20, "MiB", func(addr string) error {
					return crowd(tunnels, func() error {
						c, err := through(addr, target, hello)
						if err != nil {
							return err
						}
						defer c.Close()
						if _, err := io.CopyN(io.Discard, c, int64(len(greeting))); err != nil {
							return err
						}
						if way == "down" {
							return drink(c, size)
						}
						if err := pour(c, size); err != nil {
							return err
						}
						_, err = c.Read(make([]byte, 1))
						return err
					})
				})
			})
		}
	}
}

const greeting = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n"

// crowd runs n of f at once.
func crowd(n int, f func() error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = f() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func pour(c *net.TCPConn, n int64) error {
	for b := make([]byte, 256<<10); n > 0; n -= int64(len(b)) {
		if _, err := c.Write(b[:min(int64(len(b)), n)]); err != nil {
			return err
		}
	}
	return nil
}

func drink(c *net.TCPConn, n int64) error {
	for b := make([]byte, 256<<10); n > 0; {
		m, err := c.Read(b)
		if n -= int64(m); err != nil && n > 0 {
			return err
		}
	}
	return nil
}
