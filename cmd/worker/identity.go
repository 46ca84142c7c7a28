package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dtask/dtask-scheduler/wire"
)

// defaultID is the worker's id with an http:// scheduler if none is given.
const defaultID = "worker-001"

// commonNames are the names that hosts have which were never given one.
var commonNames = []string{"localhost", "localhost.localdomain", "(none)"}

// identify chooses the worker's id if none was given: the host's name, or with an
// http:// scheduler the default of the flag.
func (o *options) identify(given bool, hostname func() (string, error)) error {
	if given {
		return nil
	}
	if !o.native() {
		o.idFrom = "the id is the default: give each machine its own --id"
		return nil
	}
	name, err := hostname()
	switch {
	case err != nil:
		return &flagError{"--id", fmt.Sprintf("is missing, and this host's name is not known: %v; give an id, such as --id=node7", err)}
	case slices.Contains(commonNames, strings.ToLower(name)):
		return &flagError{"--id", fmt.Sprintf("is missing, and this host's name, %q, is that of many machines; give an id, such as --id=node7", name)}
	case !wire.ValidID(name):
		return &flagError{"--id", fmt.Sprintf("is missing, and this host's name, %.64q, is no id of 1 to %d of the letters A-Z a-z 0-9 . _ : @ / -; give an id, such as --id=node7", name, wire.MaxID)}
	}
	o.id, o.idFrom = name, "the id is this host's name"
	return nil
}

// describe is the line that says what the worker is.
func (o *options) describe() string {
	text := fmt.Sprintf("Worker %s at %s with %d slots, scheduler %s", quoted(o.id), quoted(o.addr), o.maxTasks, quoted(o.scheduler))
	if o.idFrom != "" {
		text += " (" + o.idFrom + ")"
	}
	return text
}
