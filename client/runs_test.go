package client

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// A task that turns out to run, perhaps after it has waited, is answered with the
// lease that its worker has: the client neither renews it nor gives it up.
func TestATaskThatTurnsOutToRunIsItsWorkers(t *testing.T) {
	runs := wire.LeaseID{Epoch: 1, Instance: 3, Counter: 99}
	for name, task := range map[string]Task{
		"renewed": {ID: "t1", Wait: time.Hour, StartWithin: time.Millisecond},
		"ttl":     {ID: "t1", Wait: time.Hour, TTL: time.Millisecond},
	} {
		for asked, ask := range waysToAsk {
			t.Run(name+"/"+asked, func(t *testing.T) {
				f := quick(newFake(t))
				f.set(runs, wire.StateBegun, 0)
				placed := wire.Placed{Lease: runs, Target: wire.AppendTarget(nil, "w1", "h:1"), Incarnation: 9, Flags: wire.PlacedRepeat | wire.PlacedBegun}
				f.setBend(func(p *peer, request uint64, m wire.Message) bool {
					switch m := m.(type) {
					case *wire.Schedule:
						if string(m.Task) == "t1" {
							p.send(request, &placed)
							return true
						}
					case *wire.Batch:
						p.send(request, &wire.PlacedAll{Results: []wire.BatchResult{{Placed: placed}}})
						return true
					}
					return false
				})
				c := f.dial(nil)
				l, err := ask(within(t), c, task)
				require.NoError(t, err)
				require.Equal(t, runs, l.ID())
				require.True(t, l.Flags().Begun())
				other := mustSchedule(t, c, Task{ID: "other"})
				eventually(t, "others are renewed", func() bool { return f.count(f.renewals, other.ID()) > 2 })
				require.NoError(t, l.Err())
				require.False(t, isClosed(l.Lost()))
				require.Zero(t, f.count(f.renewals, runs))
				require.Zero(t, f.count(f.released, runs))
			})
		}
	}
}
