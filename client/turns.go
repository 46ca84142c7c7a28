package client

import (
	"cmp"
	"slices"

	"github.com/dtask/dtask-scheduler/wire"
)

// SortWaiting puts tasks that wait into the order in which they will go, as far as
// there is room for each: by priority, then the owners of one priority in turns,
// and of one owner in order of arrival. It takes rows of Queue.
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
