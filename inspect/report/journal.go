package report

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"faultline/inspect"
)

const (
	// keepFailures and keepOthers are how many records a journal keeps when not
	// told otherwise. A page that works makes dozens of records and would push
	// out the failure before it, hence two rings. A record takes 2 to 10 KB.
	keepFailures = 2000
	keepOthers   = 500
)

// Journal keeps the latest records, numbered from 1, for viewers that pull. A
// viewer that is too slow sees a gap in the numbers; the writer never waits and
// nobody else notices. The zero value is ready.
type Journal struct {
	// Failures and Others are how many records of each sort are kept; 0 means
	// the default. Failures are the failed, the degraded and the provisional.
	Failures, Others int

	mu      sync.Mutex
	last    uint64
	failed  ring
	others  ring
	waiting map[string]uint64 // provisional records by attempt
	wake    chan struct{}     // closed by the next Add; nil while nobody waits
}

// Numbered is a record and its number in the journal.
type Numbered struct {
	Number uint64
	Record *inspect.Record
}

// Add keeps a record, which must not change any more, and returns its number.
// It replaces the provisional record of the same attempt, if there is one.
func (j *Journal) Add(r *inspect.Record) uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last++
	if old, ok := j.waiting[r.ID]; ok {
		j.failed.drop(old)
		delete(j.waiting, r.ID)
	}
	switch {
	case !r.Final:
		j.wait(r.ID)
		j.failed.add(Numbered{j.last, r}, atLeast(j.Failures, keepFailures))
	case r.Outcome == inspect.Failed || r.Outcome == inspect.Degraded:
		j.failed.add(Numbered{j.last, r}, atLeast(j.Failures, keepFailures))
	default:
		j.others.add(Numbered{j.last, r}, atLeast(j.Others, keepOthers))
	}
	if j.wake != nil {
		close(j.wake)
		j.wake = nil
	}
	return j.last
}

// wait remembers which number an attempt's provisional record has. Numbers
// that have left the ring are forgotten, so the map stays as small as the ring.
func (j *Journal) wait(id string) {
	if j.waiting == nil {
		j.waiting = make(map[string]uint64)
	}
	if len(j.waiting) >= atLeast(j.Failures, keepFailures) {
		for id, n := range j.waiting {
			if n < j.failed.first() {
				delete(j.waiting, id)
			}
		}
	}
	j.waiting[id] = j.last
}

// Next returns the first record after number seen that is still kept, and its
// number, waiting for one until ctx is done. A number above seen+1 means that
// the ones between are gone.
func (j *Journal) Next(ctx context.Context, seen uint64) (*inspect.Record, uint64, error) {
	for {
		n, wake := j.next(seen)
		if n.Record != nil {
			return n.Record, n.Number, nil
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return nil, seen, ctx.Err()
		}
	}
}

// next finds the record after seen, or else a channel that is closed when one
// is added.
func (j *Journal) next(seen uint64) (Numbered, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	a, b := j.failed.after(seen), j.others.after(seen)
	switch {
	case a.Record != nil && (b.Record == nil || a.Number < b.Number):
		return a, nil
	case b.Record != nil:
		return b, nil
	}
	if j.wake == nil {
		j.wake = make(chan struct{})
	}
	return Numbered{}, j.wake
}

// Since returns the records after number seen that are still kept, in order.
func (j *Journal) Since(seen uint64) []Numbered {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := append(j.failed.since(seen), j.others.since(seen)...)
	slices.SortFunc(all, func(a, b Numbered) int { return cmp.Compare(a.Number, b.Number) })
	return all
}

// All returns the records that are still kept, in order.
func (j *Journal) All() []Numbered { return j.Since(0) }

// Last is the number of the newest record, 0 when there is none.
func (j *Journal) Last() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.last
}

// ring holds the newest records in the order of their numbers. A dropped one
// leaves its place empty until it is overwritten.
type ring struct {
	at   []Numbered
	head int // of the oldest, once the ring is full
}

func (r *ring) add(n Numbered, size int) {
	if len(r.at) < size {
		r.at = append(r.at, n)
		return
	}
	r.at[r.head] = n
	r.head = (r.head + 1) % len(r.at)
}

// get returns the i-th oldest.
func (r *ring) get(i int) *Numbered { return &r.at[(r.head+i)%len(r.at)] }

// search returns the place of the oldest with a number of at least n.
func (r *ring) search(n uint64) int {
	low, high := 0, len(r.at)
	for low < high {
		mid := (low + high) / 2
		if r.get(mid).Number < n {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

func (r *ring) first() uint64 {
	if len(r.at) == 0 {
		return 0
	}
	return r.get(0).Number
}

func (r *ring) drop(n uint64) {
	if i := r.search(n); i < len(r.at) && r.get(i).Number == n {
		r.get(i).Record = nil
	}
}

func (r *ring) after(seen uint64) Numbered {
	for i := r.search(seen + 1); i < len(r.at); i++ {
		if n := r.get(i); n.Record != nil {
			return *n
		}
	}
	return Numbered{}
}

func (r *ring) since(seen uint64) (all []Numbered) {
	for i := r.search(seen + 1); i < len(r.at); i++ {
		if n := r.get(i); n.Record != nil {
			all = append(all, *n)
		}
	}
	return all
}

func atLeast(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}
