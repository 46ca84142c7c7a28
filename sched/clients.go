package sched

// client is the scope in which task ids are idempotent. It lives as long as a
// session or a lease names it.
type client struct {
	id      string
	hash    uint64
	refs    int
	waiting int     // its waiters
	session Session // that said hello last; 0: none is there
}

// clientTable numbers the clients.
type clientTable struct {
	list []client
	free []int32
	byID map[string]int32
}

// The fixed clients.
const (
	noClient   int32 = 0 // sessions without a client id: their tasks have no key
	httpClient int32 = 1 // the HTTP gateway: its keys are Idempotency-Key headers
)

func newClientTable(seed uint64) clientTable {
	return clientTable{
		list: []client{{hash: seed}, {hash: mix(seed^hashK1, hashK2)}},
		byID: map[string]int32{},
	}
}

// hold returns the number of a client and counts one more holder of it.
func (t *clientTable) hold(id []byte) int32 {
	if len(id) == 0 {
		return noClient
	}
	if n, ok := t.byID[string(id)]; ok {
		t.list[n].refs++
		return n
	}
	c := client{id: string(id), hash: hashBytes(t.list[noClient].hash, id), refs: 1}
	var n int32
	if k := len(t.free); k > 0 {
		n, t.free = t.free[k-1], t.free[:k-1]
		t.list[n] = c
	} else {
		n = int32(len(t.list))
		t.list = append(t.list, c)
	}
	t.byID[c.id] = n
	return n
}

// holdAgain counts one more holder of a client.
func (t *clientTable) holdAgain(n int32) {
	if n > httpClient {
		t.list[n].refs++
	}
}

// drop counts one holder less; the last one frees the number.
func (t *clientTable) drop(n int32) {
	if n > httpClient {
		t.dropHeld(n)
	}
}

func (t *clientTable) dropHeld(n int32) {
	c := &t.list[n]
	if c.refs--; c.refs == 0 {
		delete(t.byID, c.id)
		*c = client{}
		t.free = append(t.free, n)
	}
}
