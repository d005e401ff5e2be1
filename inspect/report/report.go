// Package report tells what was found out. A record goes first to the log,
// where nothing may be lost, then to the console, where a person sees it, and
// last to the journal, from which viewers pull at their own pace.
//
// It is the only package that knows zap, and the only one that prints
// verdicts.
package report

import "faultline/inspect"

// Reporter hands every record to those who keep or show it. A nil part is left
// out. Its methods may be called from many goroutines.
type Reporter struct {
	Log     *Log
	Console *Console
	Journal *Journal
}

// Record tells one verdict. When it returns the line is in the log. The record
// must not be changed afterwards: the journal keeps it.
func (r *Reporter) Record(rec *inspect.Record) {
	if r.Log != nil {
		r.Log.Write(rec)
	}
	if r.Console != nil {
		r.Console.Print(rec)
	}
	if r.Journal != nil {
		r.Journal.Add(rec)
	}
}

// Close prints the repeats not yet told and closes the log. Records that come
// later are lost, and counted so.
func (r *Reporter) Close() error {
	if r.Console != nil {
		r.Console.Close()
	}
	if r.Log != nil {
		return r.Log.Close()
	}
	return nil
}
