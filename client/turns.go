package client

import (
	"github.com/dtask/dtask-scheduler/view"
	"github.com/dtask/dtask-scheduler/wire"
)

// SortWaiting puts tasks that wait into the order in which they will go, as far as
// there is room for each: by priority, then the owners of one priority in turns,
// and of one owner in order of arrival. It takes rows of Queue.
func SortWaiting(rows []wire.WaiterInfo) { view.SortWaiting(rows) }
