package wire

import "math"

// newCold returns an empty message of a cold kind, or nil if there is none of
// this number.
func newCold(kind uint64) coldMessage {
	if kind > math.MaxUint8 {
		return nil
	}
	switch Kind(kind) {
	case KindHello:
		return new(Hello)
	case KindHelloOK:
		return new(HelloOK)
	case KindError:
		return new(Error)
	case KindRegister:
		return new(Register)
	case KindRegistered:
		return new(Registered)
	case KindSuperseded:
		return new(Superseded)
	case KindDeregister:
		return new(Deregister)
	case KindGone:
		return new(Gone)
	case KindListWorkers:
		return new(ListWorkers)
	case KindWorkers:
		return new(Workers)
	case KindGetWorker:
		return new(GetWorker)
	case KindWorker:
		return new(Worker)
	case KindGetStats:
		return new(GetStats)
	case KindStats:
		return new(Stats)
	}
	return nil
}

func (m *Hello) fields() []field {
	return []field{
		number16("min_version", &m.MinVersion),
		number16("max_version", &m.MaxVersion),
		{"role", leaf{(*reader).role, &m.Role}},
		{"client", leaf{func(r *reader, name string) { r.optionalID(name) }, &m.Client}},
		text("token", &m.Token, MaxToken),
		tags("features", &m.Features, MaxFeatures),
	}
}

func (m *HelloOK) fields() []field {
	return []field{
		number16("version", &m.Version),
		text("server", &m.Server, MaxText),
		number32("epoch", &m.Grantor.Epoch),
		number32("instance", &m.Grantor.Instance),
		number32("heartbeat_ms", &m.HeartbeatMS),
		number32("start_ttl_ms", &m.StartTTLMS),
		counts("limits", &m.Limits),
	}
}

func (m *Error) fields() []field {
	return []field{
		number16("code", &m.Code),
		foreign("message", &m.Message),
		foreign("field", &m.Field),
		number64("limit", &m.Limit),
		number32("retry_after_ms", &m.RetryAfterMS),
	}
}

func (m *Register) fields() []field {
	return []field{
		idOf("worker", &m.Worker),
		text("address", &m.Address, MaxAddress),
		incarnation(&m.Incarnation),
		number32("seq", &m.Seq),
		tags("tags", &m.Tags, MaxWorkerTags),
		number("slots", &m.Slots, MaxSlots),
		number32("external", &m.External),
		resources(&m.Resources),
		number32("epoch", &m.Promised.Epoch),
		number32("instance", &m.Promised.Instance),
		{"leases", records{&m.Leases}},
	}
}

func (m *Registered) fields() []field {
	return []field{
		number32("handle", &m.Handle),
		number32("epoch", &m.Grantor.Epoch),
		number32("instance", &m.Grantor.Instance),
		number32("heartbeat_ms", &m.HeartbeatMS),
	}
}

func (m *Superseded) fields() []field {
	return []field{
		idOf("worker", &m.Worker),
		incarnation(&m.Incarnation),
	}
}

func (m *Deregister) fields() []field {
	return []field{
		number32("handle", &m.Handle),
		number32("seq", &m.Seq),
	}
}

func (*Gone) fields() []field { return nil }

func (m *ListWorkers) fields() []field {
	return []field{
		foreign("after", &m.After),
		number("limit", &m.Limit, MaxPage),
		tags("tags", &m.Tags, MaxTaskTags),
		{"state", leaf{(*reader).workerState, &m.State}},
	}
}

func (m *Workers) fields() []field {
	return []field{
		{"rows", rows[WorkerInfo]{&m.Rows, (*WorkerInfo).fields}},
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
	}
}

func (m *GetWorker) fields() []field {
	return []field{foreign("id", &m.ID)}
}

func (m *Worker) fields() []field {
	return []field{
		{"info", row[WorkerInfo]{&m.Info, (*WorkerInfo).fields}},
		{"leases", rows[LeaseInfo]{&m.Leases, (*LeaseInfo).fields}},
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

func (m *Hello) append(dst []byte, request uint64) []byte       { return appendCold(dst, request, m) }
func (m *HelloOK) append(dst []byte, request uint64) []byte     { return appendCold(dst, request, m) }
func (m *Register) append(dst []byte, request uint64) []byte    { return appendCold(dst, request, m) }
func (m *Registered) append(dst []byte, request uint64) []byte  { return appendCold(dst, request, m) }
func (m *Superseded) append(dst []byte, request uint64) []byte  { return appendCold(dst, request, m) }
func (m *Deregister) append(dst []byte, request uint64) []byte  { return appendCold(dst, request, m) }
func (m *Gone) append(dst []byte, request uint64) []byte        { return appendCold(dst, request, m) }
func (m *ListWorkers) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }
func (m *Workers) append(dst []byte, request uint64) []byte     { return appendCold(dst, request, m) }
func (m *GetWorker) append(dst []byte, request uint64) []byte   { return appendCold(dst, request, m) }
func (m *Worker) append(dst []byte, request uint64) []byte      { return appendCold(dst, request, m) }
func (m *GetStats) append(dst []byte, request uint64) []byte    { return appendCold(dst, request, m) }
func (m *Stats) append(dst []byte, request uint64) []byte       { return appendCold(dst, request, m) }
