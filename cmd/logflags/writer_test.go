package logflags

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// reader is the far end of a log: it takes lines while it is open, fails while
// it is gone, and else lets the writer wait.
type reader struct {
	mu    sync.Mutex // guards all below
	open  *sync.Cond
	reads bool
	gone  bool
	text  bytes.Buffer
}

func newReader(reads bool) *reader {
	r := &reader{reads: reads}
	r.open = sync.NewCond(&r.mu)
	return r
}

func (r *reader) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for !r.reads && !r.gone {
		r.open.Wait()
	}
	if r.gone {
		return 0, io.ErrClosedPipe
	}
	return r.text.Write(b)
}

func (r *reader) set(reads, gone bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads, r.gone = reads, gone
	r.open.Broadcast()
}

func (r *reader) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func TestLinesArriveInOrderAndWhole(t *testing.T) {
	r := newReader(true)
	w := new(Options).Writer(r)
	line := []byte("line 0\n")
	for i := range 10 {
		line[5] = byte('0' + i) // the caller uses its buffer again
		n, err := w.Write(line)
		require.NoError(t, err)
		require.Equal(t, len(line), n)
	}
	require.True(t, w.Close())
	require.Equal(t, "line 0\nline 1\nline 2\nline 3\nline 4\nline 5\nline 6\nline 7\nline 8\nline 9\n", r.String())
	require.Zero(t, w.Dropped())
	require.True(t, w.Flush(0), "nothing waits")
}

// A reader that stalls holds nobody up. What does not fit is counted, and the
// line that says so stands where it is missing.
func TestAStalledReader(t *testing.T) {
	for _, size := range []int{16, 64 << 10} {
		synctest.Test(t, func(t *testing.T) {
			r := newReader(false)
			w := new(Options).Writer(r)
			line := []byte(strings.Repeat("x", size-1) + "\n")
			const extra = 1000
			fits := min(maxPendingLines, maxPending/size)
			w.Write(line)
			synctest.Wait() // the first line is being written
			for range fits + extra {
				w.Write(line)
			}
			require.EqualValues(t, extra, w.Dropped())
			require.LessOrEqual(t, w.bytes, maxPending)
			from := time.Now()
			require.False(t, w.Close(), "the end does not wait for ever")
			require.Equal(t, closePatience, time.Since(from))
			r.set(true, false)
			require.True(t, w.Close())
			w.Write([]byte("after\n"))
			require.True(t, w.Close())
			lines := strings.Split(r.String(), "\n")
			require.Len(t, lines, 1+fits+3)
			require.Contains(t, lines[1+fits], "level=WARN")
			require.Contains(t, lines[1+fits], "dropped=1000")
			require.Equal(t, "after", lines[2+fits])
		})
	}
}

// A small line does not slip in behind a gap.
func TestAGapIsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReader(false)
		w := new(Options).Writer(r)
		w.Write([]byte("first\n"))
		synctest.Wait()
		w.Write(bytes.Repeat([]byte("x"), maxPending+1))
		w.Write([]byte("small\n"))
		r.set(true, false)
		require.True(t, w.Close())
		require.Contains(t, r.String(), "dropped=2")
		require.NotContains(t, r.String(), "small")
	})
}

// A reader that is gone is no error of those who log. What it missed is told to
// the next.
func TestAReaderThatGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReader(true)
		r.set(false, true)
		w := (&Options{JSON: true, Level: slog.LevelError}).Writer(r)
		for range 3 {
			_, err := w.Write([]byte("lost\n"))
			require.NoError(t, err)
			require.True(t, w.Close())
		}
		require.EqualValues(t, 3, w.Dropped())
		r.set(true, false)
		w.Write([]byte("{}\n"))
		require.True(t, w.Close())
		require.Contains(t, r.String(), `"level":"WARN","msg":"log lines are missing`)
		require.Contains(t, r.String(), `"dropped":3`)
		require.EqualValues(t, 3, w.Dropped())
	})
}

// Writers at once lose nothing, and each line stays whole.
func TestManyWriters(t *testing.T) {
	r := newReader(true)
	w := new(Options).Writer(r)
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for range 100 {
				if _, err := w.Write([]byte("a line\n")); err != nil {
					panic(err)
				}
			}
		})
	}
	writers.Wait()
	require.True(t, w.Flush(time.Minute))
	require.Equal(t, strings.Repeat("a line\n", 800), r.String())
}
