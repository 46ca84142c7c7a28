// Package bench measures across the packages of the scheduler: what a request
// costs from the bytes that came in to the bytes that leave. Each package's own
// benchmarks stand beside its code. docs/performance.md quotes the results with
// the commands that repeat them.
package bench
