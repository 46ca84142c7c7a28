package server

import "github.com/dtask/dtask-scheduler/wire"

const (
	// turnRows is how many rows of a list one turn describes.
	turnRows = 128
	// gatherBytes bounds the frame of a page that is gathered in turns.
	gatherBytes = wire.MaxFrame * 3 / 4
)

// isList reports whether a message asks for a list.
func isList(m wire.Message) bool {
	switch m.(type) {
	case *wire.ListWorkers, *wire.ListLeases, *wire.ListTags, *wire.ListEvents, *wire.ListEnded, *wire.ListQueue:
		return true
	}
	return false
}

// gather puts a page of a list together from the smaller pages of its turns.
type gather struct {
	ask    wire.Message // the list that was asked for
	part   wire.Message // the part that the next turn asks for
	limit  *uint32      // of part
	most   int          // rows of the page
	page   wire.Message // so far
	rows   int
	size   int // of the frame, about
	buffer []byte
}

func newGather(ask wire.Message) *gather {
	g := &gather{ask: ask}
	switch m := ask.(type) {
	case *wire.ListWorkers:
		part := *m
		g.part, g.limit = &part, &part.Limit
	case *wire.ListLeases:
		part := *m
		g.part, g.limit = &part, &part.Limit
	case *wire.ListTags:
		part := *m
		g.part, g.limit = &part, &part.Limit
	case *wire.ListEvents:
		part := *m
		g.part, g.limit = &part, &part.Limit
	case *wire.ListEnded:
		part := *m
		g.part, g.limit = &part, &part.Limit
	case *wire.ListQueue:
		part := *m
		g.part, g.limit = &part, &part.Limit
	}
	if g.most = int(*g.limit); g.most == 0 || g.most > wire.MaxPage {
		g.most = wire.MaxPage
	}
	*g.limit = uint32(min(g.most, turnRows))
	return g
}

// join adds the answer of a turn. It returns the page when it is complete: it
// has its rows, or the list is over, or the turn ended for another reason than
// its number of rows.
func (g *gather) join(answer wire.Message) (page wire.Message, done bool) {
	g.buffer = wire.Append(g.buffer[:0], 0, answer)
	if g.size += len(g.buffer); g.page != nil && g.size > gatherBytes {
		return g.page, true // the next page begins with this part
	}
	rows, more := g.add(answer)
	if g.page == nil {
		return answer, true // no list, but an error
	}
	g.rows += rows
	if !more || rows < int(*g.limit) || g.rows >= g.most {
		return g.page, true
	}
	*g.limit = uint32(min(g.most-g.rows, turnRows))
	return nil, false
}

// add adds the rows of a turn to the page and has the next part begin behind
// them. It returns how many they are, and whether more may follow.
func (g *gather) add(answer wire.Message) (rows int, more bool) {
	first := g.page == nil
	switch a := answer.(type) {
	case *wire.Workers:
		p, part := joined(g, a), g.part.(*wire.ListWorkers)
		if !first {
			p.Rows, p.Next = append(p.Rows, a.Rows...), a.Next
		}
		part.After, rows, more = a.Next, len(a.Rows), a.Next != ""
	case *wire.Leases:
		p, part := joined(g, a), g.part.(*wire.ListLeases)
		if !first {
			p.Rows, p.Next, p.Matched = append(p.Rows, a.Rows...), a.Next, p.Matched+a.Matched
		}
		part.After, rows, more = a.Next, len(a.Rows), a.Next != 0
	case *wire.Tags:
		p, part := joined(g, a), g.part.(*wire.ListTags)
		if !first {
			p.Rows, p.Next = append(p.Rows, a.Rows...), a.Next
		}
		part.After, rows, more = a.Next, len(a.Rows), a.Next != ""
	case *wire.Events:
		p, part := joined(g, a), g.part.(*wire.ListEvents)
		if !first {
			p.Rows, p.Next, p.Missed = append(p.Rows, a.Rows...), a.Next, p.Missed+a.Missed
		}
		if rows = len(a.Rows); rows > 0 {
			part.After = a.Rows[rows-1].Number
		}
		more = part.After < a.Next
	case *wire.EndedLeases:
		p, part := joined(g, a), g.part.(*wire.ListEnded)
		if !first {
			p.Rows, p.Next = append(p.Rows, a.Rows...), a.Next
		}
		part.Before, rows, more = a.Next, len(a.Rows), a.Next != 0
	case *wire.Queue:
		p, part := joined(g, a), g.part.(*wire.ListQueue)
		if !first {
			p.Rows, p.Next, p.Matched = append(p.Rows, a.Rows...), a.Next, p.Matched+a.Matched
		}
		part.After, rows, more = a.Next, len(a.Rows), a.Next != 0
	}
	return rows, more
}

// joined returns the page so far, which is the answer of the first turn.
func joined[M wire.Message](g *gather, answer M) M {
	if g.page == nil {
		g.page = answer
	}
	return g.page.(M)
}
