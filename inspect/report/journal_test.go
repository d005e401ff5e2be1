package report

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"faultline/inspect"
)

func numbers(all []Numbered) (n []uint64) {
	for _, x := range all {
		n = append(n, x.Number)
	}
	return n
}

func TestJournalKeepsFailuresLonger(t *testing.T) {
	j := &Journal{Failures: 3, Others: 2}
	j.Add(refused())
	for range 10 {
		j.Add(fine())
	}
	if got, want := fmt.Sprint(numbers(j.All())), "[1 10 11]"; got != want {
		t.Errorf("kept %s, want %s", got, want)
	}
	for range 4 {
		j.Add(refused())
	}
	if got, want := fmt.Sprint(numbers(j.All())), "[10 11 13 14 15]"; got != want {
		t.Errorf("kept %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(numbers(j.Since(11))), "[13 14 15]"; got != want {
		t.Errorf("since 11: %s, want %s", got, want)
	}
	if j.Last() != 15 {
		t.Errorf("the last is %d, want 15", j.Last())
	}
}

// A slow reader sees a gap, and then all that is left, in order.
func TestJournalNextGap(t *testing.T) {
	j := &Journal{Failures: 2, Others: 2}
	for range 5 {
		j.Add(fine())
		j.Add(refused())
	}
	var got []uint64
	seen := uint64(1)
	for len(got) < 4 {
		r, n, err := j.Next(t.Context(), seen)
		if err != nil {
			t.Fatal(err)
		}
		if wantFailed := n%2 == 0; (r.Outcome == inspect.Failed) != wantFailed {
			t.Errorf("record %d is %s", n, r.Outcome)
		}
		got = append(got, n)
		seen = n
	}
	if want := "[7 8 9 10]"; fmt.Sprint(got) != want {
		t.Errorf("read %v, want %s", got, want)
	}
}

// The final record takes the place of the provisional one.
func TestJournalProvisional(t *testing.T) {
	j := &Journal{}
	waiting := but(refused(), func(r *inspect.Record) { r.Final = false })
	j.Add(waiting)
	j.Add(fine())
	j.Add(waiting)
	if got, want := fmt.Sprint(numbers(j.All())), "[2 3]"; got != want {
		t.Errorf("kept %s, want %s", got, want)
	}
	j.Add(refused())
	all := j.All()
	if got, want := fmt.Sprint(numbers(all)), "[2 4]"; got != want || !all[1].Record.Final {
		t.Errorf("kept %s, want %s", got, want)
	}
	if len(j.waiting) != 0 {
		t.Errorf("%d attempts are still waited for", len(j.waiting))
	}
	// Attempts that never end do not fill the memory.
	j = &Journal{Failures: 4}
	for i := range 100 {
		j.Add(but(waiting, func(r *inspect.Record) { r.ID = fmt.Sprint(i) }))
	}
	if len(j.waiting) > 5 {
		t.Errorf("%d attempts are waited for, want about 4", len(j.waiting))
	}
}

func TestJournalNextWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &Journal{}
		time.AfterFunc(time.Minute, func() { j.Add(refused()) })
		start := time.Now()
		if _, n, err := j.Next(t.Context(), 0); n != 1 || err != nil || time.Since(start) != time.Minute {
			t.Errorf("got %d, %v after %v, want 1 after a minute", n, err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if r, n, err := j.Next(ctx, 1); r != nil || n != 1 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, %d, %v, want the end of the context", r, n, err)
		}
		// What is there is returned even when the reader has no time left.
		if _, n, err := j.Next(ctx, 0); n != 1 || err != nil {
			t.Errorf("got %d, %v, want 1", n, err)
		}
	})
}

// Readers of all speeds and a writer: numbers only rise, and the last arrives.
func TestJournalRace(t *testing.T) {
	j := &Journal{Failures: 16, Others: 8}
	const total = 2000
	var wg sync.WaitGroup
	for slow := range 4 {
		wg.Go(func() {
			seen := uint64(0)
			for seen < total {
				r, n, err := j.Next(t.Context(), seen)
				if err != nil || r == nil || n <= seen {
					t.Errorf("after %d came %d, %v, %v", seen, n, r, err)
					return
				}
				seen = n
				for range slow * 100 { // fall behind
					j.Last()
				}
			}
		})
	}
	for i := range total - 1 {
		if i%3 == 0 {
			j.Add(refused())
		} else {
			j.Add(fine())
		}
	}
	j.Add(refused())
	wg.Wait()
}

func BenchmarkJournalAdd(b *testing.B) {
	j := &Journal{}
	r := refused()
	for b.Loop() {
		j.Add(r)
	}
}
