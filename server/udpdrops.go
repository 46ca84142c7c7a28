package server

import (
	"bufio"
	"os"
	"strconv"
	"strings"
)

// Columns of the kernel's list of UDP sockets.
const (
	udpInode = 9
	udpDrops = 12
)

// kernelDrops returns how many datagrams the kernel dropped because the buffer
// of the socket was full, and whether it says so.
func kernelDrops(inode uint64) (n uint64, ok bool) {
	for _, list := range []string{"/proc/self/net/udp", "/proc/self/net/udp6"} {
		if n, ok := dropsIn(list, strconv.FormatUint(inode, 10)); ok {
			return n, true
		}
	}
	return 0, false
}

func dropsIn(list, inode string) (n uint64, ok bool) {
	f, err := os.Open(list)
	if err != nil {
		return 0, false
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		columns := strings.Fields(lines.Text())
		if len(columns) <= udpDrops || columns[udpInode] != inode {
			continue
		}
		n, err := strconv.ParseUint(columns[udpDrops], 10, 64)
		return n, err == nil
	}
	return 0, false
}
