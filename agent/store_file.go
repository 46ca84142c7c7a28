package agent

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"

	"github.com/dtask/dtask-scheduler/wire"
)

// The state file is storeMagic, then records: the length of the payload and its
// CRC-32C, 4 bytes each, big-endian, then the payload, one JSON object.
const (
	storeMagic = "dtask leases 1\n"
	recordHead = 8
	maxRecord  = 16 << 10 // bytes of a payload
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// DamageError says that the state file is damaged before its end, where a crash
// cannot have torn it. The agent does not guess what ran: move the file away to
// start without it, and the leases it listed end as lost.
type DamageError struct {
	Offset int64 // of the first record that is damaged
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("damaged at offset %d, with good records behind it; move the file away to give up the tasks it lists", e.Offset)
}

// encodeEntry returns the record of an entry.
func encodeEntry(e *entry) ([]byte, error) {
	payload, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	if len(payload) > maxRecord {
		return nil, fmt.Errorf("a record of %d bytes is over the limit of %d", len(payload), maxRecord)
	}
	b := make([]byte, recordHead, recordHead+len(payload))
	binary.BigEndian.PutUint32(b, uint32(len(payload)))
	binary.BigEndian.PutUint32(b[4:], crc32.Checksum(payload, castagnoli))
	return append(b, payload...), nil
}

// eachRecord calls visit with every record and its offset and returns where the
// good ones end. A bad record with a good one behind it is damage; without, it
// is torn, and the file ends before it.
func eachRecord(data []byte, visit func(at int64, payload []byte) error) (good int64, err error) {
	if len(data) < len(storeMagic) && storeMagic[:len(data)] == string(data) {
		return 0, nil
	}
	if len(data) < len(storeMagic) || string(data[:len(storeMagic)]) != storeMagic {
		return 0, &DamageError{Offset: 0}
	}
	for at := len(storeMagic); at < len(data); {
		payload := recordAt(data[at:])
		if payload == nil {
			for p := at + 1; p < len(data); p++ {
				if recordAt(data[p:]) != nil {
					return 0, &DamageError{Offset: int64(at)}
				}
			}
			return int64(at), nil
		}
		if err := visit(int64(at), payload); err != nil {
			return 0, fmt.Errorf("record at offset %d: %w", at, err)
		}
		at += recordHead + len(payload)
	}
	return int64(len(data)), nil
}

// recordAt returns the payload of the record that b starts with, nil if there
// is none.
func recordAt(b []byte) []byte {
	if len(b) < recordHead {
		return nil
	}
	n := binary.BigEndian.Uint32(b)
	if n == 0 || n > maxRecord || uint64(n) > uint64(len(b)-recordHead) {
		return nil
	}
	payload := b[recordHead : recordHead+int(n)]
	if crc32.Checksum(payload, castagnoli) != binary.BigEndian.Uint32(b[4:]) {
		return nil
	}
	return payload
}

// rewrite replaces the file by one that holds only what matters, and goes on
// with that.
func (s *store) rewrite() error {
	entries := []*entry{{Op: opWorker, Worker: s.worker}}
	for i := range s.known {
		entries = append(entries, &entry{Op: opDevice, Device: &s.known[i]})
	}
	ids := make([]wire.LeaseID, 0, len(s.leases))
	for id := range s.leases {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b wire.LeaseID) int {
		x, y := a.Bytes(), b.Bytes()
		return slices.Compare(x[:], y[:])
	})
	for _, id := range ids {
		k := s.leases[id]
		entries = append(entries, &entry{Op: opBegun, Handover: &k.handover, Watch: &k.watch})
		if k.outcome != wire.ReasonNone {
			entries = append(entries, &entry{Op: opEnded, Lease: &id, Outcome: k.outcome})
		}
	}
	data := []byte(storeMagic)
	s.leases, s.known, s.live = make(map[wire.LeaseID]*kept, len(ids)), nil, 0
	for _, e := range entries {
		record, err := encodeEntry(e)
		if err != nil {
			return err
		}
		data = append(data, record...)
		if err := s.apply(e, len(record)); err != nil {
			return err
		}
	}
	return s.replace(data)
}

// replace puts a new file in the place of the old one, in one step.
func (s *store) replace(data []byte) error {
	path := filepath.Join(s.dir, storeFile)
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err == nil {
		err = syncDir(s.dir)
	}
	if err != nil {
		f.Close()
		return err
	}
	if s.file != nil {
		s.file.Close()
	}
	s.file, s.size = f, int64(len(data))
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
