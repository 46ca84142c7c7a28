package sim

// identityMutants are the rules of two agents with one worker id.
var identityMutants = []rule{
	{"id-of-two", "sched.State.contestID",
		`if w.machine == 0 || m.Machine == 0 ||`,
		`if MUTANT || w.machine == 0 || m.Machine == 0 ||`,
		"TestAnIDBelongsToTheAgentThatIsAlive", true},
	{"id-of-the-gone", "sched.State.contestID",
		`left := w.seen + s.goneAfter(w) - s.now`,
		`left := w.seen + s.goneAfter(w) - s.now
	if MUTANT && left <= 0 { left = 1 }`,
		"TestAnIDBelongsToTheAgentThatIsAlive", false},
	{"id-lost-with-the-connection", "sched.State.contestID",
		`w.http != nil || left <= 0 ||`,
		`w.http != nil || w.session == 0 && MUTANT || left <= 0 ||`,
		"TestAnIDBelongsToTheAgentThatIsAlive", false},
	{"id-of-the-machine", "sched.State.contestID",
		`w.machine == m.Machine || w.incarnation`,
		`w.machine == m.Machine && !MUTANT || w.incarnation`,
		"TestAnAgentIsStartedAgainOnItsMachine", false},
	{"id-without-a-machine", "sched.State.contestID",
		`m.Machine == 0 || w.machine == m.Machine`,
		`m.Machine == 0 && !MUTANT || w.machine == m.Machine`,
		"TestAgentsThatNameNoMachineTakeOver", false},
	{"id-and-tasks", "sched.State.contestID",
		`w.head == 0 && runsAny(m)`,
		`w.head == 0 && runsAny(m) && !MUTANT`,
		"TestAnAgentWithTasksGetsItsIDBack", false},
}
