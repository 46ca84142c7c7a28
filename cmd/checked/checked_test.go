package checked

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// disk is a file that takes some bytes and no more, and may find out at its end
// that it stored none.
type disk struct {
	strings.Builder
	room     int
	full     error // what a write says that finds too little room
	closing  error
	closed   int
	attempts int
}

func (d *disk) Write(b []byte) (int, error) {
	d.attempts++
	n, _ := d.Builder.Write(b[:min(len(b), d.room-d.Len())])
	if n < len(b) {
		return n, d.full
	}
	return n, nil
}

func (d *disk) Close() error {
	d.closed++
	return d.closing
}

var errFull = errors.New("no space left on device")

func TestTheFirstErrorStays(t *testing.T) {
	d := &disk{room: 5, full: errFull}
	w := New(d)
	fmt.Fprint(w, "abc")
	require.NoError(t, w.Err())
	fmt.Fprint(w, "defg")
	require.ErrorIs(t, w.Err(), errFull)
	d.room = 100
	_, err := fmt.Fprint(w, "h")
	require.ErrorIs(t, err, errFull)
	require.Equal(t, "abcde", d.String(), "a gap in the output")
	require.Equal(t, 2, d.attempts)
	var stderr strings.Builder
	require.Equal(t, 1, w.End(0, &stderr))
	require.Equal(t, "the output could not be written: no space left on device\n", stderr.String())
}

func TestAShortWriteIsAnError(t *testing.T) {
	w := New(&disk{room: 1})
	fmt.Fprint(w, "ab")
	require.ErrorIs(t, w.Err(), io.ErrShortWrite)
}

func TestTheEndLooksAtTheClose(t *testing.T) {
	var stderr strings.Builder
	d := &disk{room: 9, closing: errFull}
	w := New(d)
	fmt.Fprint(w, "abc")
	require.Equal(t, 1, w.End(0, &stderr))
	require.Equal(t, 1, d.closed)
	require.NotEmpty(t, stderr.String())

	stderr.Reset()
	d = &disk{room: 9}
	require.Equal(t, 3, New(d).End(3, &stderr))
	require.Equal(t, 1, d.closed)
	require.Equal(t, 0, New(&strings.Builder{}).End(0, &stderr), "what cannot be closed need not be")
	require.Empty(t, stderr.String())
}
