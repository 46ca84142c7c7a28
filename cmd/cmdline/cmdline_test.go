package cmdline

import (
	"errors"
	"flag"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func set() *flag.FlagSet {
	fs := flag.NewFlagSet("prog", flag.ContinueOnError)
	fs.Duration("wait", time.Second, "")
	fs.Int("gpus", 0, "")
	fs.Uint("slots", 0, "")
	fs.Float64("rate", 0, "")
	fs.Bool("watch", false, "")
	fs.String("tag", "", "")
	fs.Func("size", "", func(string) error { return errors.New("want small or large") })
	return fs
}

func TestMistakesAreSentences(t *testing.T) {
	for line, want := range map[string]string{
		"--gpu=1":                     "there is no flag --gpu; did you mean --gpus?",
		"-wiat 5s":                    "there is no flag --wiat; did you mean --wait?",
		"--w":                         "there is no flag -w",
		"--nonsense":                  "there is no flag --nonsense",
		"--no\x1bthing":               `there is no flag "--no\x1bthing"`,
		"--wait=5":                    `--wait: "5" has no unit; write 5s, 5m or 5h`,
		"--wait=soon":                 `--wait: "soon" is no duration, such as 500ms, 10s or 1h30m`,
		"--wait=":                     `--wait: "" is no duration, such as 500ms, 10s or 1h30m`,
		"--wait=99999999999h":         `--wait: "99999999999h" is no duration, such as 500ms, 10s or 1h30m`,
		"--wait":                      "--wait needs a value behind it",
		"--gpus=x":                    `--gpus: "x" is no whole number`,
		"--gpus=1.5":                  `--gpus: "1.5" is no whole number`,
		"--gpus=99999999999999999999": `--gpus: "99999999999999999999" is a number that is too large or too small`,
		"--slots=-1":                  `--slots: "-1" is no whole number from 0 on`,
		"--rate=fast":                 `--rate: "fast" is no number`,
		"--watch=maybe":               `--watch: "maybe" is neither true nor false`,
		"--size=huge":                 `--size: "huge" is refused: want small or large`,
		"--=x":                        `"--=x" is no flag`,
		"--tag a":                     "",
		"now":                         `unexpected argument "now": prog takes flags alone`,
		`--gpus="a\nb"`:               `--gpus: "\"a\\nb\"" is no whole number`,
	} {
		var out strings.Builder
		err := Parse(set(), strings.Fields(line), &out)
		if want == "" {
			require.NoError(t, err)
			require.Empty(t, out.String())
			continue
		}
		require.Error(t, err)
		require.Equal(t, "prog: "+want+"\nnext: prog -h\n", out.String(), line)
	}
}

func TestHelpIsNoMistake(t *testing.T) {
	var out strings.Builder
	require.ErrorIs(t, Parse(set(), []string{"-h"}, &out), flag.ErrHelp)
	require.Contains(t, out.String(), "Usage of prog:")
	require.NotContains(t, out.String(), "next:")
}

func TestNearestFlag(t *testing.T) {
	flags := []Flag{{"cpu", Text}, {"gpu-mem", Text}, {"gpus", Text}, {"o", Text}, {"output", Text}}
	for typed, want := range map[string]string{"gpu": "gpus", "gpu-m": "gpu-mem", "out": "output", "x": "", "ouptut": "output"} {
		require.Equal(t, want, nearest(typed, flags), typed)
	}
}

// TestErrorsOfVariables: urfave/cli says more of an environment variable.
func TestErrorsOfVariables(t *testing.T) {
	m := Explain(errors.New(`could not parse "x" as time.Duration value from environment variable "DTASK_WAIT" for flag wait: time: invalid duration "x"`),
		[]Flag{{"wait", Duration}})
	require.Equal(t, Mistake{`environment variable "DTASK_WAIT": "x" is no duration, such as 500ms, 10s or 1h30m`, "--wait"}, m)
	require.Equal(t, Mistake{Text: "something else"}, Explain(errors.New("something else"), nil))
	require.Error(t, Refuse(set(), io.Discard, errors.New("x")))
}
