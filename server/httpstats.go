package server

import (
	"net/http"
	"time"

	"github.com/dtask/dtask-scheduler/view"
	"github.com/dtask/dtask-scheduler/wire"
)

// statsAnswer is the body of GET /stats.
type statsAnswer struct {
	view.Totals
	Capacity struct {
		Total     uint64 `json:"total_slots"`
		Used      uint64 `json:"used_slots"`
		Available uint64 `json:"available_slots"`
	} `json:"capacity"`
	AvgLoadRatio float64           `json:"avg_load_ratio"`
	Leases       map[string]uint32 `json:"leases"`
	Metrics      map[string]uint64 `json:"metrics"`
}

func (g *gateway) stats(w http.ResponseWriter, r *http.Request) {
	c := takeCall(w)
	defer c.putBack()
	st, ok := g.srv.core.do(&c.exchange, &wire.GetStats{}).(*wire.Stats)
	if !ok {
		jsonError(w, http.StatusInternalServerError, "the scheduler gave no answer", wire.CodeInternal.String())
		return
	}
	a := statsAnswer{Totals: view.TotalsOf(st), Leases: view.LeasesByState(st)}
	a.Capacity.Total, a.Capacity.Used = st.Slots, st.Used
	if st.Used < st.Slots {
		a.Capacity.Available = st.Slots - st.Used
	}
	if st.Slots > 0 {
		a.AvgLoadRatio = float64(st.Used) / float64(st.Slots)
	}
	a.Metrics = g.srv.counters()
	for name, n := range st.Counters {
		a.Metrics[name] = n
	}
	writeValue(w, &a)
}

// counters returns what the server itself counts.
func (s *Server) counters() map[string]uint64 {
	m := map[string]uint64{
		"connections":    uint64(max(s.connections.Load(), 0)),
		"output_bytes":   uint64(max(s.output.Load(), 0)),
		"input_bytes":    uint64(max(s.input.Load(), 0)),
		"uptime_seconds": uint64(s.core.clock.read() / time.Second),
	}
	if s.udp != nil {
		m["datagrams"], m["datagrams_bad"] = s.udp.received.Load(), s.udp.bad.Load()
		if n, ok := kernelDrops(s.udp.inode); ok {
			m["datagrams_lost_in_kernel"] = n
		}
	}
	for code := range s.closes {
		if n := s.closes[code].Load(); n > 0 {
			m["closed_"+wire.Code(code).String()] = n
		}
	}
	return m
}
