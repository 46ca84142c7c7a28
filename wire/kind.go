package wire

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

// Message is one decoded message: a pointer to one of the structs of this
// package.
type Message interface {
	Kind() Kind
	// append appends the message as a frame without its length.
	append(dst []byte, request uint64) []byte
}
