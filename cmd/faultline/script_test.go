package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScript drives the program as a person does: testdata/script reads like the
// README. $ADDR is an address that is free. Besides testscript's own commands
// there are status, listening, taken and await.
func TestScript(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		if os.Getenv("FAULTLINE_NO_SKIP") == "1" {
			t.Fatal("NEEDED: curl")
		}
		t.Skip("SKIPPED: curl is not installed, so the command line was not tested")
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			defer l.Close()
			e.Setenv("ADDR", l.Addr().String())
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": status, "listening": listening, "taken": taken, "await": await,
		},
	})
}

// status N PROGRAM ARG… runs a program that must end with the status N.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N PROGRAM ARG…")
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if want, _ := strconv.Atoi(args[0]); got != want {
		ts.Fatalf("status: got %d, want %d", got, want)
	}
}

// listening ADDR waits until something listens there.
func listening(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: listening ADDR")
	}
	until(ts, args[0]+" is not listened on", func() bool {
		c, err := net.Dial("tcp", args[0])
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// taken ADDR listens there until the script ends; it does not matter who does.
func taken(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: taken ADDR")
	}
	if l, err := net.Listen("tcp", args[0]); err == nil {
		ts.Defer(func() { l.Close() })
	}
}

// await FILE [PATTERN] waits until the file is there and holds the pattern.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: await FILE [PATTERN]")
	}
	pattern := regexp.MustCompile(append(args, "")[1])
	until(ts, args[0]+" does not hold it", func() bool {
		b, err := os.ReadFile(ts.MkAbs(args[0]))
		return err == nil && pattern.Match(b)
	})
}

// until looks again and again, for as long as a slow machine may take.
func until(ts *testscript.TestScript, trouble string, ok func() bool) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			ts.Fatalf("%s after 30 s", trouble)
		}
	}
}
