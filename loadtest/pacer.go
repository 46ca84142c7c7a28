package loadtest

import "math"

// paceBatch bounds the requests that are sent between two looks at the
// sockets.
const paceBatch = 256

// pacer sends the requests of an open loop. The moments are drawn beforehand
// and latency counts from them: a scheduler that stalls does not stop the
// clock.
type pacer struct {
	sh   *shard
	due  int64
	mean float64 // nanoseconds between two requests
	turn int
}

// begin starts an open loop of the given rate for this shard.
func (p *pacer) begin(s *shard, perSecond float64) {
	*p = pacer{sh: s, mean: 1e9 / perSecond}
	p.due = s.loop.Now()
	s.loop.Pace(p)
}

// Due implements poll.Pacer.
func (p *pacer) Due() int64 { return p.due }

// Pace implements poll.Pacer. With too many calls in flight the moments stay
// due; their requests leave later and count as late.
func (p *pacer) Pace(now int64) {
	for range paceBatch {
		if p.due > now {
			return
		}
		p.turn = (p.turn + 1) % len(p.sh.clients)
		c := p.sh.clients[p.turn]
		if c.busy >= maxCalls {
			return
		}
		c.submit(p.due, false)
		p.due += max(int64(math.Round(p.sh.rng.ExpFloat64()*p.mean)), 1)
	}
}
