package server

import "github.com/prometheus/client_golang/prometheus"

// metric is one row of the table of metrics. docs/metrics.md has a row for
// each, and a test compares the two.
type metric struct {
	name   string
	kind   string // counter, gauge or histogram
	labels []string
	desc   *prometheus.Desc
}

// metrics is the table, in the order of the document.
var metrics []*metric

func define(kind, name, help string, labels ...string) *metric {
	m := &metric{name: name, kind: kind, labels: labels, desc: prometheus.NewDesc(name, help, labels, nil)}
	metrics = append(metrics, m)
	return m
}

// Requests.
var (
	requestsTotal = define("counter", "dtask_requests_total",
		"Requests of clients, agents and operators, by how they were answered.", "api", "op", "code")
	requestDuration = define("histogram", "dtask_request_duration_seconds",
		"Time from reading a request, with all that came with it, to its answer being encoded.", "api", "op")
	scheduleRequests = define("counter", "dtask_schedule_requests_total",
		"Requests for places: schedule and batch, over both APIs.")
	slowDecisions = define("counter", "dtask_slow_decisions_total",
		"Uses of the core that took longer than --slow-decision.")
)

// The server.
var (
	connections = define("gauge", "dtask_connections",
		"Open connections.", "listener")
	connectionsMax = define("gauge", "dtask_connections_max",
		"Connections of both listeners that may be open at once.")
	connectionsClosed = define("counter", "dtask_connections_closed_total",
		"Connections that the scheduler closed or turned away.", "reason")
	engineRestarts = define("counter", "dtask_engine_restarts_total",
		"How often the event loops of the native port ended unasked and were started again.")
	outboundBytes = define("gauge", "dtask_outbound_buffer_bytes",
		"Bytes that wait for peers of the native protocol to read them.")
	outboundMax = define("gauge", "dtask_outbound_buffer_max_bytes",
		"Bytes of output at which connections are closed.")
	inboundBytes = define("gauge", "dtask_inbound_buffer_bytes",
		"Bytes of frames that have not come whole, or not been handled yet.")
	loopLag = define("histogram", "dtask_event_loop_lag_seconds",
		"Time from posting a probe to an event loop, once a second, to its running there.")
	coreBusy = define("counter", "dtask_core_busy_seconds_total",
		"Time that the core was at work.")
	datagrams = define("counter", "dtask_udp_datagrams_total",
		"Datagrams that were read, by what became of them.", "result")
	kernelDropsTotal = define("counter", "dtask_udp_kernel_drops_total",
		"Datagrams that the kernel dropped because the buffer of the socket was full.")
	handlerPanics = define("counter", "dtask_handler_panics_total",
		"Faults in the handler of a connection or an HTTP request.")
	logDropped = define("counter", "dtask_log_lines_dropped_total",
		"Log lines that were dropped because the reader of the log was too slow or refused them.")
)

// The fleet.
var (
	workersNow = define("gauge", "dtask_workers",
		"Known workers.", "status")
	workersFlagged = define("gauge", "dtask_workers_flagged",
		"Known workers with a flag.", "flag")
	workerEvents = define("counter", "dtask_worker_events_total",
		"What happened to workers, as GET /api/v1/events tells it.", "event")
	heartbeatInterval = define("histogram", "dtask_worker_heartbeat_interval_seconds",
		"Silence that a heartbeat ended: since the latest report of its worker.")
	heartbeats = define("counter", "dtask_heartbeats_total",
		"Heartbeats of workers.", "transport", "result")
	capacityNow = define("gauge", "dtask_capacity",
		"What the online workers have of a resource.", "resource")
	takenNow = define("gauge", "dtask_taken",
		"What is taken of a resource on the online workers.", "resource")
	freeNow = define("gauge", "dtask_free",
		"What may be given of a resource now, on workers that get new tasks.", "resource")
	massLoss = define("gauge", "dtask_mass_loss",
		"1 while a large part of the fleet is silent at once, else 0.")
	massLosses = define("counter", "dtask_mass_losses_total",
		"How often a large part of the fleet fell silent at once.")
	identityConflicts = define("counter", "dtask_worker_identity_conflicts_total",
		"Registrations that were refused because an agent of another machine has their worker id and is alive.")
	deviceConflicts = define("counter", "dtask_worker_device_conflicts_total",
		"Registrations that were refused because another worker has one of their GPUs.")
	quarantines = define("counter", "dtask_quarantines_total",
		"How often a worker was taken out of service because it failed its tasks.")
)

// Leases and the queue.
var (
	leasesNow = define("gauge", "dtask_leases",
		"Leases that live.", "state")
	leasesGranted = define("counter", "dtask_leases_granted_total",
		"Leases that were granted.")
	leaseEnds = define("counter", "dtask_lease_ends_total",
		"Leases that ended.", "reason")
	leaseRevokes = define("counter", "dtask_lease_revokes_total",
		"Leases that were asked back from their workers.")
	preemptions = define("counter", "dtask_preemptions_total",
		"Preempted tasks.")
	queueLength = define("gauge", "dtask_queue_length",
		"Waiting tasks.", "class")
	queueMax = define("gauge", "dtask_queue_max",
		"Tasks that may wait at once, of all classes together.")
	queueOldest = define("gauge", "dtask_queue_oldest_age_seconds",
		"How long the longest waiting task has waited; 0 if none waits.", "class")
	queueWait = define("histogram", "dtask_queue_wait_seconds",
		"How long placed tasks waited.", "class")
	queueEnds = define("counter", "dtask_queue_ends_total",
		"Tasks that waited, by how that ended.", "end")
	holdsNow = define("gauge", "dtask_holds",
		"1 while a worker is reserved for a task because of bypasses, else 0.")
	holdsTotal = define("counter", "dtask_holds_total",
		"Reservations because of bypasses.")
	violations = define("counter", "dtask_invariant_violations_total",
		"Workers found in breach of an invariant when the fleet was read for these metrics.", "invariant")
)

// The scheduler itself.
var (
	buildInfo = define("gauge", "dtask_build_info",
		"1, with what runs here as labels.", "version", "revision", "go_version")
	insecureNow = define("gauge", "dtask_insecure",
		"1 if other machines may connect without authentication, else 0.")
	readyNow = define("gauge", "dtask_ready",
		"1 if GET /readyz answers 200, else 0.")
)
