package sched

import (
	"slices"
	"strings"

	"github.com/dtask/dtask-scheduler/wire"
)

// A policy says which of the workers that fit is chosen: it completes the query
// of a request. Each stands in a file of its own and enters itself here.
type policy func(s *State, a *admission) *wire.Error

// policies by name.
var policies = map[string]policy{"": leastLoaded, "least-loaded": leastLoaded}

// leastLoaded is what the index does unless it is told otherwise.
func leastLoaded(*State, *admission) *wire.Error { return nil }

// policyNames lists the names for a refusal.
func policyNames() string {
	var names []string
	for name := range policies {
		if name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
