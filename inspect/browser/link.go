package browser

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// maxMessage bounds one message of the browser. The largest wanted is a
// screenshot: a few megabytes.
const maxMessage = 64 << 20

// writeTimeout is how long the browser may leave a command unread.
const writeTimeout = 10 * time.Second

// wire carries whole messages to and from a browser.
type wire interface {
	read() ([]byte, error)
	write([]byte) error
	close()
}

// link carries questions and answers, and delivers events. The DevTools
// protocol and WebDriver BiDi differ in words, not in this.
type link struct {
	wire   wire
	reader sync.WaitGroup
	gone   chan struct{} // closed when nothing more can be read

	mu      sync.Mutex
	last    int64
	waiting map[int64]chan answer
	hear    func(event)
	err     error // why it is gone
}

type obj map[string]any

// event is something that happened in the browser.
type event struct {
	Session string // Chromium's session: one per tab, frame process and worker
	Method  string
	Params  json.RawMessage
}

type answer struct {
	result json.RawMessage
	err    error
}

// message is all that either protocol can send us.
type message struct {
	ID      int64           `json:"id"`
	Session string          `json:"sessionId"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params"`
	Result  json.RawMessage `json:"result"`
	Error   json.RawMessage `json:"error"`   // an object from Chromium, a string from Firefox
	Message string          `json:"message"` // Firefox: the error in words
}

func newLink(w wire) *link {
	l := &link{wire: w, gone: make(chan struct{}), waiting: make(map[int64]chan answer)}
	l.reader.Go(l.readAll)
	return l
}

// listen names who hears the events from now on, on the link's own goroutine:
// it must not wait for an answer.
func (l *link) listen(hear func(event)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hear = hear
}

func (l *link) readAll() {
	for {
		b, err := l.wire.read()
		if err != nil {
			l.end(err)
			return
		}
		var m message
		if err := json.Unmarshal(b, &m); err != nil {
			l.end(fmt.Errorf("a message that is not JSON: %w", err))
			return
		}
		l.deliver(m)
	}
}

func (l *link) deliver(m message) {
	l.mu.Lock()
	hear, ask := l.hear, l.waiting[m.ID]
	delete(l.waiting, m.ID)
	l.mu.Unlock()
	switch {
	case m.Method != "" && hear != nil:
		hear(event{m.Session, m.Method, m.Params})
	case ask != nil && m.Error != nil:
		ask <- answer{err: fmt.Errorf("%s %s", m.Error, m.Message)}
	case ask != nil:
		ask <- answer{result: m.Result}
	}
}

// end tells everyone who waits that nothing more will come.
func (l *link) end(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = fmt.Errorf("the browser has ended or closed its remote control: %w", err)
	close(l.gone)
}

// send sends a command; its answer comes on the channel, which has room for it.
func (l *link) send(session, method string, params any) (<-chan answer, error) {
	if params == nil {
		params = obj{}
	}
	l.mu.Lock()
	l.last++
	id, ask := l.last, make(chan answer, 1)
	l.waiting[id] = ask
	l.mu.Unlock()
	m := obj{"id": id, "method": method, "params": params}
	if session != "" {
		m["sessionId"] = session
	}
	b, err := json.Marshal(m)
	if err == nil {
		err = l.wire.write(b)
	}
	if err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.waiting, id)
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	return ask, nil
}

// tell sends a command whose answer nobody needs.
func (l *link) tell(session, method string, params any) {
	l.send(session, method, params)
}

// ask sends a command and puts its answer into result, if that is not nil.
func (l *link) ask(ctx context.Context, session, method string, params, result any) error {
	reply, err := l.send(session, method, params)
	if err != nil {
		return err
	}
	select {
	case a := <-reply:
		if a.err == nil && result != nil {
			a.err = json.Unmarshal(a.result, result)
		}
		if a.err != nil {
			return fmt.Errorf("%s: %w", method, a.err)
		}
		return nil
	case <-l.gone:
		return fmt.Errorf("%s: %w", method, l.reason())
	case <-ctx.Done():
		l.mu.Lock()
		defer l.mu.Unlock()
		maps.DeleteFunc(l.waiting, func(_ int64, c chan answer) bool { return c == reply })
		return fmt.Errorf("%s: %w", method, ctx.Err())
	}
}

// reason is why the link is gone.
func (l *link) reason() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// close ends the link and waits for its reader.
func (l *link) close() {
	l.wire.close()
	l.reader.Wait()
}

// pipe is a wire of two pipes with a zero byte after each message: Chromium's
// remote-debugging-pipe.
type pipe struct {
	in  *bufio.Reader
	r   *os.File
	mu  sync.Mutex
	out *os.File
}

func newPipe(r, w *os.File) *pipe {
	return &pipe{in: bufio.NewReaderSize(r, 64<<10), r: r, out: w}
}

func (p *pipe) read() ([]byte, error) {
	var m []byte
	for {
		part, err := p.in.ReadSlice(0)
		m = append(m, part...)
		switch {
		case len(m) > maxMessage:
			return nil, errors.New("a message beyond the limit")
		case err == nil:
			return m[:len(m)-1], nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

func (p *pipe) write(m []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.out.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := p.out.Write(append(m, 0))
	return err
}

func (p *pipe) close() {
	p.r.Close()
	p.out.Close()
}

// socket is a wire over a web socket.
type socket struct {
	conn   *websocket.Conn
	ctx    context.Context
	cancel context.CancelFunc
}

// dial connects to a browser's web socket on this machine.
func dial(ctx context.Context, url string) (*socket, error) {
	// The default client would go through the proxies of the environment, and
	// its keep-alive pool would outlive us.
	t := &http.Transport{DisableKeepAlives: true}
	conn, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: &http.Client{Transport: t}})
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(maxMessage)
	s := &socket{conn: conn}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

func (s *socket) read() ([]byte, error) {
	_, b, err := s.conn.Read(s.ctx)
	return b, err
}

func (s *socket) write(m []byte) error {
	ctx, cancel := context.WithTimeout(s.ctx, writeTimeout)
	defer cancel()
	return s.conn.Write(ctx, websocket.MessageText, m)
}

func (s *socket) close() {
	s.cancel()
	s.conn.CloseNow()
}
