package wire

import (
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
	for i, c := range b {
		if c < ' ' || c == 0x7f {
			return false
		}
		if c >= utf8.RuneSelf {
			return plainRunes(b[i:])
		}
	}
	return true
}

// plainRunes is plainText for text that is not ASCII alone.
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
