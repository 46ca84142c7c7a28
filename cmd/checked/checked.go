// Package checked is the standard output of the commands. A command prints
// freely; its Writer keeps the first error, and the command looks at it when it
// matters whether a reader can have seen what it printed, and at its end.
package checked

import (
	"fmt"
	"io"
	"sync"
)

// exitError is the exit code of a command whose output could not be written.
const exitError = 1

// Writer passes on what is written until that fails once. It is safe for
// concurrent use.
type Writer struct {
	mu  sync.Mutex // Guards what follows; held while a write is under way.
	to  io.Writer
	err error
}

// New returns a Writer that passes on to w.
func New(w io.Writer) *Writer { return &Writer{to: w} }

// Write implements io.Writer. After the first error nothing more is written, and
// every call returns that error.
func (w *Writer) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.to.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	w.err = err
	return n, err
}

// Err returns why something could not be written, nil if all was.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Close closes what the Writer passes on to, since some file systems tell only
// then that nothing was stored. It returns the first error of all.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	c, ok := w.to.(io.Closer)
	if !ok {
		return w.err
	}
	if err := c.Close(); w.err == nil {
		w.err = err
	}
	return w.err
}

// End closes the output of a command that is about to exit with code, and
// returns the code to exit with: it is 1, and stderr says why, if the output
// could not be written.
func (w *Writer) End(code int, stderr io.Writer) int {
	err := w.Close()
	if err == nil {
		return code
	}
	fmt.Fprintf(stderr, "the output could not be written: %v\n", err)
	return exitError
}
