package report

import (
	"errors"
	"time"

	"go.uber.org/zap/zapcore"

	"faultline/inspect"
)

// line is a record as a line of the log. What is short is written field by
// field, in the order in which a person looks for it; the evidence follows by
// reflection, since its types say how it is written. A test holds the line
// against encoding/json, so that no field is forgotten.
type line inspect.Record

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (r *line) MarshalLogObject(o zapcore.ObjectEncoder) error {
	o.AddString("ts", r.TS.UTC().Format(time.RFC3339Nano))
	o.AddString("level", level((*inspect.Record)(r)))
	o.AddString("msg", "attempt")
	o.AddString("id", r.ID)
	o.AddBool("final", r.Final)
	o.AddString("mode", string(r.Mode))
	o.AddString("target", r.Target)
	o.AddString("outcome", string(r.Outcome))
	o.AddString("layer", string(r.Layer))
	str(o, "step", string(r.Step))
	o.AddString("fault", r.Fault)
	o.AddString("blame", string(r.Blame))
	str(o, "certainty", string(r.Certainty))
	if r.HTTPReached != nil {
		o.AddBool("http_reached", *r.HTTPReached)
	}
	o.AddString("title", r.Title)
	str(o, "why", r.Why)
	err := r.objects(o)
	str(o, "host", r.Host)
	if r.Port != 0 {
		o.AddUint16("port", r.Port)
	}
	str(o, "url", r.URL)
	str(o, "visit", r.Visit)
	if r.Background {
		o.AddBool("background", true)
	}
	str(o, "retry_of", r.RetryOf)
	str(o, "upstream_proxy", r.Chain)
	str(o, "internal", r.Internal)
	str(o, "refused", string(r.Refused))
	return errors.Join(err, r.evidence(o))
}

// objects writes the small objects that nearly every line has.
func (r *line) objects(o zapcore.ObjectEncoder) error {
	var err error
	add := func(name string, m zapcore.ObjectMarshaler, present bool) {
		if present {
			err = errors.Join(err, o.AddObject(name, m))
		}
	}
	add("fix", (*fix)(&r.Fix), r.Fix != inspect.Fix{})
	if len(r.Also) > 0 {
		err = errors.Join(err, o.AddArray("also", alsos(r.Also)))
	}
	add("codes", (*codes)(&r.Codes), r.Codes != inspect.Codes{})
	add("timing", (*timing)(&r.Timing), true)
	add("client", (*client)(&r.Client), r.Client != inspect.Client{})
	return err
}

// evidence writes the steps in the order of a connection.
func (r *line) evidence(o zapcore.ObjectEncoder) error {
	var err error
	add := func(name string, v any, present bool) {
		if present {
			err = errors.Join(err, o.AddReflected(name, v))
		}
	}
	add("dns", r.DNS, r.DNS != nil)
	add("tcp", r.TCP, r.TCP != nil)
	add("hello", r.Hello, r.Hello != nil)
	add("tls", r.TLS, r.TLS != nil)
	add("cert", r.Cert, r.Cert != nil)
	add("http", r.HTTP, r.HTTP != nil)
	add("content", r.Content, r.Content != nil)
	add("end", r.End, r.End != nil)
	add("probes", r.Probes, len(r.Probes) > 0)
	return err
}

// level is the record's own, or what its outcome says.
func level(r *inspect.Record) string {
	switch {
	case r.Level != "":
		return r.Level
	case r.Outcome == inspect.Failed:
		return "warn"
	}
	return "info"
}

func str(o zapcore.ObjectEncoder, name, value string) {
	if value != "" {
		o.AddString(name, value)
	}
}

type fix inspect.Fix

func (f *fix) MarshalLogObject(o zapcore.ObjectEncoder) error {
	str(o, "user", f.User)
	str(o, "server", f.Server)
	return nil
}

type also inspect.Also

func (a *also) MarshalLogObject(o zapcore.ObjectEncoder) error {
	o.AddString("fault", a.Fault)
	o.AddString("layer", string(a.Layer))
	str(o, "why", a.Why)
	return nil
}

type alsos []inspect.Also

func (all alsos) MarshalLogArray(a zapcore.ArrayEncoder) error {
	var err error
	for i := range all {
		err = errors.Join(err, a.AppendObject((*also)(&all[i])))
	}
	return err
}

type codes inspect.Codes

func (c *codes) MarshalLogObject(o zapcore.ObjectEncoder) error {
	str(o, "chromium", c.Chromium)
	str(o, "chromium_shown", c.ChromiumShown)
	str(o, "firefox", c.Firefox)
	str(o, "firefox_shown", c.FirefoxShown)
	str(o, "curl", c.Curl)
	str(o, "nel", c.NEL)
	str(o, "proxy_status", c.ProxyStatus)
	str(o, "browser", c.Browser)
	return nil
}

type timing inspect.Timing

func (t *timing) MarshalLogObject(o zapcore.ObjectEncoder) error {
	ms := func(name string, v *float64) {
		if v != nil {
			o.AddFloat64(name, *v)
		}
	}
	ms("dns_ms", t.DNS)
	ms("connect_ms", t.Connect)
	ms("tls_ms", t.TLS)
	ms("first_byte_ms", t.FirstByte)
	ms("total_ms", t.Total)
	return nil
}

type client inspect.Client

func (c *client) MarshalLogObject(o zapcore.ObjectEncoder) error {
	str(o, "addr", c.Addr)
	str(o, "user_agent", c.UserAgent)
	str(o, "process", c.Process)
	if c.PID != 0 {
		o.AddInt("pid", c.PID)
	}
	return nil
}
