package main

import (
	"bytes"
	"flag"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/server"
)

// isAmount reports whether a text is a number or a duration.
func isAmount(text string) bool {
	_, err := time.ParseDuration(text)
	_, other := strconv.ParseFloat(text, 64)
	return err == nil || other == nil
}

// No flag takes an empty text for one that was left out, and none takes 0 for a
// limit that is missing, unless its help says what 0 means.
func TestEmptyAndZeroAreNotNone(t *testing.T) {
	start := func(arg string) (string, error) {
		var stderr bytes.Buffer
		o, err := parse([]string{"--port=0", arg}, &stderr)
		if err == nil {
			_, err = server.New(o.config)
		}
		return stderr.String(), err
	}
	fs := (&options{}).flags()
	fs.VisitAll(func(f *flag.Flag) {
		if g, ok := f.Value.(flag.Getter); ok && g.Get() == any(f.DefValue) { // a text
			said, err := start("--" + f.Name + "=")
			require.Error(t, err, f.Name)
			require.Contains(t, said, "--"+f.Name+" is empty: give it a value, or leave it out")
		}
		if !isAmount(f.DefValue) {
			return
		}
		if _, err := start("--" + f.Name + "=0"); err == nil {
			require.Regexp(t, `\b0 `, f.Usage, "--%s=0 is taken, and its help does not say for what", f.Name)
		}
	})
}
