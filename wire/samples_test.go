package wire

import "math"

// sample is a message of the golden vectors.
type sample struct {
	name    string
	request uint64
	message Message
}

// The parts that samples share.
var (
	sampleLease  = LeaseID{Epoch: 3, Instance: 0x9f04c2d1, Counter: 42}
	sampleGiver  = Grantor{Epoch: 3, Instance: 0x9f04c2d1}
	samplePlaced = Placed{
		Lease:       sampleLease,
		Target:      AppendTarget(nil, "worker-001", "10.1.2.3:9000"),
		Incarnation: 0x8d3c52f011aa70b1,
		TTLMS:       10_000,
	}
	sampleRecord = Record{
		Lease:     sampleLease,
		Task:      []byte("job-17/part-3"),
		Client:    []byte("render-farm"),
		Owner:     []byte("ana"),
		Group:     []byte("job-17"),
		Priority:  -7,
		Resources: AppendResources(nil, map[string]int64{"cpu": 2000, "mem": 4096}),
	}
	endedRecord = Record{
		Lease:   LeaseID{Epoch: 2, Instance: 7, Counter: math.MaxUint64},
		Task:    []byte("t"),
		Outcome: ReasonFailed,
	}
	sampleWorker = WorkerInfo{
		ID:          "worker-001",
		Address:     "10.1.2.3:9000",
		Tags:        []string{"gpu", "zone=b"},
		State:       "online",
		Flags:       []string{"overcommitted"},
		Slots:       8,
		Taken:       3,
		External:    1,
		Incarnation: 0x8d3c52f011aa70b1,
		SeenMS:      1_250,
		Resources:   map[string]int64{"cpu": 16_000},
	}
	cordonedWorker = WorkerInfo{
		ID: "worker-002", Address: "10.1.2.4:9000", State: "online", Flags: []string{"cordoned"}, Slots: 8, Taken: 1,
		Incarnation: 9, SeenMS: 300, CordonReason: "a fan is broken", CordonBy: "ana", CordonMS: 86_400_000,
	}
	sampleInfo = LeaseInfo{
		Lease: sampleLease, Task: "job-17/part-3", Client: "render-farm", Owner: "ana", Group: "job-17",
		Priority: -7, State: StateBegun, AgeMS: 61_000, Worker: "worker-001",
	}
	bareWorker = WorkerInfo{ID: "büro rechner", Address: "h:1", State: "offline", Flags: []string{"http"}}
	fullTask   = Schedule{
		Task:      []byte("job-17/part-3"),
		Tags:      AppendTags(nil, []string{"gpu", "cuda=12.4"}),
		Priority:  -1_000_000,
		Owner:     []byte("ana"),
		Group:     []byte("job-17"),
		Resources: AppendResources(nil, map[string]int64{"cpu": 2000, "mem": MaxAmount}),
		TTLMS:     MaxTTL,
	}
	bareTask   = Schedule{Task: []byte("task-001")}
	choiceTask = Schedule{
		Task:       []byte("train-7"),
		Tags:       AppendTags(nil, []string{"gpu"}),
		Resources:  AppendResources(nil, map[string]int64{"gpu": 2, "gpu_mem": 40_000}),
		Selector:   []byte("cuda>=12.0 && cuda<13 && !spot"),
		Prefer:     []byte(`zone in ("a", "b")`),
		NotWorkers: AppendWorkers(nil, []string{"worker-003", "büro rechner"}),
		Exclusive:  true,
		Policy:     []byte("spread"),
		SpreadBy:   []byte("zone"),
	}
	devicePlaced = Placed{
		Lease: sampleLease, Target: AppendTarget(nil, "worker-001", "10.1.2.3:9000"),
		Incarnation: 0x8d3c52f011aa70b1, TTLMS: 10_000, Devices: 1<<63 | 1<<2,
	}
	deviceRecord = Record{
		Lease: sampleLease, Task: []byte("train-7"), Resources: AppendResources(nil, map[string]int64{"gpu": 2}),
		Devices: 0b110, Exclusive: true,
	}
	shareRecord = Record{
		Lease: endedRecord.Lease, Task: []byte("t"), Resources: AppendResources(nil, map[string]int64{"gpu_mem": 8_192}), Devices: 1,
	}
	deviceWorker = WorkerInfo{
		ID: "worker-003", Address: "10.1.2.5:9000", State: "online", Slots: 8, Taken: 3, Incarnation: 9, SeenMS: 300,
		Resources: map[string]int64{"cpu": 64_000}, Used: map[string]int64{"cpu": 6_000, "gpu": 1, "gpu_mem": 90_112},
		Devices: []DeviceInfo{
			{Model: "NVIDIA H100 80GB HBM3", Memory: 81_559, UUID: "GPU-6f1c", Used: 81_559, Leases: 1, Whole: true},
			{Model: "NVIDIA H100 80GB HBM3", Memory: 81_559, Used: 8_553, Leases: 2},
			{},
		},
	}
	deviceInfo = LeaseInfo{
		Lease: sampleLease, Task: "train-7", State: StateBegun, AgeMS: 61_000, Worker: "worker-003",
		Resources: map[string]int64{"gpu": 2}, Devices: 0b110, Exclusive: true,
	}
)

// samples returns the messages of the golden vectors. A sample is never
// changed: a vector must be read for ever.
func samples() []sample {
	return append(clientSamples(), append(workerSamples(), append(viewSamples(), append(listSamples(), append(deviceSamples(), append(queueSamples(), quarantineSamples()...)...)...)...)...)...)
}

func clientSamples() []sample {
	return []sample{
		{"hello of a client", 1, &Hello{MinVersion: 1, MaxVersion: 1, Role: RoleClient, Client: "render-farm", Token: "s3cret", Features: []string{"udp"}}},
		{"hello of an agent", 1, &Hello{MinVersion: 1, MaxVersion: 3, Role: RoleAgent, Client: "worker-001"}},
		{"hello_ok", 1, &HelloOK{Version: 1, Server: "dtask-scheduler 1.0.0", Grantor: sampleGiver, HeartbeatMS: 3000, StartTTLMS: 10_000, Limits: map[string]uint64{"frame": MaxFrame, "batch": MaxBatch}}},
		{"error with a field and its limit", 7, &Error{Code: CodeBadRequest, Message: "tags holds too many values", Field: "tags", Limit: 16}},
		{"error with a time to retry", math.MaxUint64, &Error{Code: CodeBusy, Message: "too many connections", RetryAfterMS: 1500}},
		{"ping", 2, &Ping{}},
		{"pong", 2, &Pong{}},
		{"schedule with the required fields alone", 3, &bareTask},
		{"schedule with every field", 300, &fullTask},
		{"placed", 3, &samplePlaced},
		{"batch", 4, &Batch{Tasks: []Schedule{bareTask, fullTask}}},
		{"placed_all", 4, &PlacedAll{Results: []BatchResult{{Placed: samplePlaced}, {Code: CodeUnavailable}}}},
		{"renew", 5, &Renew{Leases: []LeaseID{sampleLease, {Epoch: 1, Instance: 1, Counter: 1}}}},
		{"renewed", 5, &Renewed{Leases: []LeaseStatus{{State: StateGranted}, {State: StateEnded, Reason: ReasonReleased}}}},
		{"release", 6, &Release{Lease: sampleLease, Handed: true}},
		{"released", 6, &Released{Code: CodeAlreadyEnded, Reason: ReasonOK}},
	}
}

func workerSamples() []sample {
	return []sample{
		{"register", 2, &Register{
			Worker: "worker-001", Address: "10.1.2.3:9000", Incarnation: 0x8d3c52f011aa70b1, Seq: 1,
			Tags: []string{"gpu", "cuda=12.4"}, Slots: 8, External: 2,
			Resources: map[string]int64{"cpu": 16_000, "mem": 65_536}, Promised: Grantor{Epoch: 2, Instance: 7},
			Leases: []Record{sampleRecord, endedRecord},
		}},
		{"register of an idle worker", 2, &Register{Worker: "w", Address: "h:1", Incarnation: 1, Seq: 1, Slots: 1}},
		{"registered", 2, &Registered{Handle: 5, Grantor: sampleGiver, HeartbeatMS: 3000}},
		{"promised", 0, &Promised{Handle: 5, Grantor: sampleGiver}},
		{"heartbeat", 0, &Heartbeat{Handle: 5, Seq: 77_123, External: 2}},
		{"heartbeat of the greatest size", 0, &Heartbeat{Handle: math.MaxUint32, Seq: math.MaxUint32, External: math.MaxUint32}},
		{"begun", 0, &Begun{Handle: 5, Seq: 3, Record: sampleRecord}},
		{"end", 9, &End{Handle: 5, Seq: 4, Lease: sampleLease, Outcome: ReasonOK}},
		{"ended", 9, &Ended{}},
		{"revoke", 0, &Revoke{Handle: 5, Lease: sampleLease}},
		{"revoked", 0, &Revoked{Handle: 5, Seq: 5, Lease: sampleLease}},
		{"superseded", 0, &Superseded{Worker: "worker-001", Incarnation: 0x8d3c52f011aa70b1}},
		{"deregister", 10, &Deregister{Handle: 5, Seq: 6}},
		{"gone", 10, &Gone{}},
		{"beat", 0, &Beat{Worker: []byte("worker-001"), Incarnation: 0x8d3c52f011aa70b1, Seq: 1_200, External: 2, Digest: sampleLease.Digest()}},
		{"beat of an idle worker", 0, &Beat{Worker: []byte("w"), Incarnation: 1, Seq: 1}},
		{"beat_ack", 0, &BeatAck{Seq: 1_200, Grantor: sampleGiver}},
		{"beat_ack that asks for a registration", 0, &BeatAck{Seq: 1, Grantor: sampleGiver, Connect: true}},
	}
}

func viewSamples() []sample {
	return []sample{
		{"list_workers", 8, &ListWorkers{After: "worker-000", Limit: 100, Tags: []string{"gpu"}, State: "online"}},
		{"workers", 8, &Workers{Rows: []WorkerInfo{sampleWorker, bareWorker}, Next: "worker-002"}},
		{"get_worker", 9, &GetWorker{ID: "worker-001"}},
		{"worker", 9, &Worker{Info: sampleWorker, Leases: []LeaseInfo{sampleInfo}}},
		{"worker out of service", 9, &Worker{Info: cordonedWorker}},
		{"get_stats", 10, &GetStats{}},
		{"stats", 10, &Stats{
			Grantor: sampleGiver, Online: 4990, Suspicious: 6, Offline: 4, Slots: 40_000, Used: 31_000,
			Granted: 120, AskedBack: 2, Begun: 30_878, Assumed: 1, Counters: map[string]uint64{"granted_total": 1 << 60},
		}},
	}
}

// listSamples are what people ask to see and change.
func listSamples() []sample {
	return []sample{
		{"cordon", 11, &Cordon{Worker: "worker-001", On: true, Reason: "a fan is broken", By: "ana"}},
		{"cordon that ends one", 11, &Cordon{Worker: "worker-001"}},
		{"cordoned", 11, &Cordoned{Changed: true}},
		{"cordon that drains", 11, &Cordon{Worker: "worker-001", On: true, Reason: "driver upgrade", By: "ana", Drain: true}},
		{"cordon with a deadline", 11, &Cordon{Worker: "worker-001", On: true, Reason: "driver upgrade", By: "ana", Drain: true, DeadlineMS: 3_600_000}},
		{"cordon of the worker itself", 11, &Cordon{Worker: "worker-001", On: true, Reason: "the agent is stopping", Drain: true, Own: true}},
		{"list_leases", 12, &ListLeases{After: 7_000, Limit: 2, Worker: "worker-001", Owner: "ana", Group: "job-17", Client: "render-farm", State: StateBegun}},
		{"list_leases of all", 12, &ListLeases{}},
		{"leases", 12, &Leases{Rows: []LeaseInfo{sampleInfo, {Lease: endedRecord.Lease, Task: "t", State: StateGranted, Worker: "büro rechner"}}, Next: 7_042}},
		{"list_tags", 13, &ListTags{After: "cuda=12.4", Limit: 2}},
		{"tags", 13, &Tags{Rows: []TagInfo{{Tag: "gpu", Workers: 1_200}, {Tag: "zone=b", Workers: 1}}, Next: "zone=b"}},
		{"list_events", 14, &ListEvents{After: 70_000, Limit: 100}},
		{"events", 14, &Events{Rows: []Event{
			{Number: 70_005, AgeMS: 2_500, What: "cordoned", Worker: "worker-001", Reason: "a fan is broken", By: "ana"},
			{Number: 70_006, AgeMS: 40, What: "revoked", Worker: "worker-001", Lease: sampleLease},
		}, Next: 70_006, Missed: 4}},
		{"list_ended", 15, &ListEnded{Before: 5_000, Limit: 50, Task: "job-17/part-3", Worker: "worker-001"}},
		{"ended_leases", 15, &EndedLeases{Rows: []EndedLease{{
			Number: 4_999, Lease: sampleLease, Task: "job-17/part-3", Client: "render-farm", Owner: "ana", Worker: "worker-001",
			Reason: ReasonFailed, By: "worker", AgeMS: 1_500, HeldMS: 61_000,
		}}, Next: 4_999}},
	}
}

// deviceSamples are messages with the fields that came with selectors, devices
// and gangs.
func deviceSamples() []sample {
	return []sample{
		{"schedule with a choice", 16, &choiceTask},
		{"placed on devices", 16, &devicePlaced},
		{"batch of a gang", 17, &Batch{Tasks: []Schedule{bareTask, choiceTask}, AllOrNone: true, Distinct: true}},
		{"placed_all on devices", 17, &PlacedAll{Results: []BatchResult{{Placed: devicePlaced}, {Code: CodeAllOrNone}, {Placed: samplePlaced}}}},
		{"register with devices", 2, &Register{
			Worker: "worker-003", Address: "10.1.2.5:9000", Incarnation: 9, Seq: 1, Slots: 8, Resources: map[string]int64{"cpu": 64_000},
			Leases:  []Record{deviceRecord, shareRecord, endedRecord},
			Devices: []Device{{Model: "NVIDIA H100 80GB HBM3", Memory: 81_559, UUID: "GPU-6f1c"}, {Memory: MaxAmount}, {}},
		}},
		{"register with a missing device", 2, &Register{
			Worker: "worker-003", Address: "10.1.2.5:9000", Incarnation: 10, Seq: 1, Slots: 8, Resources: map[string]int64{"cpu": 64_000},
			Devices: []Device{{Model: "A100", Memory: 40_960, UUID: "GPU-6f1c", Missing: true}, {Model: "A100", Memory: 40_960, UUID: "GPU-6f1d"}},
		}},
		{"register behind datagrams", 2, &Register{Worker: "w", Address: "h:1", Incarnation: 1, Seq: 5, Slots: 1, Beats: 2050}},
		{"register with a machine", 2, &Register{
			Worker: "worker-003", Address: "10.1.2.5:9000", Incarnation: 11, Seq: 1, Slots: 8, Machine: 0xfedc_ba98_7654_3210,
		}},
		{"begun on devices", 0, &Begun{Handle: 5, Seq: 3, Record: deviceRecord}},
		{"workers with devices", 18, &Workers{Rows: []WorkerInfo{deviceWorker, bareWorker}}},
		{"worker with devices", 19, &Worker{Info: deviceWorker, Leases: []LeaseInfo{deviceInfo, sampleInfo}}},
		{"leases on devices", 20, &Leases{Rows: []LeaseInfo{deviceInfo}}},
	}
}

// queueSamples are messages that came with the wait queue.
func queueSamples() []sample {
	waits := Schedule{Task: []byte("train-7"), WaitMS: 30_000}
	held := deviceWorker
	held.HeldBy = "render-farm/train-9"
	drains, preempted := cordonedWorker, sampleInfo
	requeued := sampleRecord
	requeued.OnPreempt = OnPreemptRequeue
	drains.Flags, drains.DeadlineMS, preempted.Preempted = []string{"cordoned", "draining"}, 86_400_000, true
	return []sample{
		{"schedule that waits", 21, &waits},
		{"batch that waits", 22, &Batch{Tasks: []Schedule{waits, bareTask}, AllOrNone: true}},
		{"placed_all with one that waits", 22, &PlacedAll{Results: []BatchResult{{Placed: samplePlaced}, {Code: CodeWaiting}}}},
		{"placed_all to be repeated", 22, &PlacedAll{Results: []BatchResult{{Placed: samplePlaced}, {Code: CodeUnavailable}}, RetryAfterMS: 1_000}},
		{"placed_all with a reason", 22, &PlacedAll{Results: []BatchResult{{Code: CodeInfeasible, Message: "gpus: at most 2 on any worker"}, {Placed: samplePlaced}}}},
		{"settled with a reason", 22, &Settled{Index: 3, Result: BatchResult{Code: CodeUnavailable, Message: "no room within the wait: 3 workers match, all cordoned"}}},
		{"settled", 22, &Settled{Index: 1, Result: BatchResult{Placed: devicePlaced}}},
		{"settled without a place", 22, &Settled{Index: 1023, Result: BatchResult{Code: CodeUnavailable}}},
		{"cancel", 23, &Cancel{Task: "train-7"}},
		{"cancel of a group", 23, &Cancel{Client: "render-farm", Owner: "ana", Group: "job-17", After: 4_096}},
		{"cancelled", 23, &Cancelled{Count: 3, Next: 8_192}},
		{"list_queue", 24, &ListQueue{After: 9, Limit: 2, Task: "train-7", Client: "render-farm", Owner: "ana", Group: "job-17"}},
		{"queue", 24, &Queue{Rows: []WaiterInfo{
			{Task: "train-7", Client: "render-farm", Owner: "ana", Group: "job-17", Priority: -7, Tasks: 8, AgeMS: 61_000, LeftMS: 9_000,
				Position: 3, Placed: 120, Bypassed: 64, Holds: []string{"worker-001", "büro rechner"}},
			{Task: "t", Tasks: 1, Position: 1},
		}, Next: 42, Waiting: 1_000_000, Groups: 100}},
		{"worker that is held", 25, &Worker{Info: held}},
		{"preempt", 0, &Preempt{Handle: 5, Lease: sampleLease, GraceMS: 30_000, Reason: "driver upgrade"}},
		{"preempt now", 0, &Preempt{Handle: 5, Lease: sampleLease}},
		{"worker that drains", 26, &Worker{Info: drains, Leases: []LeaseInfo{preempted}}},
		{"schedule that preempts", 27, &Schedule{Task: []byte("train-8"), Priority: 10, WaitMS: 60_000, Preempt: true}},
		{"schedule to be requeued", 28, &Schedule{Task: []byte("scan-1"), Priority: -5, WaitMS: 60_000, OnPreempt: OnPreemptRequeue}},
		{"begun, to be requeued", 0, &Begun{Handle: 5, Seq: 3, Record: requeued}},
		{"notice of a preemption", 0, &Notice{Lease: sampleLease, Task: "scan-1", News: NewsPreempted, GraceMS: 30_000}},
		{"notice of a requeue", 0, &Notice{Lease: sampleLease, Task: "scan-1", News: NewsRequeued, Reason: ReasonPreempted}},
		{"list_leases to count", 29, &ListLeases{Owner: "ana", State: StateBegun, Count: true}},
		{"leases that were counted", 29, &Leases{Next: 8_192, Matched: 17}},
		{"list_queue to count", 30, &ListQueue{Group: "job-17", Count: true}},
		{"queue that was counted", 30, &Queue{Waiting: 1_000_000, Groups: 100, Matched: 4_096}},
		{"queue with an owner at its limit", 31, &Queue{Rows: []WaiterInfo{{Task: "t", Owner: "ana", Tasks: 1, Position: 1, AtLimit: true}}, Waiting: 1, Groups: 1}},
		{"schedule that waits for workers", 32, &Schedule{Task: []byte("train-7"), WaitMS: 60_000, WaitForWorkers: true}},
		{"queue with a task that no worker could take", 33, &Queue{Rows: []WaiterInfo{{Task: "t", Tasks: 1, Position: 1, NoWorker: true}}, Waiting: 1, Groups: 1}},
		{"queue with turns", 34, &Queue{Rows: []WaiterInfo{{Task: "t", Owner: "ana", Tasks: 1, Position: 1, Turn: 17, Number: 300}}, Waiting: 1, Groups: 1}},
		{"notice of an end", 0, &Notice{Lease: sampleLease, Task: "scan-1", News: NewsOver, Reason: ReasonOK}},
	}
}

// quarantineSamples are messages that tell of workers which fail their tasks.
func quarantineSamples() []sample {
	kept, probed := cordonedWorker, cordonedWorker
	kept.Flags, kept.CordonReason, kept.CordonBy = []string{"cordoned", "quarantined"}, "failed 8 of its last 9 tasks, of 3 owners or groups", "scheduler"
	kept.Recent, kept.RecentFailed, kept.ProbeMS = 15, 8, 60_000
	kept.Devices = []DeviceInfo{{Model: "Tesla T4", Memory: 15_360}, {Model: "Tesla T4", Memory: 15_360, Failed: 7}}
	probed.Flags, probed.Recent = []string{"cordoned", "quarantined", "probing"}, 3
	return []sample{
		{"worker in quarantine", 29, &Worker{Info: kept}},
		{"workers of which one is on probe", 29, &Workers{Rows: []WorkerInfo{probed, bareWorker}}},
	}
}
