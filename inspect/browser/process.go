package browser

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"
)

// process is a running browser with its throw-away home.
type process struct {
	home   string
	cmd    *exec.Cmd
	stderr *os.File
	stop   func() bool // ends the watch over the context
	exited chan struct{}
	url    chan string // the address of the remote control, once said
	done   sync.WaitGroup

	mu   sync.Mutex
	tail []byte // the last words on standard error, at most maxTail
}

const (
	// maxTail is enough for the reason why a browser did not start.
	maxTail = 2 << 10
	// drainTimeout is for what a dead browser has written and we have not read.
	drainTimeout = time.Second
	// maxLine bounds one line of standard error; the rest of it is passed on
	// but not searched.
	maxLine = 64 << 10
)

// makeHome makes the directory that stands for the person's home. It is named
// so that a socket below it stays within the 104 bytes a path may have.
func makeHome() (string, error) {
	home, err := os.MkdirTemp("", "faultline-")
	if err != nil {
		return "", err
	}
	for _, dir := range []string{"profile", "tmp", ".config", ".cache", ".local/share", "run"} {
		if err := os.MkdirAll(filepath.Join(home, dir), 0o700); err != nil {
			return "", errors.Join(err, removeHome(home))
		}
	}
	return home, nil
}

// removeHome removes the home. A killed process may still be inside a write
// that makes a new file, so one try is not enough.
func removeHome(home string) error {
	var err error
	for end := time.Now().Add(removeTimeout); ; {
		if err = os.RemoveAll(home); err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("remove the profile: %w", err)
		}
		time.Sleep(50 * time.Millisecond) // no event tells that a file system is quiet
	}
}

// dropped are the variables of the environment that would lead the browser
// back to the person's own settings, proxies, or logs.
var dropped = regexp.MustCompile(`(?i)^(https?_proxy|all_proxy|no_proxy|ftp_proxy|auto_proxy|socks_.*|home|userprofile|appdata|localappdata|xdg_(config|cache|data|state|runtime)_.*|tmpdir|sslkeylogfile|ssl_.*|nss.*|moz_.*|mozilla_.*|chrome_.*|chromium_.*|google_.*|dbus_.*|ld_preload)=`)

// environment is ours without what is dropped, with the home in its place.
func environment(home string, more ...string) []string {
	var env []string
	for _, kv := range os.Environ() {
		if !dropped.MatchString(kv) || runtime.GOOS == "windows" && !proxyVar.MatchString(kv) {
			env = append(env, kv)
		}
	}
	in := func(dir string) string { return filepath.Join(home, dir) }
	if runtime.GOOS != "windows" { // there the profile directory is all that is needed
		env = append(env,
			"HOME="+home,
			"XDG_CONFIG_HOME="+in(".config"),
			"XDG_CACHE_HOME="+in(".cache"),
			"XDG_DATA_HOME="+in(".local/share"),
			"XDG_RUNTIME_DIR="+in("run"),
			// This address keeps it from starting a session bus that
			// would outlive it.
			"DBUS_SESSION_BUS_ADDRESS=disabled:",
		)
	}
	if len(home) < 50 {
		env = append(env, "TMPDIR="+in("tmp")) // it leaves sockets there
	}
	return append(append(env, display()...), more...)
}

// display keeps the way to the person's screen, which is found by the home and
// the runtime directory that we take away.
func display() (env []string) {
	if w, dir := os.Getenv("WAYLAND_DISPLAY"), os.Getenv("XDG_RUNTIME_DIR"); w != "" && dir != "" && !filepath.IsAbs(w) {
		env = append(env, "WAYLAND_DISPLAY="+filepath.Join(dir, w))
	}
	if home, err := os.UserHomeDir(); err == nil && os.Getenv("XAUTHORITY") == "" {
		if file := filepath.Join(home, ".Xauthority"); os.Getenv("DISPLAY") != "" {
			env = append(env, "XAUTHORITY="+file)
		}
	}
	return env
}

var proxyVar = regexp.MustCompile(`(?i)^[a-z]+_proxy=`)

// run starts cmd as the leader of its own process group, and kills that group
// when ctx ends.
func run(ctx context.Context, cmd *exec.Cmd, home string, stderr io.Writer) (*process, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p := &process{home: home, cmd: cmd, stderr: r, exited: make(chan struct{}), url: make(chan string, 1)}
	cmd.Stderr = w
	cmd.Dir = home
	ownGroup(cmd)
	err = cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		return nil, err
	}
	p.done.Go(func() { p.listen(stderr) })
	p.done.Go(func() {
		cmd.Wait() // how it ended does not matter: it is killed in the end
		close(p.exited)
	})
	p.stop = context.AfterFunc(ctx, p.kill)
	return p, nil
}

// kill kills the process group: the leader, and also what outlived it.
func (p *process) kill() { killGroup(p.cmd.Process) }

// wait returns when the process has ended and nothing of ours waits for it.
func (p *process) wait() {
	p.stop()
	<-p.exited
	// All has been said when its last process is gone; one that escaped the
	// group would hold the pipe open.
	p.stderr.SetReadDeadline(time.Now().Add(drainTimeout))
	p.done.Wait()
	p.stderr.Close()
}

// address is what Chromium and Firefox say when their web socket is open.
var address = regexp.MustCompile(`(?:WebDriver BiDi|DevTools) listening on (ws://\S+)`)

// listen passes on standard error, keeps its end, and looks for the address.
func (p *process) listen(to io.Writer) {
	lines := bufio.NewReaderSize(p.stderr, maxLine)
	for {
		line, err := lines.ReadSlice('\n')
		if to != nil {
			to.Write(line)
		}
		p.mu.Lock()
		p.tail = append(p.tail, line...)
		p.tail = p.tail[max(0, len(p.tail)-maxTail):]
		p.mu.Unlock()
		if m := address.FindSubmatch(line); m != nil {
			select {
			case p.url <- string(m[1]):
			default:
			}
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// lastWords is the end of standard error, for the message that says why a
// browser did not start.
func (p *process) lastWords() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(bytes.TrimSpace(p.tail)) == 0 {
		return ""
	}
	return "; it said: " + strings.TrimSpace(string(p.tail))
}

// where waits for the address of the remote control.
func (p *process) where(ctx context.Context) (string, error) {
	select {
	case url := <-p.url:
		return url, nil
	case <-p.exited:
		return "", errors.New("it ended at once")
	case <-ctx.Done():
		return "", fmt.Errorf("it did not open its remote control: %w", ctx.Err())
	}
}
