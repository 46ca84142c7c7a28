package wire

import (
	"encoding/binary"
	"unicode"
	"unicode/utf8"
)

// idBytes holds the bytes that an id may consist of.
var idBytes = func() (set [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:@/-") {
		set[c] = true
	}
	return set
}()

// ValidID reports whether id is 1 to MaxID bytes of A-Z, a-z, 0-9 and
// "._:@/-", the form of every id of the native protocol.
func ValidID(id string) bool {
	return len(id) >= 1 && len(id) <= MaxID && allIDBytes([]byte(id))
}

func allIDBytes(b []byte) bool {
	for _, c := range b {
		if !idBytes[c] {
			return false
		}
	}
	return true
}

// plainText reports whether b is valid UTF-8 without control characters.
func plainText(b []byte) bool {
	return printable(b, len(b)) || plainRunes(b)
}

// printable reports whether the first n bytes of b are printable ASCII. It
// looks at eight bytes at once, where b has them.
func printable(b []byte, n int) bool {
	const (
		ones   = 0x0101010101010101
		spaces = ' ' * ones
		high   = 0x80 * ones
	)
	for n > 0 && len(b) >= 8 {
		x := binary.LittleEndian.Uint64(b)
		if n < 8 {
			keep := uint64(1)<<(8*n) - 1
			x = x&keep | spaces&^keep
		}
		// A high bit shows a byte from 0x80 on, below a space, or 0x7f. A
		// borrow or carry only comes from such a byte.
		if (x|(x-spaces)|(x+ones))&high != 0 {
			return false
		}
		if n <= 8 {
			return true
		}
		b, n = b[8:], n-8
	}
	for _, c := range b[:n] {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// plainRunes is plainText for text that is not printable ASCII alone.
func plainRunes(b []byte) bool {
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 || unicode.IsControl(r) {
			return false
		}
		b = b[size:]
	}
	return true
}
