package wire

import "pgregory.net/rapid"

// Generators of the rows of lists.
var (
	genLeaseInfo = rapid.Custom(leaseInfoOf)
	genTagInfo   = rapid.Custom(func(t *rapid.T) TagInfo { return TagInfo{genForeign.Draw(t, "tag"), num32(t)} })
	genEvent     = rapid.Custom(eventOf)
	genEnded     = rapid.Custom(endedOf)
)

// pageOf draws the limit of a page.
func pageOf(t *rapid.T) uint32 { return rapid.Uint32Range(0, MaxPage).Draw(t, "limit") }

func deviceInfoOf(t *rapid.T) DeviceInfo {
	d := deviceOf(t)
	return DeviceInfo{
		Model: d.Model, Memory: d.Memory, UUID: d.UUID, Used: rapid.Int64Min(0).Draw(t, "used"),
		Leases: num32(t), Whole: rapid.Bool().Draw(t, "whole"), Failed: num32(t),
	}
}

func leaseInfoOf(t *rapid.T) LeaseInfo {
	return LeaseInfo{
		Lease: leaseOf(t), Task: genForeign.Draw(t, "task"), Client: genForeign.Draw(t, "client"), Owner: genForeign.Draw(t, "owner"),
		Group: genForeign.Draw(t, "group"), Priority: genPrio.Draw(t, "priority"), State: State(rapid.Uint8().Draw(t, "state")),
		AgeMS: num64(t), Worker: genForeign.Draw(t, "worker"),
		Resources: numbersOf(t, genAmounts), Devices: maskOf(t), Exclusive: rapid.Bool().Draw(t, "exclusive"), Preempted: rapid.Bool().Draw(t, "preempted"),
	}
}

func eventOf(t *rapid.T) Event {
	return Event{
		Number: num64(t), AgeMS: num64(t), What: genTag.Draw(t, "what"), Worker: genForeign.Draw(t, "worker"),
		Lease: leaseOf(t), Reason: genForeign.Draw(t, "reason"), By: genForeign.Draw(t, "by"),
	}
}

func endedOf(t *rapid.T) EndedLease {
	return EndedLease{
		Number: num64(t), Lease: leaseOf(t), Task: genForeign.Draw(t, "task"), Client: genForeign.Draw(t, "client"),
		Owner: genForeign.Draw(t, "owner"), Worker: genForeign.Draw(t, "worker"), Reason: Reason(rapid.Uint8().Draw(t, "reason")),
		By: genForeign.Draw(t, "by"), AgeMS: num64(t), HeldMS: num64(t),
	}
}

func beatOf(t *rapid.T) Message {
	return &Beat{
		Worker: []byte(genID.Draw(t, "worker")), Incarnation: rapid.Uint64Min(1).Draw(t, "incarnation"),
		Seq: num32(t), External: num32(t), Digest: num64(t),
	}
}

func cordonOf(t *rapid.T) Message {
	return &Cordon{
		Worker: genForeign.Draw(t, "worker"), On: rapid.Bool().Draw(t, "on"),
		Reason: rapid.StringMatching(`[ -~]{0,256}`).Draw(t, "reason"), By: rapid.StringMatching(`[ -~]{0,128}`).Draw(t, "by"),
		Drain: rapid.Bool().Draw(t, "drain"), Own: rapid.Bool().Draw(t, "own"),
		DeadlineMS: rapid.Uint32Range(0, MaxDrain).Draw(t, "deadline"),
	}
}

func listLeasesOf(t *rapid.T) Message {
	return &ListLeases{
		After: num64(t), Limit: pageOf(t), Worker: genForeign.Draw(t, "worker"), Owner: genForeign.Draw(t, "owner"),
		Group: genForeign.Draw(t, "group"), Client: genForeign.Draw(t, "client"),
		State: State(rapid.Uint8Range(0, uint8(StateAssumed)).Draw(t, "state")), Count: rapid.Bool().Draw(t, "count"),
	}
}
