// Package sim drives the real scheduler and the real worker's ledger under
// virtual time, with faults drawn from one seed. There is no goroutine, no
// clock and no order that a map chose: one seed is one run.
//
// What is simulated around them is small: connections that lose, delay and
// cut what they carry, agents, clients, workers that speak HTTP. All traffic is
// wire messages, encoded when they are sent and decoded when they arrive.
//
// Four judges watch. The truth is a ledger of what agents really run and what
// clients may still hand over; it trusts no counter of the scheduler. The twin
// is a second scheduler of plain slices and scans, fed with the same messages,
// which predicts placements and the order of the queue. The laws hold lists and
// counts against each other. Check of the core and of the ledgers looks for
// broken structure. Numbers such as I7 are those of docs/architecture.md.
package sim
