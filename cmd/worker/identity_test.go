package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheDefaultID(t *testing.T) {
	for _, c := range []struct {
		scheduler, host string
		given           bool
		id, says        string
	}{
		{"dtask://h:1", "node7", false, "node7", "(the id is this host's name)"},
		{"dtask://h:1", "node7", true, "worker-001", ""},
		{"http://h:1", "node7", false, "worker-001", "(the id is the default: give each machine its own --id)"},
		{"dtask://h:1", "localhost", false, "", "is that of many machines"},
		{"dtask://h:1", "a b", false, "", "is no id of 1 to"},
		{"dtask://h:1", "", false, "", "is no id of 1 to"},
		{"dtask://h:1", "?", false, "", "is not known: no name"},
	} {
		o := &options{id: defaultID, scheduler: c.scheduler}
		err := o.identify(c.given, func() (string, error) {
			if c.host == "?" {
				return "", errors.New("no name")
			}
			return c.host, nil
		})
		if c.id == "" {
			require.ErrorContains(t, err, "--id is missing", c)
			require.ErrorContains(t, err, c.says, c)
			require.ErrorContains(t, err, "--id=node7", c)
			continue
		}
		require.NoError(t, err, c)
		require.Equal(t, c.id, o.id, c)
		require.True(t, strings.HasSuffix(o.describe(), c.says), o.describe())
	}
	host, err := os.Hostname()
	require.NoError(t, err)
	o, _, done := parse([]string{"--scheduler=dtask://h:1"}, io.Discard, io.Discard)
	require.False(t, done)
	require.Equal(t, host, o.id)
}

// TestDetectedOnesBreakALimit: the error names them and the flag.
func TestDetectedOnesBreakALimit(t *testing.T) {
	for args, says := range map[string][]string{
		"--tags=" + many("t", 63):                                    {"--tags has 63 entries and 2 were detected (arch=", "os=", "over the limit of 64: drop 1 of --tags, or give --detect-tags=false"},
		"--resources=" + many("r=", 7):                               {"--resources has 7 entries and 2 were detected (cpu, mem)", "limit of 8: drop 1 of --resources, or give --detect-resources=false, or NAME=off"},
		"--tags=" + many("t", 63) + " --detect-tags=false":           nil,
		"--tags=" + many("t", 62):                                    nil,
		"--resources=cpu=off," + many("r=", 7):                       nil,
		"--resources=cpu=1,mem=1," + many("r=", 6):                   nil,
		"--resources=cpu=off,mem=off," + many("r=", 8):               nil,
		"--resources=" + many("r=", 8) + " --detect-resources=false": nil,
	} {
		o, _, done := parse(strings.Fields(args+" --scheduler=dtask://h:1 --gpus=0"), io.Discard, io.Discard)
		require.False(t, done, args)
		cfg, err := o.config(t.Context())
		if says == nil {
			require.NoError(t, err, args)
			require.NoError(t, cfg.Verify(), args)
			continue
		}
		for _, s := range says {
			require.ErrorContains(t, err, s, args)
		}
	}
}

// many lists n different names; one that ends with = is an amount.
func many(name string, n int) string {
	var list []string
	for i := range n {
		if key, amount := strings.CutSuffix(name, "="); amount {
			list = append(list, fmt.Sprintf("%s%d=1", key, i))
		} else {
			list = append(list, fmt.Sprintf("%s%d", name, i))
		}
	}
	return strings.Join(list, ",")
}
