package view

import "github.com/dtask/dtask-scheduler/wire"

// The answers of the HTTP API that hold rows. Lists come one page at a time: Next
// is the cursor of the page behind, and is missing at the end.

// WorkerDetail is the answer to GET /api/v1/workers/{id}.
type WorkerDetail struct {
	Worker Worker  `json:"worker"`
	Leases []Lease `json:"leases"`
}

// Leases is the answer to GET /api/v1/leases.
type Leases struct {
	Leases []Lease `json:"leases"`
	Next   uint64  `json:"next,omitempty"`
	Count  *uint64 `json:"count,omitempty"`
}

// Tags is the answer to GET /api/v1/tags.
type Tags struct {
	Tags []Tag  `json:"tags"`
	Next string `json:"next,omitempty"`
}

// Events is the answer to GET /api/v1/events. Next is there even at the end: a
// reader that follows asks for what comes behind it.
type Events struct {
	Events []Event `json:"events"`
	Next   uint64  `json:"next"`
	Last   uint64  `json:"last"`
	Missed uint64  `json:"missed"`
}

// History is the answer to GET /api/v1/history.
type History struct {
	Leases []Ended `json:"leases"`
	Next   uint64  `json:"next,omitempty"`
}

// Queue is the answer to GET /api/v1/queue.
type Queue struct {
	Queue   []Waiter `json:"queue"`
	Next    uint64   `json:"next,omitempty"`
	Waiting uint64   `json:"waiting"`
	Groups  uint64   `json:"groups"`
	Count   *uint64  `json:"count,omitempty"`
}

// Stats is the answer to GET /stats.
type Stats struct {
	Totals
	Capacity struct {
		Total     uint64 `json:"total_slots"`
		Used      uint64 `json:"used_slots"`
		Available uint64 `json:"available_slots"`
	} `json:"capacity"`
	AvgLoadRatio float64           `json:"avg_load_ratio"`
	Leases       map[string]uint32 `json:"leases"`
	Metrics      map[string]uint64 `json:"metrics"`
}

// StatsOf returns the answer of a scheduler that counts metrics beside its own.
func StatsOf(s *wire.Stats, metrics map[string]uint64) *Stats {
	a := &Stats{Totals: TotalsOf(s), Leases: LeasesByState(s), Metrics: metrics}
	a.Capacity.Total, a.Capacity.Used = s.Slots, s.Used
	if s.Used < s.Slots {
		a.Capacity.Available = s.Slots - s.Used
	}
	if s.Slots > 0 {
		a.AvgLoadRatio = float64(s.Used) / float64(s.Slots)
	}
	for name, n := range s.Counters {
		a.Metrics[name] = n
	}
	return a
}

// Health is what GET /livez and /readyz say when all is not well.
type Health struct {
	Status string `json:"status"` // unavailable
	Reason string `json:"reason"` // for programs
	Detail string `json:"detail"` // for people
}

// Status is the answer that says how a lease stands.
type Status struct {
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"` // how it ended, such as ok or revoked
}

// RowsOf returns the rows of a page.
func RowsOf[W, R any](page []W, row func(*W) R) []R {
	rows := make([]R, len(page))
	for i := range page {
		rows[i] = row(&page[i])
	}
	return rows
}
