package client

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// loseAnswer makes a fake act on the first release and lose its answer with the
// connection.
func loseAnswer(f *fake) {
	var once sync.Once
	f.setBend(func(p *peer, request uint64, m wire.Message) (bent bool) {
		if _, ok := m.(*wire.Release); ok {
			once.Do(func() {
				f.answer(p, m)
				p.nc.Close()
				bent = true
			})
		}
		return bent
	})
}

func TestReleaseIDIsRepeatedUntilItIsAnswered(t *testing.T) {
	f := newFake(t)
	holder, other := f.dial(nil), f.dial(nil)
	l := mustSchedule(t, holder, Task{ID: "t1", TTL: time.Minute})
	loseAnswer(f)
	require.NoError(t, other.ReleaseID(within(t), l.ID(), false), "the repeat finds what the first one did")
	require.Equal(t, 2, f.count(f.released, l.ID()))
	require.ErrorIs(t, other.ReleaseID(within(t), l.ID(), false), ErrAlreadyEnded, "another call is no repeat")
}

func TestReleaseIDSaysWhetherTheLeaseWasHanded(t *testing.T) {
	f := newFake(t)
	holder, other := f.dial(nil), f.dial(nil)
	for _, handed := range []bool{false, true} {
		l := mustSchedule(t, holder, Task{ID: map[bool]string{false: "kept", true: "handed"}[handed], TTL: time.Minute})
		_ = other.ReleaseID(within(t), l.ID(), handed) // the next line is the question
		f.mu.Lock()
		require.Equal(t, handed, f.handed[l.ID()])
		f.mu.Unlock()
	}
	l := mustSchedule(t, holder, Task{ID: "held-here"})
	require.ErrorIs(t, holder.ReleaseID(within(t), l.ID(), true), ErrAskedBack)
	f.mu.Lock()
	defer f.mu.Unlock()
	require.True(t, f.handed[l.ID()])
}
