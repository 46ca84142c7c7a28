package main

import (
	"time"

	"github.com/dtask/dtask-scheduler/view"
	"github.com/dtask/dtask-scheduler/wire"
)

// This file is what commands print as JSON beside the rows of package view. Names
// and meanings stay; keys may be added. docs/cli.md shows the tags `doc`.

// workerDetail is a worker with its leases.
type workerDetail struct {
	view.Worker
	Leases []view.Lease `json:"leases" doc:"its live leases, at most 1,000, as of lease list"`
}

// counted is what lists print with --count.
type counted struct {
	Count uint64 `json:"count"`
}

// cancelled is what queue cancel prints.
type cancelled struct {
	Count int `json:"cancelled" doc:"tasks that were taken out; a gang is one"`
}

// statsRow is what stats prints.
type statsRow struct {
	view.Totals
	Slots    uint64            `json:"slots" doc:"of online workers"`
	Used     uint64            `json:"used" doc:"of these, by leases and external load"`
	Leases   map[string]uint32 `json:"leases" doc:"how many are granted, asked_back, begun, assumed"`
	Counters map[string]uint64 `json:"counters" doc:"since the scheduler's start, by name"`
}

// change is what a mutating command prints, one line for each id.
type change struct {
	Worker  string `json:"worker_id" doc:"the worker"`
	Status  string `json:"status" doc:"cordoned, draining, drained or in_service"`
	Changed bool   `json:"changed" doc:"false: it was so already"`
}

// released is what release prints, one line for each lease.
type released struct {
	Lease  wire.LeaseID `json:"lease_id" doc:"the lease"`
	Status string       `json:"status" doc:"released, asked_back or already_ended"`
}

// placement is what schedule prints for a task that got a place: the handover,
// which the worker's begin takes, and what the scheduler said about it.
type placement struct {
	wire.Handover
	Repeat     bool      `json:"repeat,omitempty" doc:"the task held this lease already"`
	BestEffort bool      `json:"best_effort,omitempty" doc:"the worker speaks no leases"`
	BeginBy    time.Time `json:"begin_by" doc:"later the lease is asked back"`
}

// noPlacement is what schedule prints for a task that got none.
type noPlacement struct {
	Task   string `json:"task_id" doc:"the task"`
	Error  string `json:"error" doc:"a sentence"`
	Reason string `json:"reason" doc:"such as unavailable or infeasible"`
}

// pong is what ping prints.
type pong struct {
	Addresses []string `json:"addresses" doc:"that were tried"`
	Server    string   `json:"server" doc:"the scheduler's version"`
	Epoch     uint32   `json:"epoch" doc:"the scheduler's term"`
	Instance  uint32   `json:"instance" doc:"the run of the scheduler, a random number"`
	RoundTrip float64  `json:"round_trip_ms" doc:"milliseconds until the answer"`
}
