// Package cmdline turns what flag parsers say of a command line into sentences
// that name the flag, the value and what is allowed. All programs use it.
package cmdline

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dtask/dtask-scheduler/spell"
)

// Kind is what values a flag takes.
type Kind uint8

// The kinds of flags.
const (
	Text     Kind = iota // whatever the program makes of it; errors are its own
	Bool                 // true, false or nothing
	Duration             // such as 10s
	Int                  // a whole number
	Uint                 // a whole number that is not negative
	Float                // a number
)

// Flag is one flag of a command.
type Flag struct {
	Name string // without dashes
	Kind Kind
}

// Mistake is what is wrong with a command line.
type Mistake struct {
	Text string // a sentence
	// Flag is the flag that it is about, with its dashes: one that exists, the
	// nearest one to what was typed, or "".
	Flag string
}

// What the parsers of the standard library and of urfave/cli say.
var (
	unknownFlag  = regexp.MustCompile(`(?s)^flag provided but not defined: -(.*)$`)
	noArgument   = regexp.MustCompile(`(?s)^flag needs an argument: -*(.*)$`)
	badSyntax    = regexp.MustCompile(`(?s)^bad flag syntax: (.*)$`)
	badValue     = regexp.MustCompile(`(?s)^invalid (?:boolean )?value ("(?:[^"\\]|\\.)*") for (?:flag )?-+([^\s:]+): (.*)$`)
	badVariable  = regexp.MustCompile(`(?s)^could not parse ("(?:[^"\\]|\\.)*") as .* value from (.*) for flag ([^\s:]+): (.*)$`)
	onlyDigits   = regexp.MustCompile(`^[0-9]+$`)
	outsideRange = "out of range"
)

// Explain reads the error of a flag parser. flags are those of the command.
func Explain(err error, flags []Flag) Mistake {
	text := err.Error()
	if m := unknownFlag.FindStringSubmatch(text); m != nil {
		said := fmt.Sprintf("there is no flag %s", clip(dashed(m[1])))
		if near := nearest(m[1], flags); near != "" {
			return Mistake{said + "; did you mean " + dashed(near) + "?", dashed(near)}
		}
		return Mistake{said, ""}
	}
	if m := noArgument.FindStringSubmatch(text); m != nil {
		return Mistake{dashed(m[1]) + " needs a value behind it", dashed(m[1])}
	}
	if m := badSyntax.FindStringSubmatch(text); m != nil {
		return Mistake{fmt.Sprintf("%.64q is no flag", m[1]), ""}
	}
	if m := badValue.FindStringSubmatch(text); m != nil {
		return badly(dashed(m[2]), m[1], m[3], kindOf(m[2], flags), dashed(m[2]))
	}
	if m := badVariable.FindStringSubmatch(text); m != nil {
		return badly(m[2], m[1], m[4], kindOf(m[3], flags), dashed(m[3]))
	}
	return Mistake{text, ""}
}

// badly says what is wrong with a value; where is the flag or the variable that
// has it, cause what the parser says.
func badly(where, quotedValue, cause string, kind Kind, name string) Mistake {
	value, err := strconv.Unquote(quotedValue)
	if err != nil {
		value = quotedValue
	}
	said := fmt.Sprintf("%s: %.64q ", where, value)
	switch {
	case kind == Bool:
		said += "is neither true nor false"
	case kind == Duration && onlyDigits.MatchString(value):
		said += fmt.Sprintf("has no unit; write %.32ss, %.32[1]sm or %.32[1]sh", value)
	case kind == Duration:
		said += "is no duration, such as 500ms, 10s or 1h30m"
	case strings.HasSuffix(cause, outsideRange) && kind != Text:
		said += "is a number that is too large or too small"
	case kind == Int:
		said += "is no whole number"
	case kind == Uint:
		said += "is no whole number from 0 on"
	case kind == Float:
		said += "is no number"
	default:
		said += "is refused: " + cause
	}
	return Mistake{said, name}
}

// dashed is how a flag is written.
func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// clip bounds what a user typed.
func clip(text string) string {
	if q := fmt.Sprintf("%.64q", text); q != `"`+text+`"` {
		return q
	}
	return text
}

// nearest returns the flag that a mistyped one probably stands for: the shortest
// that begins so, else the nearest by its spelling.
func nearest(name string, flags []Flag) (best string) {
	var known []string
	for _, f := range flags {
		if len(f.Name) > 1 {
			known = append(known, f.Name)
		}
		if len(name) > 1 && strings.HasPrefix(f.Name, name) && (best == "" || len(f.Name) < len(best)) {
			best = f.Name
		}
	}
	if best == "" {
		best = spell.Nearest(name, known)
	}
	return best
}

func kindOf(name string, flags []Flag) Kind {
	for _, f := range flags {
		if f.Name == name {
			return f.Kind
		}
	}
	return Text
}

// Parse parses the flags of a program. Help goes to out, and so does a sentence
// about a mistake, whose error is returned. An empty text is a mistake too, mostly
// a variable of a script that was never set, but for the flags in mayBeEmpty.
func Parse(fs *flag.FlagSet, args []string, out io.Writer, mayBeEmpty ...string) error {
	fs.SetOutput(io.Discard)
	err := fs.Parse(args)
	fs.SetOutput(out)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fs.Usage()
		return err
	case err != nil:
		return Refuse(fs, out, errors.New(Explain(err, flagsOf(fs)).Text))
	case fs.NArg() > 0:
		return Refuse(fs, out, fmt.Errorf("unexpected argument %.64q: %s takes flags alone", fs.Arg(0), fs.Name()))
	}
	empty := ""
	fs.Visit(func(f *flag.Flag) {
		g, ok := f.Value.(flag.Getter)
		if ok && g.Get() == "" && !slices.Contains(mayBeEmpty, f.Name) && empty == "" {
			empty = f.Name
		}
	})
	if empty != "" {
		return Refuse(fs, out, fmt.Errorf("%s is empty: give it a value, or leave it out", dashed(empty)))
	}
	return nil
}

// Refuse prints what is wrong with a command line and what to type next, and
// returns the error.
func Refuse(fs *flag.FlagSet, out io.Writer, err error) error {
	fmt.Fprintf(out, "%s: %v\nnext: %s -h\n", fs.Name(), err, fs.Name())
	return err
}

// flagsOf lists the flags of a set.
func flagsOf(fs *flag.FlagSet) (flags []Flag) {
	fs.VisitAll(func(f *flag.Flag) {
		kind := Text
		if g, ok := f.Value.(flag.Getter); ok {
			kind = KindOf(g.Get())
		}
		flags = append(flags, Flag{f.Name, kind})
	})
	return flags
}

// KindOf returns the kind of a flag that holds such a value.
func KindOf(value any) Kind {
	switch value.(type) {
	case bool:
		return Bool
	case time.Duration:
		return Duration
	case int, int64, int32:
		return Int
	case uint, uint64, uint32:
		return Uint
	case float64:
		return Float
	}
	return Text
}
