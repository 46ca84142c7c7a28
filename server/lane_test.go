package server

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// TestListsTakeTurns: a page of any list is gathered in turns of few rows, and
// is the page that was asked for.
func TestListsTakeTurns(t *testing.T) {
	f := start(t)
	const n = 3*turnRows + 7
	for i := range n {
		f.beat(fmt.Sprintf("w-%04d", i), 1, 0, "cpu", fmt.Sprint("tag-", i))
	}
	p := f.dial("lister")
	for i := range n {
		placed(t, p.ask(uint64(i+1), task(fmt.Sprint("t", i), "cpu")))
	}
	waiting := f.dial("waiting")
	for i := range n {
		m := task(fmt.Sprint("q", i), "cpu")
		m.WaitMS = 600_000
		waiting.send(uint64(i+1), m)
	}
	waiting.alive()
	turns := atomic.Int64{}
	f.core.mu.Lock()
	f.core.before = func(m wire.Message) {
		if isList(m) {
			turns.Add(1)
			assert.LessOrEqual(t, limitOf(m), uint32(turnRows))
		}
	}
	f.core.mu.Unlock()
	for _, ask := range []wire.Message{
		&wire.ListWorkers{}, &wire.ListLeases{}, &wire.ListTags{}, &wire.ListEvents{}, &wire.ListQueue{},
		&wire.ListWorkers{Limit: n - 1}, &wire.ListTags{Limit: 5},
	} {
		turns.Store(0)
		want := n
		if limit := int(limitOf(ask)); limit > 0 {
			want = limit
		}
		if _, tags := ask.(*wire.ListTags); tags && want == n {
			want++ // cpu
		}
		answer := p.ask(1<<40, ask)
		require.Equal(t, want, rowsOf(answer), "%T", ask)
		require.GreaterOrEqual(t, int(turns.Load()), (want+turnRows-1)/turnRows, "%T", ask)
	}
}

func limitOf(m wire.Message) uint32 {
	switch m := m.(type) {
	case *wire.ListWorkers:
		return m.Limit
	case *wire.ListLeases:
		return m.Limit
	case *wire.ListTags:
		return m.Limit
	case *wire.ListEvents:
		return m.Limit
	case *wire.ListQueue:
		return m.Limit
	}
	return 0
}

func rowsOf(m wire.Message) int {
	switch m := m.(type) {
	case *wire.Workers:
		return len(m.Rows)
	case *wire.Leases:
		return len(m.Rows)
	case *wire.Tags:
		return len(m.Rows)
	case *wire.Events:
		return len(m.Rows)
	case *wire.EndedLeases:
		return len(m.Rows)
	case *wire.Queue:
		return len(m.Rows)
	}
	return -1
}

// TestOneListAtATime: however many lists are asked for on both ports, one
// goroutine alone is at the core for them, so a request waits for one turn.
func TestOneListAtATime(t *testing.T) {
	f := start(t)
	f.beat("w", 4, 0, "cpu")
	var now, most atomic.Int64
	f.core.lane.turn.Lock()
	f.core.lane.hook = func(by int64) {
		if n := now.Add(by); n > most.Load() {
			most.Store(n)
		}
	}
	f.core.lane.turn.Unlock()
	var wait sync.WaitGroup
	for i := range 8 {
		p := f.dial(fmt.Sprint("lister", i))
		wait.Go(func() {
			for n := range 20 {
				p.send(uint64(n+1), &wire.ListEnded{})
			}
			for range 20 {
				_, m := p.read()
				assert.IsType(t, &wire.EndedLeases{}, m)
			}
		})
		wait.Go(func() {
			for range 20 {
				f.call("GET", "/api/v1/history", "")
			}
		})
	}
	wait.Wait()
	require.Equal(t, int64(1), most.Load())
	eventually(t, func() bool { return now.Load() == 0 }, "the last turn is over")
}

// TestAParkedListKeepsTheOrder: what a connection asks behind a list is answered
// behind it.
func TestAParkedListKeepsTheOrder(t *testing.T) {
	f := start(t)
	f.beat("w", 400, 0, "cpu")
	p := f.dial("c")
	for i := uint64(1); i <= 300; i += 3 {
		p.send(i, task(fmt.Sprint("t", i), "cpu"))
		p.send(i+1, &wire.ListLeases{})
		p.send(i+2, &wire.Ping{})
	}
	for i := uint64(1); i <= 300; i++ {
		request, m := p.read()
		require.Equal(t, i, request)
		if page, ok := m.(*wire.Leases); ok {
			require.Len(t, page.Rows, int(i/3)+1)
		}
	}
}
