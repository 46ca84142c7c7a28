package wire

// walk checks that a frame is one msgpack value and nothing behind it, nested
// maxDepth deep at most, with every count and length within the frame and
// without extension types. Only what passed it is ever given to a decoder that
// this package did not write.
func walk(frame []byte) *Error {
	r := reader{b: frame}
	r.skip(1, 0)
	r.end()
	return r.err
}

// end records a failure if anything follows the message.
func (r *reader) end() {
	if r.err == nil && r.pos != len(r.b) {
		r.fail("", 0, "has bytes behind it")
	}
}

// skip steps over count values that lie within depth arrays, and checks them.
// It keeps the counts of what is open in a fixed array instead of calling
// itself, so no input can exhaust a stack.
func (r *reader) skip(count, depth int) {
	var open [maxDepth + 1]int
	level := depth
	open[level] = count
	for level >= depth {
		if open[level] == 0 {
			level--
			continue
		}
		open[level]--
		inside, nests := r.head()
		if r.err != nil {
			return
		}
		if !nests {
			continue
		}
		if level == maxDepth {
			r.fail("", maxDepth, "nests arrays and maps too deep")
			return
		}
		level++
		open[level] = inside
	}
}

// head steps over one scalar, or over the head of an array or map; of these it
// returns the number of values inside.
func (r *reader) head() (inside int, nests bool) {
	if r.pos >= len(r.b) {
		r.failCut("")
		return 0, false
	}
	switch c := r.b[r.pos]; {
	case c <= maxPositive, c >= codeNegative, c == codeNil, c == codeFalse, c == codeTrue:
		r.pos++
	case c < codeFixArray, c == codeMap16, c == codeMap32:
		return 2 * r.dict("", unlimited), true
	case c < codeFixStr, c == codeArray16, c == codeArray32:
		return r.array("", unlimited), true
	case c < codeNil, c >= codeStr8 && c <= codeStr32:
		r.str("")
	case c >= codeBin8 && c <= codeBin32:
		r.take("", r.big("", 1<<(c-codeBin8)))
	case c == codeFloat32, c == codeFloat64:
		r.big("", 4<<(c-codeFloat32))
	case c >= codeUint8 && c <= codeInt64:
		r.integer("")
	default:
		r.fail("", 0, "holds an extension type or the byte 0xc1")
	}
	return 0, false
}
