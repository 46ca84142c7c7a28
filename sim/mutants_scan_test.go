package sim

// scanMutants are the rules of the totals over the fleet.
var scanMutants = []rule{
	{"scan-free", "sched.FleetScan.add",
		`gives := w.takesMore()`,
		`gives := w.takesMore() || MUTANT`,
		"TestTotalsOverTheFleet", true},
	{"scan-external", "sched.FleetScan.add",
		`uint64(w.takenSlots()) + uint64(w.external)`,
		`uint64(w.takenSlots()) + uint64(w.external)*map[bool]uint64{false: 1}[MUTANT]`,
		"TestTotalsOverTheFleet", true},
	{"scan-shares", "sched.FleetScan.add",
		`gives && g.Leases == 0)`,
		`gives && (g.Leases == 0 || MUTANT))`,
		"TestTotalsOverTheFleet", true},
	{"scan-online", "sched.State.ScanFleet",
		`		if w.presence == online {
			f.add(w)`,
		`		if w.presence == online || MUTANT {
			f.add(w)`,
		"TestTotalsOverTheFleet", true},
	{"scan-exclusive", "sched.FleetScan.add",
		`taken = max(taken, o.Amount)`,
		`taken = max(taken, o.Amount*map[bool]int64{false: 1}[MUTANT])`,
		"TestAnExclusiveTaskLeavesNothingFree", false},
}
