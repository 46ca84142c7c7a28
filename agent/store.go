package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"github.com/dtask/dtask-scheduler/agent/ledger"
	"github.com/dtask/dtask-scheduler/wire"
)

// Files of a state directory.
const (
	storeFile = "leases" // the records of the leases that have begun
	lockFile  = "lock"   // held while an agent lives
)

// maxDead is how many bytes of records that no longer matter are kept before
// the file is written anew.
const maxDead = 1 << 20

// ErrStateInUse says that another agent has the state directory.
var ErrStateInUse = errors.New("agent: another agent uses the state directory")

// entry is one record of the store.
type entry struct {
	Op       string         `json:"op"`
	Worker   string         `json:"worker,omitempty"`   // of opWorker
	Handover *wire.Handover `json:"handover,omitempty"` // of opBegun
	Watch    *watch         `json:"watch,omitempty"`    // of opBegun
	Lease    *wire.LeaseID  `json:"lease,omitempty"`    // of opEnded and opForgotten
	Outcome  wire.Reason    `json:"outcome,omitempty"`  // of opEnded
	Device   *ledger.Known  `json:"device,omitempty"`   // of opDevice
}

// What an entry says.
const (
	opWorker    = "worker"    // the file belongs to this worker; always the first
	opBegun     = "begun"     // a lease has begun, or is watched anew
	opEnded     = "ended"     // it has ended, not acknowledged
	opForgotten = "forgotten" // its end is acknowledged
	opDevice    = "device"    // the worker's next GPU, in the order in which leases name them
)

// kept is a lease as the store has it.
type kept struct {
	handover wire.Handover
	watch    watch
	outcome  wire.Reason // ReasonNone while it runs
	size     int         // bytes of its latest records in the file
}

// store keeps the leases that have begun in an append-only file of checked
// records, which is written anew when it holds much that no longer matters. A
// nil store keeps nothing.
//
// Begins are on disk when sync returns. Ends are not waited for: one that is
// lost with the machine is found by the death of its process.
type store struct {
	dir    string
	worker string
	lock   *os.File

	syncing sync.Mutex // Allows one fsync at a time; taken before mu.
	synced  uint64     // guarded by syncing: how many appends are on disk

	mu     sync.Mutex // Guards what follows; never held around an fsync of the file in use.
	file   *os.File
	leases map[wire.LeaseID]*kept
	known  []ledger.Known // the worker's GPUs
	size   int64          // of the file
	live   int64          // bytes of it that matter
	writes uint64         // appends so far
	err    error          // the first failure; nothing is stored after it
}

// openStore opens or makes the store in dir and reads what it keeps. cut is how
// many bytes of a torn record were dropped at the end.
func openStore(dir, worker string) (s *store, cut int64, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, 0, err
	}
	s = &store{dir: dir, worker: worker, leases: make(map[wire.LeaseID]*kept)}
	if s.lock, err = lock(filepath.Join(dir, lockFile)); err != nil {
		return nil, 0, err
	}
	if cut, err = s.load(); err == nil {
		err = s.rewrite()
	}
	if err != nil {
		s.lock.Close()
		return nil, 0, err
	}
	return s, cut, nil
}

// lock takes a file for this process, or fails at once.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("%w: %s", ErrStateInUse, filepath.Dir(path))
	}
	return f, nil
}

// load reads the file, if there is one.
func (s *store) load() (cut int64, err error) {
	path := filepath.Join(s.dir, storeFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	good, err := eachRecord(data, func(at int64, payload []byte) error {
		var e entry
		d := json.NewDecoder(bytes.NewReader(payload))
		d.DisallowUnknownFields()
		if err := d.Decode(&e); err != nil {
			return err
		}
		return s.apply(&e, len(payload)+recordHead)
	})
	if err != nil {
		return 0, fmt.Errorf("agent: the state file %s: %w", path, err)
	}
	return int64(len(data)) - good, nil
}

// apply takes one entry in. Entries about unknown leases say nothing new.
func (s *store) apply(e *entry, size int) error {
	switch e.Op {
	case opWorker:
		if e.Worker != s.worker {
			return fmt.Errorf("it belongs to the worker %q, not %q; give the worker that id (--id), or another directory (--state-dir)", e.Worker, s.worker)
		}
	case opBegun:
		if e.Handover == nil || e.Watch == nil {
			return errors.New("a begin lacks its lease")
		}
		s.drop(e.Handover.Lease)
		s.leases[e.Handover.Lease] = &kept{handover: *e.Handover, watch: *e.Watch, size: size}
		s.live += int64(size)
		if len(s.leases) > ledger.MaxLeases {
			return fmt.Errorf("it lists more than %d leases", ledger.MaxLeases)
		}
	case opEnded:
		if e.Lease == nil || !e.Outcome.IsOutcome() {
			return errors.New("an end lacks its lease or outcome")
		}
		if k := s.leases[*e.Lease]; k != nil {
			k.outcome = e.Outcome
			k.size += size
			s.live += int64(size)
		}
	case opForgotten:
		if e.Lease == nil {
			return errors.New("an acknowledgement lacks its lease")
		}
		s.drop(*e.Lease)
	case opDevice:
		if e.Device == nil || len(s.known) == wire.MaxDevices {
			return errors.New("a GPU lacks its description, or is one too many")
		}
		s.known = append(s.known, *e.Device)
	default:
		return fmt.Errorf("the operation %q is unknown", e.Op)
	}
	return nil
}

func (s *store) drop(id wire.LeaseID) {
	if k := s.leases[id]; k != nil {
		s.live -= int64(k.size)
		delete(s.leases, id)
	}
}

// begun writes that a lease has begun and returns what sync waits for.
func (s *store) begun(h *wire.Handover, w *watch) uint64 {
	return s.append(&entry{Op: opBegun, Handover: h, Watch: w})
}

// ended writes that a lease has ended.
func (s *store) ended(id wire.LeaseID, outcome wire.Reason) {
	s.append(&entry{Op: opEnded, Lease: &id, Outcome: outcome})
}

// forget writes that the end of a lease is acknowledged.
func (s *store) forget(id wire.LeaseID) {
	if s == nil {
		return
	}
	s.mu.Lock()
	_, known := s.leases[id]
	s.mu.Unlock()
	if known {
		s.append(&entry{Op: opForgotten, Lease: &id})
	}
}

// forgetIf forgets all leases that gone accepts.
func (s *store) forgetIf(gone func(wire.LeaseID) bool) {
	if s == nil {
		return
	}
	s.mu.Lock()
	ids := slices.DeleteFunc(slices.Collect(maps.Keys(s.leases)), func(id wire.LeaseID) bool { return !gone(id) })
	s.mu.Unlock()
	for _, id := range ids {
		s.append(&entry{Op: opForgotten, Lease: &id})
	}
}

// append writes one entry behind the others.
func (s *store) append(e *entry) uint64 {
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.writes + 1
	}
	record, err := encodeEntry(e)
	if err == nil {
		_, err = s.file.Write(record)
	}
	if err == nil {
		err = s.apply(e, len(record))
	}
	if err != nil {
		s.err = fmt.Errorf("agent: the state directory %s cannot be written: %w", s.dir, err)
		return s.writes + 1
	}
	s.size += int64(len(record))
	s.writes++
	return s.writes
}

// sync returns when the append with this number is on disk; one fsync serves
// all that wait. After a failure nothing is stored any more: what the disk
// then holds is unknown.
func (s *store) sync(mark uint64) error {
	if s == nil {
		return nil
	}
	s.syncing.Lock()
	defer s.syncing.Unlock()
	if s.synced >= mark {
		return nil
	}
	s.mu.Lock()
	writes, file, err, dead := s.writes, s.file, s.err, s.size-s.live
	s.mu.Unlock()
	switch {
	case err != nil:
		return err
	case dead > maxDead:
		err = s.rewriteInUse(&writes)
	default:
		err = file.Sync()
	}
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.err = fmt.Errorf("agent: the state directory %s cannot be written: %w", s.dir, err)
		return s.err
	}
	s.synced = writes
	return nil
}

// rewriteInUse writes the file anew while appends wait.
func (s *store) rewriteInUse(writes *uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	*writes = s.writes
	return s.rewrite()
}

// close makes all appends durable and gives the directory free.
func (s *store) close() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	mark := s.writes
	s.mu.Unlock()
	err := s.sync(mark)
	s.syncing.Lock()
	defer s.syncing.Unlock()
	return errors.Join(err, s.file.Close(), s.lock.Close())
}
