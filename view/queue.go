package view

import (
	"cmp"
	"slices"

	"github.com/dtask/dtask-scheduler/wire"
)

// Waiter is a task or gang that waits for room.
type Waiter struct {
	Task     string   `json:"task_id" doc:"the task, of a gang the first"`
	Client   string   `json:"client" doc:"the client id that asked"`
	Owner    string   `json:"owner" doc:"owner of the task"`
	Group    string   `json:"group" doc:"group of the task"`
	Priority int32    `json:"priority" doc:"higher goes first"`
	Tasks    uint32   `json:"tasks" doc:"1, or the tasks of the gang"`
	AgeMS    uint64   `json:"age_ms" doc:"since it came"`
	LeftMS   uint64   `json:"left_ms" doc:"until its wait is over"`
	Position uint64   `json:"position" doc:"among the tasks of its owner, priority and request class; 1 is the next"`
	Placed   uint64   `json:"placed_last_minute" doc:"tasks of its request class placed in the last minute"`
	Bypassed uint32   `json:"bypassed" doc:"bypasses while it was the first of the queue"`
	Holds    []string `json:"holds,omitempty" doc:"workers reserved for it"`
	AtLimit  bool     `json:"at_limit,omitempty" doc:"its owner has as many leases as one owner may have"`
	NoWorker bool     `json:"no_worker,omitempty" doc:"no known worker could take it"`
	Turn     uint64   `json:"turn" doc:"its owner's turn: in one priority the smallest goes first"`
	Number   uint64   `json:"number" doc:"grows in order of arrival"`
}

// WaiterOf returns the row of a waiter.
func WaiterOf(w *wire.WaiterInfo) Waiter { return Waiter(*w) }

// SortWaiting puts waiters into the order in which they will go, as far as there
// is room for each: by priority, then the owners of one priority in turns, and of
// one owner in order of arrival. Only among all that wait is the order exact.
func SortWaiting(rows []wire.WaiterInfo) {
	slices.SortStableFunc(rows, func(a, b wire.WaiterInfo) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(b.AgeMS, a.AgeMS)) // older schedulers tell no number
	})
	type turn struct {
		priority int32
		owner    string
	}
	type placed struct {
		row   wire.WaiterInfo
		round int // how many of its owner go before
	}
	rounds := map[turn]int{}
	all := make([]placed, len(rows))
	for i, w := range rows {
		t := turn{w.Priority, w.Owner}
		all[i] = placed{w, rounds[t]}
		rounds[t]++
	}
	slices.SortStableFunc(all, func(a, b placed) int {
		return cmp.Or(cmp.Compare(b.row.Priority, a.row.Priority), cmp.Compare(a.round, b.round), cmp.Compare(a.row.Turn, b.row.Turn))
	})
	for i := range all {
		rows[i] = all[i].row
	}
}
