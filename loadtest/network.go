package loadtest

import (
	"net/netip"

	"github.com/dtask/dtask-scheduler/loadtest/proxy"
)

// badNetwork is what stands between workers, clients and the scheduler in a run with
// faults. Its parts are nil where nothing passes.
type badNetwork struct {
	native, web *proxy.Proxy
	datagrams   *proxy.Relay
}

// network returns the addresses of the scheduler, and puts a bad network
// between if there are to be faults.
func (r *run) network() error {
	c := &r.cfg
	r.beatsTo = r.to
	http := c.HTTPAddr
	if c.Faults {
		if err := r.bad.open(c); err != nil {
			return err
		}
		r.to = netip.MustParseAddrPort(r.bad.native.Addr())
		if r.bad.datagrams != nil {
			r.beatsTo = netip.MustParseAddrPort(r.bad.datagrams.Addr())
		}
		if r.bad.web != nil {
			http = r.bad.web.Addr()
		}
	}
	if c.Transport.has(HTTP) {
		r.web = newWeb(http)
	}
	return nil
}

func (b *badNetwork) open(c *Config) (err error) {
	usual := proxy.Usual(c.Seed)
	if b.native, err = proxy.Listen(c.Addr, usual); err != nil {
		return err
	}
	if c.Transport.has(UDP) {
		if b.datagrams, err = proxy.Carry(c.Addr, proxy.UsualDatagrams(c.Seed, c.Heartbeat)); err != nil {
			return err
		}
	}
	if c.Transport.has(HTTP) {
		usual.Opaque = true
		b.web, err = proxy.Listen(c.HTTPAddr, usual)
	}
	return err
}

// calm ends the faults of the network.
func (b *badNetwork) calm() {
	for _, p := range []*proxy.Proxy{b.native, b.web} {
		if p != nil {
			p.Calm()
		}
	}
	if b.datagrams != nil {
		b.datagrams.Calm()
	}
}

// counts returns how often each fault happened.
func (b *badNetwork) counts() (sum proxy.Counts, datagrams proxy.DatagramCounts) {
	for _, p := range []*proxy.Proxy{b.native, b.web} {
		if p != nil {
			sum.Add(p.Counts())
		}
	}
	if b.datagrams != nil {
		datagrams = b.datagrams.Counts()
	}
	return sum, datagrams
}

func (b *badNetwork) close() {
	for _, p := range []*proxy.Proxy{b.native, b.web} {
		if p != nil {
			p.Close()
		}
	}
	if b.datagrams != nil {
		b.datagrams.Close()
	}
}
