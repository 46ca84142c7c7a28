package server

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

// statsAnswer is the body of GET /stats.
type statsAnswer struct {
	Workers struct {
		Online     uint32 `json:"online"`
		Suspicious uint32 `json:"suspicious"`
		Offline    uint32 `json:"offline"`
		Total      uint32 `json:"total"`
	} `json:"workers"`
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
	var a statsAnswer
	a.Workers.Online, a.Workers.Suspicious, a.Workers.Offline = st.Online, st.Suspicious, st.Offline
	a.Workers.Total = st.Online + st.Suspicious + st.Offline
	a.Capacity.Total, a.Capacity.Used = st.Slots, st.Used
	if st.Used < st.Slots {
		a.Capacity.Available = st.Slots - st.Used
	}
	if st.Slots > 0 {
		a.AvgLoadRatio = float64(st.Used) / float64(st.Slots)
	}
	a.Leases = map[string]uint32{
		wire.StateGranted.String(): st.Granted, wire.StateAskedBack.String(): st.AskedBack,
		wire.StateBegun.String(): st.Begun, wire.StateAssumed.String(): st.Assumed,
	}
	a.Metrics = g.srv.counters()
	for name, n := range st.Counters {
		a.Metrics[name] = n
	}
	body, err := json.Marshal(&a)
	if err != nil {
		jsonError(w, http.StatusInternalServerError, err.Error(), wire.CodeInternal.String())
		return
	}
	writeJSON(w, http.StatusOK, append(body, '\n'))
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
