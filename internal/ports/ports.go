// Package ports finds ports for tests that name a port before they listen on it:
// a scheduler that is started again where it was, or a program that takes its
// port as a flag. Port 0 does not serve them: while nothing listens there, the
// system may give the port to an outgoing connection of another test.
package ports

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// Ports are taken from this range, below those of outgoing connections (from
// 32,768 on by default).
const (
	first = 21_000
	last  = 32_000
)

// Row returns the first of n ports in a row that are free on loopback for TCP
// and UDP. They stay reserved until the test ends, among all processes that use
// this package.
func Row(t testing.TB, n int) int {
	t.Helper()
	for port := first + os.Getpid()*7%(last-first-n); port+n <= last; port++ {
		if reserved := reserve(port, n); reserved != nil {
			t.Cleanup(func() { closeAll(reserved) })
			return port
		}
	}
	t.Fatalf("no %d ports in a row are free between %d and %d", n, first, last)
	return 0
}

// Addr returns an address of loopback with a port that Row finds.
func Addr(t testing.TB) string {
	t.Helper()
	return address(Row(t, 1))
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// reserve locks a file for each port. It returns nil if a port is reserved or in
// use.
func reserve(port, n int) (locks []*os.File) {
	for p := port; p < port+n; p++ {
		f, err := os.OpenFile(filepath.Join(os.TempDir(), fmt.Sprintf("dtask-port-%d", p)), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			closeAll(locks)
			return nil
		}
		locks = append(locks, f)
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil || !free(p) {
			closeAll(locks)
			return nil
		}
	}
	return locks
}

// free reports whether nothing listens on a port.
func free(port int) bool {
	l, err := net.Listen("tcp", address(port))
	if err != nil {
		return false
	}
	defer func() { _ = l.Close() }()
	u, err := net.ListenPacket("udp", address(port))
	if err != nil {
		return false
	}
	return u.Close() == nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
