package view

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

// Listed is a worker as GET /api/v1/workers lists it, under the keys of the older
// scheduler.
type Listed struct {
	WorkerID      string
	Address       string
	ResourceTags  []string
	MaxTasks      int64
	CurrentTasks  int64 // by leases and outside of them
	Available     int64 // below 0 for a worker that runs more than it may
	LastHeartbeat time.Time
	Status        string // online, suspicious or offline
}

// ListedOf returns the row of a worker.
func ListedOf(w *wire.WorkerInfo, c Clock) Listed {
	current := int64(w.Taken) + int64(w.External)
	return Listed{w.ID, w.Address, w.Tags, int64(w.Slots), current, int64(w.Slots) - current, c.Ago(Millis(w.SeenMS)), w.State}
}

// Append appends the row as JSON. A fleet has very many of them: it takes no
// memory beside b. Between the tags, of which there may be a million bytes, it
// calls flush, which returns where to go on.
func (w *Listed) Append(b []byte, flush func([]byte) []byte) []byte {
	b = AppendString(append(b, `{"WorkerID":`...), w.WorkerID)
	b = AppendString(append(b, `,"Address":`...), w.Address)
	b = append(b, `,"ResourceTags":[`...)
	for i, tag := range w.ResourceTags {
		if i > 0 {
			b = append(b, ',')
		}
		b = flush(AppendString(b, tag))
	}
	b = strconv.AppendInt(append(b, `],"MaxTasks":`...), w.MaxTasks, 10)
	b = strconv.AppendInt(append(b, `,"CurrentTasks":`...), w.CurrentTasks, 10)
	b = strconv.AppendInt(append(b, `,"Available":`...), w.Available, 10)
	b = w.LastHeartbeat.UTC().AppendFormat(append(b, `,"LastHeartbeat":"`...), layout)
	b = AppendString(append(b, `","Status":`...), w.Status)
	return flush(append(b, '}'))
}

// AppendString appends s as a JSON string.
func AppendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if b := s[i]; b < ' ' || b > '~' || b == '"' || b == '\\' || b == '<' || b == '>' || b == '&' {
			quoted, err := json.Marshal(s)
			if err != nil {
				return append(dst, `""`...)
			}
			return append(dst, quoted...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}
