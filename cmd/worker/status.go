package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/dtask/dtask-scheduler/agent/sidecar"
	"github.com/dtask/dtask-scheduler/cmd/checked"
	"github.com/dtask/dtask-scheduler/cmd/cmdline"
)

// defaultSidecar is where status asks by default.
const defaultSidecar = "127.0.0.1:9700"

// statusTimeout bounds the question.
const statusTimeout = 5 * time.Second

// statusOptions are the flags of status.
type statusOptions struct {
	sidecar, output string
}

// flags declares the flags; parsing them fills o.
func (o *statusOptions) flags() *flag.FlagSet {
	f := flag.NewFlagSet("worker status", flag.ContinueOnError)
	f.StringVar(&o.sidecar, "sidecar", defaultSidecar, "`address` that the worker was given as its --sidecar")
	f.StringVar(&o.output, "o", "table", "`table|json`")
	return f
}

// status prints what the agent of this machine believes.
func status(args []string, stdout, stderr io.Writer) int {
	o := &statusOptions{}
	f := o.flags()
	switch err := cmdline.Parse(f, args, stderr); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	if o.output != "table" && o.output != "json" {
		_ = cmdline.Refuse(f, stderr, fmt.Errorf("-o %.64q is not a format; the formats are table and json", o.output))
		return 2
	}
	if err := checkSidecar(o.sidecar); err != nil {
		_ = cmdline.Refuse(f, stderr, err) // the same error
		return 2
	}
	ctx, cancel := context.WithTimeout(context.Background(), statusTimeout)
	defer cancel()
	s, raw, err := sidecar.Ask(ctx, o.sidecar)
	if err != nil {
		fmt.Fprintf(stderr, "no answer from the worker: %v\nIs it running? Start it with --sidecar=%s.\n", err, o.sidecar)
		return 1
	}
	out := checked.New(stdout)
	if o.output == "json" {
		_, _ = out.Write(raw) // out keeps the error
	} else {
		printStatus(out, s)
	}
	return out.End(0, stderr)
}

// printStatus prints the status for people.
func printStatus(w io.Writer, s *sidecar.Status) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer t.Flush()
	row := func(name, format string, a ...any) { fmt.Fprintf(t, name+"\t"+format+"\n", a...) }
	row("WORKER", "%s at %s", plain(s.Worker), plain(s.Address))
	row("TAGS", "%s", plain(strings.Join(s.Tags, ", ")))
	row("INCARNATION", "%s", known(s.Incarnation != 0, s.Incarnation))
	row("SCHEDULER", "%s, %s%s", plain(s.Scheduler), map[bool]string{true: "connected", false: "not connected"}[s.Connected],
		map[bool]string{true: ", draining"}[s.Draining])
	if p := s.Promised; p != nil {
		row("PROMISED", "epoch %d, instance %x", p.Epoch, p.Instance)
	} else {
		row("PROMISED", "-")
	}
	row("LAST CONTACT", "%s", age(s.Time, s.LastContact, " ago"))
	row("HEARTBEAT", "%s, every %v", s.Heartbeat.By, time.Duration(s.Heartbeat.IntervalMS)*time.Millisecond)
	row("RUNNING", "%d of %d", len(s.Running), s.Slots)
	row("ENDS", "%d not acknowledged", s.Unacknowledged)
	row("REFUSALS", "%s", counts(s.Refusals))
	if s.LastError != "" {
		row("LAST ERROR", "%s", plain(s.LastError))
	}
	if len(s.Running) == 0 {
		return
	}
	t.Flush()
	fmt.Fprintln(t, "\nLEASE\tTASK\tOWNER\tAGE\tPID\tKEEP-ALIVE IN")
	for i := range s.Running {
		r := &s.Running[i]
		lease := "-"
		if r.Lease != nil {
			lease = r.Lease.String()
		}
		left := time.Duration(r.LeftMS) * time.Millisecond
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", lease, plain(r.Task), known(r.Owner != "", plain(r.Owner)),
			age(s.Time, r.Begun, ""), known(r.PID != 0, r.PID), known(r.KeepAliveMS != 0, short(left)))
	}
}

// known shows a value, or that there is none.
func known(is bool, v any) string {
	if !is {
		return "-"
	}
	return fmt.Sprint(v)
}

// age returns how long before now something was.
func age(now time.Time, at *time.Time, suffix string) string {
	if at == nil {
		return "-"
	}
	return short(max(now.Sub(*at), 0)) + suffix
}

// short shows a duration as people say it.
func short(d time.Duration) string {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// counts shows numbers with their names.
func counts(m map[string]uint64) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		words = append(words, fmt.Sprintf("%s %d", name, m[name]))
	}
	return known(len(words) > 0, strings.Join(words, ", "))
}

// plain shows text from outside, quoted if it could do something to a terminal.
func plain(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return quoted(s)
	}
	return s
}
