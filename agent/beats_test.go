package agent

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// datagrams has the fake listen for datagrams beside its TCP port.
func (f *fake) datagrams() *fake {
	f.memory.listens(true)
	return f
}

// beat reads the next datagram.
func (f *fake) beat() *wire.Beat {
	f.t.Helper()
	f.memory.server.SetReadDeadline(time.Now().Add(patience))
	d, err := f.memory.server.take()
	require.NoError(f.t, err, "no datagram came")
	m, request, err := new(wire.Decoder).Decode(d.bytes)
	require.NoError(f.t, err)
	require.Zero(f.t, request)
	f.from = d.from
	return m.(*wire.Beat)
}

// ack acknowledges a beat.
func (f *fake) ack(b *wire.Beat, connect bool) {
	f.t.Helper()
	f.datagram(&wire.BeatAck{Seq: b.Seq, Grantor: f.grantor, Connect: connect})
}

// datagram sends a message to the sender of the last datagram.
func (f *fake) datagram(m wire.Message) { f.junk(wire.AppendDatagram(nil, 0, m)) }

// junk sends any bytes to the sender of the last datagram.
func (f *fake) junk(b []byte) { f.memory.server.writeTo(b, f.from) }

// acked answers so many beats.
func (f *fake) acked(beats int) {
	f.t.Helper()
	for range beats {
		f.ack(f.beat(), false)
	}
}

// answers answers datagrams with what reply makes of them, until the
// test ends.
func (f *fake) answers(reply func(*wire.Beat) *wire.BeatAck) {
	f.memory.server.SetReadDeadline(time.Time{})
	go func() {
		for {
			d, err := f.memory.server.take()
			if err != nil {
				return
			}
			m, _, _ := new(wire.Decoder).Decode(d.bytes)
			if beat, ok := m.(*wire.Beat); ok {
				f.memory.server.writeTo(wire.AppendDatagram(nil, 0, reply(beat)), d.from)
			}
		}
	}()
}

// plainly acknowledges a beat.
func (f *fake) plainly(b *wire.Beat) *wire.BeatAck {
	return &wire.BeatAck{Seq: b.Seq, Grantor: f.grantor}
}

// nothing requires that no message comes for a while.
func (p *peer) nothing(d time.Duration) {
	p.t.Helper()
	require.NoError(p.t, p.conn.SetReadDeadline(time.Now().Add(d)))
	m, err := p.next()
	require.True(p.t, errors.Is(err, os.ErrDeadlineExceeded), "%+v came (%v)", m, err)
}

func byUDP(c *Config) { c.HeartbeatBy = ByUDP }

// logged collects an agent's log.
type logged struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), s)
}

func (l *logged) by(c *Config) { c.Logger = slog.New(slog.NewTextHandler(l, nil)) }

func TestHeartbeatsByDatagram(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFake(t).datagrams()
		a := startAgent(t, f.url(), byUDP, func(c *Config) { c.External = func() uint32 { return 3 }; c.Slots = 9 })
		p, m := f.admit()
		connected(t, a)
		last, from := uint32(0), time.Now()
		for range 3 {
			b := f.beat()
			require.Equal(t, "w1", string(b.Worker))
			require.Equal(t, m.Incarnation, b.Incarnation)
			require.EqualValues(t, 3, b.External)
			require.Zero(t, b.Digest)
			require.Greater(t, b.Seq, last)
			last = b.Seq
			f.ack(b, false)
		}
		task, err := a.Begin(handover(a, 1), Caller{})
		require.NoError(t, err)
		require.EqualValues(t, 1, await[*wire.Begun](p).Record.Lease.Counter, "leases go by TCP")
		b := f.beat()
		require.Equal(t, task.Handover().Lease.Digest(), b.Digest)
		f.ack(b, false)
		require.NoError(t, task.End(wire.ReasonOK))
		require.Equal(t, wire.ReasonOK, await[*wire.End](p).Outcome)
		p.answer(&wire.Ended{})
		b = f.beat()
		require.Zero(t, b.Digest)
		f.ack(b, false)

		require.Eventually(t, func() bool { return a.Status().LastContact.After(from) }, patience, time.Millisecond)
		s := a.Status()
		require.Equal(t, ByUDP, s.HeartbeatBy)
		require.Equal(t, beatMS*time.Millisecond, s.Interval)
		f.answers(f.plainly)
		p.nothing(beatMS * time.Millisecond * 4)
	})
}

func TestDatagramsWithoutAnswerRegisterAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFake(t).datagrams()
		a := startAgent(t, f.url(), byUDP)
		p, first := f.admit()
		f.acked(4)
		await[*wire.Heartbeat](p) // the liveness goes over TCP before the worker is suspicious
		again := await[*wire.Register](p)
		require.Equal(t, first.Incarnation, again.Incarnation)
		require.Greater(t, again.Seq, first.Seq)
		p.admitted(f.grantor)
		connected(t, a)
		f.answers(f.plainly)
		p.nothing(beatMS * time.Millisecond * 8)
		require.Equal(t, ByUDP, a.Status().HeartbeatBy)
		require.True(t, a.Status().Connected)
	})
}

func TestBlockedDatagramsFallBackToTCP(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		log := &logged{}
		f := newFake(t)
		a := startAgent(t, f.url(), byUDP, log.by)
		p, _ := f.admit()
		await[*wire.Heartbeat](p) // beside a datagram that nobody hears
		again := await[*wire.Register](p)
		// It comes at a random moment within one interval of the beat that found
		// silentIntervals of them unanswered, and one more may pass before it.
		require.GreaterOrEqual(t, again.Beats, uint32(silentIntervals+1), "the number of the last one")
		require.LessOrEqual(t, again.Beats, uint32(silentIntervals+2), "the number of the last one")
		p.admitted(f.grantor)
		for range silentIntervals {
			await[*wire.Heartbeat](p)
		}
		require.Equal(t, ByTCP, a.Status().HeartbeatBy)
		require.Equal(t, 1, log.count("heartbeats go over TCP"))

		p.conn.Close()
		p, _ = f.admit()
		for range probeIntervals {
			await[*wire.Heartbeat](p)
		}
		require.Equal(t, ByTCP, a.Status().HeartbeatBy, "the next connection remembers")

		f.datagrams()
		registrations := f.keep(p)
		f.acked(1)
		synctest.Wait()
		require.Equal(t, ByUDP, a.Status().HeartbeatBy)
		f.answers(f.plainly)
		time.Sleep(2 * restIntervals * beatMS * time.Millisecond)
		require.Equal(t, ByUDP, a.Status().HeartbeatBy)
		require.Equal(t, 1, log.count("heartbeats go over TCP"))
		require.Equal(t, 1, log.count("by datagram again"))
		require.Zero(t, registrations.Load())
	})
}

// A path that stays blocked costs a registration now and then, because the
// scheduler may have taken greater numbers from somebody else.
func TestABlockedPathRegistersNowAndThen(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFake(t)
		startAgent(t, f.url(), byUDP)
		p, _ := f.admit()
		registrations := f.keep(p)
		time.Sleep(10 * resyncIntervals * beatMS * time.Millisecond)
		synctest.Wait()
		require.InDelta(t, 11, registrations.Load(), 2)
	})
}

func TestConnectRegistersAgainOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFake(t).datagrams()
		a := startAgent(t, f.url(), byUDP)
		p, _ := f.admit()
		registrations := make(chan *wire.Register, 100)
		go func() {
			for {
				m, err := p.next()
				if err != nil {
					return
				}
				if r, ok := m.(*wire.Register); ok {
					copied := *r
					p.answer(&wire.Registered{Handle: 5, Grantor: f.grantor, HeartbeatMS: beatMS})
					registrations <- &copied
				}
			}
		}()
		const beats = 12
		for range beats {
			f.ack(f.beat(), true)
		}
		n := len(registrations)
		require.GreaterOrEqual(t, n, 1)
		require.LessOrEqual(t, n, beats/silentIntervals)
		f.acked(1)
		require.True(t, a.Status().Connected)
	})
}

func TestAnotherGrantorsAcknowledgementIsNone(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFake(t).datagrams()
		a := startAgent(t, f.url(), byUDP)
		p, _ := f.admit()
		f.answers(func(b *wire.Beat) *wire.BeatAck {
			return &wire.BeatAck{Seq: b.Seq, Grantor: wire.Grantor{Epoch: 9, Instance: 9}}
		})
		await[*wire.Register](p)
		p.admitted(f.grantor)
		for a.Status().HeartbeatBy != ByTCP {
			await[*wire.Heartbeat](p)
		}
		require.Equal(t, f.grantor, a.Status().Grantor)
	})
}

func TestARaisedEpochIsTheSameGrantor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFake(t).datagrams()
		a := startAgent(t, f.url(), byUDP)
		p, _ := f.admit()
		for range 2 * silentIntervals {
			b := f.beat()
			f.datagram(&wire.BeatAck{Seq: b.Seq, Grantor: wire.Grantor{Epoch: f.grantor.Epoch + b.Seq, Instance: f.grantor.Instance}})
		}
		f.answers(f.plainly)
		p.nothing(beatMS * time.Millisecond * 2)
		require.Equal(t, f.grantor, a.Status().Grantor)
	})
}

func TestStrayDatagramsAcknowledgeNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFake(t).datagrams()
		a := startAgent(t, f.url(), byUDP)
		p, _ := f.admit()
		old := f.beat()
		f.ack(old, false)
		for {
			b := f.beat()
			for _, seq := range []uint32{0, old.Seq, b.Seq + 1, 1<<32 - 1} {
				f.datagram(&wire.BeatAck{Seq: seq, Grantor: f.grantor, Connect: true})
			}
			f.datagram(&wire.Pong{})
			for _, junk := range [][]byte{{}, {0xc1}, bytes.Repeat([]byte{0x91}, 2000)} {
				f.junk(junk)
			}
			if b.Seq >= old.Seq+3 {
				break
			}
		}
		await[*wire.Heartbeat](p)
		await[*wire.Register](p)
		require.False(t, a.Status().Connected)
	})
}

func TestAMuteSchedulerIsLeftByMissingAcknowledgements(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFake(t).datagrams()
		startAgent(t, f.url(), byUDP)
		p, _ := f.admit()
		f.acked(2)
		p.mute.Store(true)
		await[*wire.Register](p) // which the connection's own limit would not bring
		p.gone()
		f.admit()
	})
}

func TestABrokenConnectionIsNoticedBesideDatagrams(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFake(t).datagrams()
		startAgent(t, f.url(), byUDP)
		p, _ := f.admit()
		p.mute.Store(true)
		f.answers(f.plainly)
		p.gone()
		f.admit()
	})
}
