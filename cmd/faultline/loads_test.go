package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"faultline/inspect"
	"faultline/inspect/browser"
	"faultline/inspect/lab"
)

const (
	// healthyLoads is how many pages are loaded: enough that what happens once in
	// a hundred loads shows.
	healthyLoads = 200
	// abortEvery: one load in so many is of a slow page and broken off.
	abortEvery = 5
	// loadBudget ends the test before all are loaded, on a machine that is busy.
	loadBudget = 90 * time.Second
)

// TestHealthyLoads: real browsers load sites that are well, some loads are
// broken off, some connections are opened and not used. Nothing of it is a
// fault.
func TestHealthyLoads(t *testing.T) {
	inside(t)
	kinds := []browser.Kind{browser.Chromium, browser.Chromium, browser.Firefox}
	for _, kind := range kinds {
		browser.Need(t, kind)
	}
	l, roots := startLab(t)
	f := start(t, "--roots", roots, "--quiet")

	var sites []lab.Site
	for _, s := range lab.Sites() {
		if s.Fault == "" {
			sites = append(sites, s)
		}
	}
	idle := idleTunnels(t, f.addr)

	ctx, cancel := context.WithTimeout(t.Context(), loadBudget)
	defer cancel()
	work := make(chan int)
	var mu sync.Mutex
	counts := make(map[string]int)
	count := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		counts[what]++
	}
	var wg sync.WaitGroup
	for _, kind := range kinds {
		wg.Go(func() {
			b, err := browser.Start(t.Context(), kind, browser.Options{Proxy: f.addr, Roots: [][]byte{l.RootPEM()}, Headless: true, Quiet: true})
			if err != nil {
				t.Error(err)
				return
			}
			defer b.Close()
			for n := range work {
				if n%abortEvery == abortEvery-1 {
					// At different moments of the handshake, the request and the answer.
					if err := breakOff(ctx, b, time.Duration(n)*4*time.Millisecond); errors.Is(err, context.DeadlineExceeded) {
						count(string(kind) + " broken off")
					}
					continue
				}
				s := sites[n%len(sites)]
				v, err := b.Visit(ctx, s.URL())
				if v.Code == "ERR_NETWORK_CHANGED" { // the namespace is young: its links get addresses by themselves
					v, err = b.Visit(ctx, s.URL())
				}
				if ctx.Err() != nil {
					return
				}
				count(string(kind))
				if err != nil || loaded(v.Code) != "" {
					t.Errorf("%s: %s says %q, %v", s.Name, kind, v.Code, err)
				}
			}
		})
	}
	wg.Go(func() {
		defer close(work)
		for n := range healthyLoads {
			select {
			case work <- n:
			case <-ctx.Done():
				return
			}
		}
	})
	wg.Wait()

	idle[0].Close() // the other is open when faultline ends
	f.stop()
	outcomes := make(map[inspect.Outcome]int)
	faults := make(map[string]int)
	records := f.records(t)
	for _, r := range records {
		outcomes[r.Outcome]++
		faults[r.Fault]++
		for _, also := range r.Also {
			faults["also "+also.Fault]++
		}
		if r.Outcome == inspect.Failed || r.Outcome == inspect.Degraded {
			t.Errorf("%s is called %s: %s, %s (%s; final: %v)\n\ttls %+v\n\tend %+v", r.Target, r.Outcome, r.Fault, r.Why, r.Certainty, r.Final, r.TLS, r.End)
		}
	}
	t.Logf("loads: %v\nrecords: %d, %v\nfaults: %v", counts, len(records), outcomes, faults)
	if all := counts["chromium"] + counts["firefox"]; all < healthyLoads/4 {
		t.Errorf("only %d loads in %v", all, loadBudget)
	}
}

// breakOff begins to load the slow site and leaves it: the next visit closes the
// tab.
func breakOff(ctx context.Context, b *browser.Browser, after time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, after)
	defer cancel()
	_, err := b.Visit(ctx, "https://slow."+lab.Domain+"/")
	return err
}

// idleTunnels are two connections through the proxy that are never used.
func idleTunnels(t *testing.T, proxy string) (open [2]net.Conn) {
	t.Helper()
	for i := range open {
		c, err := net.Dial("tcp", proxy)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		host := "h2." + lab.Domain + ":443"
		fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", host, host)
		resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: http.MethodConnect})
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("CONNECT: %v, %v", resp, err)
		}
		open[i] = c
	}
	return open
}
