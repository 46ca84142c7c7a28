package sched

import (
	"encoding/binary"
	"slices"

	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/selector"
	"github.com/dtask/dtask-scheduler/wire"
)

// request is what one task asks for. It is read once, before the task is placed,
// and is valid as long as the message of the task.
type request struct {
	m         *wire.Schedule
	req       *index.Requirement
	preferred *index.Requirement // nil if nothing is preferred
	demand    uint32
	plain     bool                    // tags and a selector alone: the index needs no query
	content   uint64                  // hash of what is asked for
	not       []int32                 // workers that are ruled out
	taken     map[int32]bool          // by the other tasks of a distinct gang, ruled out too
	query     index.Query             // unless it is plain
	fits      func(index.Worker) bool // State.fits of this request
	rank      rank                    // set by who places the task
}

// read checks what a task asks for and fills in the request of an admission. If
// the present turn does not suffice for that it returns notReady.
func (s *State) read(a *admission, m *wire.Schedule) *wire.Error {
	r := &a.request
	r.m, r.preferred, r.taken = m, nil, a.workers
	r.demand, r.plain, r.not = noDemand, a.workers == nil, r.not[:0]
	tagged := s.tagged(m.Tags)
	if r.req = tagged; !m.OnlyTags() || !r.plain {
		if err := s.readMore(a, m); err != nil {
			return err
		}
	}
	r.content = s.contentOf(r, tagged)
	return s.readied(r.req)
}

// readMore reads what a task asks for beside tags.
func (s *State) readMore(a *admission, m *wire.Schedule) (err *wire.Error) {
	r := &a.request
	r.demand = s.demands.find(m.Resources)
	r.not = s.ruleOut(r.not, m.NotWorkers)
	r.query = index.Query{Idle: m.Exclusive}
	r.plain = r.plain && r.demand == noDemand && len(r.not) == 0 && !m.Exclusive && len(m.Policy) == 0
	if !r.plain {
		if err := s.readQuery(a); err != nil {
			return err
		}
	}
	if len(m.SpreadBy) > 0 && r.query.Spread == nil {
		return badField("spread_by", "goes with the policy spread alone")
	}
	if of := a.member; of != nil {
		if r.req = of.req; len(m.Prefer) > 0 {
			r.preferred = of.preferred
		}
		return nil
	}
	mask := s.demands.at(r.demand).mask
	if len(m.Prefer) > 0 {
		if r.preferred, err = s.requirement(m, mask, true); err != nil {
			return err
		}
		if err := s.readied(r.preferred); err != nil {
			return err
		}
	}
	r.req, err = s.requirement(m, mask, false)
	return err
}

// ruleOut appends the workers of a list that are known.
func (s *State) ruleOut(to []int32, raw []byte) []int32 {
	if len(raw) > 0 {
		wire.EachWorker(raw, func(id []byte) bool {
			if n, ok := s.byID[string(id)]; ok {
				to = append(to, n)
			}
			return true
		})
	}
	return to
}

// readQuery fills in the query of a request that is not plain.
func (s *State) readQuery(a *admission) *wire.Error {
	r := &a.request
	d := s.demands.at(r.demand)
	if r.demand != noDemand {
		if d.GPUs > wire.MaxDevices {
			return &wire.Error{Code: wire.CodeBadRequest, Field: "resources", Limit: wire.MaxDevices,
				Message: "the task asks for more GPU devices than a worker can have"}
		}
		s.resolve(d)
		r.query.Needs = d.needs
	}
	if len(r.not) > 0 || r.taken != nil || r.m.Exclusive || d.GPUs > 0 && d.Memory > 0 {
		if r.fits == nil {
			r.fits = func(w index.Worker) bool { return s.fits(r, int32(w)) }
		}
		r.query.Fits = r.fits
	}
	choose, ok := policies[string(r.m.Policy)]
	if !ok {
		return badField("policy", "is none of "+policyNames())
	}
	return choose(s, a)
}

// fits is what the room that the index knows of cannot say of a worker: whether
// it is ruled out, and whether whole devices of a certain size are free.
func (s *State) fits(r *request, n int32) bool {
	if s.excludes(r, n) {
		return false
	}
	d := s.demands.at(r.demand)
	if d.GPUs == 0 || d.Memory == 0 {
		return true // the index's dimensions say all of it
	}
	_, ok := s.pick(s.workers.At(n), d, false)
	return ok
}

// excludes reports whether a request rules a worker out, whatever it offers.
func (s *State) excludes(r *request, n int32) bool {
	return slices.Contains(r.not, n) || r.taken[n] || r.m.Exclusive && s.workers.At(n).http != nil
}

func badField(field, what string) *wire.Error {
	return &wire.Error{Code: wire.CodeBadRequest, Field: field, Message: field + " " + what}
}

// noTags is the raw form of an empty list of tags.
var noTags = []byte{0x90}

// requirement returns the index's form of what a task asks of a worker's tags,
// and of its dimensions, of which mask are needed. The same bytes find it again
// without being decoded.
func (s *State) requirement(m *wire.Schedule, mask uint64, prefer bool) (*index.Requirement, *wire.Error) {
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

// contentOf hashes what a request asks for, its tags and resources in whatever
// encoding and order. It is never 0, which stands for content that is not
// known.
func (s *State) contentOf(r *request, tagged *index.Requirement) uint64 {
	m := r.m
	h := mix(tagged.Hash()^uint64(uint32(m.Priority))^uint64(m.OnPreempt)<<32, hashK1)
	if len(m.Owner)+len(m.Group) > 0 {
		h = hashBytes(hashBytes(h, m.Owner), m.Group)
	}
	if m.OnlyTags() {
		return h | 1
	}
	if r.demand != noDemand {
		h = mix(h^s.demands.at(r.demand).hash, hashK2)
	}
	if m.Exclusive {
		h = mix(h, hashK0)
	}
	for i, text := range [...][]byte{m.Selector, m.Prefer, m.NotWorkers, m.Policy, m.SpreadBy} {
		if len(text) > 0 {
			h = hashBytes(h+uint64(i), text)
		}
	}
	return h | 1
}
