package index

// MaxKey is the length of the longest key that is cached, in bytes, so that the cache is bounded in
// bytes too.
const MaxKey = 8 << 10

// aliasesKept is how many callers' keys one requirement keeps: the same tags come in several orders
// and encodings. A further key takes the place of the oldest.
const aliasesKept = 4

// matchesKept bounds the groups listed by all cached requirements together (38 bytes each). Beyond
// it the lists of the requirements that were not used for longest are dropped and built again on
// their next use.
const matchesKept = 1 << 20

// A cache keeps requirements by the callers' keys and by their tags. The one that was not used for
// longest is evicted when a new one finds no place.
type cache struct {
	byKey       map[string]*Requirement // by the callers' keys
	byTags      map[string]*Requirement // by Requirement.canonical
	newest      *Requirement
	oldest      *Requirement
	size        int // requirements kept at most, at least 1
	matches     int // groups listed by all cached requirements
	matchesKept int // limit of matches; the constant, smaller in tests
}

// touch makes a cached requirement the one that was used last.
func (c *cache) touch(r *Requirement) {
	if c.newest == r {
		return
	}
	c.unlink(r)
	c.push(r)
}

// push puts a requirement at the newest end of the list.
func (c *cache) push(r *Requirement) {
	r.older, r.newer = c.newest, nil
	if c.newest != nil {
		c.newest.newer = r
	} else {
		c.oldest = r
	}
	c.newest = r
}

// unlink takes a requirement out of the list.
func (c *cache) unlink(r *Requirement) {
	if r.newer != nil {
		r.newer.older = r.older
	} else {
		c.newest = r.older
	}
	if r.older != nil {
		r.older.newer = r.newer
	} else {
		c.oldest = r.newer
	}
	r.newer, r.older = nil, nil
}

// add keeps a new requirement.
func (c *cache) add(r *Requirement) {
	if len(c.byTags) >= c.size {
		c.evict(c.oldest)
	}
	c.byTags[r.canonical] = r
	c.push(r)
	r.cached = true
}

// evict forgets a requirement and its aliases.
func (c *cache) evict(r *Requirement) {
	c.unlink(r)
	delete(c.byTags, r.canonical)
	for _, key := range r.aliases {
		delete(c.byKey, key)
	}
	c.matches -= r.counted
	r.counted, r.aliases, r.cached = 0, nil, false
}

// alias makes a caller's key stand for a cached requirement.
func (c *cache) alias(key string, r *Requirement) {
	if old := c.byKey[key]; old != nil {
		c.unalias(key, old)
	}
	if len(r.aliases) == aliasesKept {
		c.unalias(r.aliases[0], r)
	}
	r.aliases = append(r.aliases, key)
	c.byKey[key] = r
}

// unalias forgets a caller's key.
func (c *cache) unalias(key string, r *Requirement) {
	delete(c.byKey, key)
	kept := r.aliases[:0]
	for _, k := range r.aliases {
		if k != key {
			kept = append(kept, k)
		}
	}
	clear(r.aliases[len(kept):])
	r.aliases = kept
}

// resized counts the groups that a requirement lists now, and drops the lists of
// others that were not used for long while there are too many.
func (c *cache) resized(r *Requirement) {
	if !r.cached {
		return
	}
	c.matches += len(r.groups) - r.counted
	r.counted = len(r.groups)
	for old := c.oldest; old != nil && c.matches > c.matchesKept; old = old.newer {
		if old != r {
			c.matches -= old.counted
			old.counted = 0
			old.drop()
		}
	}
}
