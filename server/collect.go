package server

import (
	"context"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// collector reads everything when it is asked: nothing is kept for metrics
// beside the counters themselves.
type collector struct {
	srv *Server
}

// scrapes bounds the scrapes that are answered at once.
const scrapes = 4

// metricsHandler returns what answers GET /metrics.
func metricsHandler(s *Server) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(collector{s}, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: scrapes})
}

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range metrics {
		ch <- m.desc
	}
}

// sink takes the values of a scrape.
type sink chan<- prometheus.Metric

func (out sink) put(m *metric, v float64, labels ...string) {
	kind := prometheus.GaugeValue
	if m.kind == "counter" {
		kind = prometheus.CounterValue
	}
	out.send(m, func() (prometheus.Metric, error) { return prometheus.NewConstMetric(m.desc, kind, v, labels...) })
}

// send sends a metric, or what is wrong with it, which fails the scrape.
func (out sink) send(m *metric, make func() (prometheus.Metric, error)) {
	one, err := make()
	if err != nil {
		one = prometheus.NewInvalidMetric(m.desc, err)
	}
	out <- one
}

func (out sink) yes(m *metric, v bool) {
	n := 0.0
	if v {
		n = 1
	}
	out.put(m, n)
}

// histogram puts a histogram of counts[i] values in the i-th bucket; the last
// is the one beyond all bounds.
func (out sink) histogram(m *metric, bounds []float64, counts []uint64, sum float64, labels ...string) {
	total, buckets := uint64(0), make(map[float64]uint64, len(bounds))
	for i, b := range bounds {
		total += counts[i]
		buckets[b] = total
	}
	total += counts[len(bounds)]
	out.send(m, func() (prometheus.Metric, error) {
		return prometheus.NewConstHistogram(m.desc, total, sum, buckets, labels...)
	})
}

// Collect implements prometheus.Collector. It runs in a goroutine of the
// library's: a fault here must not end the scheduler.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	s, out := c.srv, sink(ch)
	defer func() {
		if cause := recover(); cause != nil {
			s.faulted("a fault while metrics were read", cause, debug.Stack())
		}
	}()
	s.collectScan(out) // first: what it finds is counted below
	s.collectRequests(out)
	s.collectServer(out)
	var o sched.Observation
	s.core.observe(&o)
	s.collectUDP(out, &o)
	collectFleet(out, &o)
	collectLeases(out, &o)
	out.put(queueMax, float64(s.cfg.Sched.MaxWaiting))
	out.put(buildInfo, 1, s.cfg.Sched.Version, s.cfg.Revision, runtime.Version())
	out.yes(insecureNow, s.cfg.Insecure)
	reason, _ := s.unready()
	out.yes(readyNow, reason == "")
}

// observe reads what the core has counted.
func (c *core) observe(o *sched.Observation) {
	c.look("observe", "", func(now sched.Time) { c.state.Observe(now, o) })
}

// loopPatience is how long a scrape waits for the event loops to hand over what
// they have counted. What a loop that is stuck has counted is missing then.
const loopPatience = time.Second

// native returns what the event loops have counted, and all of them answered.
func (s *Server) native() *meter {
	ctx, cancel := context.WithTimeout(context.Background(), loopPatience)
	defer cancel()
	s.eachLoop(ctx, func(l *loop) {
		l.meter.close()
		s.copies.put(l)
	})
	return s.copies.sum()
}

// seconds converts durations to the unit of metrics.
func seconds[T ~int64](d []T, unit time.Duration) []float64 {
	s := make([]float64, len(d))
	for i := range d {
		s[i] = float64(d[i]) / float64(time.Second/unit)
	}
	return s
}

var (
	latencySeconds = seconds(latencyBounds[:], time.Nanosecond)
	lagSeconds     = seconds(lagBounds[:], time.Nanosecond)
)

// collectRequests reads the meters of both APIs.
func (s *Server) collectRequests(out sink) {
	native, web := s.native(), s.web.read()
	schedules := uint64(0)
	for _, api := range []struct {
		name string
		*meter
	}{{"native", native}, {"http", web}} {
		for r, n := range api.requests {
			k, code := wire.Kind(r/maxCode), wire.Code(r%maxCode)
			if k == wire.KindSchedule || k == wire.KindBatch {
				schedules += n
			}
			if n > 0 || expected(k, code) {
				out.put(requestsTotal, float64(n), api.name, opName(k), code.String())
			}
		}
		for k := range api.took {
			if t := &api.took[k]; t.counts != ([len(latencyBounds) + 1]uint64{}) {
				out.histogram(requestDuration, latencySeconds, t.counts[:], t.sum.Seconds(), api.name, opName(wire.Kind(k)))
			}
		}
	}
	out.put(scheduleRequests, float64(schedules))
	out.put(slowDecisions, float64(s.slowSeen.Load()))
	s.core.mu.Lock()
	busy := s.core.busy
	s.core.mu.Unlock()
	out.put(coreBusy, (busy + native.busy).Seconds())
}

// expected reports whether requests are shown that never came: an alert on what
// becomes more must see it at 0.
func expected(k wire.Kind, code wire.Code) bool {
	if k != wire.KindSchedule {
		return false
	}
	switch code {
	case wire.CodeOK, wire.CodeUnavailable, wire.CodeInfeasible, wire.CodeInternal:
		return true
	}
	return false
}

// opName names the kind of a request; 0 is what could not be read.
func opName(k wire.Kind) string {
	if k == 0 {
		return "unknown"
	}
	return k.String()
}

func (s *Server) collectServer(out sink) {
	web := s.webConnections.Load()
	out.put(connections, float64(s.connections.Load()-web), "native")
	out.put(connections, float64(web), "http")
	out.put(connectionsMax, float64(s.cfg.MaxConnections))
	for code := range s.closes {
		if n := s.closes[code].Load(); n > 0 || closes(wire.Code(code)) {
			out.put(connectionsClosed, float64(n), wire.Code(code).String())
		}
	}
	out.put(engineRestarts, float64(s.restarts.Load()))
	out.put(outboundBytes, float64(s.output.Load()))
	out.put(outboundMax, float64(s.cfg.MaxTotalOutput))
	out.put(inboundBytes, float64(s.input.Load()))
	out.put(handlerPanics, float64(s.panics.Load()))
	dropped := uint64(0)
	if s.cfg.LogWriter != nil {
		dropped = s.cfg.LogWriter.Dropped()
	}
	out.put(logDropped, float64(dropped))
	lag := s.vital.lags()
	out.histogram(loopLag, lagSeconds, lag.counts[:], lag.sum.Seconds())
}

func (s *Server) collectUDP(out sink, o *sched.Observation) {
	if s.udp == nil {
		return
	}
	out.put(datagrams, float64(s.udp.bad.Load()), "bad")
	for r, n := range o.Beats[sched.OverUDP] {
		out.put(datagrams, float64(n), sched.BeatResult(r).String())
	}
	if n, ok := kernelDrops(s.udp.inode); ok {
		out.put(kernelDropsTotal, float64(n))
	}
}

// durations puts a histogram of the core, whose unit is the millisecond.
func (out sink) durations(m *metric, d *sched.Durations, labels ...string) {
	out.histogram(m, seconds(d.Bounds[:], time.Millisecond), d.Counts[:], seconds([]sched.Time{d.Sum}, time.Millisecond)[0], labels...)
}

func collectFleet(out sink, o *sched.Observation) {
	for p, n := range o.Workers {
		out.put(workersNow, float64(n), sched.Presences[p])
	}
	for event, n := range o.Events {
		out.put(workerEvents, float64(n), event)
	}
	out.durations(heartbeatInterval, &o.Silences)
	for t := range o.Beats {
		for r, n := range o.Beats[t] {
			out.put(heartbeats, float64(n), sched.Transport(t).String(), sched.BeatResult(r).String())
		}
	}
	out.yes(massLoss, o.MassLoss)
	out.put(massLosses, float64(o.Losses))
	out.put(identityConflicts, float64(o.IdentityConflicts))
	out.put(deviceConflicts, float64(o.DeviceConflicts))
	out.put(quarantines, float64(o.Quarantines))
}

func collectLeases(out sink, o *sched.Observation) {
	for st := wire.StateGranted; int(st) < len(o.Leases); st++ {
		out.put(leasesNow, float64(o.Leases[st]), st.String())
	}
	out.put(leasesGranted, float64(o.Granted))
	for r := wire.ReasonOK; int(r) < len(o.LeaseEnds); r++ {
		out.put(leaseEnds, float64(o.LeaseEnds[r]), r.String())
	}
	out.put(leaseRevokes, float64(o.Revokes))
	out.put(preemptions, float64(o.Preempted))
	for k, class := range sched.Classes {
		out.put(queueLength, float64(o.Waiting[k]), class)
		out.put(queueOldest, float64(o.Oldest[k])/1000, class)
		out.durations(queueWait, &o.Waits[k], class)
	}
	for e, end := range sched.WaitEnds {
		out.put(queueEnds, float64(o.WaitEnds[e]), end)
	}
	out.yes(holdsNow, o.Holding)
	out.put(holdsTotal, float64(o.Holds))
	for i, name := range sched.InvariantNames {
		out.put(violations, float64(o.Violated[i]), name)
	}
}
