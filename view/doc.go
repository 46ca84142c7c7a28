// Package view is the rows of lists as programs read them: one struct for each
// kind of row, which the HTTP API and dtask -o json both print. Names and
// meanings of keys stay; keys may be added. The tags doc describe the keys in
// docs/cli.md.
package view
