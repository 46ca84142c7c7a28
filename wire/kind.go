package wire

import "reflect"

// Kind says what a frame is. Kinds are append-only: a number is never given a
// second meaning. Below 64 are requests and reports, from 64 on answers and
// pushes of the scheduler.
type Kind uint8

// What clients and agents send.
const (
	KindHello       Kind = 1
	KindPing        Kind = 2
	KindSchedule    Kind = 3
	KindBatch       Kind = 4
	KindRenew       Kind = 5
	KindRelease     Kind = 6
	KindRegister    Kind = 7
	KindPromised    Kind = 8
	KindHeartbeat   Kind = 9
	KindBegun       Kind = 10
	KindEnd         Kind = 11
	KindRevoked     Kind = 12
	KindDeregister  Kind = 13
	KindListWorkers Kind = 14
	KindGetWorker   Kind = 15
	KindGetStats    Kind = 16
	KindBeat        Kind = 17
	KindCordon      Kind = 18
	KindListLeases  Kind = 19
	KindListTags    Kind = 20
	KindListEvents  Kind = 21
	KindListEnded   Kind = 22
	KindCancel      Kind = 23
	KindListQueue   Kind = 24
)

// What the scheduler sends.
const (
	KindHelloOK     Kind = 64
	KindError       Kind = 65
	KindPong        Kind = 66
	KindPlaced      Kind = 67
	KindPlacedAll   Kind = 68
	KindRenewed     Kind = 69
	KindReleased    Kind = 70
	KindRegistered  Kind = 71
	KindEnded       Kind = 72
	KindRevoke      Kind = 73
	KindSuperseded  Kind = 74
	KindGone        Kind = 75
	KindWorkers     Kind = 76
	KindWorker      Kind = 77
	KindStats       Kind = 78
	KindBeatAck     Kind = 79
	KindCordoned    Kind = 80
	KindLeases      Kind = 81
	KindTags        Kind = 82
	KindEvents      Kind = 83
	KindEndedLeases Kind = 84
	KindSettled     Kind = 85
	KindCancelled   Kind = 86
	KindQueue       Kind = 87
	KindPreempt     Kind = 88
	KindNotice      Kind = 89
)

// FirstAnswer is the lowest kind that only the scheduler may send.
const FirstAnswer Kind = 64

// kinds holds the name of each kind at its number, and how its messages are
// read, in groups by the file that has their structs. A hot kind has a reader of
// its own.
var kinds = [...]kindInfo{
	// hello.go
	KindHello:   cold[Hello]("hello"),
	KindPing:    hot[Ping]("ping", func(d *Decoder, _ int) Message { return &d.ping }),
	KindHelloOK: cold[HelloOK]("hello_ok"),
	KindPong:    hot[Pong]("pong", func(d *Decoder, _ int) Message { return &d.pong }),
	// error.go
	KindError: cold[Error]("error"),
	// schedule.go
	KindSchedule: hot[Schedule]("schedule", readSchedule),
	// placed.go
	KindPlaced: hot[Placed]("placed", readPlaced),
	// batch.go
	KindBatch:     hot[Batch]("batch", readBatch),
	KindPlacedAll: hot[PlacedAll]("placed_all", readPlacedAll),
	KindSettled:   hot[Settled]("settled", readSettled),
	// renew.go
	KindRenew:    hot[Renew]("renew", readRenew),
	KindRelease:  hot[Release]("release", readRelease),
	KindRenewed:  hot[Renewed]("renewed", readRenewed),
	KindReleased: hot[Released]("released", readReleased),
	// register.go
	KindRegister:   cold[Register]("register"),
	KindPromised:   hot[Promised]("promised", readPromised),
	KindDeregister: cold[Deregister]("deregister"),
	KindRegistered: cold[Registered]("registered"),
	KindSuperseded: cold[Superseded]("superseded"),
	KindGone:       cold[Gone]("gone"),
	// report.go
	KindHeartbeat: hot[Heartbeat]("heartbeat", readHeartbeat),
	KindBegun:     hot[Begun]("begun", readBegun),
	KindEnd:       hot[End]("end", readEnd),
	KindRevoked:   hot[Revoked]("revoked", readRevoked),
	KindEnded:     hot[Ended]("ended", func(d *Decoder, _ int) Message { return &d.ended }),
	KindRevoke:    hot[Revoke]("revoke", readRevoke),
	// preempt.go
	KindPreempt: cold[Preempt]("preempt"),
	KindNotice:  cold[Notice]("notice"),
	// datagram.go
	KindBeat:    hot[Beat]("beat", readBeat),
	KindBeatAck: hot[BeatAck]("beat_ack", readBeatAck),
	// worker.go
	KindListWorkers: cold[ListWorkers]("list_workers"),
	KindGetWorker:   cold[GetWorker]("get_worker"),
	KindCordon:      cold[Cordon]("cordon"),
	KindWorkers:     cold[Workers]("workers"),
	KindWorker:      cold[Worker]("worker"),
	KindCordoned:    cold[Cordoned]("cordoned"),
	// leases.go
	KindListLeases:  cold[ListLeases]("list_leases"),
	KindListEnded:   cold[ListEnded]("list_ended"),
	KindLeases:      cold[Leases]("leases"),
	KindEndedLeases: cold[EndedLeases]("ended_leases"),
	// queue.go
	KindCancel:    cold[Cancel]("cancel"),
	KindListQueue: cold[ListQueue]("list_queue"),
	KindCancelled: cold[Cancelled]("cancelled"),
	KindQueue:     cold[Queue]("queue"),
	// fleet.go
	KindGetStats:   cold[GetStats]("get_stats"),
	KindListTags:   cold[ListTags]("list_tags"),
	KindListEvents: cold[ListEvents]("list_events"),
	KindStats:      cold[Stats]("stats"),
	KindTags:       cold[Tags]("tags"),
	KindEvents:     cold[Events]("events"),
}

// kindInfo is what the codec knows of a kind.
type kindInfo struct {
	name    string
	message reflect.Type // its struct
	fields  fields
	read    func(d *Decoder, fields int) Message // nil for a cold kind
}

// cold returns a kind whose messages are rare: their tags say how they are read.
func cold[T any](name string) kindInfo { return hot[T](name, nil) }

// hot returns a kind whose messages read fills without allocation.
func hot[T any](name string, read func(*Decoder, int) Message) kindInfo {
	return kindInfo{name, reflect.TypeFor[T](), describe[T](), read}
}

// infoOf returns what is known of a kind, nil for a number that names none.
func infoOf(kind uint64) *kindInfo {
	if kind >= uint64(len(kinds)) || kinds[kind].name == "" {
		return nil
	}
	return &kinds[kind]
}

// String returns the kind's name, such as list_workers.
func (k Kind) String() string {
	if info := infoOf(uint64(k)); info != nil {
		return info.name
	}
	return name(nil, int(k), "kind_")
}

// IsAnswer reports whether only the scheduler may send k: its answers and
// pushes.
func (k Kind) IsAnswer() bool { return k >= FirstAnswer }

// Message is one decoded message: a pointer to one of the structs of this
// package.
type Message interface {
	Kind() Kind
	// append appends the message as a frame without its length.
	append(dst []byte, request uint64) []byte
}
