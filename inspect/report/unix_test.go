//go:build unix && !solaris && !aix

package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const runsUnix = true

// killed is the environment variable that makes this test program write 500
// records to the log it names, and kill itself.
const killed = "FAULTLINE_TEST_KILLED_LOG"

func TestMain(m *testing.M) {
	path := os.Getenv(killed)
	if path == "" {
		os.Exit(m.Run())
	}
	l, err := OpenLog(path, nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for range 500 {
		l.Write(expired())
	}
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// A record that was told is on disk, whatever happens next.
func TestLogSurvivesKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "attempts.jsonl")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), killed+"="+path)
	out, err := cmd.CombinedOutput()
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || ws.Signal() != syscall.SIGKILL {
		t.Fatalf("the child ended with %v, want SIGKILL: %s", err, out)
	}
	lines := 0
	for line := range bytes.Lines(read(t, path)) {
		if !bytes.HasSuffix(line, []byte("\n")) || !json.Valid(line) {
			t.Errorf("broken line %q", line)
		}
		lines++
	}
	if lines != 500 {
		t.Errorf("%d lines on disk, want 500", lines)
	}
	// The lock died with its owner.
	open(t, path, nil)
}

func TestLogModeWithoutUmask(t *testing.T) {
	old := syscall.Umask(0) // of the whole process: no test here is parallel
	defer syscall.Umask(old)
	dir := filepath.Join(t.TempDir(), "state")
	path := filepath.Join(dir, "attempts.jsonl")
	open(t, path, nil).Write(fine())
	for name, want := range map[string]os.FileMode{dir: 0o700, path: 0o600, path + ".lock": 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode(), err, want)
		}
	}
}

func TestLogOneProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "attempts.jsonl")
	l := open(t, path, nil)
	_, err := OpenLog(path, nil)
	if err == nil {
		t.Fatal("a second log was opened on the same file")
	}
	for _, want := range []string{fmt.Sprintf("process %d", os.Getpid()), "--log"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %q, want %q in it", err, want)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path, nil) // free again
}

// Trouble is said once, with the next step, and counted; faultline goes on.
func TestLogDiskFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full here")
	}
	var said bytes.Buffer
	l := open(t, "/dev/full", &said)
	for range 3 {
		l.Write(fine())
	}
	if l.Lost() != 3 {
		t.Errorf("%d lost, want 3", l.Lost())
	}
	got := said.String()
	if strings.Count(got, "\n") != 1 || !strings.Contains(got, "no space left") || !strings.Contains(got, "free some space") {
		t.Errorf("said %q, want it once, with the next step", got)
	}
	if _, err := os.Stat("/dev/full.lock"); err == nil {
		t.Error("a device got a lock file")
	}
}

// A pipe or device is written to, never renamed or chmodded.
func TestLogToPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o644); err != nil {
		t.Skip(err)
	}
	r, err := os.OpenFile(path, os.O_RDWR, 0) // so that neither side waits
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	open(t, path, nil).Write(fine())
	b := make([]byte, 1<<16)
	n, err := r.Read(b)
	if err != nil || !json.Valid(b[:n]) {
		t.Errorf("read %q, %v", b[:n], err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("the pipe is now %v, %v", info.Mode(), err)
	}
}
