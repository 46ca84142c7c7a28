package proxy

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// echoUDP answers each datagram with itself.
func echoUDP(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	go func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := c.ReadFrom(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				_, _ = c.WriteTo(buf[:n], from)
			}
		}
	}()
	return c.LocalAddr().String()
}

func carry(t *testing.T, c DatagramConfig) *Relay {
	t.Helper()
	r, err := Carry(echoUDP(t), c)
	require.NoError(t, err)
	t.Cleanup(r.Close)
	return r
}

func dialUDP(t *testing.T, r *Relay) net.Conn {
	t.Helper()
	c, err := net.Dial("udp", r.Addr())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// send sends n numbered datagrams, few enough for any buffer.
func send(t *testing.T, c net.Conn, n int) {
	t.Helper()
	for i := range n {
		_, err := fmt.Fprintf(c, "%03d", i)
		require.NoError(t, err)
	}
}

// receive reads until n datagrams have come, or none for a while.
func receive(t *testing.T, c net.Conn, n int, patience time.Duration) (out []string) {
	t.Helper()
	buf := make([]byte, 100)
	for len(out) < n {
		require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
		size, err := c.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return out
		}
		require.NoError(t, err)
		out = append(out, string(buf[:size]))
	}
	return out
}

const (
	few  = 30 // four of each fit into any buffer
	long = 20 * time.Second
	soon = 200 * time.Millisecond
)

func TestDatagramsAreDuplicated(t *testing.T) {
	r := carry(t, DatagramConfig{Duplicate: 1, Delay: time.Millisecond})
	c := dialUDP(t, r)
	send(t, c, few)
	got := receive(t, c, 4*few, long)
	slices.Sort(got)
	for i := range few {
		require.Equal(t, fmt.Sprintf("%03d", i), got[4*i], "each comes twice, and each answer twice")
		require.Equal(t, got[4*i], got[4*i+3])
	}
	require.Equal(t, uint64(3*few), r.Counts().Duplicated)
	require.Equal(t, uint64(3*few), r.Counts().Carried)
}

func TestDatagramsAreLost(t *testing.T) {
	r := carry(t, DatagramConfig{Loss: 0.5, Seed: 5})
	c := dialUDP(t, r)
	send(t, c, few)
	got := receive(t, c, few, soon)
	require.Greater(t, len(got), few/10)
	require.Less(t, len(got), few/2, "half of them there, half of the rest back")
	require.Equal(t, uint64(few), r.Counts().Lost+uint64(len(got)), "and all that is missing is counted")
}

func TestDatagramsOvertakeEachOther(t *testing.T) {
	r := carry(t, DatagramConfig{Delay: 50 * time.Millisecond, Late: 150 * time.Millisecond, LateChance: 0.2, Seed: 5})
	c := dialUDP(t, r)
	send(t, c, few)
	got := receive(t, c, few, long)
	require.Len(t, got, few)
	require.False(t, slices.IsSorted(got))
	require.Positive(t, r.Counts().Overtaken)
	require.Positive(t, r.Counts().Late)
}

func TestACalmRelayChangesNothing(t *testing.T) {
	r := carry(t, DatagramConfig{Loss: 1, Duplicate: 1, Seed: 1})
	c := dialUDP(t, r)
	send(t, c, 3)
	require.Empty(t, receive(t, c, 1, soon))
	r.Calm()
	send(t, c, few)
	got := receive(t, c, few, long)
	require.Len(t, got, few)
	require.True(t, slices.IsSorted(got))
	require.Equal(t, DatagramCounts{Carried: 3 + 2*few, Lost: 3}, r.Counts())
}

func TestAnswersFindTheirSender(t *testing.T) {
	r := carry(t, DatagramConfig{Delay: 10 * time.Millisecond})
	a, b := dialUDP(t, r), dialUDP(t, r)
	_, err := a.Write([]byte("a"))
	require.NoError(t, err)
	_, err = b.Write([]byte("b"))
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, receive(t, a, 1, long))
	require.Equal(t, []string{"b"}, receive(t, b, 1, long))
}

func TestSendersAreBounded(t *testing.T) {
	r := carry(t, DatagramConfig{})
	var last net.Conn
	for i := 0; i <= maxPaths; i++ {
		last = dialUDP(t, r)
		_, err := last.Write([]byte("x"))
		require.NoError(t, err)
		if i < maxPaths {
			require.Len(t, receive(t, last, 1, long), 1)
		}
	}
	require.Empty(t, receive(t, last, 1, soon))
	require.Equal(t, uint64(1), r.Counts().Lost)
}

func TestCloseDropsWhatIsDelayed(t *testing.T) {
	r, err := Carry(echoUDP(t), DatagramConfig{Delay: time.Hour})
	require.NoError(t, err)
	c := dialUDP(t, r)
	send(t, c, few)
	require.Eventually(t, func() bool { return r.Counts().Carried == few }, long, time.Millisecond)
	closed := make(chan struct{})
	go func() { r.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(long):
		require.Fail(t, "it waits for what is delayed")
	}
}
