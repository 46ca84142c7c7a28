package gateway

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/dtask/dtask-scheduler/spell"
	"github.com/dtask/dtask-scheduler/wire"
)

// params reads the parameters of a list, and keeps the first fault.
type params struct {
	values url.Values
	known  []string // that the list has
	fault  *wire.Error
	told   bool // what the list does not have
}

func paramsOf(r *http.Request) *params {
	return &params{values: r.URL.Query(), known: []string{strictParam}}
}

// texts returns all values of a parameter.
func (p *params) texts(name string) []string {
	p.known = append(p.known, name)
	return p.values[name]
}

// text returns the value of a parameter, "" if it is missing.
func (p *params) text(name string) string {
	if all := p.texts(name); len(all) > 0 {
		return all[0]
	}
	return ""
}

// bad keeps what is wrong with a parameter.
func (p *params) bad(name, what string, limit uint64) {
	if p.fault == nil {
		p.fault = &wire.Error{Code: wire.CodeBadRequest, Field: name, Message: name + " " + what, Limit: limit}
	}
}

// number returns a parameter that is a number in least..most, or 0 if it is
// missing.
func (p *params) number(name string, least, most uint64) uint64 {
	s := p.text(name)
	if s == "" {
		return 0
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n < least || n > most {
		p.bad(name, fmt.Sprintf("must be a number in %d..%d", least, most), most)
		return 0
	}
	return n
}

// limit returns how many rows a page may have, 0 for as many as there can be.
func (p *params) limit() uint32 { return uint32(p.number("limit", 1, wire.MaxPage)) }

// cursor returns a cursor that is a number, 0 for none.
func (p *params) cursor(name string) uint64 { return p.number(name, 0, math.MaxInt64) }

// state returns the state of leases that are asked for, wire.StateNone for all.
func (p *params) state() wire.State {
	name := p.text("state")
	if name == "" {
		return wire.StateNone
	}
	for s := wire.StateGranted; s < wire.StateEnded; s++ {
		if s.String() == name {
			return s
		}
	}
	p.bad("state", "must be granted, asked_back, begun or assumed", 0)
	return wire.StateNone
}

// flag returns a parameter that is true or false, false if it is missing.
func (p *params) flag(name string) bool {
	switch p.text(name) {
	case "true":
		return true
	case "", "false":
	default:
		p.bad(name, "must be true or false", 0)
	}
	return false
}

// visible replaces what a header cannot hold.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// settled ends the reading of parameters: it warns of those that the list does
// not have, and reports false after it has refused the request.
func (p *params) settled(c *call) bool {
	isStrict, e := strict(c.r)
	if e == nil {
		e = p.fault
	}
	for _, name := range slices.Sorted(maps.Keys(p.values)) {
		if slices.Contains(p.known, name) || p.told {
			continue
		}
		k := unknownKey{clipped(name), spell.Nearest(name, p.known)}
		if e == nil && isStrict {
			e = &wire.Error{Code: wire.CodeBadRequest, Field: k.path, Message: k.String()}
		}
		c.warn(k.String())
		c.Header().Add(warningHeader, visible(k.String()))
	}
	p.told = true
	switch {
	case e == nil:
		return true
	case c.acceptsJSON() || isStrict:
		c.refuse(e)
	default:
		c.code = e.Code
		c.text(http.StatusBadRequest, e.Message)
	}
	return false
}
