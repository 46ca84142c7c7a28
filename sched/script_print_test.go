package sched

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/wire"
)

// flush prints what the core wants sent, one line for each message.
func (c *script) flush() {
	for i := range c.out.Items {
		it := &c.out.Items[i]
		if text := c.text(it); text != "" {
			fmt.Fprintf(&c.print, "%s <- %s\n", c.names[it.To], text)
		}
	}
}

func (c *script) text(it *Item) string {
	switch m := it.Message().(type) {
	case *wire.HelloOK:
		return ""
	case *wire.Placed:
		return c.placed(m, c.request[it.Request])
	case *wire.PlacedAll:
		parts := []string{}
		for i := range m.Results {
			r := &m.Results[i]
			if r.Code != wire.CodeOK {
				parts = append(parts, refusedText(r))
				continue
			}
			parts = append(parts, c.placed(&r.Placed, "-"))
		}
		return strings.Join(parts, "; ") + retryText(m.RetryAfterMS)
	case *wire.Settled:
		if m.Result.Code != wire.CodeOK {
			return fmt.Sprintf("settled %d: %v", m.Index, refusedText(&m.Result))
		}
		return fmt.Sprintf("settled %d: %s", m.Index, c.placed(&m.Result.Placed, "-"))
	case *wire.Cancelled:
		return fmt.Sprintf("cancelled %d", m.Count)
	case *wire.Released:
		return strings.TrimSpace(fmt.Sprintf("released: %v %v", m.Code, reasonText(m.Reason)))
	case *wire.Renewed:
		parts := []string{}
		for _, l := range m.Leases {
			parts = append(parts, strings.TrimSpace(fmt.Sprintf("%v %v", l.State, reasonText(l.Reason))))
		}
		return "renewed: " + strings.Join(parts, ", ")
	case *wire.Registered:
		worker := c.request[it.Request]
		c.handles[c.names[it.To]+" "+worker] = m.Handle
		return fmt.Sprintf("registered %s under %d/%d", worker, m.Grantor.Epoch, m.Grantor.Instance)
	case *wire.Revoke:
		return fmt.Sprintf("revoke %s handle=%d", c.leases[m.Lease], m.Handle)
	case *wire.Ended:
		return "ended " + c.request[it.Request]
	case *wire.Preempt:
		return fmt.Sprintf("preempt %s grace=%gs (%s)", c.leases[m.Lease], float64(m.GraceMS)/1000, m.Reason)
	case *wire.Notice:
		name, ok := c.leases[m.Lease]
		if !ok {
			name = "a lease nobody was told of"
		}
		return strings.TrimSpace(fmt.Sprintf("notice %s %s: %v grace=%gs %s", m.Task, name, m.News, float64(m.GraceMS)/1000, reasonText(m.Reason)))
	case *wire.Cordoned:
		return fmt.Sprintf("cordoned changed=%v", m.Changed)
	case *wire.Superseded:
		return fmt.Sprintf("superseded %s incarnation=%d", m.Worker, m.Incarnation)
	case *wire.Error:
		if m.Code == wire.CodeDeviceInUse || m.Code == wire.CodeWorkerInUse || m.Field == "devices" {
			return fmt.Sprintf("error %v %s retry=%gs: %s", m.Code, m.Field, float64(m.RetryAfterMS)/1000, m.Message)
		}
		text := strings.TrimSpace(fmt.Sprintf("error %v %s", m.Code, m.Field)) + retryText(m.RetryAfterMS)
		if shared := refusals[m.Code]; shared != nil && m.Field == "" && m.RetryAfterMS == 0 && m.Message != shared.Message && m.Message != busy.Message {
			text += ": " + m.Message
		}
		for _, over := range []*wire.Error{waitIsOver, nobodyCame} {
			if _, why, ok := strings.Cut(m.Message, over.Message+": "); ok {
				text += ": " + why
			}
		}
		return text
	}
	return it.Kind.String()
}

func refusedText(r *wire.BatchResult) string {
	if r.Message != "" {
		return r.Code.String() + ": " + r.Message
	}
	return r.Code.String()
}

func retryText(ms uint32) string {
	if ms == 0 {
		return ""
	}
	return fmt.Sprintf(" retry=%gs", float64(ms)/1000)
}

func (c *script) placed(m *wire.Placed, task string) string {
	name, ok := c.leases[m.Lease]
	if !ok {
		name = fmt.Sprintf("L%d", len(c.ids)+1)
		c.leases[m.Lease], c.ids[name] = name, m.Lease
	}
	worker, address := wire.ReadTarget(m.Target)
	text := fmt.Sprintf("placed %s: %s on %s at %s incarnation=%d ttl=%gs", task, name, worker, address, m.Incarnation, float64(m.TTLMS)/1000)
	for bit, flag := range []string{"repeat", "begun", "asked_back", "best_effort"} {
		if m.Flags&(1<<bit) != 0 {
			text += " " + flag
		}
	}
	if m.Devices != 0 {
		text += fmt.Sprintf(" devices=%v", capacity.Bits(m.Devices))
	}
	return text
}

func reasonText(r wire.Reason) string {
	if r == wire.ReasonNone {
		return ""
	}
	return r.String()
}

// show prints a listing.
func (c *script) show(verb string, words []string, args map[string]string) {
	switch verb {
	case "stats":
		st := c.s.stats()
		fmt.Fprintf(&c.print, "workers %d/%d/%d slots %d/%d granted %d asked_back %d begun %d assumed %d\n", st.Online, st.Suspicious,
			st.Offline, st.Used, st.Slots, st.Granted, st.AskedBack, st.Begun, st.Assumed)
		for _, k := range list(args["counters"]) {
			fmt.Fprintf(&c.print, "%s %d\n", k, st.Counters[k])
		}
	case "workers":
		c.s.now = c.now
		page := c.s.listWorkers(&wire.ListWorkers{After: args["after"], Limit: uint32(c.num(args, "limit", 0)),
			Tags: list(args["tags"]), State: args["state"]}, true)
		for i := range page.Rows {
			c.print.WriteString(infoText(&page.Rows[i]) + "\n")
		}
		if page.Next != "" {
			fmt.Fprintf(&c.print, "next=%s\n", page.Next)
		}
	case "worker":
		c.s.now = c.now
		m := c.s.getWorker(&wire.GetWorker{ID: words[0]})
		w, ok := m.(*wire.Worker)
		if !ok {
			fmt.Fprintf(&c.print, "%v\n", m.(*wire.Error).Code)
			return
		}
		c.print.WriteString(infoText(&w.Info) + "\n")
		for _, l := range w.Leases {
			fmt.Fprintf(&c.print, "  %s %v task=%s\n", c.leases[l.Lease], l.State, l.Task)
		}
	}
}

func infoText(w *wire.WorkerInfo) string {
	text := fmt.Sprintf("%s %s %d+%d/%d", w.ID, w.State, w.Taken, w.External, w.Slots)
	if len(w.Tags) > 0 {
		text += " tags=" + strings.Join(w.Tags, ",")
	}
	for _, name := range slices.Sorted(maps.Keys(w.Used)) {
		total := w.Resources[name]
		for _, d := range w.Devices {
			switch name {
			case capacity.GPU:
				total++
			case capacity.GPUMem:
				total += d.Memory
			}
		}
		text += fmt.Sprintf(" %s=%d/%d", name, w.Used[name], total)
	}
	text = strings.TrimSpace(text + " " + strings.Join(w.Flags, " "))
	if w.CordonBy != "" {
		text += fmt.Sprintf(" (%s, by %s, %gs ago)", w.CordonReason, w.CordonBy, float64(w.CordonMS)/1000)
	}
	return text + outcomesText(w)
}
