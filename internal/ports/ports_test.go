package ports

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestARowIsReservedUntilItsTestEnds(t *testing.T) {
	var taken int
	t.Run("while it runs", func(t *testing.T) {
		taken = Row(t, 3)
		for p := taken; p < taken+3; p++ {
			require.Nil(t, reserve(p, 1), "port %d", p)
		}
		other := Row(t, 3)
		require.True(t, other+3 <= taken || taken+3 <= other, "%d and %d overlap", taken, other)
	})
	again := reserve(taken, 3)
	require.NotNil(t, again)
	closeAll(again)
}

func TestAPortInUseIsPassedOver(t *testing.T) {
	addr := Addr(t)
	for _, listen := range []func() (interface{ Close() error }, error){
		func() (interface{ Close() error }, error) { return net.Listen("tcp", addr) },
		func() (interface{ Close() error }, error) { return net.ListenPacket("udp", addr) },
	} {
		l, err := listen()
		require.NoError(t, err)
		_, port, err := net.SplitHostPort(addr)
		require.NoError(t, err)
		number, err := net.LookupPort("tcp", port)
		require.NoError(t, err)
		require.False(t, free(number))
		require.NoError(t, l.Close())
		require.True(t, free(number))
	}
}
