package server

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/view"
	"github.com/dtask/dtask-scheduler/wire"
)

// placement is an answer to a schedule request, or a result of a batch.
type placement struct {
	wire.Handover
	Error, Reason, Detail, Field string
	Limit                        uint64
}

// place asks for one task with more keys than its id.
func (f *fixture) place(id, more string) (int, placement) {
	f.t.Helper()
	a := f.call("POST", "/api/v1/schedule", fmt.Sprintf(`{"task_id":%q,%s}`, id, more))
	var p placement
	require.NoError(f.t, json.Unmarshal([]byte(a.body), &p), a.body)
	return a.status, p
}

// where returns the worker that a task was placed on.
func (f *fixture) where(id, more string) string {
	f.t.Helper()
	status, p := f.place(id, more)
	require.Equal(f.t, 200, status, p.Error)
	require.NoError(f.t, p.Verify())
	return p.Worker
}

func TestHTTPChoice(t *testing.T) {
	f := start(t)
	f.agent("w1", 4, "zone=a", "cuda=11.8")
	f.agent("w2", 4, "zone=b", "cuda=12.4")
	f.agent("w3", 4, "zone=c", "cuda=12.10", "spot")
	require.Equal(t, "w2", f.where("t1", `"selector":"cuda>=12.0 && !spot"`))
	require.Equal(t, "w3", f.where("t2", `"selector":"cuda > 12.9 || cuda < 11"`))
	require.Equal(t, "w1", f.where("t3", `"selector":"zone in (a, b)","not_workers":["w2","nobody"]`))
	for i := range 3 {
		require.Equal(t, "w2", f.where(fmt.Sprint("p", i), `"prefer":"zone=b"`), "though it has more load than others")
	}
	require.NotEqual(t, "w2", f.where("t4", `"prefer":"zone=b"`), "it is full")
	require.Equal(t, "w3", f.where("t5", `"selector":"zone!=b","policy":"pack","not_workers":["w1"]`))
	for more, says := range map[string][2]string{
		`"selector":"zone=d"`:                      {"infeasible", "zone=d: the values are a, b, c"},
		`"selector":"zone=b"`:                      {"unavailable", "the workers that could take it are busy"},
		`"selector":"zone=a","not_workers":["w1"]`: {"infeasible", "1 worker matches, ruled out by not_workers"},
	} {
		status, p := f.place("t6", more)
		require.Equal(t, 503, status)
		require.Equal(t, "no available worker matching requirements", p.Error)
		require.Equal(t, says, [2]string{p.Reason, p.Detail}, more)
	}
}

func TestHTTPExclusive(t *testing.T) {
	f := start(t)
	f.equipped(gpus("w1", "gpu"))
	status, p := f.place("t1", `"exclusive":true,"resources":{"cpu":"2"}`)
	require.Equal(t, 200, status, p.Error)
	require.True(t, p.Exclusive)
	require.Equal(t, []int{0, 1}, p.Devices)
	status, other := f.place("t2", `"required_tags":["gpu"]`)
	require.Equal(t, 503, status)
	require.Equal(t, "unavailable", other.Reason)

	var leases view.Leases
	f.get("/api/v1/leases", &leases)
	require.True(t, leases.Leases[0].Exclusive)
	require.Equal(t, []int{0, 1}, leases.Leases[0].Devices)
	require.Contains(t, f.post("/api/v1/release", fmt.Sprintf(`{"lease_id":%q}`, p.Lease)), "200 ")
	require.Equal(t, "w1", f.where("t2", `"required_tags":["gpu"]`))
}

func TestHTTPDevices(t *testing.T) {
	f := start(t)
	f.equipped(gpus("w1"))
	status, p := f.place("share", `"resources":{"cpu":"1.5","mem":"16Gi","gpu_mem":"30Gi"}`)
	require.Equal(t, 200, status, p.Error)
	require.Equal(t, map[string]int64{"cpu": 1_500, "mem": 16_384, "gpu_mem": 30_720}, p.Resources)
	require.Equal(t, []int{0}, p.Devices, "the smaller one fits best")
	_, p = f.place("whole", `"resources":{"gpu":1,"gpu_mem":50000}`)
	require.Equal(t, []int{1}, p.Devices)
	require.NoError(t, p.Verify())
	status, p = f.place("more", `"resources":{"gpu":"1"}`)
	require.Equal(t, 503, status)
	require.Equal(t, "unavailable", p.Reason)
	_, p = f.place("huge", `"resources":{"gpu_mem":"100Gi"}`)
	require.Equal(t, "infeasible", p.Reason)

	var a view.WorkerDetail
	f.get("/api/v1/workers/w1", &a)
	require.Equal(t, map[string]int64{"cpu": 8_000, "mem": 65_536}, a.Worker.Resources)
	require.Equal(t, map[string]int64{"cpu": 1_500, "mem": 16_384, "gpu": 1, "gpu_mem": 30_720 + 81_920}, a.Worker.Used)
	require.Equal(t, []view.Device{
		{Model: "A100", Memory: 40_960, UUID: "GPU-0-w1", Used: 30_720, Leases: 1},
		{Model: "H100", Memory: 81_920, UUID: "GPU-1-w1", Used: 81_920, Leases: 1, Whole: true},
	}, a.Worker.Devices)
	require.Len(t, a.Leases, 2)
	for _, l := range a.Leases {
		require.Equal(t, map[string][]int{"share": {0}, "whole": {1}}[l.Task], l.Devices)
		require.NotEmpty(t, l.Resources)
		require.False(t, l.Exclusive)
	}
}

func TestHTTPWorkerWithoutResourcesShowsNone(t *testing.T) {
	f := start(t)
	f.beat("w1", 1, 0)
	require.Contains(t, f.call("GET", "/api/v1/workers/w1", "").body, `"resources":{},"used":{},"devices":[],`)
}

func TestHTTPChoiceOutOfRange(t *testing.T) {
	f := start(t)
	f.agent("w1", 4)
	long := strings.Repeat("x", wire.MaxSelector+1)
	workers := `"w"` + strings.Repeat(`,"w"`, wire.MaxNotWorkers)
	for _, c := range []struct {
		more, field, message string
		limit                uint64
	}{
		{`"selector":"gpu && (zone=a"`, "selector", "column", 0},
		{`"selector":"cuda>="`, "selector", "column", 0},
		{`"prefer":"!"`, "prefer", "column", 0},
		{`"selector":"` + long + `"`, "selector", "too many bytes", wire.MaxSelector},
		{`"prefer":"` + long + `"`, "prefer", "too many bytes", wire.MaxSelector},
		{`"selector":"a\nb"`, "selector", "control", 0},
		{`"not_workers":[` + workers + `]`, "not_workers", "too many", wire.MaxNotWorkers},
		{`"not_workers":[""]`, "not_workers", "empty", 0},
		{`"policy":"a b"`, "policy", "not an id", 0},
		{`"policy":"luck"`, "policy", "pack", 0},
		{`"policy":"spread"`, "policy", "batch", 0},
		{`"spread_by":"` + strings.Repeat("x", wire.MaxTag+1) + `"`, "spread_by", "too many bytes", wire.MaxTag},
		{`"resources":{"cpu":1,"mem":"lots"}`, "resources", "mem", 0},
		{`"resources":{"mem":"-1Gi"}`, "resources", "mem", 0},
		{`"resources":{"gpu":65}`, "resources", "GPU", wire.MaxDevices},
		{`"resources":{"cpu":1.5}`, "resources", "cpu: 1.5", wire.MaxAmount},
		{`"resources":{"mem":1,"cpu":99999999999999999999}`, "resources", "cpu: 99999999999999999999", wire.MaxAmount},
	} {
		status, p := f.place("t", c.more)
		require.Equal(t, 400, status, c.more)
		require.Equal(t, "bad_request", p.Reason, c.more)
		require.Equal(t, c.field, p.Field, c.more)
		require.Contains(t, p.Error, c.message, c.more)
		require.Equal(t, c.limit, p.Limit, c.more)
	}
	for _, more := range []string{`"exclusive":"yes"`, `"not_workers":"w"`, `"selector":5`, `"resources":{"cpu":true}`, `"resources":[]`} {
		status, p := f.place("t", more)
		require.Equal(t, 400, status, more)
		require.Contains(t, p.Error, "Invalid request body: "+p.Field)
		require.Contains(t, more, strconv.Quote(p.Field))
	}
	require.Equal(t, "w1", f.where("t", `"selector":null,"resources":{"cpu":null,"mem":0},"not_workers":null,"policy":""`))
}

// batch asks for a batch and returns its status and the results.
func (f *fixture) batch(body string) (int, []placement) {
	f.t.Helper()
	a := f.call("POST", "/api/v1/schedule/batch", body)
	var got struct{ Results []placement }
	require.NoError(f.t, json.Unmarshal([]byte(a.body), &got), a.body)
	return a.status, got.Results
}

func TestHTTPGang(t *testing.T) {
	f := start(t)
	f.agent("w1", 2, "rack=1")
	f.agent("w2", 2, "rack=2")
	status, results := f.batch(`{"all_or_none":true,"distinct":true,"tasks":[{"task_id":"a"},{"task_id":"b"},{"task_id":"c"}]}`)
	require.Equal(t, 200, status)
	require.Equal(t, []string{"all_or_none", "all_or_none", "infeasible"}, reasons(results))
	require.Equal(t, "another task of the gang found no place", results[0].Error)
	require.Zero(t, f.list("")[0].CurrentTasks+f.list("")[1].CurrentTasks, "nothing is left of it")

	_, results = f.batch(`{"all_or_none":true,"distinct":true,"tasks":[{"task_id":"a"},{"task_id":"b"}]}`)
	require.Equal(t, []string{"", ""}, reasons(results))
	require.ElementsMatch(t, []string{"w1", "w2"}, []string{results[0].Worker, results[1].Worker})
	_, results = f.batch(`{"all_or_none":true,"tasks":[{"task_id":"c"},{"task_id":"d","priority":1000001},{"task_id":"e"}]}`)
	require.Equal(t, []string{"all_or_none", "bad_request", "all_or_none"}, reasons(results))
	_, results = f.batch(`{"tasks":[{"task_id":"c","policy":"spread","spread_by":"rack"},{"task_id":"d","policy":"spread","spread_by":"rack"},{"task_id":"e"}]}`)
	require.Equal(t, []string{"", "", "unavailable"}, reasons(results))
	require.ElementsMatch(t, []string{"w1", "w2"}, []string{results[0].Worker, results[1].Worker})
}

func reasons(results []placement) (all []string) {
	for _, r := range results {
		all = append(all, r.Reason)
	}
	return all
}

// A field that cannot be read refuses the whole batch, before anything is
// placed, and says which task has it.
func TestHTTPBatchNamesTheTask(t *testing.T) {
	f := start(t)
	f.agent("w1", 9)
	for more, field := range map[string]string{
		`"selector":"a &&"`:                     "tasks[2].selector",
		`"policy":"spread"`:                     "tasks[2].spread_by",
		`"policy":"luck"`:                       "tasks[2].policy",
		`"not_workers":[""]`:                    "tasks[2].not_workers",
		`"resources":{"cpu":"many"}`:            "tasks[2].resources",
		`"selector":"x","prefer":"zone in (a,"`: "tasks[2].prefer",
	} {
		a := f.call("POST", "/api/v1/schedule/batch", `{"tasks":[{"task_id":"a"},{},{"task_id":"b",`+more+`},{"task_id":"c"}]}`)
		var p placement
		require.NoError(t, json.Unmarshal([]byte(a.body), &p), a.body)
		require.Equal(t, 400, a.status, more)
		require.Equal(t, field, p.Field, more)
		require.Equal(t, "bad_request", p.Reason)
	}
	require.Zero(t, f.list("")[0].CurrentTasks)
}

func TestDevicesOverTCP(t *testing.T) {
	f := start(t)
	a := f.equipped(gpus("w1"))
	c := f.dial("c1")
	ask := task("t1")
	ask.Resources = wire.AppendResources(nil, map[string]int64{"gpu": 1})
	p := placed(t, c.ask(1, ask))
	require.EqualValues(t, 0b01, p.Devices)
	a.send(0, &wire.Begun{Handle: a.handle, Seq: 2, Record: wire.Record{
		Lease: p.Lease, Task: []byte("t1"), Client: []byte("c1"), Resources: ask.Resources, Devices: p.Devices}})
	a.alive()
	again := placed(t, c.ask(2, ask))
	require.Equal(t, p.Devices, again.Devices, "a repeat has the same ones")
	require.EqualValues(t, wire.PlacedRepeat|wire.PlacedBegun, again.Flags)
	gang := &wire.Batch{AllOrNone: true, Tasks: []wire.Schedule{*task("g1"), *task("g2")}}
	gang.Tasks[0].Resources, gang.Tasks[1].Resources = ask.Resources, ask.Resources
	all := c.ask(3, gang).(*wire.PlacedAll)
	require.Equal(t, []wire.BatchResult{{Code: wire.CodeAllOrNone}, {Code: wire.CodeUnavailable}}, all.Results)
	ask = task("t2")
	ask.Selector = []byte("gpu &&& x")
	c.send(4, ask)
	require.Equal(t, "selector", c.refusal(wire.CodeBadRequest).Field)

	row := c.ask(5, &wire.GetWorker{ID: "w1"}).(*wire.Worker)
	require.True(t, row.Info.Devices[0].Whole)
	require.EqualValues(t, 0b01, row.Leases[0].Devices)
}

func TestHelloTellsTheLimitsOfAChoice(t *testing.T) {
	f := start(t)
	p := f.connect()
	ok := p.ask(1, helloOf("c")).(*wire.HelloOK)
	require.EqualValues(t, wire.MaxSelector, ok.Limits["selector"])
	require.EqualValues(t, wire.MaxNotWorkers, ok.Limits["not_workers"])
	require.EqualValues(t, wire.MaxDevices, ok.Limits["devices"])
}
