package sim

// identityMutants are the rules of two agents with one worker id.
var identityMutants = []mutant{
	{"id-of-two", "sched/conflicts.go",
		`if w.machine == 0 || m.Machine == 0 ||`,
		`if MUTANT || w.machine == 0 || m.Machine == 0 ||`,
		"TestAnIDBelongsToTheAgentThatIsAlive", true},
	{"id-of-the-gone", "sched/conflicts.go",
		`left := w.seen + s.goneAfter(w) - now`,
		`left := w.seen + s.goneAfter(w) - now
	if MUTANT && left <= 0 { left = 1 }`,
		"TestAnIDBelongsToTheAgentThatIsAlive", false},
	{"id-lost-with-the-connection", "sched/conflicts.go",
		`w.http != nil || left <= 0 ||`,
		`w.http != nil || w.session == 0 && MUTANT || left <= 0 ||`,
		"TestAnIDBelongsToTheAgentThatIsAlive", false},
	{"id-of-the-machine", "sched/conflicts.go",
		`w.machine == m.Machine || w.incarnation`,
		`w.machine == m.Machine && !MUTANT || w.incarnation`,
		"TestAnAgentIsStartedAgainOnItsMachine", false},
	{"id-without-a-machine", "sched/conflicts.go",
		`m.Machine == 0 || w.machine == m.Machine`,
		`m.Machine == 0 && !MUTANT || w.machine == m.Machine`,
		"TestAgentsThatNameNoMachineTakeOver", false},
	{"id-and-tasks", "sched/conflicts.go",
		`w.head == 0 && runsAny(m)`,
		`w.head == 0 && runsAny(m) && !MUTANT`,
		"TestAnAgentWithTasksGetsItsIDBack", false},
}
