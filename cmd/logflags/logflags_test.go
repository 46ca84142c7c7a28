package logflags

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

func parse(t *testing.T, args ...string) (*Options, error) {
	t.Helper()
	var o Options
	fs := flag.NewFlagSet("test", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	o.Add(fs)
	return &o, fs.Parse(args)
}

func TestFlags(t *testing.T) {
	o, err := parse(t)
	require.NoError(t, err)
	require.Equal(t, &Options{}, o)
	o, err = parse(t, "--log-format=json", "-log-level", "warn")
	require.NoError(t, err)
	require.Equal(t, &Options{JSON: true, Level: slog.LevelWarn}, o)
	for _, bad := range []string{"--log-format=xml", "--log-level=loud", "--log-level=INFO", "--log-format="} {
		_, err := parse(t, bad)
		require.ErrorContains(t, err, "want ", bad)
	}
}

func TestTheHelpNamesTheDefaults(t *testing.T) {
	var help bytes.Buffer
	fs := flag.NewFlagSet("test", flag.ContinueOnError)
	fs.SetOutput(&help)
	new(Options).Add(fs)
	fs.PrintDefaults()
	require.Contains(t, help.String(), "-log-level debug|info|warn|error")
	require.NotContains(t, help.String(), "default", "the zero values are the usual ones")
}

func TestLevels(t *testing.T) {
	var out bytes.Buffer
	o := Options{Level: slog.LevelWarn}
	log := slog.New(o.Handler(&out))
	log.Info("quiet")
	log.Warn("loud")
	o.Say(&out, "a line")
	require.NotContains(t, out.String(), "quiet")
	require.Contains(t, out.String(), "level=WARN msg=loud\n")
	require.True(t, strings.HasSuffix(out.String(), "\na line\n"))
}

// Whatever a peer sends stays within its line, and within its value.
func TestNobodyForgesALine(t *testing.T) {
	evil := "w1\r\nlevel=ERROR msg=\"all is lost\" \x1b[31m\u009b31m\"x=y\\ \u2028\x00"
	for _, o := range []Options{{}, {JSON: true}} {
		var out bytes.Buffer
		slog.New(o.Handler(&out)).Info("worker registered", "worker", evil, "tags", []string{evil}, evil, 1)
		line, rest, _ := strings.Cut(out.String(), "\n")
		require.Empty(t, rest, "one line")
		require.NotContains(t, line, "\x1b")
		require.NotContains(t, line, "\u2028")
		if o.JSON {
			var record map[string]any
			require.NoError(t, json.Unmarshal([]byte(line), &record))
			require.Equal(t, evil, record["worker"])
			continue
		}
		require.False(t, strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }), "%q", line)
		require.Contains(t, line, `worker="w1\r\nlevel=ERROR msg=\"all is lost\" \x1b[31m\u009b31m\"x=y\\ \u2028\x00"`)
	}
}
