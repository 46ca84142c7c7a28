package client

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

func TestAddressesAreRead(t *testing.T) {
	for list, want := range map[string]string{
		"h:1": "h:1", "h": "h:8081", "h:": "h:8081", "dtask://h:1": "h:1", "DTASK://h/": "h:8081", "dtask://h:": "h:8081",
		"10.0.0.1": "10.0.0.1:8081", "0.0.0.0:1": "0.0.0.0:1", "[::1]": "[::1]:8081", "[::1]:": "[::1]:8081", "[::1]:9": "[::1]:9",
		"dtask://[::1]": "[::1]:8081", "[::]:9": "[::]:9", "[fe80::1%eth0]:9": "[fe80::1%eth0]:9",
		" a:1 , b,dtask://c:3": "a:1 b:8081 c:3", "scheduler.example.com.": "scheduler.example.com.:8081",
	} {
		got, err := ParseAddrs(list)
		require.NoError(t, err, list)
		require.Equal(t, strings.Fields(want), got, list)
		again, err := ParseAddrs(strings.Join(got, ","))
		require.NoError(t, err, list)
		require.Equal(t, got, again, "what was read is read as itself")
	}
}

func TestAddressesThatCannotBeRead(t *testing.T) {
	for list, says := range map[string]string{
		"":                                   "there is no address of a scheduler",
		" , ":                                "there is no address of a scheduler",
		"a:1,,b:2":                           "one of the addresses is empty",
		":8081":                              `the address ":8081" has no host; that of this machine is 127.0.0.1`,
		"dtask://":                           "has no host",
		"dtask://:8081":                      "has no host",
		"h:port":                             `has the port "port", which is no number from 1 to 65535`,
		"h:0":                                "no number from 1 to 65535",
		"h:65536":                            "no number from 1 to 65535",
		"[::1]:0":                            "no number from 1 to 65535",
		"h:-1":                               "no number from 1 to 65535",
		"h:+1":                               "no number from 1 to 65535",
		"::1":                                "has several colons; an IPv6 address stands in brackets, such as [::1]:8081",
		"h:1:2":                              "has several colons",
		"[::1":                               "is no IPv6 address in brackets, such as [::1]:8081",
		"[::1]8081":                          "is no IPv6 address in brackets",
		"[10.0.0.1]:1":                       "is no IPv6 address in brackets",
		"[h]:1":                              "is no IPv6 address in brackets",
		"two words:1":                        "has the host",
		"h/path:1":                           "has the host",
		"1.2.3:4":                            "has the host",
		"http://h:8080":                      "is of an HTTP API; give the address of the native protocol, which is on the next port by default: h:8081",
		"https://[::1]:8080/x":               ": [::1]:8081",
		"http://h":                           "is of an HTTP API",
		"ftp://h:1":                          "is no address of a scheduler; give host:port",
		"://h:1":                             "is no address of a scheduler",
		"a" + strings.Repeat(",a", MaxAddrs): "more than 16 addresses are listed",
	} {
		_, err := ParseAddrs(list)
		var bad *AddressError
		require.ErrorAs(t, err, &bad, list)
		require.Contains(t, bad.Error(), says, list)
		for _, raw := range []string{"missing port", "too many colons", "lookup", "parse "} {
			require.NotContains(t, err.Error(), raw)
		}
		_, err = Dial(within(t), strings.Split(list, ","), nil)
		require.ErrorAs(t, err, &bad, list)
		if !strings.Contains(list, ",") {
			_, err = DialConn(within(t), list, &wire.Hello{}, nil)
			require.ErrorAs(t, err, &bad, list)
		}
	}
}

// FuzzParseAddrs: what is read is an address that every reader of host:port takes.
func FuzzParseAddrs(f *testing.F) {
	for _, list := range []string{"h", "dtask://h:1,[::1]", "[fe80::1%0]:1", "[::ffff:1.2.3.4]", ":", "[]:1", "http://%zz"} {
		f.Add(list)
	}
	f.Fuzz(func(t *testing.T, list string) {
		addrs, err := ParseAddrs(list)
		if err != nil {
			var bad *AddressError
			require.True(t, errors.As(err, &bad))
			return
		}
		require.NotEmpty(t, addrs)
		again, err := ParseAddrs(strings.Join(addrs, ","))
		require.NoError(t, err)
		require.True(t, slices.Equal(addrs, again))
	})
}

func TestAnySpellingOfAnAddressIsDialled(t *testing.T) {
	f := newFake(t)
	for _, addrs := range [][]string{{"dtask://" + f.addr()}, {" " + f.addr() + " "}, {"127.0.0.1:1," + f.addr()}} {
		c, err := Dial(within(t), addrs, nil)
		require.NoError(t, err, addrs)
		require.NoError(t, c.Ping(within(t)))
		require.NoError(t, c.Close())
	}
}
