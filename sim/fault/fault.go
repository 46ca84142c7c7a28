// Package fault names the trouble that a run of the simulator is made of, and
// counts it.
package fault

// Kind is a kind of trouble. The first ones are drawn by the fault plan, the
// others happen on the way and are counted when they do.
type Kind int

// Planned is how many kinds a plan draws from: the first ones.
const Planned = int(Lost)

// The faults.
const (
	AgentLink      Kind = iota // the connection of an agent breaks
	ClientLink                 // the connection of a client breaks
	ClientCrash                // a client forgets everything
	ClientPause                // a client stands still
	RestartList                // an agent restarts and still has its tasks
	RestartNoList              // an agent restarts and its tasks are dead
	Scheduler                  // the scheduler restarts and knows nothing
	SchedulerPause             // the scheduler stands still
	Tags                       // a worker's tags change
	Grow                       // a worker gets more slots
	Shrink                     // a worker loses slots, perhaps taken ones
	Lies                       // a worker reports nonsense
	Silence                    // an agent stands still
	TwoAgents                  // a second agent has the id of another
	Deregister                 // an agent leaves and comes back
	Removed                    // an operator removes a worker that lives
	DeadLink                   // the connection of an agent carries nothing, and nobody notices
	NoDatagrams                // the datagrams of an agent are lost for a while
	Cordon                     // an operator takes a worker out of service for a while
	Repair                     // the same, and meanwhile its agent stops or leaves
	Drain                      // an agent takes its worker out of service, and is restarted when it is empty
	Resources                  // a worker offers other amounts
	Broken                     // a machine fails its tasks for a while, and fast
	Poison                     // the tasks of an owner fail everywhere for a while
	Devices                    // an agent restarts with other devices and still has its tasks
	GPUs                       // an agent restarts and finds fewer GPUs, or in another order
	SharedGPUs                 // a second agent on the machine of another has its GPUs and another id
	Forgery                    // somebody else sends a datagram in the name of an agent

	Lost              // a message was lost with its connection
	Late              // a message came late, on an old connection
	DuplicateBeat     // a heartbeat came twice
	DuplicateBegin    // a begin came twice
	LateBegin         // a begin was seconds under way
	ForeignBegin      // somebody else began the same lease
	GivenUp           // a client stopped to renew
	Retry             // a client asked again for the same task
	Conflict          // a client asked for another task with the same id
	SecondRelease     // a lease was released twice
	LatePulse         // the scheduler's timer was late
	Suspicious        // a worker was silent until it was suspicious
	Offline           // a worker was silent until it was offline
	Forgotten         // a worker was silent until it was removed
	Superseded        // an agent was told that its incarnation is void
	EpochRefused      // a worker named a promise that nothing could follow
	AskedBack         // a lease was asked back
	RefusedFull       // an agent had no slot for a begin, after a cut or a lie
	MemoryFull        // an agent could remember no further lease
	OldNumber         // a heartbeat over HTTP came late
	BeatLost          // a datagram of an agent was lost
	BeatTwice         // a datagram of an agent came twice
	BeatLate          // a datagram of an agent was seconds under way
	BeatOtherLife     // a datagram reached a later life of the scheduler
	BeatStale         // a datagram came behind a newer one, or again
	BeatsForged       // a worker's numbers of datagrams were used up by somebody else, until it registered
	BeatUnknown       // a datagram of an incarnation that is not the worker's present one
	AckLost           // an acknowledgement was lost
	AckTwice          // an acknowledgement came twice
	AckLate           // an acknowledgement was seconds under way
	NoAck             // an agent missed acknowledgements and registered again
	NoConnection      // a worker without a connection was told to connect
	Digest            // two digests in a row differed
	CordonAgain       // a worker was cordoned, or put back, that was so already
	CordonGone        // a worker was put back into service while it was gone
	CordonKept        // a worker came back and was still cordoned
	Preempted         // a task was told to make room
	Killed            // and to be killed, because it went on
	Drained           // a worker that was to become empty did
	BadRequest        // a client asked for what nobody can read
	GangUndone        // a gang was placed in part, and undone
	NotPreferred      // nobody preferred had room, and another was chosen
	Exclusive         // a task got a whole worker
	Waited            // a task waited for room
	WaitOver          // a wait was over without room
	Cancelled         // a task was cancelled while it waited
	Held              // room was held for a task that was passed over
	OwnerFull         // a task's owner had as many leases as one owner may have
	OwnerWaited       // a wait was over while that was so
	OwnerOver         // workers came back with more leases of an owner than it may have
	Untold            // a worker fell silent or came back while so many were silent that it was not told
	BackUntold        // a worker came back from a mass loss while so many were offline that it was not told
	MassOffline       // most of those silent in a mass loss were offline
	MassLoss          // so many workers were silent that it was one event
	Spared            // a worker stayed suspicious for that
	OverDevices       // a worker had not enough room for what it ran beside its slots
	Claimed           // tasks were chosen to make room for a waiter
	NotNeeded         // a task was spared that needed not make room
	Unpreempted       // a task went on that was to make room and did not know it
	ChosenAgain       // a waiter chose other tasks, because room did not come
	Requeued          // a task waited again that had to make room
	KeptOut           // a worker that failed its tasks was taken out of service
	KeptOutAgain      // and another time soon after, for longer
	Probed            // a task was let onto a worker to see whether it has recovered
	ProbeSilent       // it ended without an answer to that
	Recovered         // it went well
	Absolved          // an operator put such a worker back into service
	KeptOutKept       // one left, came back and was still out
	GoneForgotten     // one left, and did not come back for long
	OutcomesForgotten // how the last tasks of a worker ended was forgotten
	FailsAnywhere     // a failure did not count, because its owner failed elsewhere
	FewOwners         // too few owners failed on a worker
	FleetFails        // a worker did not fail clearly more than the others
	TooManyOut        // too many workers were out for one more
	FailsCordoned     // a worker that was out of service anyway failed
	FailsInMass       // a worker failed while many were silent
	Nobody            // a task waited for workers to come, because no known one could take it
	NobodyCame        // and its wait was over before they did
	Learning          // a task that no known worker could take was not called infeasible, because others were to come
	IDRefused         // a registration was refused because an agent of another machine has the id
	GPURefused        // a registration was refused because another worker has one of its GPUs
	GPUMissing        // a GPU was gone that a task had
	GPUPassed         // a worker gave way to another that has its GPUs
	kinds             // how many there are
)

var names = [kinds]string{
	"agent_link", "client_link", "client_crash", "client_pause", "restart_with_list",
	"restart_without_list", "scheduler_restart", "scheduler_pause", "tags_changed", "slots_grown",
	"slots_cut", "lies", "agent_silent", "two_agents", "deregistered", "removed_by_hand",
	"connection_dead", "datagrams_blocked", "cordoned", "cordoned_and_gone", "agent_drains", "resources_changed", "machine_broken", "owner_poisoned", "devices_changed", "gpus_reordered", "gpus_shared",
	"datagram_forged",
	"message_lost", "message_late", "heartbeat_twice", "begin_twice", "begin_late",
	"begin_by_another", "client_gave_up", "schedule_again", "other_task_same_id", "release_again", "pulse_late",
	"suspicious", "offline", "forgotten", "superseded", "epoch_refused", "asked_back", "refused_full",
	"memory_full", "old_http_number",
	"beat_lost", "beat_twice", "beat_late", "beat_to_later_life", "beat_stale", "beats_forged", "beat_unknown",
	"ack_lost", "ack_twice", "ack_late", "ack_missed", "told_to_connect", "digest_differs",
	"cordoned_again", "uncordoned_while_gone", "back_and_cordoned", "preempted", "killed", "drained",
	"bad_request", "gang_undone", "not_preferred", "exclusive",
	"waited", "wait_over", "wait_cancelled", "held", "owner_full", "owner_full_until_over", "owner_over", "untold", "back_untold", "mass_offline", "mass_loss", "spared", "resources_over",
	"claimed", "not_needed", "unpreempted", "chosen_again", "requeued",
	"quarantined", "quarantined_again", "probed", "probe_silent", "recovered", "absolved", "back_and_quarantined", "quarantine_of_gone_forgotten",
	"outcomes_forgotten", "fails_anywhere", "too_few_owners", "fleet_fails_too", "too_many_quarantined", "fails_while_cordoned", "fails_in_mass_loss",
	"waits_for_workers", "no_workers_came",
	"learning", "id_refused", "gpu_refused", "gpu_missing", "gpu_passed",
}

func (f Kind) String() string { return names[f] }

// Counts counts how often each fault was hit.
type Counts [kinds]int

// Add adds the counts of another run.
func (f *Counts) Add(g *Counts) {
	for i := range f {
		f[i] += g[i]
	}
}
