package main

import (
	"time"

	"github.com/dtask/dtask-scheduler/resource"
	"github.com/dtask/dtask-scheduler/wire"
)

// This file is what commands print as JSON. Names and meanings stay; keys may be
// added. docs/cli.md shows the tags `doc`.

// workerRow describes a worker.
type workerRow struct {
	ID        string           `json:"worker_id" doc:"the worker's id"`
	Address   string           `json:"address" doc:"where it takes tasks"`
	Tags      []string         `json:"tags" doc:"its tags, as it announced them"`
	State     string           `json:"state" doc:"online, suspicious or offline"`
	Flags     []string         `json:"flags,omitempty" doc:"of cordoned, draining, drained, quarantined, probing, connecting, overcommitted, http, tags_omitted"`
	Slots     uint32           `json:"max_tasks" doc:"how many tasks it runs at once"`
	Leased    uint32           `json:"leased" doc:"slots taken by leases"`
	External  uint32           `json:"external" doc:"tasks outside any lease"`
	Resources map[string]int64 `json:"resources,omitempty" doc:"amounts that it offers, by name, in the units of the protocol: cpu in millicores, mem in MiB"`
	Used      map[string]int64 `json:"used,omitempty" doc:"what leases take of resources, and of gpu and gpu_mem over all devices"`
	Devices   []deviceRow      `json:"devices,omitempty" doc:"its GPUs, the place in the list is the number: model, memory and used in MiB, uuid, leases, whole (one lease has all of it), failed (of its recent failures those that had it), missing (it is gone: leases keep it, and nothing new gets it)"`
	LastSeen  time.Time        `json:"last_seen" doc:"when it last reported"`
	HeldBy    string           `json:"held_by,omitempty" doc:"the client and task that wait for room there, for which tasks make it or which was passed over too often; nobody else gets it"`
	Cordon    *cordonRow       `json:"cordon,omitempty" doc:"reason, by, since: why nothing new is placed there; deadline: when what still runs is preempted; probe: when one task is let onto it"`

	Recent       uint32 `json:"recent,omitempty" doc:"of its last tasks, how many outcomes are remembered, at most 15"`
	RecentFailed uint32 `json:"recent_failed,omitempty" doc:"how many of these are failures"`
}

// deviceRow is one GPU of a worker.
type deviceRow struct {
	Model  string `json:"model"`
	Memory int64  `json:"memory"` // MiB
	UUID   string `json:"uuid"`
	Used   int64  `json:"used"` // MiB
	Leases uint32 `json:"leases"`
	Whole  bool   `json:"whole"`
	Failed uint32 `json:"failed,omitempty"`

	Missing bool `json:"missing,omitempty"`
}

// cordonRow says why a worker is out of service.
type cordonRow struct {
	Reason string    `json:"reason"`
	By     string    `json:"by"`
	Since  time.Time `json:"since"`
	// Deadline is when what still runs is preempted.
	Deadline *time.Time `json:"deadline,omitempty"`
	// Probe is when one task is let onto a worker that is quarantined.
	Probe *time.Time `json:"probe,omitempty"`
}

// workerDetail is a worker with its leases.
type workerDetail struct {
	workerRow
	Leases []leaseRow `json:"leases" doc:"its live leases, at most 1,000, as of lease list"`
}

// leaseRow describes a live lease.
type leaseRow struct {
	Lease    wire.LeaseID `json:"lease_id" doc:"the lease's id"`
	Task     string       `json:"task_id" doc:"the task it was granted for"`
	Client   string       `json:"client,omitempty" doc:"the client id that asked"`
	Owner    string       `json:"owner,omitempty" doc:"whose task it is"`
	Group    string       `json:"group,omitempty" doc:"which tasks it belongs with"`
	Priority int32        `json:"priority" doc:"higher goes first"`
	State    string       `json:"state" doc:"granted, asked_back, begun or assumed"`
	Worker   string       `json:"worker_id" doc:"where it is"`
	Granted  time.Time    `json:"granted" doc:"when it was granted, or taken over from its worker"`

	Resources map[string]int64 `json:"resources,omitempty" doc:"what it takes beside its slot, in the units of the protocol"`
	Devices   []int            `json:"devices,omitempty" doc:"the numbers of the worker's GPUs that it takes"`
	Exclusive bool             `json:"exclusive,omitempty" doc:"it takes the whole worker"`
	Preempted bool             `json:"preempted,omitempty" doc:"it must make room: it was told to end, or will be"`
}

// counted is what lists print with --count.
type counted struct {
	Count uint64 `json:"count"`
}

// cancelled is what queue cancel prints.
type cancelled struct {
	Count int `json:"cancelled" doc:"tasks that were taken out; a gang is one"`
}

// endedRow describes a lease that ended.
type endedRow struct {
	Number uint64       `json:"number" doc:"grows by one with each end"`
	Lease  wire.LeaseID `json:"lease_id" doc:"the lease's id"`
	Task   string       `json:"task_id" doc:"the task it was granted for"`
	Client string       `json:"client,omitempty" doc:"the client id that asked"`
	Owner  string       `json:"owner,omitempty" doc:"whose task it was"`
	Worker string       `json:"worker_id" doc:"where it was"`
	Reason string       `json:"reason" doc:"ok, failed, refused, lost, released, revoked or believed"`
	By     string       `json:"by" doc:"who ended it: worker, client or scheduler"`
	Ended  time.Time    `json:"ended" doc:"when"`
	HeldMS uint64       `json:"held_ms" doc:"milliseconds from the grant to the end"`
}

// eventRow describes what happened to a worker.
type eventRow struct {
	Number uint64        `json:"number" doc:"grows by one with each event; a gap tells of events that are not kept any more"`
	Time   time.Time     `json:"time" doc:"when"`
	What   string        `json:"what" doc:"joined, back, suspicious, offline, removed, deregistered, superseded, cordoned, draining, drained, uncordoned, revoked, preempted, quarantined, probing, recovered, device_in_use, worker_in_use, mass_loss, mass_loss_offline or mass_loss_over"`
	Worker string        `json:"worker_id" doc:"to whom"`
	Lease  *wire.LeaseID `json:"lease_id,omitempty" doc:"which lease, if it is about one"`
	Reason string        `json:"reason,omitempty" doc:"why, where that is known"`
	By     string        `json:"by,omitempty" doc:"who did it, where that is known"`
}

// tagRow describes a tag.
type tagRow struct {
	Tag     string `json:"tag" doc:"the tag"`
	Workers uint32 `json:"workers" doc:"how many workers have it"`
}

// statsRow is what stats prints.
type statsRow struct {
	Epoch    uint32            `json:"epoch" doc:"the scheduler's term"`
	Instance uint32            `json:"instance" doc:"the random name of this life of the scheduler"`
	Workers  map[string]uint32 `json:"workers" doc:"how many are online, suspicious, offline"`
	Slots    uint64            `json:"slots" doc:"of online workers"`
	Used     uint64            `json:"used" doc:"of these, by leases and external load"`
	Leases   map[string]uint32 `json:"leases" doc:"how many are granted, asked_back, begun, assumed"`
	Counters map[string]uint64 `json:"counters" doc:"since the scheduler's start, by name"`
}

// change is what a mutating command prints, one line for each id.
type change struct {
	Worker  string `json:"worker_id" doc:"the worker"`
	Status  string `json:"status" doc:"cordoned, draining, drained or in_service"`
	Changed bool   `json:"changed" doc:"false: it was so already"`
}

// released is what release prints, one line for each lease.
type released struct {
	Lease  wire.LeaseID `json:"lease_id" doc:"the lease"`
	Status string       `json:"status" doc:"released, asked_back or already_ended"`
}

// placement is what schedule prints for a task that got a place: the handover,
// which the worker's begin takes, and what the scheduler said about it.
type placement struct {
	wire.Handover
	Repeat     bool      `json:"repeat,omitempty" doc:"the task held this lease already"`
	BestEffort bool      `json:"best_effort,omitempty" doc:"the worker speaks no leases"`
	BeginBy    time.Time `json:"begin_by" doc:"later the lease is asked back"`
}

// noPlacement is what schedule prints for a task that got none.
type noPlacement struct {
	Task   string `json:"task_id" doc:"the task"`
	Error  string `json:"error" doc:"a sentence"`
	Reason string `json:"reason" doc:"such as unavailable or infeasible"`
}

// pong is what ping prints.
type pong struct {
	Addresses []string `json:"addresses" doc:"that were tried"`
	Server    string   `json:"server" doc:"the scheduler's version"`
	Epoch     uint32   `json:"epoch" doc:"the scheduler's term"`
	Instance  uint32   `json:"instance" doc:"the random name of this life of the scheduler"`
	RoundTrip float64  `json:"round_trip_ms" doc:"milliseconds until the answer"`
}

// before returns the wall time of a moment that lies some milliseconds back.
func before(now time.Time, ms uint64) time.Time {
	return now.Add(-millis(ms)).UTC().Truncate(time.Millisecond)
}

// ahead returns the wall time of a moment some milliseconds from now.
func ahead(now time.Time, ms uint64) time.Time {
	return now.Add(millis(ms)).UTC().Truncate(time.Millisecond)
}

func millis(ms uint64) time.Duration { return time.Duration(ms) * time.Millisecond }

func workerRowOf(w *wire.WorkerInfo, now time.Time) workerRow {
	r := workerRow{
		ID: w.ID, Address: w.Address, Tags: append([]string{}, w.Tags...), State: w.State, Flags: w.Flags,
		Slots: w.Slots, Leased: w.Taken, External: w.External, LastSeen: before(now, w.SeenMS),
		Resources: w.Resources, Used: w.Used, HeldBy: w.HeldBy, Recent: w.Recent, RecentFailed: w.RecentFailed,
	}
	for _, d := range w.Devices {
		r.Devices = append(r.Devices, deviceRow(d))
	}
	if isCordoned(w) {
		r.Cordon = &cordonRow{Reason: w.CordonReason, By: w.CordonBy, Since: before(now, w.CordonMS)}
		if w.DeadlineMS > 0 {
			at := ahead(now, w.DeadlineMS)
			r.Cordon.Deadline = &at
		}
		if w.ProbeMS > 0 {
			at := ahead(now, w.ProbeMS)
			r.Cordon.Probe = &at
		}
	}
	return r
}

func leaseRowOf(l *wire.LeaseInfo, now time.Time) leaseRow {
	return leaseRow{
		Lease: l.Lease, Task: l.Task, Client: l.Client, Owner: l.Owner, Group: l.Group, Priority: l.Priority,
		State: l.State.String(), Worker: l.Worker, Granted: before(now, l.AgeMS),
		Resources: l.Resources, Devices: resource.Bits(l.Devices), Exclusive: l.Exclusive, Preempted: l.Preempted,
	}
}

func endedRowOf(e *wire.EndedLease, now time.Time) endedRow {
	return endedRow{
		Number: e.Number, Lease: e.Lease, Task: e.Task, Client: e.Client, Owner: e.Owner, Worker: e.Worker,
		Reason: e.Reason.String(), By: e.By, Ended: before(now, e.AgeMS), HeldMS: e.HeldMS,
	}
}

func eventRowOf(e *wire.Event, now time.Time) eventRow {
	r := eventRow{Number: e.Number, Time: before(now, e.AgeMS), What: e.What, Worker: e.Worker, Reason: e.Reason, By: e.By}
	if !e.Lease.IsZero() {
		r.Lease = &e.Lease
	}
	return r
}
