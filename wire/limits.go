package wire

// Limits of the protocol. A message that exceeds one is refused with an error
// that names it; HelloOK reports them, so that a client can check beforehand.

// Sizes, in bytes.
const (
	MaxFrame            = 1 << 20 // a frame behind its length
	MaxFrameBeforeHello = 4 << 10 // the same, until hello is answered
	MaxDatagram         = 1200    // a datagram
	MaxID               = 128     // an id: client, worker, task, owner, group
	MaxAddress          = 256     // a worker's address
	MaxTag              = 256     // a tag
	MaxReason           = 256     // the reason of a cordon or a preemption
	MaxToken            = 512     // a token
	MaxSelector         = 4 << 10 // a selector
	MaxModel            = 128     // the model of a device
	maxText             = 1024    // a word or sentence of the scheduler
)

// Counts.
const (
	MaxWorkerTags   = 64   // tags of one worker
	MaxTaskTags     = 16   // tags that one task may require
	MaxResources    = 8    // resource names of a worker or task
	MaxNotWorkers   = 16   // workers that a task may exclude
	MaxDevices      = 64   // GPU devices of one worker
	MaxBatch        = 1024 // tasks of one batch, leases of one renewal
	MaxWorkerLeases = 8192 // leases in one registration
	MaxPage         = 1000 // rows of one page of a list
	maxDepth        = 8    // nested msgpack arrays and maps, the frame's own array included
	maxFeatures     = 32   // features that a peer may name in hello
	maxCounts       = 1024 // names in the limits of hello_ok, in the counters of stats
)

// Durations, in milliseconds.
const (
	MaxTTL   = 24 * 60 * 60 * 1000      // of a lease without renewals
	MaxWait  = 24 * 60 * 60 * 1000      // of a task in the queue
	MaxGrace = 24 * 60 * 60 * 1000      // of a task that is preempted
	MaxDrain = 30 * 24 * 60 * 60 * 1000 // until what runs on a draining worker is preempted
)

// Numbers.
const (
	MaxSlots    = 1<<31 - 1 // slots of one worker
	MaxAmount   = 1 << 40   // amount of one resource
	MaxPriority = 1_000_000 // priorities lie in [-MaxPriority, MaxPriority]
	MaxEpoch    = 1 << 20   // epoch of a scheduler; after it 1 comes again, for workers of new incarnations
	BeatSkip    = 1024      // beat numbers that an agent passes over when its beats were not acknowledged
)

// Version is the protocol's version. A peer offers a range in Hello, the
// scheduler answers with the version that both speak.
const (
	MinVersion = 1
	Version    = 1
)
