package sched

import (
	"encoding/binary"
	"slices"

	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/selector"
	"github.com/dtask/dtask-scheduler/wire"
)

// asking is the request that is being placed. It is read once and reused, so
// that a request allocates nothing.
type asking struct {
	demand    uint32
	exclusive bool
	content   uint64         // hash of what is asked for
	plain     bool           // tags and a selector alone: the index needs no query
	not       []int32        // workers that are ruled out
	taken     map[int32]bool // by the other tasks of a distinct gang, ruled out too
	query     index.Query
	fits      func(index.Worker) bool // State.fits
	waiting   *member                 // what the task of a waiter requires, nil for others
}

// read checks what a request asks for beside its tags, notes it in s.asking,
// and returns its requirement.
func (s *State) read(m *wire.Schedule, b *set) (*index.Requirement, *wire.Error) {
	a := &s.asking
	a.demand, a.exclusive, a.taken = s.demands.find(m.Resources), m.Exclusive, nil
	if b != nil {
		a.taken = b.workers
	}
	s.ruleOut(m.NotWorkers)
	a.query = index.Query{Idle: a.exclusive}
	a.plain = a.demand == noDemand && len(a.not) == 0 && a.taken == nil && !a.exclusive && len(m.Policy) == 0
	if !a.plain {
		if err := s.readQuery(m, b); err != nil {
			return nil, err
		}
	}
	if len(m.SpreadBy) > 0 && a.query.Spread == nil {
		return nil, badField("spread_by", "goes with the policy spread alone")
	}
	req := s.tagged(m.Tags)
	a.content = s.contentOf(m, req)
	if len(m.Prefer) > 0 {
		preferred, err := s.requirement(m, true)
		if err != nil {
			return nil, err
		}
		if _, err := s.readied(preferred); err != nil {
			return nil, err
		}
	} else if len(m.Selector) == 0 && a.demand == noDemand {
		return s.readied(req)
	}
	req, err := s.requirement(m, false)
	if err != nil {
		return nil, err
	}
	return s.readied(req)
}

// ruleOut notes the workers of a list that are known.
func (s *State) ruleOut(raw []byte) {
	a := &s.asking
	if a.not = a.not[:0]; len(raw) > 0 {
		wire.EachWorker(raw, func(id []byte) bool {
			if n, ok := s.byID[string(id)]; ok {
				a.not = append(a.not, n)
			}
			return true
		})
	}
}

// readQuery fills in the query of a request that is not plain.
func (s *State) readQuery(m *wire.Schedule, b *set) *wire.Error {
	a := &s.asking
	if a.demand != noDemand {
		d := s.demands.at(a.demand)
		if d.gpus > wire.MaxDevices {
			return &wire.Error{Code: wire.CodeBadRequest, Field: "resources", Limit: wire.MaxDevices,
				Message: "the task asks for more GPU devices than a worker can have"}
		}
		s.resolve(d)
		a.query.Needs = d.needs
	}
	d := s.demands.at(a.demand)
	if len(a.not) > 0 || a.taken != nil || a.exclusive || d.gpus > 0 && d.memory > 0 {
		a.query.Fits = a.fits
	}
	choose, ok := policies[string(m.Policy)]
	if !ok {
		return badField("policy", "is none of "+policyNames())
	}
	return choose(s, m, b, &a.query)
}

func badField(field, what string) *wire.Error {
	return &wire.Error{Code: wire.CodeBadRequest, Field: field, Message: field + " " + what}
}

// fits is what the room that the index knows of cannot say of a worker: whether
// it is ruled out, and whether whole devices of a certain size are free.
func (s *State) fits(w index.Worker) bool {
	a, n := &s.asking, int32(w)
	if slices.Contains(a.not, n) || a.taken[n] {
		return false
	}
	if a.exclusive && s.workers.at(n).http != nil {
		return false
	}
	d := s.demands.at(a.demand)
	if d.gpus == 0 || d.memory == 0 {
		return true // the index's dimensions say all of it
	}
	_, ok := s.pick(s.workers.at(n), d, false)
	return ok
}

// choose returns the worker for the request in s.asking, and the devices that
// the task takes there.
func (s *State) choose(m *wire.Schedule, req *index.Requirement) (int32, uint64, wire.Code) {
	d := s.demands.at(s.asking.demand)
	if !d.known && s.asking.demand != noDemand {
		return 0, 0, s.noRoom(nil)
	}
	n, outcome := int32(0), index.None
	if len(m.Prefer) > 0 {
		if preferred, err := s.requirement(m, true); err == nil {
			n, outcome = s.find(preferred)
		}
		req, _ = s.requirement(m, false)
	}
	if outcome != index.Found {
		n, outcome = s.find(req)
	}
	switch {
	case outcome == index.Found:
		devices, ok := s.pick(s.workers.at(n), d, s.asking.exclusive)
		if !ok {
			panic("sched: the index found devices that are not free")
		}
		return n, devices, wire.CodeOK
	case outcome == index.Limited:
		s.count.limited++
		return 0, 0, wire.CodeSearchLimit
	}
	return 0, 0, s.noRoom(req)
}

// find asks the index. A worker whose silence nobody noticed yet is not given
// anything.
func (s *State) find(req *index.Requirement) (int32, index.Outcome) {
	for {
		var n index.Worker
		outcome := index.None
		if s.asking.plain {
			if w, ok := s.index.Least(req); ok {
				n, outcome = w, index.Found
			}
		} else {
			n, outcome = s.index.Find(req, &s.asking.query)
		}
		if outcome != index.Found {
			return 0, outcome
		}
		w := s.workers.at(int32(n))
		if s.now < w.seen+s.quiet(w) {
			return int32(n), outcome
		}
		s.setPresence(int32(n), suspicious)
		s.timers.set(int32(n), w.seen+s.goneAfter(w))
	}
}

// verdict names a question that feasible has answered.
type verdict struct {
	req       *index.Requirement
	demand    uint64 // its serial
	exclusive bool
}

// verdictsKept bounds the answers that are remembered.
const verdictsKept = 4096

// feasible reports whether a known worker, busy or silent as it may be, could
// take the request in s.asking. The answer is kept until a kit comes or goes.
func (s *State) feasible(req *index.Requirement) bool {
	a := &s.asking
	switch {
	case a.demand == noDemand && !a.exclusive && len(a.not) == 0 && len(a.taken) == 0 && s.count.slotless == 0:
		return s.index.AnyMatch(req)
	case len(a.not) > 0 || len(a.taken) > 0:
		return s.anyAble(req)
	}
	v := verdict{req, s.demands.at(a.demand).serial, a.exclusive}
	able, known := s.verdicts[v]
	if !known {
		if len(s.verdicts) >= verdictsKept {
			clear(s.verdicts)
		}
		able = s.anyAble(req)
		s.verdicts[v] = able
	}
	return able
}

// ableVisits bounds the workers that are looked at to find out whether a request can
// ever be taken. Where they are more, and none of these can, one of the others may.
const ableVisits = index.VisitBudget

// anyAble looks for a worker that could take the request if it were idle.
func (s *State) anyAble(req *index.Requirement) bool {
	a, d := &s.asking, s.demands.at(s.asking.demand)
	walk, left := s.index.Matching(req, 0), ableVisits
	for k, matches, ok := walk.Next(); ok; k, matches, ok = walk.Next() {
		if left--; left < 0 {
			return true
		}
		s.spend(1)
		n := int32(k)
		w := s.workers.at(n)
		if matches && w.slots > 0 && w.kit.canTake(d) && !slices.Contains(a.not, n) && !a.taken[n] && (!a.exclusive || w.http == nil) {
			return true
		}
	}
	return false
}

// noTags is the raw form of an empty list of tags.
var noTags = []byte{0x90}

// requirement returns the index's form of what a request asks of a worker's
// tags and dimensions. The same bytes find it again without being decoded. It
// is valid until the next call.
func (s *State) requirement(m *wire.Schedule, prefer bool) (*index.Requirement, *wire.Error) {
	if of := s.asking.waiting; of != nil && prefer {
		return of.preferred, nil
	} else if of != nil {
		return of.req, nil
	}
	mask := s.demands.at(s.asking.demand).mask
	if len(m.Selector) == 0 && !prefer && mask == 0 {
		return s.tagged(m.Tags), nil
	}
	key := append(s.keyBuf[:0], m.Tags...)
	key = binary.LittleEndian.AppendUint64(key, mask)
	key = binary.AppendUvarint(key, uint64(len(m.Selector)))
	key = append(key, m.Selector...)
	if prefer {
		key = append(key, m.Prefer...)
	}
	s.keyBuf = key
	if r := s.known(key); r != nil {
		return r, nil
	}
	s.spend(parseWork * (len(m.Selector) + len(m.Prefer)))
	where, err := parse("selector", m.Selector)
	if err != nil {
		return nil, err
	}
	if prefer {
		preferred, err := parse("prefer", m.Prefer)
		if err != nil {
			return nil, err
		}
		where = selector.All(where, preferred)
	}
	return s.pin(key, s.index.InternSpec(key, index.Spec{Tags: tagsOf(m.Tags), Where: where, Dims: mask})), nil
}

// parse reads an expression.
func parse(field string, text []byte) (*selector.Expr, *wire.Error) {
	e, err := selector.Parse(string(text))
	if err == nil {
		return e, nil
	}
	bad := badField(field, err.Error())
	if at, ok := err.(*selector.Error); ok {
		bad.Limit = uint64(at.Limit)
	}
	return nil, bad
}

// tagged returns the index's form of a raw list of tags alone.
func (s *State) tagged(raw []byte) *index.Requirement {
	if len(raw) == 0 {
		raw = noTags
	}
	if r := s.known(raw); r != nil {
		return r
	}
	s.spend(parseWork * len(raw))
	return s.pin(raw, s.index.Intern(raw, tagsOf(raw)))
}

// known returns the requirement that stands behind a key, nil if it must be read
// first.
func (s *State) known(key []byte) *index.Requirement {
	if len(key) > index.MaxKey {
		return s.pinned[string(key)]
	}
	return s.index.Lookup(key)
}

// pin keeps a requirement for the rest of its job whose key is too long for the
// index to keep it.
func (s *State) pin(key []byte, r *index.Requirement) *index.Requirement {
	if len(key) > index.MaxKey && s.hasty {
		if s.pinned == nil {
			s.pinned = map[string]*index.Requirement{}
		}
		s.pinned[string(key)] = r
	}
	return r
}

func tagsOf(raw []byte) []string {
	var tags []string
	wire.EachTag(raw, func(tag []byte) bool {
		tags = append(tags, string(tag))
		return true
	})
	return tags
}

// contentOf hashes what a task asks for, its tags and resources in whatever
// encoding and order. It is never 0, which stands for content that is not
// known.
func (s *State) contentOf(m *wire.Schedule, tagged *index.Requirement) uint64 {
	h := mix(tagged.Hash()^uint64(uint32(m.Priority))^uint64(m.OnPreempt)<<32, hashK1)
	if len(m.Owner)+len(m.Group) > 0 {
		h = hashBytes(hashBytes(h, m.Owner), m.Group)
	}
	if s.asking.demand != noDemand {
		h = mix(h^s.demands.at(s.asking.demand).hash, hashK2)
	}
	if m.Exclusive {
		h = mix(h, hashK0)
	}
	if len(m.Selector)+len(m.Prefer)+len(m.NotWorkers)+len(m.Policy)+len(m.SpreadBy) > 0 {
		for i, text := range [...][]byte{m.Selector, m.Prefer, m.NotWorkers, m.Policy, m.SpreadBy} {
			if len(text) > 0 {
				h = hashBytes(h+uint64(i), text)
			}
		}
	}
	return h | 1
}
