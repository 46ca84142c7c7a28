package sched

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// send builds the message of a command and applies it: the first word is the
// session.
func (c *script) send(verb string, words []string, args map[string]string) {
	session := words[0]
	c.request[c.lastReq+1] = strings.Join(words[1:], " ")
	if verb == "hello" {
		id := Session(len(c.names))
		c.sessions[session], c.names[id] = id, session
		client, ok := args["client"]
		if !ok {
			client = session
		}
		c.apply(session, &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.RoleClient, Client: client})
		return
	}
	if m := c.clientMessage(verb, words, args); m != nil {
		c.apply(session, m)
		return
	}
	c.apply(session, c.workerMessage(verb, words, args))
}

func (c *script) clientMessage(verb string, words []string, args map[string]string) wire.Message {
	switch verb {
	case "ping":
		return &wire.Ping{}
	case "cordon", "uncordon", "drain":
		return &wire.Cordon{Worker: words[1], On: verb != "uncordon", Drain: verb == "drain", Own: args["own"] != "",
			DeadlineMS: uint32(1000 * c.num(args, "deadline", 0)), Reason: args["reason"], By: args["by"]}
	case "place":
		return c.task(words[1], args)
	case "batch":
		b := &wire.Batch{AllOrNone: args["gang"] != "", Distinct: args["gang"] == "distinct"}
		for _, id := range words[1:] {
			b.Tasks = append(b.Tasks, *c.task(id, args))
		}
		return b
	case "release":
		return &wire.Release{Lease: c.lease(words[1]), Handed: len(words) > 2 && words[2] == "handed"}
	case "cancel":
		m := &wire.Cancel{Client: args["client"], Owner: args["owner"], Group: args["group"]}
		if len(words) > 1 {
			m.Task = words[1]
		}
		return m
	case "renew":
		r := &wire.Renew{}
		for _, l := range words[1:] {
			r.Leases = append(r.Leases, c.lease(l))
		}
		return r
	}
	return nil
}

func (c *script) task(id string, args map[string]string) *wire.Schedule {
	m := &wire.Schedule{Task: []byte(id), Tags: wire.AppendTags(nil, list(args["tags"])), Owner: []byte(args["owner"]),
		Group: []byte(args["group"]), Priority: int32(c.num(args, "priority", 0)), TTLMS: uint32(c.num(args, "ttl", 0))}
	m.Resources = wire.AppendResources(nil, c.amounts(args["takes"]))
	m.Selector, m.Prefer = []byte(args["selector"]), []byte(args["prefer"])
	m.Policy, m.SpreadBy, m.Exclusive = []byte(args["policy"]), []byte(args["by"]), args["exclusive"] != ""
	m.NotWorkers = wire.AppendWorkers(nil, list(args["not"]))
	m.WaitMS = uint32(1000 * c.num(args, "wait", 0))
	m.Preempt, m.WaitForWorkers = args["preempt"] != "", args["workers"] != ""
	require.NoError(c.t, m.OnPreempt.UnmarshalText([]byte(args["on_preempt"])))
	return m
}

// amounts reads name:amount,name:amount.
func (c *script) amounts(text string) map[string]int64 {
	m := map[string]int64{}
	for _, part := range list(text) {
		name, n, _ := strings.Cut(part, ":")
		v, err := strconv.ParseInt(n, 10, 64)
		require.NoError(c.t, err)
		m[name] = v
	}
	return m
}

// lease finds a lease by its name, by @ and its task, or by
// epoch/instance/counter.
func (c *script) lease(name string) wire.LeaseID {
	for slot := range int32(c.s.leases.slots.Len()) {
		if l := c.s.leases.slots.At(slot); l.live() && "@"+string(l.task()) == name {
			return l.id
		}
	}
	if id, ok := c.ids[name]; ok {
		return id
	}
	var id wire.LeaseID
	_, err := fmt.Sscanf(name, "%d/%d/%d", &id.Epoch, &id.Instance, &id.Counter)
	require.NoError(c.t, err, "lease %q", name)
	return id
}

func (c *script) workerMessage(verb string, words []string, args map[string]string) wire.Message {
	at := words[0] + " " + words[1]
	if verb == "register" {
		c.incs[at] = uint64(c.num(args, "inc", 1))
		return c.registration(words[1], at, args)
	}
	h := c.handles[at]
	switch verb {
	case "promised":
		g := c.s.Grantor()
		g.Instance = uint32(c.num(args, "instance", int64(g.Instance)))
		return &wire.Promised{Handle: h, Grantor: g}
	case "heartbeat":
		return &wire.Heartbeat{Handle: h, Seq: c.seq(words[1], at, args), External: uint32(c.num(args, "external", 0))}
	case "begun":
		return &wire.Begun{Handle: h, Seq: c.seq(words[1], at, args), Record: c.record(words[2], args)}
	case "end":
		return &wire.End{Handle: h, Seq: c.seq(words[1], at, args), Lease: c.lease(words[2]), Outcome: outcomes[words[3]]}
	case "revoked":
		return &wire.Revoked{Handle: h, Seq: c.seq(words[1], at, args), Lease: c.lease(words[2])}
	case "deregister":
		return &wire.Deregister{Handle: h, Seq: c.seq(words[1], at, args)}
	}
	c.t.Fatalf("unknown command %q", verb)
	return nil
}

var outcomes = map[string]wire.Reason{"": 0, "ok": wire.ReasonOK, "failed": wire.ReasonFailed, "refused": wire.ReasonRefused, "lost": wire.ReasonLost}

// seq returns the next report number of the incarnation that speaks.
func (c *script) seq(worker, at string, args map[string]string) uint32 {
	key := fmt.Sprint(worker, c.incs[at])
	n := uint32(c.num(args, "seq", int64(c.seqs[key]+1)))
	c.seqs[key] = max(n, c.seqs[key])
	return n
}

func (c *script) registration(worker, at string, args map[string]string) *wire.Register {
	m := &wire.Register{Worker: worker, Address: worker + ":9000", Incarnation: c.incs[at], Seq: c.seq(worker, at, args),
		Tags: list(args["tags"]), Slots: uint32(c.num(args, "slots", 4)), External: uint32(c.num(args, "external", 0))}
	m.Resources = c.amounts(args["has"])
	m.Devices, m.Machine = c.devices(args["devices"]), uint64(c.num(args, "machine", 0))
	if at := args["address"]; at != "" {
		m.Address = at
	}
	if p := args["promised"]; p != "" {
		_, err := fmt.Sscanf(p, "%d/%d", &m.Promised.Epoch, &m.Promised.Instance)
		require.NoError(c.t, err)
	}
	for _, l := range list(args["leases"]) {
		name, outcome, _ := strings.Cut(l, ":")
		r := c.record(name, args)
		r.Outcome = outcomes[outcome]
		m.Leases = append(m.Leases, r)
	}
	return m
}

// devices reads memory or memory@uuid, with ! behind it for one that is missing.
func (c *script) devices(text string) (all []wire.Device) {
	for _, part := range list(text) {
		part, missing := strings.CutSuffix(part, "!")
		memory, uuid, _ := strings.Cut(part, "@")
		v, err := strconv.ParseInt(memory, 10, 64)
		require.NoError(c.t, err)
		all = append(all, wire.Device{Memory: v, UUID: uuid, Missing: missing})
	}
	return all
}

func (c *script) record(name string, args map[string]string) wire.Record {
	id := c.lease(name)
	if _, ok := c.leases[id]; !ok {
		c.leases[id] = name
	}
	task := args["task"]
	if task == "" {
		task = "task-of-" + strings.ReplaceAll(name, "/", ".")
	}
	r := wire.Record{Lease: id, Task: []byte(task), Client: []byte(args["client"]), Exclusive: args["exclusive"] != "",
		Resources: wire.AppendResources(nil, c.amounts(args["takes"])), Devices: uint64(c.num(args, "mask", 0)), Priority: int32(c.num(args, "priority", 0))}
	require.NoError(c.t, r.OnPreempt.UnmarshalText([]byte(args["on_preempt"])))
	return r
}
