package wire

import (
	"math"
	"slices"

	"pgregory.net/rapid"
)

// Generators of messages within the limits of the protocol.
var (
	genLease   = rapid.Custom(leaseOf)
	genID      = rapid.StringMatching(`[A-Za-z0-9._:@/-]{1,128}`)
	genTag     = rapid.OneOf(rapid.StringMatching(`[ -~]{1,64}`), rapid.StringMatching(`[a-zà-ÿ一-龠😀]{1,40}`))
	genForeign = rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z]{30,300}`))
	genPrio    = rapid.Int32Range(-MaxPriority, MaxPriority)
	genOutcome = rapid.SampledFrom([]Reason{ReasonOK, ReasonFailed, ReasonRefused, ReasonLost})
	genAmounts = rapid.MapOfN(genID, rapid.Int64Range(0, MaxAmount), 0, MaxResources)
	genCounts  = rapid.MapOfN(genTag, rapid.Uint64(), 0, 20)
	genGrantor = rapid.Custom(func(t *rapid.T) Grantor {
		return Grantor{Epoch: num32(t), Instance: num32(t)}
	})
	genTask   = rapid.Custom(taskOf)
	genPlaced = rapid.Custom(placedOf)
	genRecord = rapid.Custom(recordOf)
	genRow    = rapid.Custom(rowOf)

	genOnPreempt = rapid.SampledFrom([]OnPreempt{OnPreemptDefault, OnPreemptEnd, OnPreemptRequeue, OnPreemptNever})
)

func num32(t *rapid.T) uint32 { return rapid.Uint32().Draw(t, "number") }
func num64(t *rapid.T) uint64 { return rapid.Uint64().Draw(t, "number") }

func leaseOf(t *rapid.T) LeaseID {
	return LeaseID{Epoch: num32(t), Instance: num32(t), Counter: num64(t)}
}

func optionalID(t *rapid.T) []byte {
	if rapid.Bool().Draw(t, "empty") {
		return nil
	}
	return []byte(genID.Draw(t, "id"))
}

// stringsOf draws a list of strings, nil for none.
func stringsOf(t *rapid.T, g *rapid.Generator[string], most int) []string {
	if list := rapid.SliceOfN(g, 0, most).Draw(t, "strings"); len(list) > 0 {
		return list
	}
	return nil
}

// numbersOf draws a map, nil for an empty one.
func numbersOf[T int64 | uint64](t *rapid.T, g *rapid.Generator[map[string]T]) map[string]T {
	if m := g.Draw(t, "numbers"); len(m) > 0 {
		return m
	}
	return nil
}

func taskOf(t *rapid.T) Schedule {
	s := Schedule{Task: []byte(genID.Draw(t, "task")), Tags: AppendTags(nil, stringsOf(t, genTag, MaxTaskTags))}
	if rapid.Bool().Draw(t, "bare") {
		return s
	}
	s.Priority = genPrio.Draw(t, "priority")
	s.Owner, s.Group = optionalID(t), optionalID(t)
	s.Resources = AppendResources(nil, numbersOf(t, genAmounts))
	s.TTLMS = rapid.Uint32Range(0, MaxTTL).Draw(t, "ttl")
	if rapid.Bool().Draw(t, "plain") {
		return s
	}
	s.Selector, s.Prefer = optionalText(t, MaxSelector), optionalText(t, MaxSelector)
	s.NotWorkers = AppendWorkers(nil, stringsOf(t, rapid.StringN(1, 40, -1), MaxNotWorkers))
	s.Exclusive, s.Policy, s.SpreadBy = rapid.Bool().Draw(t, "exclusive"), optionalID(t), optionalText(t, MaxTag)
	s.WaitMS = rapid.Uint32Range(0, MaxWait).Draw(t, "wait")
	s.Preempt, s.OnPreempt = rapid.Bool().Draw(t, "preempt"), genOnPreempt.Draw(t, "on preempt")
	s.WaitForWorkers = rapid.Bool().Draw(t, "wait for workers")
	return s
}

// optionalText draws plain text of at most most bytes, nil for none.
func optionalText(t *rapid.T, most int) []byte {
	if text := genTag.Draw(t, "text"); len(text) <= most && rapid.Bool().Draw(t, "there") {
		return []byte(text)
	}
	return nil
}

// maskOf draws a mask of devices, often none.
func maskOf(t *rapid.T) uint64 {
	return rapid.OneOf(rapid.Just(uint64(0)), rapid.Uint64()).Draw(t, "devices")
}

func deviceOf(t *rapid.T) Device {
	return Device{
		Model:  rapid.StringMatching(`[ -~]{0,128}`).Draw(t, "model"),
		Memory: rapid.Int64Range(0, MaxAmount).Draw(t, "memory"), UUID: string(optionalID(t)),
		Missing: rapid.Bool().Draw(t, "missing"),
	}
}

// devicesOf draws a list of devices, nil for none.
func devicesOf[T any](t *rapid.T, g *rapid.Generator[T]) []T {
	if list := rapid.SliceOfN(g, 0, 4).Draw(t, "devices"); len(list) > 0 {
		return list
	}
	return nil
}

func placedOf(t *rapid.T) Placed {
	return Placed{
		Lease:       leaseOf(t),
		Target:      AppendTarget(nil, genForeign.Draw(t, "worker"), genForeign.Draw(t, "address")),
		Incarnation: num64(t),
		TTLMS:       num32(t),
		Flags:       rapid.Uint8().Draw(t, "flags"),
		Devices:     maskOf(t),
	}
}

func recordOf(t *rapid.T) Record {
	return Record{
		Lease: leaseOf(t), Task: []byte(genID.Draw(t, "task")), Client: optionalID(t), Owner: optionalID(t),
		Group: optionalID(t), Priority: genPrio.Draw(t, "priority"), Resources: AppendResources(nil, numbersOf(t, genAmounts)),
		Outcome: rapid.SampledFrom([]Reason{ReasonNone, ReasonOK, ReasonLost}).Draw(t, "outcome"),
		Devices: maskOf(t), Exclusive: rapid.Bool().Draw(t, "exclusive"), OnPreempt: genOnPreempt.Draw(t, "on preempt"),
	}
}

func rowOf(t *rapid.T) WorkerInfo {
	return WorkerInfo{
		ID: genForeign.Draw(t, "id"), Address: genForeign.Draw(t, "address"), Tags: stringsOf(t, genForeign, 20),
		State: "online", Flags: stringsOf(t, genTag, 3), Slots: num32(t), Taken: num32(t), External: num32(t),
		Incarnation: num64(t), SeenMS: num64(t), Resources: numbersOf(t, genAmounts),
		CordonReason: genForeign.Draw(t, "reason"), CordonBy: genForeign.Draw(t, "by"), CordonMS: num64(t),
		Used:    numbersOf(t, rapid.MapOfN(genID, rapid.Int64Min(0), 0, MaxResources+2)),
		Devices: devicesOf(t, rapid.Custom(deviceInfoOf)),
		HeldBy:  genForeign.Draw(t, "held_by"), DeadlineMS: num64(t), Recent: num32(t), RecentFailed: num32(t), ProbeMS: num64(t),
	}
}

// generators has one generator for each kind.
var generators = map[Kind]func(t *rapid.T) Message{
	KindHello: func(t *rapid.T) Message {
		return &Hello{
			MinVersion: rapid.Uint16().Draw(t, "min"), MaxVersion: rapid.Uint16().Draw(t, "max"),
			Role: rapid.SampledFrom([]Role{RoleClient, RoleAgent}).Draw(t, "role"), Client: string(optionalID(t)),
			Token: rapid.StringMatching(`[ -~]{0,512}`).Draw(t, "token"), Features: stringsOf(t, genTag, MaxFeatures),
		}
	},
	KindHelloOK: func(t *rapid.T) Message {
		return &HelloOK{
			Version: rapid.Uint16().Draw(t, "version"), Server: genTag.Draw(t, "server"), Grantor: genGrantor.Draw(t, "grantor"),
			HeartbeatMS: num32(t), StartTTLMS: num32(t), Limits: numbersOf(t, genCounts),
		}
	},
	KindError: func(t *rapid.T) Message {
		return &Error{
			Code: Code(rapid.Uint16().Draw(t, "code")), Message: genForeign.Draw(t, "message"),
			Field: genForeign.Draw(t, "field"), Limit: num64(t), RetryAfterMS: num32(t),
		}
	},
	KindPing:     func(*rapid.T) Message { return &Ping{} },
	KindPong:     func(*rapid.T) Message { return &Pong{} },
	KindSchedule: func(t *rapid.T) Message { m := taskOf(t); return &m },
	KindPlaced:   func(t *rapid.T) Message { m := placedOf(t); return &m },
	KindBatch: func(t *rapid.T) Message {
		return &Batch{
			Tasks:     rapid.SliceOfN(genTask, 1, 5).Draw(t, "tasks"),
			AllOrNone: rapid.Bool().Draw(t, "gang"), Distinct: rapid.Bool().Draw(t, "distinct"),
		}
	},
	KindPlacedAll: func(t *rapid.T) Message {
		m := &PlacedAll{}
		for range rapid.IntRange(1, 5).Draw(t, "results") {
			m.Results = append(m.Results, resultOf(t))
		}
		if rapid.Bool().Draw(t, "retry") {
			m.RetryAfterMS = num32(t)
		}
		return m
	},
	KindRenew: func(t *rapid.T) Message {
		return &Renew{Leases: rapid.SliceOfN(genLease, 1, 20).Draw(t, "leases")}
	},
	KindRenewed: func(t *rapid.T) Message {
		m := &Renewed{}
		for range rapid.IntRange(1, 20).Draw(t, "leases") {
			m.Leases = append(m.Leases, LeaseStatus{State(rapid.Uint8().Draw(t, "state")), Reason(rapid.Uint8().Draw(t, "reason"))})
		}
		return m
	},
	KindRelease: func(t *rapid.T) Message { return &Release{leaseOf(t), rapid.Bool().Draw(t, "handed")} },
	KindReleased: func(t *rapid.T) Message {
		return &Released{Code(num32(t) & math.MaxUint16), Reason(num32(t) & math.MaxUint8)}
	},
	KindRegister: func(t *rapid.T) Message {
		m := &Register{
			Worker: genID.Draw(t, "worker"), Address: genTag.Draw(t, "address"), Incarnation: rapid.Uint64Min(1).Draw(t, "incarnation"),
			Seq: num32(t), Tags: stringsOf(t, genTag, MaxWorkerTags), Slots: rapid.Uint32Range(0, MaxSlots).Draw(t, "slots"),
			External: num32(t), Resources: numbersOf(t, genAmounts), Promised: genGrantor.Draw(t, "promised"),
		}
		m.Devices, m.Beats = devicesOf(t, rapid.Custom(deviceOf)), num32(t)
		if rapid.Bool().Draw(t, "has machine") {
			m.Machine = rapid.Uint64().Draw(t, "machine")
		}
		m.Leases = slices.Clip(rapid.SliceOfN(genRecord, 1, 4).Draw(t, "leases"))
		return m
	},
	KindRegistered: func(t *rapid.T) Message { return &Registered{num32(t), genGrantor.Draw(t, "grantor"), num32(t)} },
	KindPromised:   func(t *rapid.T) Message { return &Promised{num32(t), genGrantor.Draw(t, "grantor")} },
	KindHeartbeat:  func(t *rapid.T) Message { return &Heartbeat{num32(t), num32(t), num32(t)} },
	KindBegun:      func(t *rapid.T) Message { return &Begun{num32(t), num32(t), recordOf(t)} },
	KindEnd:        func(t *rapid.T) Message { return &End{num32(t), num32(t), leaseOf(t), genOutcome.Draw(t, "outcome")} },
	KindEnded:      func(*rapid.T) Message { return &Ended{} },
	KindRevoke:     func(t *rapid.T) Message { return &Revoke{num32(t), leaseOf(t)} },
	KindNotice: func(t *rapid.T) Message {
		return &Notice{leaseOf(t), genForeign.Draw(t, "task"), News(num32(t)), rapid.Uint32Range(0, MaxGrace).Draw(t, "grace"), Reason(num32(t))}
	},
	KindPreempt: func(t *rapid.T) Message {
		return &Preempt{num32(t), leaseOf(t), rapid.Uint32Range(0, MaxGrace).Draw(t, "grace"), rapid.StringMatching(`[ -~]{0,256}`).Draw(t, "reason")}
	},
	KindRevoked: func(t *rapid.T) Message { return &Revoked{num32(t), num32(t), leaseOf(t)} },
	KindSuperseded: func(t *rapid.T) Message {
		return &Superseded{genID.Draw(t, "worker"), rapid.Uint64Min(1).Draw(t, "incarnation")}
	},
	KindDeregister: func(t *rapid.T) Message { return &Deregister{num32(t), num32(t)} },
	KindGone:       func(*rapid.T) Message { return &Gone{} },
	KindListWorkers: func(t *rapid.T) Message {
		return &ListWorkers{
			After: genForeign.Draw(t, "after"), Limit: pageOf(t),
			Tags: stringsOf(t, genTag, MaxTaskTags), State: rapid.SampledFrom([]string{"", "online", "suspicious", "offline"}).Draw(t, "state"),
		}
	},
	KindWorkers: func(t *rapid.T) Message {
		return &Workers{Rows: rapid.SliceOfN(genRow, 1, 3).Draw(t, "rows"), Next: genForeign.Draw(t, "next")}
	},
	KindGetWorker: func(t *rapid.T) Message { return &GetWorker{genForeign.Draw(t, "id")} },
	KindWorker: func(t *rapid.T) Message {
		return &Worker{Info: rowOf(t), Leases: rapid.SliceOfN(genLeaseInfo, 1, 2).Draw(t, "leases")}
	},
	KindGetStats: func(*rapid.T) Message { return &GetStats{} },
	KindStats: func(t *rapid.T) Message {
		return &Stats{
			Grantor: genGrantor.Draw(t, "grantor"), Online: num32(t), Suspicious: num32(t), Offline: num32(t), Slots: num64(t),
			Used: num64(t), Granted: num32(t), AskedBack: num32(t), Begun: num32(t), Assumed: num32(t), Counters: numbersOf(t, genCounts),
		}
	},
	KindBeat: beatOf,
	KindBeatAck: func(t *rapid.T) Message {
		return &BeatAck{num32(t), genGrantor.Draw(t, "grantor"), rapid.Bool().Draw(t, "connect")}
	},
	KindCordon:     cordonOf,
	KindCordoned:   func(t *rapid.T) Message { return &Cordoned{rapid.Bool().Draw(t, "changed")} },
	KindListLeases: listLeasesOf,
	KindLeases: func(t *rapid.T) Message {
		return &Leases{rapid.SliceOfN(genLeaseInfo, 1, 3).Draw(t, "rows"), num64(t), num64(t)}
	},
	KindListTags: func(t *rapid.T) Message { return &ListTags{genForeign.Draw(t, "after"), pageOf(t)} },
	KindTags: func(t *rapid.T) Message {
		return &Tags{rapid.SliceOfN(genTagInfo, 1, 5).Draw(t, "rows"), genForeign.Draw(t, "next")}
	},
	KindListEvents: func(t *rapid.T) Message { return &ListEvents{num64(t), pageOf(t)} },
	KindEvents: func(t *rapid.T) Message {
		return &Events{rapid.SliceOfN(genEvent, 1, 3).Draw(t, "rows"), num64(t), num64(t)}
	},
	KindListEnded: func(t *rapid.T) Message {
		return &ListEnded{num64(t), pageOf(t), genForeign.Draw(t, "task"), genForeign.Draw(t, "worker")}
	},
	KindEndedLeases: func(t *rapid.T) Message {
		return &EndedLeases{rapid.SliceOfN(genEnded, 1, 3).Draw(t, "rows"), num64(t)}
	},
	KindSettled: func(t *rapid.T) Message {
		return &Settled{rapid.Uint32Range(0, MaxBatch).Draw(t, "index"), resultOf(t)}
	},
	KindCancel: func(t *rapid.T) Message {
		f := func(name string) string { return genForeign.Draw(t, name) }
		return &Cancel{f("task"), f("client"), f("owner"), f("group"), num64(t)}
	},
	KindCancelled: func(t *rapid.T) Message { return &Cancelled{num32(t), num64(t)} },
	KindListQueue: func(t *rapid.T) Message {
		f := func(name string) string { return genForeign.Draw(t, name) }
		return &ListQueue{num64(t), pageOf(t), f("task"), f("client"), f("owner"), f("group"), rapid.Bool().Draw(t, "count")}
	},
	KindQueue: func(t *rapid.T) Message {
		return &Queue{rapid.SliceOfN(rapid.Custom(waiterOf), 1, 3).Draw(t, "rows"), num64(t), num64(t), num64(t), num64(t)}
	},
}

func waiterOf(t *rapid.T) WaiterInfo {
	f := func(name string) string { return genForeign.Draw(t, name) }
	return WaiterInfo{
		Task: f("task"), Client: f("client"), Owner: f("owner"), Group: f("group"), Priority: genPrio.Draw(t, "priority"),
		Tasks: rapid.Uint32Range(1, MaxBatch).Draw(t, "tasks"), AgeMS: num64(t), LeftMS: num64(t), Position: num64(t),
		Placed: num64(t), Bypassed: num32(t), Holds: rapid.SliceOfN(genForeign, 1, 3).Draw(t, "holds"),
		AtLimit: rapid.Bool().Draw(t, "at limit"), NoWorker: rapid.Bool().Draw(t, "no worker"),
		Turn: num64(t), Number: num64(t),
	}
}

func resultOf(t *rapid.T) BatchResult {
	if rapid.Bool().Draw(t, "placed") {
		return BatchResult{Placed: genPlaced.Draw(t, "placed")}
	}
	r := BatchResult{Code: Code(rapid.Uint16Min(1).Draw(t, "code"))}
	if rapid.Bool().Draw(t, "with a sentence") {
		r.Message = genTag.Draw(t, "message")
	}
	return r
}
