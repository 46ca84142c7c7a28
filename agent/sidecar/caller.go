package sidecar

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/dtask/dtask-scheduler/agent"
)

// connKey finds the connection of a request in its context.
type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// connOf returns the connection of a request, nil for one that came by none.
func connOf(r *http.Request) *counted {
	c, _ := r.Context().Value(connKey{}).(*counted)
	return c
}

// calledBy reports whether a request comes from a process of the task itself,
// which must not be ended before it has the answer. A doubt counts as yes.
func (s *Server) calledBy(r *http.Request, t *agent.Task) bool {
	pids, err := t.Processes()
	if err != nil {
		return true
	}
	if len(pids) == 0 {
		return false
	}
	conn := connOf(r)
	if conn == nil {
		return true
	}
	switch c := conn.Conn.(type) {
	case *net.UnixConn:
		peer, err := peerOf(c)
		return err != nil || slices.Contains(pids, peer)
	case *net.TCPConn:
		socket, err := socketOf(c)
		return err != nil || holds(pids, socket)
	}
	return true
}

// peerOf returns the process that opened a connection over a unix socket.
func peerOf(c *net.UnixConn) (pid int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *syscall.Ucred
	controlled := raw.Control(func(fd uintptr) {
		cred, err = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err = errors.Join(controlled, err); err != nil {
		return 0, err
	}
	return int(cred.Pid), nil
}

// socketOf returns what /proc/PID/fd calls the other end of a connection of this
// machine.
func socketOf(c *net.TCPConn) (string, error) {
	here, there := c.LocalAddr().(*net.TCPAddr), c.RemoteAddr().(*net.TCPAddr)
	local, remote := fmt.Sprintf(":%04X", there.Port), fmt.Sprintf(":%04X", here.Port)
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(table)
		if err != nil {
			continue
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			const localField, remoteField, inode = 1, 2, 9
			fields := strings.Fields(lines.Text())
			if len(fields) > inode && strings.HasSuffix(fields[localField], local) &&
				strings.HasSuffix(fields[remoteField], remote) && fields[inode] != "0" {
				f.Close()
				return "socket:[" + fields[inode] + "]", nil
			}
		}
		f.Close()
	}
	return "", errors.New("sidecar: the caller is not known")
}

// holds reports whether one of the processes has the socket open, or may have it:
// one that lives and may not be looked at.
func holds(pids []int, socket string) bool {
	for _, pid := range pids {
		dir := fmt.Sprintf("/proc/%d/fd/", pid)
		files, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ESRCH) {
			return true
		}
		for _, f := range files {
			if name, err := os.Readlink(dir + f.Name()); err == nil && name == socket {
				return true
			}
		}
	}
	return false
}
