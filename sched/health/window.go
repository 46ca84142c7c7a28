package health

import "math/bits"

// Window is how many outcomes of a worker are kept.
const Window = 15

// window is how the last tasks of a worker ended: the newest lowest, 1 for one
// that failed, and above the oldest a 1 that marks where they begin. 0 is none.
type window uint16

// outcomes is the number of outcomes in the window.
func (w window) outcomes() int { return max(bits.Len16(uint16(w))-1, 0) }

// failures is the number of failures among them.
func (w window) failures() int { return max(bits.OnesCount16(uint16(w))-1, 0) }

// add returns the window with one more outcome. It reports whether a failure
// left the window for it.
func (w window) add(failed bool) (next window, dropped bool) {
	const oldest window = 1 << (Window - 1)
	if w == 0 {
		w = 1
	}
	if w.outcomes() == Window {
		dropped = w&oldest != 0
		w = w&(oldest-1) | oldest
	}
	w <<= 1
	if failed {
		w |= 1
	}
	return w, dropped
}
