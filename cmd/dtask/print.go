package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dtask/dtask-scheduler/cmd/checked"
)

// Values of --output.
const (
	formatTable = "table"
	formatJSON  = "json"
)

// printer writes results in the format that was asked for. What it prints may be
// lost: run looks at its end, and a command that goes on, or that made
// a change, looks itself.
type printer struct {
	w        *checked.Writer
	terminal bool
	json     bool
	quiet    bool
	colour   bool
}

func newPrinter(w io.Writer) *printer {
	return &printer{w: checked.New(w), terminal: isTerminal(w), colour: wantsColour(w)}
}

// lost returns why something could not be written, nil if all was.
func (p *printer) lost() error { return p.w.Err() }

// wantsColour reports whether w is a terminal whose user did not ask for plain
// text.
func wantsColour(w io.Writer) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(w)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (p *printer) setFormat(format string, quiet bool) error {
	if format != formatTable && format != formatJSON {
		return usage(fmt.Sprintf("--output %.64q is not a format; the formats are %s and %s", format, formatTable, formatJSON), "dtask -o json worker list")
	}
	p.json, p.quiet = format == formatJSON, quiet
	return nil
}

// object writes one JSON value on a line of its own.
func (p *printer) object(v any) error {
	var line bytes.Buffer
	e := json.NewEncoder(&line)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	_, _ = p.w.Write(line.Bytes()) // w keeps the error
	return nil
}

func (p *printer) linef(format string, args ...any) {
	fmt.Fprintf(p.w, format+"\n", args...)
}

// table writes rows under upper-case headers, in columns two blanks apart. It
// returns how many rows were written.
func (p *printer) table(header []string, rows [][]string) (written int) {
	widths := make([]int, len(header))
	for _, row := range append([][]string{header}, rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], visible(cell))
		}
	}
	p.row(header, widths)
	for _, row := range rows {
		p.row(row, widths)
		if p.lost() != nil {
			break
		}
		written++
	}
	return written
}

func (p *printer) row(cells []string, widths []int) {
	var line strings.Builder
	for i, cell := range cells {
		cell = p.clean(cell)
		line.WriteString(cell)
		if i < len(cells)-1 {
			line.WriteString(strings.Repeat(" ", max(0, widths[i]-visible(cell))+2))
		}
	}
	p.linef("%s", strings.TrimRight(line.String(), " "))
}

// id writes an id alone, for --quiet.
func (p *printer) id(id string) { p.linef("%s", clean(id)) }

// clean is the function of this name that lets the colours through.
func (p *printer) clean(cell string) string {
	if !p.colour {
		return clean(cell)
	}
	for _, c := range colours {
		if before, after, found := strings.Cut(cell, c); found {
			return p.clean(before) + c + p.clean(after)
		}
	}
	return clean(cell)
}

// clean replaces what does not print. Workers that speak HTTP choose their ids
// and tags freely, and a terminal obeys what they could hide in them.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

// pairs writes names with their values, one on each line.
func (p *printer) pairs(list [][2]string) {
	widths := []int{0, 0}
	for _, pair := range list {
		widths[0] = max(widths[0], visible(pair[0]))
	}
	for _, pair := range list {
		p.row(pair[:], widths)
	}
}

// Escape sequences of the colours.
const (
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	bold   = "\x1b[1m"
	plain  = "\x1b[0m"
)

var colours = []string{red, green, yellow, bold, plain}

func (p *printer) in(colour, text string) string {
	if !p.colour || colour == plain {
		return text
	}
	return colour + text + plain
}

// visible is how many columns a cell takes: colours take none.
func visible(cell string) int {
	n := utf8.RuneCountInString(cell)
	for _, c := range colours {
		n -= strings.Count(cell, c) * len(c)
	}
	return n
}

// age shows a duration as its two largest units, such as 3m12s.
func age(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
}

// precise shows a latency with three digits, such as 1.24ms.
func precise(d time.Duration) string {
	unit := time.Nanosecond
	for unit < d/1000 {
		unit *= 10
	}
	return d.Round(unit).String()
}
