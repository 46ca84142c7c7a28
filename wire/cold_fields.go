package wire

// coldKinds makes an empty message of each cold kind, at its number.
var coldKinds = [...]func() coldMessage{
	KindHello:       func() coldMessage { return new(Hello) },
	KindHelloOK:     func() coldMessage { return new(HelloOK) },
	KindError:       func() coldMessage { return new(Error) },
	KindRegister:    func() coldMessage { return new(Register) },
	KindRegistered:  func() coldMessage { return new(Registered) },
	KindSuperseded:  func() coldMessage { return new(Superseded) },
	KindDeregister:  func() coldMessage { return new(Deregister) },
	KindGone:        func() coldMessage { return new(Gone) },
	KindListWorkers: func() coldMessage { return new(ListWorkers) },
	KindWorkers:     func() coldMessage { return new(Workers) },
	KindGetWorker:   func() coldMessage { return new(GetWorker) },
	KindWorker:      func() coldMessage { return new(Worker) },
	KindGetStats:    func() coldMessage { return new(GetStats) },
	KindStats:       func() coldMessage { return new(Stats) },
	KindCordon:      func() coldMessage { return new(Cordon) },
	KindCordoned:    func() coldMessage { return new(Cordoned) },
	KindListLeases:  func() coldMessage { return new(ListLeases) },
	KindLeases:      func() coldMessage { return new(Leases) },
	KindListTags:    func() coldMessage { return new(ListTags) },
	KindTags:        func() coldMessage { return new(Tags) },
	KindListEvents:  func() coldMessage { return new(ListEvents) },
	KindEvents:      func() coldMessage { return new(Events) },
	KindListEnded:   func() coldMessage { return new(ListEnded) },
	KindEndedLeases: func() coldMessage { return new(EndedLeases) },
	KindPreempt:     func() coldMessage { return new(Preempt) },
	KindNotice:      func() coldMessage { return new(Notice) },
	KindCancel:      func() coldMessage { return new(Cancel) },
	KindCancelled:   func() coldMessage { return new(Cancelled) },
	KindListQueue:   func() coldMessage { return new(ListQueue) },
	KindQueue:       func() coldMessage { return new(Queue) },
}

// newCold returns an empty message of a cold kind, or nil if there is none of
// this number.
func newCold(kind uint64) coldMessage {
	if kind >= uint64(len(coldKinds)) || coldKinds[kind] == nil {
		return nil
	}
	return coldKinds[kind]()
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
		optional(devices(&m.Devices, (*Device).fields), len(m.Devices) == 0),
		optional(number32("beats", &m.Beats), m.Beats == 0),
		optional(number64("machine", &m.Machine), m.Machine == 0),
	}
}

func (m *Device) fields() []field {
	return []field{
		text("model", &m.Model, MaxModel),
		memory("memory", &m.Memory, MaxAmount),
		{"uuid", leaf{func(r *reader, name string) { r.optionalID(name) }, &m.UUID}},
		optional(boolean("missing", &m.Missing), !m.Missing),
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

func (m *Preempt) fields() []field {
	return []field{
		number32("handle", &m.Handle),
		{"lease", lease{&m.Lease}},
		number("grace_ms", &m.GraceMS, MaxGrace),
		text("reason", &m.Reason, MaxReason),
	}
}

func (m *Hello) append(dst []byte, request uint64) []byte      { return appendCold(dst, request, m) }
func (m *HelloOK) append(dst []byte, request uint64) []byte    { return appendCold(dst, request, m) }
func (m *Register) append(dst []byte, request uint64) []byte   { return appendCold(dst, request, m) }
func (m *Registered) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }
func (m *Superseded) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }
func (m *Deregister) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }
func (m *Preempt) append(dst []byte, request uint64) []byte    { return appendCold(dst, request, m) }
func (m *Gone) append(dst []byte, request uint64) []byte       { return appendCold(dst, request, m) }
