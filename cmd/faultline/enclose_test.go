package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// The tests of the whole program run in a network of their own: a namespace in
// which the lab has an address and the real ports for every site, its name
// server is the system's, and a packet filter can break what it likes. So the
// same sites can be visited directly and through the proxy, by anything.

// labBase is the lab's first address (a network kept for benchmarks, RFC 2544).
var labBase = netip.MustParseAddr("198.18.0.1")

const insideEnv = "FAULTLINE_TEST_INSIDE"

// TestMain starts the test binary again inside the namespace. Under the name of
// the program, which the scripts of testdata call it by, it is the program.
func TestMain(m *testing.M) {
	testscript.Main(enclosing{m}, map[string]func(){"faultline": main})
}

// enclosing runs the tests inside the namespace. Where there can be none (no
// Linux, no rights), the tests that need it say so.
type enclosing struct{ m *testing.M }

func (e enclosing) Run() int {
	if os.Getenv(insideEnv) != "" || runtime.GOOS != "linux" {
		if os.Getenv(insideEnv) != "" {
			if err := furnish(); err != nil {
				fmt.Fprintln(os.Stderr, "furnish the namespace:", err)
				return 1
			}
		}
		return e.m.Run()
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.SysProcAttr = enclosed()
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "no network namespace can be made here:", err)
		return e.m.Run()
	}
	if err := cmd.Wait(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return exit.ExitCode()
		}
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// furnish gives the namespace a loopback, a way out that leads nowhere (without
// one browsers say that they are offline), and the lab's addresses and names.
func furnish() error {
	for _, args := range [][]string{
		{"ip", "link", "set", "lo", "up"},
		{"ip", "link", "add", "out", "type", "veth", "peer", "name", "beyond"},
		{"ip", "link", "set", "beyond", "up"},
		{"ip", "addr", "add", "192.0.2.2/24", "dev", "out"},

		{"ip", "link", "set", "out", "up"},
		{"ip", "route", "add", "default", "via", "192.0.2.1"},
		{"ip", "route", "add", "local", "198.18.0.0/16", "dev", "lo"},
		// A SYN that is never answered fails after some 10 s instead of 130.
		{"sysctl", "-q", "-w", "net.ipv4.tcp_syn_retries=4", "net.ipv4.tcp_syn_linear_timeouts=4"},
		{"mount", "--make-rprivate", "/"},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w: %s", args, err, out)
		}
	}
	dir, err := os.MkdirTemp("", "faultline-ns")
	if err != nil {
		return err
	}
	conf := filepath.Join(dir, "resolv.conf")
	if err := os.WriteFile(conf, []byte("nameserver "+labBase.String()+"\n"), 0o644); err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks("/etc/resolv.conf")
	if err != nil {
		return err
	}
	out, err := exec.Command("mount", "--bind", conf, real).CombinedOutput()
	if err != nil {
		return fmt.Errorf("mount: %w: %s", err, out)
	}
	return nil
}

// inside skips a test that needs the namespace where there is none, loudly; with
// FAULTLINE_NO_SKIP=1 it fails instead.
func inside(t *testing.T) {
	t.Helper()
	if os.Getenv(insideEnv) != "" {
		return
	}
	if os.Getenv("FAULTLINE_NO_SKIP") == "1" {
		t.Fatal("NEEDED: a network namespace, and none can be made here")
	}
	t.Skip("SKIPPED: no network namespace can be made here, so this was not tested")
}
