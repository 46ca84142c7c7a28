package judge

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// equipped returns the account of two workers with resources.
func equipped() *Judge {
	j := New([]Worker{
		{ID: "g1", Tags: []string{"gpu", "zone=1"}, Slots: 4, Amounts: map[string]int64{"cpu": 4000}, Devices: []int64{100, 100, 200}},
		{ID: "c1", Tags: []string{"zone=2"}, Slots: 4, Amounts: map[string]int64{"cpu": 8000}},
	}, func() time.Duration { return time.Second }, nil)
	j.Incarnation(0, 1)
	j.Incarnation(1, 1)
	return j
}

// place grants the lease of the same number to a task with a need, and begins
// it.
func place(j *Judge, n uint64, worker string, devices uint64, need Need) {
	j.Granted(task(n), id(n), worker, 1, &need, devices)
	j.Began(j.byID[worker], id(n))
}

// TestNeeds: each rule about what a task needs is broken by one case, and held
// by the case beside it.
func TestNeeds(t *testing.T) {
	cpu := func(n int64) Need { return Need{Amounts: map[string]int64{"cpu": n}} }
	for _, c := range []struct {
		name   string
		broken Rule
		do     func(j *Judge)
	}{
		{"clauses hold", "", func(j *Judge) {
			place(j, 1, "g1", 0, Need{Clauses: []Clause{{AnyOf: []string{"x", "zone=1"}}, {AnyOf: []string{"spot"}, Not: true}}})
		}},
		{"a clause does not hold", WrongTags, func(j *Judge) { place(j, 1, "c1", 0, Need{Clauses: []Clause{{AnyOf: []string{"zone=1"}}}}) }},
		{"a clause must not hold", WrongTags, func(j *Judge) { place(j, 1, "g1", 0, Need{Clauses: []Clause{{AnyOf: []string{"gpu"}, Not: true}}}) }},
		{"ruled out", RuledOut, func(j *Judge) { place(j, 1, "c1", 0, Need{RuledOut: []string{"c1"}}) }},
		{"more than there is", WrongResources, func(j *Judge) { j.Granted(task(1), id(1), "g1", 1, &Need{Amounts: map[string]int64{"cpu": 4001}}, 0) }},
		{"all there is", "", func(j *Judge) { place(j, 1, "g1", 0, cpu(3000)); place(j, 2, "g1", 0, cpu(1000)) }},
		{"more than is left", OverAmount, func(j *Judge) { place(j, 1, "g1", 0, cpu(3000)); place(j, 2, "g1", 0, cpu(1001)) }},
		{"an end gives it back", "", func(j *Judge) { place(j, 1, "g1", 0, cpu(3000)); j.Ended(0, id(1)); place(j, 2, "g1", 0, cpu(4000)) }},
		{"shares of a device", "", func(j *Judge) { place(j, 1, "g1", 1, Need{Memory: 60}); place(j, 2, "g1", 1, Need{Memory: 40}) }},
		{"too many shares", OverAmount, func(j *Judge) { place(j, 1, "g1", 1, Need{Memory: 60}); place(j, 2, "g1", 1, Need{Memory: 41}) }},
		{"a whole device beside a share", DeviceTwice, func(j *Judge) { place(j, 1, "g1", 1, Need{Memory: 1}); place(j, 2, "g1", 1, Need{GPUs: 1}) }},
		{"two whole devices", "", func(j *Judge) { place(j, 1, "g1", 1, Need{GPUs: 1}); place(j, 2, "g1", 6, Need{GPUs: 2}) }},
		{"too few devices", WrongDevices, func(j *Judge) { place(j, 1, "g1", 1, Need{GPUs: 2}) }},
		{"a device that is not there", WrongDevices, func(j *Judge) { place(j, 1, "g1", 8, Need{GPUs: 1}) }},
		{"a device that is too small", WrongDevices, func(j *Judge) { place(j, 1, "g1", 1, Need{GPUs: 1, Memory: 150}) }},
		{"devices nobody asked for", WrongDevices, func(j *Judge) { place(j, 1, "g1", 1, Need{}) }},
		{"alone", "", func(j *Judge) { place(j, 1, "g1", 7, Need{Exclusive: true}) }},
		{"not alone", NotAlone, func(j *Judge) { place(j, 1, "g1", 7, Need{Exclusive: true}); place(j, 2, "g1", 0, Need{}) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := equipped()
			c.do(j)
			got, n := j.Violations()
			if c.broken == "" {
				require.Empty(t, got)
				return
			}
			require.Equal(t, 1, n, "%v", got)
			require.Equal(t, c.broken, got[0].Rule)
		})
	}
}

func TestCould(t *testing.T) {
	w := equipped().workers[0].Worker
	for _, c := range []struct {
		could bool
		need  Need
	}{
		{true, Need{GPUs: 3, Memory: 100}}, {false, Need{GPUs: 2, Memory: 101}}, {true, Need{GPUs: 1, Memory: 200}}, {false, Need{GPUs: 4}},
		{true, Need{Memory: 200}}, {false, Need{Memory: 201}}, {true, Need{Exclusive: true}}, {false, Need{RuledOut: []string{"g1"}}},
		{false, Need{Amounts: map[string]int64{"disk": 1}}}, {false, Need{Tags: []string{"zone=2"}}},
	} {
		require.Equal(t, c.could, c.need.Could(&w), "%+v", c.need)
	}
}
