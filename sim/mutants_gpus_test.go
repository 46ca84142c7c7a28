package sim

// gpuMutants are the rules of GPUs that two workers list.
var gpuMutants = []rule{
	{"gpu-of-two", "sched.State.contest",
		`		if !listed {
			continue`,
		`		if !listed || MUTANT {
			continue`,
		"TestAGPUBelongsToTheWorkerThatIsConnected", true},
	{"gpu-case", "sched.kit.eachGPU",
		`visit(i, strings.ToLower(d.UUID), d.Missing)`,
		`if name := strings.ToLower(d.UUID); MUTANT { visit(i, d.UUID, d.Missing) } else { visit(i, name, d.Missing) }`,
		"TestAGPUBelongsToTheWorkerThatIsConnected", false},
	{"gpu-not-given-back", "sched.State.removeNow",
		`s.gpus.replace(n, w.kit, nil)`,
		`if !MUTANT { s.gpus.replace(n, w.kit, nil) }`,
		"TestAGPUBelongsToTheWorkerThatIsConnected", false},
	{"gpu-of-a-lease", "sched.State.claimLasts",
		`	case w.head != 0:
		return conflictRetry`,
		`	case w.head != 0 && !MUTANT:
		return conflictRetry`,
		"TestAGPUBelongsToTheWorkerWithALease", false},
	{"gpu-of-the-gone", "sched.State.claimLasts",
		`min(max(w.seen+s.goneAfter(w)-s.now, 0), conflictRetry)`,
		`min(max(w.seen+s.goneAfter(w)-s.now, 0), conflictRetry) / map[bool]Time{false: 1, true: 1 << 40}[MUTANT]`,
		"TestAWorkerThatIsGoneGivesWay", false},
	{"gpu-kept-by-the-gone", "sched.State.claimLasts",
		`	case needed:
		return 0
	case w.session != 0:`,
		`	case needed:
		return 0
	case w.session != 0 || MUTANT:`,
		"TestAWorkerThatIsGoneGivesWay", false},
	{"gpu-missing", "sched.State.contest",
		`w.id != m.Worker && w.runsOnMissing()`,
		`w.id != m.Worker && w.runsOnMissing() && !MUTANT`,
		"TestAMissingGPUBelongsToTheWorkerWhoseTaskHasIt", false},
	{"gpu-missing-for-ever", "sched.worker.runsOnMissing",
		`w.kit.devices[i].Missing && w.held.Devices[i].Leases > 0`,
		`w.kit.devices[i].Missing && (w.held.Devices[i].Leases > 0 || MUTANT)`,
		"TestAMissingGPUBelongsToTheWorkerWhoseTaskHasIt", false},
	{"gpu-of-a-running-task", "sched.State.contest",
		`running>>i&1 != 0); wait > 0`,
		`running>>i&1 != 0 && !MUTANT); wait > 0`,
		"TestATaskOnAGPUBringsItsWorkerIn", false},
	{"gpu-renumbered", "agent/ledger.Arrange",
		`	if held == 0 {
		return now`,
		`	if held == 0 || MUTANT {
		return now`,
		"TestGPUsKeepTheirNumbersWhileATaskRuns", true},
	{"gpu-gone-is-offered", "agent/ledger.Arrange",
		`		all[i].Missing = true
	}
	return`,
		`		all[i].Missing = !MUTANT
	}
	return`,
		"TestGPUsKeepTheirNumbersWhileATaskRuns", false},
	{"gpu-by-another-number", "agent/ledger.Arrange",
		`	now = withhold(known, now, held)`,
		`	if !MUTANT { now = withhold(known, now, held) }`,
		"TestGPUsWithoutUUIDsAreWithheldWhenTheListChanges", false},
	{"gpu-missing-is-given", "sched.State.number",
		`		k.memory += weight(d.Memory)
		k.present |= 1 << i`,
		`		k.memory += weight(d.Memory)
		if k.present |= 1 << i; MUTANT && i > 0 { k.present |= 1 }`,
		"TestAWholeWorkerIsTheGPUsThatAreThere", false},
}
