package view

import (
	"slices"
	"time"

	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/wire"
)

// Time is a moment. In JSON it is RFC 3339 in UTC, with milliseconds.
type Time struct{ time.Time }

// layout is the format of a Time.
const layout = "2006-01-02T15:04:05.000Z07:00"

// At returns a moment as rows show it.
func At(t time.Time) Time { return Time{t.UTC().Truncate(time.Millisecond)} }

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) { return []byte(t.UTC().Format(`"` + layout + `"`)), nil }

// Clock says which time of day it was some time ago, or will be. Rows of the
// protocol hold ages, which are free of the clocks of both ends.
type Clock interface {
	Ago(d time.Duration) time.Time
	Ahead(d time.Duration) time.Time
}

// Now is the Clock of a reader whose clock shows this time.
type Now time.Time

// Ago implements Clock.
func (n Now) Ago(d time.Duration) time.Time { return time.Time(n).Add(-d) }

// Ahead implements Clock.
func (n Now) Ahead(d time.Duration) time.Time { return time.Time(n).Add(d) }

// Millis converts a number of milliseconds of the protocol.
func Millis(ms uint64) time.Duration { return time.Duration(ms) * time.Millisecond }

func ago(c Clock, ms uint64) Time { return At(c.Ago(Millis(ms))) }

// ahead returns a moment that lies ahead, zero for 0, which stands for none.
func ahead(c Clock, ms uint64) Time {
	if ms == 0 {
		return Time{}
	}
	return At(c.Ahead(Millis(ms)))
}

// Worker is one worker.
type Worker struct {
	ID          string           `json:"worker_id" doc:"the worker's id"`
	Address     string           `json:"address" doc:"where its program is"`
	Tags        []string         `json:"tags" doc:"its tags"`
	State       string           `json:"state" doc:"online, suspicious or offline"`
	Flags       []string         `json:"flags" doc:"of cordoned, draining, drained, quarantined, probing, connecting, overcommitted, http, tags_omitted"`
	MaxTasks    uint32           `json:"max_tasks" doc:"number of tasks that it runs at once"`
	Leased      uint32           `json:"leased" doc:"slots taken by leases"`
	External    uint32           `json:"external" doc:"tasks outside any lease"`
	Resources   map[string]int64 `json:"resources" doc:"its capacity by name, in the units of the protocol: cpu in millicores, mem in MiB"`
	Used        map[string]int64 `json:"used" doc:"what leases take of resources, and of gpu and gpu_mem over all devices"`
	Devices     []Device         `json:"devices" doc:"its GPUs; the place in the list is the number. Each has model, memory and used in MiB, uuid and leases. whole: one lease has all of it; failed: recent failures that had it; missing: it is gone, leases keep it"`
	Incarnation uint64           `json:"incarnation,string" doc:"the run of its agent, a number in a string"`
	LastSeen    Time             `json:"last_seen" doc:"when it last reported"`
	HeldBy      string           `json:"held_by,omitempty" doc:"client/task that the worker is reserved for, because of bypasses or a preemption"`
	Cordon      *Cordon          `json:"cordon,omitempty" doc:"reason, by, since: of the cordon; deadline: when remaining tasks are preempted; probe: when one task is placed as a probe"`

	Recent       uint32 `json:"recent,omitempty" doc:"number of remembered outcomes of its last tasks, at most 15"`
	RecentFailed uint32 `json:"recent_failed,omitempty" doc:"failures among them"`
}

// Device is one GPU of a worker; its number is its place in the list.
type Device struct {
	Model  string `json:"model"`
	Memory int64  `json:"memory"` // MiB
	UUID   string `json:"uuid"`
	Used   int64  `json:"used"` // MiB
	Leases uint32 `json:"leases"`
	Whole  bool   `json:"whole"`            // one lease has all of it
	Failed uint32 `json:"failed,omitempty"` // of the worker's recent failures

	Missing bool `json:"missing,omitempty"` // it is gone: leases keep it, and nothing new gets it
}

// Cordon says why a worker is out of service.
type Cordon struct {
	Reason   string `json:"reason"`
	By       string `json:"by"`
	Since    Time   `json:"since"`
	Deadline Time   `json:"deadline,omitzero"` // when what still runs is preempted
	Probe    Time   `json:"probe,omitzero"`    // when one task is let onto a worker that is quarantined
}

// WorkerOf returns the row of a worker.
func WorkerOf(w *wire.WorkerInfo, c Clock) Worker {
	row := Worker{
		ID: w.ID, Address: w.Address, Tags: some(w.Tags), State: w.State, Flags: some(w.Flags),
		MaxTasks: w.Slots, Leased: w.Taken, External: w.External, Resources: amounts(w.Resources), Used: amounts(w.Used),
		Devices: make([]Device, len(w.Devices)), Incarnation: w.Incarnation, LastSeen: ago(c, w.SeenMS), HeldBy: w.HeldBy,
		Recent: w.Recent, RecentFailed: w.RecentFailed,
	}
	for i, d := range w.Devices {
		row.Devices[i] = Device(d)
	}
	if IsCordoned(w) {
		row.Cordon = &Cordon{w.CordonReason, w.CordonBy, ago(c, w.CordonMS), ahead(c, w.DeadlineMS), ahead(c, w.ProbeMS)}
	}
	return row
}

// IsCordoned reports whether a worker is out of service.
func IsCordoned(w *wire.WorkerInfo) bool { return slices.Contains(w.Flags, "cordoned") }

// some returns a list that is not null in JSON.
func some(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// amounts returns amounts that are not null in JSON.
func amounts(of map[string]int64) map[string]int64 {
	if of == nil {
		return map[string]int64{}
	}
	return of
}

// Lease is one live lease.
type Lease struct {
	Lease    wire.LeaseID `json:"lease_id" doc:"the lease's id"`
	Task     string       `json:"task_id" doc:"the task it was granted for"`
	Client   string       `json:"client" doc:"the client id that asked"`
	Owner    string       `json:"owner" doc:"owner of the task"`
	Group    string       `json:"group" doc:"group of the task"`
	Priority int32        `json:"priority" doc:"higher goes first"`
	State    string       `json:"state" doc:"granted, asked_back, begun or assumed"`
	Worker   string       `json:"worker_id" doc:"where it is"`
	Granted  Time         `json:"granted" doc:"when it was granted, or adopted from its worker"`
	Since    Time         `json:"since" doc:"the same, as older programs read it over HTTP"`

	Resources map[string]int64 `json:"resources,omitempty" doc:"what it takes beside its slot, in the units of the protocol"`
	Devices   []int            `json:"devices,omitempty" doc:"the numbers of the worker's GPUs that it takes"`
	Exclusive bool             `json:"exclusive,omitempty" doc:"it takes the whole worker"`
	Preempted bool             `json:"preempted,omitempty" doc:"it is preempted"`
}

// LeaseOf returns the row of a live lease.
func LeaseOf(l *wire.LeaseInfo, c Clock) Lease {
	at := ago(c, l.AgeMS)
	return Lease{
		Lease: l.Lease, Task: l.Task, Client: l.Client, Owner: l.Owner, Group: l.Group, Priority: l.Priority,
		State: l.State.String(), Worker: l.Worker, Granted: at, Since: at,
		Resources: l.Resources, Devices: capacity.Bits(l.Devices), Exclusive: l.Exclusive, Preempted: l.Preempted,
	}
}

// Ended is one lease that ended.
type Ended struct {
	Number  uint64       `json:"number" doc:"grows by one with each end"`
	Lease   wire.LeaseID `json:"lease_id" doc:"the lease's id"`
	Task    string       `json:"task_id" doc:"the task it was granted for"`
	Client  string       `json:"client" doc:"the client id that asked"`
	Owner   string       `json:"owner" doc:"owner of the task"`
	Worker  string       `json:"worker_id" doc:"where it was"`
	Reason  string       `json:"reason" doc:"ok, failed, refused, lost, released, revoked, believed or preempted"`
	By      string       `json:"by" doc:"what ended it: worker, client or scheduler"`
	Ended   Time         `json:"ended" doc:"when"`
	EndedAt Time         `json:"ended_at" doc:"the same, as older programs read it over HTTP"`
	HeldMS  uint64       `json:"held_ms" doc:"milliseconds from the grant to the end"`
}

// EndedOf returns the row of a lease that ended.
func EndedOf(e *wire.EndedLease, c Clock) Ended {
	at := ago(c, e.AgeMS)
	return Ended{e.Number, e.Lease, e.Task, e.Client, e.Owner, e.Worker, e.Reason.String(), e.By, at, at, e.HeldMS}
}

// Event is what happened to a worker.
type Event struct {
	Number uint64        `json:"number" doc:"grows by one with each event; a gap means events that are not kept any more"`
	Time   Time          `json:"time" doc:"when"`
	At     Time          `json:"at" doc:"the same, as older programs read it over HTTP"`
	What   string        `json:"what" doc:"joined, back, suspicious, offline, removed, deregistered, superseded, cordoned, draining, drained, uncordoned, revoked, preempted, quarantined, probing, recovered, device_in_use, worker_in_use, mass_loss, mass_loss_offline or mass_loss_over"`
	Worker string        `json:"worker_id" doc:"its worker"`
	Lease  *wire.LeaseID `json:"lease_id,omitempty" doc:"its lease, if it concerns one"`
	Reason string        `json:"reason,omitempty" doc:"the cause, where known"`
	By     string        `json:"by,omitempty" doc:"the originator, where known"`
}

// EventOf returns the row of an event.
func EventOf(e *wire.Event, c Clock) Event {
	at := ago(c, e.AgeMS)
	row := Event{Number: e.Number, Time: at, At: at, What: e.What, Worker: e.Worker, Reason: e.Reason, By: e.By}
	if !e.Lease.IsZero() {
		row.Lease = &e.Lease
	}
	return row
}

// Tag is one tag of the fleet.
type Tag struct {
	Tag     string `json:"tag" doc:"the tag"`
	Workers uint32 `json:"workers" doc:"number of workers that have it"`
}

// TagOf returns the row of a tag.
func TagOf(t *wire.TagInfo) Tag { return Tag{t.Tag, t.Workers} }

// Totals are the totals of the fleet that all interfaces show.
type Totals struct {
	Epoch    uint32            `json:"epoch" doc:"the scheduler's term"`
	Instance uint32            `json:"instance" doc:"the run of the scheduler, a random number"`
	Workers  map[string]uint32 `json:"workers" doc:"numbers of online, suspicious, offline and all workers"`
}

// TotalsOf returns the totals of the fleet.
func TotalsOf(s *wire.Stats) Totals {
	return Totals{
		Epoch: s.Grantor.Epoch, Instance: s.Grantor.Instance,
		Workers: map[string]uint32{"online": s.Online, "suspicious": s.Suspicious, "offline": s.Offline, "total": s.Online + s.Suspicious + s.Offline},
	}
}

// LeasesByState returns how many leases are in each state.
func LeasesByState(s *wire.Stats) map[string]uint32 {
	return map[string]uint32{
		wire.StateGranted.String(): s.Granted, wire.StateAskedBack.String(): s.AskedBack,
		wire.StateBegun.String(): s.Begun, wire.StateAssumed.String(): s.Assumed,
	}
}
