package sim

// Fault is a kind of trouble. The first ones are drawn by the fault plan, the
// others happen on the way and are counted when they do.
type Fault int

// The faults.
const (
	FaultAgentLink      Fault = iota // the connection of an agent breaks
	FaultClientLink                  // the connection of a client breaks
	FaultClientCrash                 // a client forgets everything
	FaultClientPause                 // a client stands still
	FaultRestartList                 // an agent restarts and still has its tasks
	FaultRestartNoList               // an agent restarts and its tasks are dead
	FaultScheduler                   // the scheduler restarts and knows nothing
	FaultSchedulerPause              // the scheduler stands still
	FaultTags                        // a worker's tags change
	FaultGrow                        // a worker gets more slots
	FaultShrink                      // a worker loses slots, perhaps taken ones
	FaultLies                        // a worker reports nonsense
	FaultSilence                     // an agent stands still
	FaultTwoAgents                   // a second agent has the id of another
	FaultDeregister                  // an agent leaves and comes back
	FaultRemoved                     // an operator removes a worker that lives
	FaultDeadLink                    // the connection of an agent carries nothing, and nobody notices
	FaultNoDatagrams                 // the datagrams of an agent are lost for a while
	FaultCordon                      // an operator takes a worker out of service for a while
	FaultRepair                      // the same, and meanwhile its agent stops or leaves
	FaultDrain                       // an agent takes its worker out of service, and is restarted when it is empty
	FaultResources                   // a worker offers other amounts
	FaultBroken                      // a machine fails its tasks for a while, and fast
	FaultPoison                      // the tasks of an owner fail everywhere for a while
	FaultDevices                     // an agent restarts with other devices and still has its tasks
	FaultGPUs                        // an agent restarts and finds fewer GPUs, or in another order
	FaultSharedGPUs                  // a second agent on the machine of another has its GPUs and another id
	FaultForgery                     // somebody else sends a datagram in the name of an agent

	FaultLost              // a message was lost with its connection
	FaultLate              // a message came late, on an old connection
	FaultDuplicateBeat     // a heartbeat came twice
	FaultDuplicateBegin    // a begin came twice
	FaultLateBegin         // a begin was seconds under way
	FaultForeignBegin      // somebody else began the same lease
	FaultGivenUp           // a client stopped to renew
	FaultRetry             // a client asked again for the same task
	FaultConflict          // a client asked for another task with the same id
	FaultSecondRelease     // a lease was released twice
	FaultLatePulse         // the scheduler's timer was late
	FaultSuspicious        // a worker was silent until it was suspicious
	FaultOffline           // a worker was silent until it was offline
	FaultForgotten         // a worker was silent until it was removed
	FaultSuperseded        // an agent was told that its incarnation is void
	FaultEpochRefused      // a worker named a promise that nothing could follow
	FaultAskedBack         // a lease was asked back
	FaultRefusedFull       // an agent had no slot for a begin, after a cut or a lie
	FaultMemoryFull        // an agent could remember no further lease
	FaultOldNumber         // a heartbeat over HTTP came late
	FaultBeatLost          // a datagram of an agent was lost
	FaultBeatTwice         // a datagram of an agent came twice
	FaultBeatLate          // a datagram of an agent was seconds under way
	FaultBeatOtherLife     // a datagram reached a later life of the scheduler
	FaultBeatStale         // a datagram came behind a newer one, or again
	FaultBeatsForged       // a worker's numbers of datagrams were used up by somebody else, until it registered
	FaultBeatUnknown       // a datagram of an incarnation that is not the worker's present one
	FaultAckLost           // an acknowledgement was lost
	FaultAckTwice          // an acknowledgement came twice
	FaultAckLate           // an acknowledgement was seconds under way
	FaultNoAck             // an agent missed acknowledgements and registered again
	FaultNoConnection      // a worker without a connection was told to connect
	FaultDigest            // two digests in a row differed
	FaultCordonAgain       // a worker was cordoned, or put back, that was so already
	FaultCordonGone        // a worker was put back into service while it was gone
	FaultCordonKept        // a worker came back and was still cordoned
	FaultPreempted         // a task was told to make room
	FaultKilled            // and to be killed, because it went on
	FaultDrained           // a worker that was to become empty did
	FaultBadRequest        // a client asked for what nobody can read
	FaultGangUndone        // a gang was placed in part, and undone
	FaultNotPreferred      // nobody preferred had room, and another was chosen
	FaultExclusive         // a task got a whole worker
	FaultWaited            // a task waited for room
	FaultWaitOver          // a wait was over without room
	FaultCancelled         // a task was cancelled while it waited
	FaultHeld              // room was held for a task that was passed over
	FaultOwnerFull         // a task's owner had as many leases as one owner may have
	FaultOwnerWaited       // a wait was over while that was so
	FaultOwnerOver         // workers came back with more leases of an owner than it may have
	FaultUntold            // a worker fell silent or came back while so many were silent that it was not told
	FaultBackUntold        // a worker came back from a mass loss while so many were offline that it was not told
	FaultMassOffline       // most of those silent in a mass loss were offline
	FaultMassLoss          // so many workers were silent that it was one event
	FaultSpared            // a worker stayed suspicious for that
	FaultOverDevices       // a worker had not enough room for what it ran beside its slots
	FaultClaimed           // tasks were chosen to make room for a waiter
	FaultNotNeeded         // a task was spared that needed not make room
	FaultUnpreempted       // a task went on that was to make room and did not know it
	FaultChosenAgain       // a waiter chose other tasks, because room did not come
	FaultRequeued          // a task waited again that had to make room
	FaultKeptOut           // a worker that failed its tasks was taken out of service
	FaultKeptOutAgain      // and another time soon after, for longer
	FaultProbed            // a task was let onto a worker to see whether it has recovered
	FaultProbeSilent       // it ended without an answer to that
	FaultRecovered         // it went well
	FaultAbsolved          // an operator put such a worker back into service
	FaultKeptOutKept       // one left, came back and was still out
	FaultGoneForgotten     // one left, and did not come back for long
	FaultOutcomesForgotten // how the last tasks of a worker ended was forgotten
	FaultFailsAnywhere     // a failure did not count, because its owner failed elsewhere
	FaultFewOwners         // too few owners failed on a worker
	FaultFleetFails        // a worker did not fail clearly more than the others
	FaultTooManyOut        // too many workers were out for one more
	FaultFailsCordoned     // a worker that was out of service anyway failed
	FaultFailsInMass       // a worker failed while many were silent
	FaultNobody            // a task waited for workers to come, because no known one could take it
	FaultNobodyCame        // and its wait was over before they did
	FaultLearning          // a task that no known worker could take was not called infeasible, because others were to come
	FaultIDRefused         // a registration was refused because an agent of another machine has the id
	FaultGPURefused        // a registration was refused because another worker has one of its GPUs
	FaultGPUMissing        // a GPU was gone that a task had
	FaultGPUPassed         // a worker gave way to another that has its GPUs
	faultKinds             // how many there are
	firstCounted           = FaultLost
	plannedFaults          = int(firstCounted)
)

var faultNames = [faultKinds]string{
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

func (f Fault) String() string { return faultNames[f] }

// Faults counts how often each fault was hit.
type Faults [faultKinds]int

// Add adds the counts of another run.
func (f *Faults) Add(g *Faults) {
	for i := range f {
		f[i] += g[i]
	}
}

// plan says which faults a run has and how often.
type plan struct {
	every   int                // mean milliseconds from one to the next; 0: a quiet run
	weights [plannedFaults]int // of each kind; 0: not in this run
	total   int
}

// drawPlan draws a plan: one run in eight is quiet, the others have some of
// the kinds, each with a weight of its own.
func (w *World) drawPlan() plan {
	var p plan
	if w.chance(1, 8) {
		return p
	}
	p.every = w.between(200, 6000)
	for i := range p.weights {
		if w.chance(1, 2) {
			p.weights[i] = w.between(1, 10)
			p.total += p.weights[i]
		}
	}
	if p.total == 0 {
		p.every = 0
	}
	return p
}

// draw draws one kind of the plan.
func (p *plan) draw(w *World) Fault {
	n := w.rng.IntN(p.total)
	for i, weight := range p.weights {
		if n -= weight; n < 0 {
			return Fault(i)
		}
	}
	return FaultAgentLink
}
