package wire

// Limits of the protocol. A message that breaks one is refused with an error
// that names it; HelloOK reports them, so that a client can check beforehand.
const (
	MaxFrame            = 1 << 20 // bytes of a frame after its length
	MaxFrameBeforeHello = 4 << 10 // bytes of a frame before hello was answered
	MaxDatagram         = 1200    // bytes of a datagram
	MaxDepth            = 8       // nesting of msgpack arrays and maps, the frame's own array included
	MaxID               = 128     // bytes of an id: client, worker, task, owner, group
	MaxAddress          = 256     // bytes of a worker's address
	MaxTag              = 256     // bytes of a tag
	MaxReason           = 256     // bytes of the reason for a cordon
	MaxToken            = 512     // bytes of a token
	MaxFeatures         = 32      // features that a peer may name in hello
	MaxText             = 1024    // bytes of a word or sentence of the scheduler
	MaxCounts           = 1024    // names in the limits of hello_ok, in the counters of stats
	MaxWorkerTags       = 64      // tags of one worker
	MaxTaskTags         = 16      // tags that one task may require
	MaxResources        = 8       // resource dimensions of a worker or task
	MaxSelector         = 4 << 10 // bytes of a selector
	MaxNotWorkers       = 16      // workers that a task may rule out
	MaxDevices          = 64      // GPU devices of one worker
	MaxModel            = 128     // bytes of the model of a device
	MaxBatch            = 1024    // tasks of one batch, leases of one renewal
	MaxWorkerLeases     = 8192    // leases in one registration
	MaxPage             = 1000    // rows of one page of a list
	MaxSlots            = 1<<31 - 1
	MaxAmount           = 1 << 40                  // largest amount of one resource
	MaxTTL              = 24 * 60 * 60 * 1000      // milliseconds that a lease may be kept without renewals
	MaxWait             = 24 * 60 * 60 * 1000      // milliseconds that a task may wait for room
	MaxGrace            = 24 * 60 * 60 * 1000      // milliseconds that a task which must make room may go on
	MaxDrain            = 30 * 24 * 60 * 60 * 1000 // milliseconds until a worker that drains is emptied by force
	MaxEpoch            = 1 << 20                  // largest epoch of a scheduler; after it 1 comes again, for workers of new incarnations
	BeatSkip            = 1024                     // beat numbers that an agent passes over when its beats were not acknowledged
	MaxPriority         = 1_000_000                // priorities lie in [-MaxPriority, MaxPriority]
)

// Version is the protocol's version. A peer offers a range in Hello, the
// scheduler answers with the version that both speak.
const (
	MinVersion = 1
	Version    = 1
)
