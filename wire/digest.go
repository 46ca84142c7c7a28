package wire

// Digest returns 64 bits that stand for id. The digest of a worker is the XOR
// of those of its leases that run: it says whether two ends know of the same
// leases, and follows each begin and end without a look at the others. It
// guards against mistakes, not against forgery.
func (id LeaseID) Digest() uint64 {
	grantor := uint64(id.Epoch)<<32 | uint64(id.Instance)
	return mix(mix(grantor+0x9e3779b97f4a7c15) + id.Counter)
}

// mix spreads each bit of x over all bits; no two numbers give the same.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
