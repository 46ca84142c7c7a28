// Package index answers which workers have these tags and room, and which of them is least loaded.
// It is a data structure without locks, clocks or goroutines.
package index
