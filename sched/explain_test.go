package sched

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// refusedBy runs commands of a script and returns the refusal of the last one.
func refusedBy(t *testing.T, commands ...string) *wire.Error {
	t.Helper()
	c := newScript(t)
	for _, line := range commands {
		c.command(line)
		require.NoError(t, c.s.Check(), "after %q", line)
	}
	err, ok := c.out.Items[len(c.out.Items)-1].Message().(*wire.Error)
	require.True(t, ok, "%q is not refused", commands[len(commands)-1])
	return err
}

// one is a fleet of one worker that is ready.
func one(worker, place string, then ...string) []string {
	return append(append([]string{"hello c1", "hello s1", "register s1 a " + worker, "promised s1 a"}, then...), "place c1 t "+place)
}

// Each kind of need has a text that names it.
func TestEveryNeedIsExplained(t *testing.T) {
	examples := map[termKind][]struct{ has, asks, says string }{
		termTag: {{"tags=gpu", "tags=tpu", `no worker has the tag "tpu"`}},
		termWhere: {
			{"tags=cuda=12.4", "selector=cuda>=13", "cuda>=13: the highest is 12.4 on 1 worker"},
			{"tags=cuda=12.4,cuda=12.10", "selector=cuda<=12", "cuda<=12: the lowest is 12.4 on 1 worker"},
			{"tags=model=a100", "selector=model=h100", "model=h100: the values are a100"},
			{"tags=gpu", "selector=cuda>=13", "cuda>=13: no worker has a version of cuda"},
			{"tags=gpu", "selector=zone=a", "zone=a: no worker has a value of zone"},
			{"tags=gpu", "selector=tpu", `no worker has the tag "tpu"`},
			{"tags=gpu", "selector=!gpu", "!gpu: no worker satisfies it"},
		},
		termAmount: {
			{"has=cpu:64000", "takes=cpu:99000", "cpu: at most 64 on any worker"},
			{"has=mem:65536", "takes=mem:103809024", "mem: at most 64Gi on any worker"},
			{"has=disk:100", "takes=disk:101", "disk: at most 100 on any worker"},
			{"has=fpga:2", "takes=fpga:3", "fpga: at most 2 on any worker"},
			{"has=gpu:2", "takes=gpu:3", "gpus: at most 2 on any worker"},
			{"devices=40960,40960", "takes=gpu:3", "gpus: at most 2 on any worker"},
			{"has=cpu:1", "takes=fpga:1", "fpga: no worker offers it"},
		},
		termMemory: {
			{"devices=40960,20480", "takes=gpu_mem:50000", "gpu_mem: at most 40Gi on one device of any worker"},
			{"devices=40960,20480", "takes=gpu:2,gpu_mem:30000", "gpu_mem: at most 20Gi on each of 2 devices of any worker"},
			{"has=cpu:1", "takes=gpu_mem:1", "gpu_mem: no worker has one device"},
		},
		termSlots: {{"slots=0", "", "1 worker matches, with no slots for tasks"}},
	}
	for kind := range termKinds {
		require.NotEmpty(t, examples[kind], "no example of kind %d", kind)
		for _, x := range examples[kind] {
			err := refusedBy(t, one(x.has, x.asks)...)
			require.Equal(t, wire.CodeInfeasible, err.Code, "%s", x.asks)
			require.Equal(t, x.says, err.Message, "%s", x.asks)
		}
	}
}

// What keeps workers from service is named, each state of it.
func TestEveryStateIsExplained(t *testing.T) {
	bad := []string{}
	for i, owner := range []string{"ann", "bob", "eve", "ann", "bob"} {
		bad = append(bad, fmt.Sprintf("task c1 s1 a t%d failed owner=%s", i, owner))
	}
	good := []string{"register s1 b tags=b", "promised s1 b"}
	for i := range 8 {
		good = append(good, fmt.Sprintf("task c1 s1 b g%d ok owner=ann tags=b", i))
	}
	examples := [services][]string{
		isOffline:     {"close s1", "at 20s"},
		isSuspicious:  {"close s1"},
		isDrained:     {"drain c1 a"},
		isDraining:    {"place c1 t0 tags=a", "drain c1 a"},
		isCordoned:    {"cordon c1 a"},
		isQuarantined: append(good, bad...),
		isConnecting:  {"register s1 a tags=a"},
	}
	for state, example := range examples {
		if state := service(state); state != isServing {
			err := refusedBy(t, one("tags=a", "tags=a", example...)...)
			require.Equal(t, wire.CodeUnavailable, err.Code, "%v", state)
			require.Equal(t, fmt.Sprintf("1 worker matches, and is %v", state), err.Message)
		}
	}
	err := refusedBy(t, one("tags=a slots=1", "tags=a", "place c1 t0 tags=a")...)
	require.Same(t, busy, err)
}

// A refusal that is repeated is not explained anew; one after the fleet has
// changed is.
func TestExplanationsAreKept(t *testing.T) {
	c := newScript(t)
	for _, line := range one("tags=cuda=12", "selector=cuda>=13") {
		c.command(line)
	}
	refused := func() *wire.Error { return c.out.Items[0].Message().(*wire.Error) }
	first, units := refused(), c.s.why.units
	c.command("place c1 t2 selector=cuda>=13")
	require.Same(t, first, refused())
	require.Equal(t, units, c.s.why.units)
	c.command("register s1 b tags=cuda=12.8")
	c.command("place c1 t3 selector=cuda>=13")
	require.Equal(t, "cuda>=13: the highest is 12.8 on 1 worker", refused().Message)
	require.Less(t, c.s.why.units, units)
	c.command("cordon c1 a")
	c.command("cordon c1 b")
	c.command("place c1 t4")
	require.Equal(t, "2 workers match, all cordoned", refused().Message)
	c.command("uncordon c1 b")
	c.command("place c1 t5")
	require.Equal(t, "2 workers match: 1 cordoned, 1 connecting", refused().Message)
}

// What explanations cost is bounded, one by one and all together: then a refusal
// is the plain sentence, until some time has passed.
func TestExplanationsAreBounded(t *testing.T) {
	const kinds = 2 * explainWork / explainKind
	c := newScript(t)
	for n := range kinds {
		_, err := c.s.newWorker(fmt.Sprint(n))
		require.Nil(t, err)
		require.Nil(t, c.s.setOffer(int32(n), "a:1", []string{fmt.Sprintf("only=%d", n)}, "", nil))
	}
	c.command("hello c1")
	plain := 0
	for i := range 64 {
		before := c.s.why.units
		c.command(fmt.Sprintf("place c1 t%d selector=a%d", i, i))
		err := c.out.Items[0].Message().(*wire.Error)
		spent := before - c.s.why.units
		require.Less(t, spent, 4*explainWork)
		require.LessOrEqual(t, len(err.Message), explainText)
		if err == refusals[wire.CodeInfeasible] {
			plain++
			require.Zero(t, spent)
		} else {
			require.Contains(t, err.Message, "as far as was looked")
		}
	}
	require.Greater(t, plain, 32)
	c.now += explainSaved / explainRate
	c.command("place c1 late selector=late")
	require.Contains(t, c.out.Items[0].Message().(*wire.Error).Message, "as far as was looked")
}

// Long names make no long sentences.
func TestExplanationsAreShort(t *testing.T) {
	long := strings.Repeat("é", 60)
	for _, asks := range []string{"tags=" + long, `selector=` + long + ">=1", "tags=gpu selector=x,y takes=" + strings.Repeat("x", 60) + ":3"} {
		err := refusedBy(t, one("tags=gpu,"+long+"=0", strings.ReplaceAll(asks, "x,y", strings.Repeat("gpu&&", 60)+"gpu"))...)
		require.LessOrEqual(t, len(err.Message), explainText)
		require.NotContains(t, err.Message, "\ufffd")
	}
}
