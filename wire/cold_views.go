package wire

import "math"

func (m *ListWorkers) fields() []field {
	return []field{
		foreign("after", &m.After),
		limit(&m.Limit),
		tags("tags", &m.Tags, MaxTaskTags),
		{"state", leaf{(*reader).workerState, &m.State}},
	}
}

func (m *Workers) fields() []field {
	return []field{
		page(&m.Rows, (*WorkerInfo).fields),
		foreign("next", &m.Next),
	}
}

func (m *WorkerInfo) fields() []field {
	return []field{
		foreign("id", &m.ID),
		foreign("address", &m.Address),
		foreigns("tags", &m.Tags),
		text("state", &m.State, MaxText),
		tags("flags", &m.Flags, MaxWorkerTags),
		number32("slots", &m.Slots),
		number32("taken", &m.Taken),
		number32("external", &m.External),
		number64("incarnation", &m.Incarnation),
		number64("seen_ms", &m.SeenMS),
		resources(&m.Resources),
		foreign("cordon_reason", &m.CordonReason),
		foreign("cordon_by", &m.CordonBy),
		number64("cordon_ms", &m.CordonMS),
		optional(amounts("used", &m.Used), len(m.Used) == 0),
		optional(devices(&m.Devices, (*DeviceInfo).fields), len(m.Devices) == 0),
		optional(foreign("held_by", &m.HeldBy), m.HeldBy == ""),
		optional(number64("deadline_ms", &m.DeadlineMS), m.DeadlineMS == 0),
		optional(number32("recent", &m.Recent), m.Recent == 0),
		optional(number32("recent_failed", &m.RecentFailed), m.RecentFailed == 0),
		optional(number64("probe_ms", &m.ProbeMS), m.ProbeMS == 0),
	}
}

func (m *DeviceInfo) fields() []field {
	return []field{
		text("model", &m.Model, MaxModel),
		memory("memory", &m.Memory, MaxAmount),
		{"uuid", leaf{func(r *reader, name string) { r.optionalID(name) }, &m.UUID}},
		memory("used", &m.Used, math.MaxInt64),
		number32("leases", &m.Leases),
		boolean("whole", &m.Whole),
		optional(number32("failed", &m.Failed), m.Failed == 0),
		optional(boolean("missing", &m.Missing), !m.Missing),
	}
}

func (m *GetWorker) fields() []field {
	return []field{foreign("id", &m.ID)}
}

func (m *Worker) fields() []field {
	return []field{
		{"info", row[WorkerInfo]{&m.Info, (*WorkerInfo).fields}},
		{"leases", rows[LeaseInfo]{&m.Leases, (*LeaseInfo).fields, MaxPage}},
	}
}

func (m *LeaseInfo) fields() []field {
	return []field{
		{"lease", lease{&m.Lease}},
		foreign("task", &m.Task),
		foreign("client", &m.Client),
		foreign("owner", &m.Owner),
		foreign("group", &m.Group),
		priority(&m.Priority),
		number8("state", &m.State),
		number64("age_ms", &m.AgeMS),
		foreign("worker", &m.Worker),
		optional(resources(&m.Resources), len(m.Resources) == 0),
		optional(number64("devices", &m.Devices), m.Devices == 0),
		optional(boolean("exclusive", &m.Exclusive), !m.Exclusive),
		optional(boolean("preempted", &m.Preempted), !m.Preempted),
	}
}

func (*GetStats) fields() []field { return nil }

func (m *Stats) fields() []field {
	return []field{
		number32("epoch", &m.Grantor.Epoch),
		number32("instance", &m.Grantor.Instance),
		number32("online", &m.Online),
		number32("suspicious", &m.Suspicious),
		number32("offline", &m.Offline),
		number64("slots", &m.Slots),
		number64("used", &m.Used),
		number32("granted", &m.Granted),
		number32("asked_back", &m.AskedBack),
		number32("begun", &m.Begun),
		number32("assumed", &m.Assumed),
		counts("counters", &m.Counters),
	}
}

func (m *Cordon) fields() []field {
	return []field{
		foreign("worker", &m.Worker),
		boolean("on", &m.On),
		text("reason", &m.Reason, MaxReason),
		text("by", &m.By, MaxID),
		optional(boolean("drain", &m.Drain), !m.Drain),
		optional(boolean("own", &m.Own), !m.Own),
		optional(deadline(&m.DeadlineMS), m.DeadlineMS == 0),
	}
}

func (m *Cordoned) fields() []field {
	return []field{boolean("changed", &m.Changed)}
}

func (m *ListLeases) fields() []field {
	return []field{
		number64("after", &m.After),
		limit(&m.Limit),
		foreign("worker", &m.Worker),
		foreign("owner", &m.Owner),
		foreign("group", &m.Group),
		foreign("client", &m.Client),
		number("state", &m.State, uint64(StateAssumed)),
		optional(boolean("count", &m.Count), !m.Count),
	}
}

func (m *Leases) fields() []field {
	return []field{
		page(&m.Rows, (*LeaseInfo).fields),
		number64("next", &m.Next),
		optional(number64("matched", &m.Matched), m.Matched == 0),
	}
}

func (m *ListTags) fields() []field {
	return []field{
		foreign("after", &m.After),
		limit(&m.Limit),
	}
}

func (m *Tags) fields() []field {
	return []field{
		page(&m.Rows, (*TagInfo).fields),
		foreign("next", &m.Next),
	}
}

func (m *TagInfo) fields() []field {
	return []field{
		foreign("tag", &m.Tag),
		number32("workers", &m.Workers),
	}
}

func (m *ListEvents) fields() []field {
	return []field{
		number64("after", &m.After),
		limit(&m.Limit),
	}
}

func (m *Events) fields() []field {
	return []field{
		page(&m.Rows, (*Event).fields),
		number64("next", &m.Next),
		number64("missed", &m.Missed),
	}
}

func (m *Event) fields() []field {
	return []field{
		number64("number", &m.Number),
		number64("age_ms", &m.AgeMS),
		text("what", &m.What, MaxText),
		foreign("worker", &m.Worker),
		{"lease", lease{&m.Lease}},
		foreign("reason", &m.Reason),
		foreign("by", &m.By),
	}
}

func (m *ListEnded) fields() []field {
	return []field{
		number64("before", &m.Before),
		limit(&m.Limit),
		foreign("task", &m.Task),
		foreign("worker", &m.Worker),
	}
}

func (m *EndedLeases) fields() []field {
	return []field{
		page(&m.Rows, (*EndedLease).fields),
		number64("next", &m.Next),
	}
}

func (m *EndedLease) fields() []field {
	return []field{
		number64("number", &m.Number),
		{"lease", lease{&m.Lease}},
		foreign("task", &m.Task),
		foreign("client", &m.Client),
		foreign("owner", &m.Owner),
		foreign("worker", &m.Worker),
		number8("reason", &m.Reason),
		foreign("by", &m.By),
		number64("age_ms", &m.AgeMS),
		number64("held_ms", &m.HeldMS),
	}
}

func (m *ListWorkers) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }
func (m *Workers) append(dst []byte, request uint64) []byte     { return appendCold(dst, request, m) }
func (m *GetWorker) append(dst []byte, request uint64) []byte   { return appendCold(dst, request, m) }
func (m *Worker) append(dst []byte, request uint64) []byte      { return appendCold(dst, request, m) }
func (m *GetStats) append(dst []byte, request uint64) []byte    { return appendCold(dst, request, m) }
func (m *Stats) append(dst []byte, request uint64) []byte       { return appendCold(dst, request, m) }
func (m *Cordon) append(dst []byte, request uint64) []byte      { return appendCold(dst, request, m) }
func (m *Cordoned) append(dst []byte, request uint64) []byte    { return appendCold(dst, request, m) }
func (m *ListLeases) append(dst []byte, request uint64) []byte  { return appendCold(dst, request, m) }
func (m *Leases) append(dst []byte, request uint64) []byte      { return appendCold(dst, request, m) }
func (m *ListTags) append(dst []byte, request uint64) []byte    { return appendCold(dst, request, m) }
func (m *Tags) append(dst []byte, request uint64) []byte        { return appendCold(dst, request, m) }
func (m *ListEvents) append(dst []byte, request uint64) []byte  { return appendCold(dst, request, m) }
func (m *Events) append(dst []byte, request uint64) []byte      { return appendCold(dst, request, m) }
func (m *ListEnded) append(dst []byte, request uint64) []byte   { return appendCold(dst, request, m) }
func (m *EndedLeases) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }
