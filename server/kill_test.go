package server

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestKillLeavesNoConnectionOpen: a connection that arrives while the server
// ends is closed like the others, and does not hang for ever.
func TestKillLeavesNoConnectionOpen(t *testing.T) {
	for range 6 {
		cfg := DefaultConfig()
		cfg.Addr, cfg.HTTPAddr, cfg.Logger = "127.0.0.1:0", "", slog.New(slog.NewTextHandler(io.Discard, nil))
		s, err := New(cfg)
		require.NoError(t, err)
		require.NoError(t, s.Start())
		k := &knocker{addr: s.Addr()}
		k.start(8)
		require.Eventually(t, func() bool { return k.count() > 100 }, patience, time.Millisecond)
		s.Kill()
		k.stop.Store(true)
		k.done.Wait()
		for _, c := range k.conns {
			_, _ = c.Write([]byte{0}) // who connected as the port closed learns it only now
			require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
			_, err := io.Copy(io.Discard, c)
			require.False(t, errors.Is(err, os.ErrDeadlineExceeded), "a connection hangs")
			require.NoError(t, c.Close())
		}
	}
}

// knocker opens connections one after the other until it is stopped.
type knocker struct {
	addr  string
	stop  atomic.Bool
	done  sync.WaitGroup
	mu    sync.Mutex // guards conns
	conns []net.Conn
}

// maxKnocks bounds the connections of a knocker.
const maxKnocks = 2000

func (k *knocker) start(doors int) {
	for range doors {
		k.done.Go(func() {
			for !k.stop.Load() && k.count() < maxKnocks {
				// Without a listener a connection within one machine can meet itself.
				if c, err := net.DialTimeout("tcp", k.addr, time.Second); err == nil && c.LocalAddr().String() != k.addr {
					k.mu.Lock()
					k.conns = append(k.conns, c)
					k.mu.Unlock()
				}
			}
		})
	}
}

func (k *knocker) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.conns)
}
