package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dtask/dtask-scheduler/agent"
	"github.com/dtask/dtask-scheduler/wire"
)

// kinds are the machines of the demo, taken in turn. Their GPUs are made up.
var kinds = []struct {
	tags  []string
	slots uint32
	gpus  int
}{
	{[]string{"cpu"}, 4, 0},
	{[]string{"cpu", "ssd"}, 3, 0},
	{[]string{"cpu", "gpu", "cuda-12.0"}, 2, 2},
	{[]string{"cpu", "gpu", "cuda-12.0", "ssd"}, 3, 2},
}

// demoGPU is what each of those GPUs is called.
var demoGPU = wire.Device{Model: "A100", Memory: 40 << 10}

// order is what the demo sends a worker: a lease and what to do with it.
type order struct {
	Lease wire.Handover `json:"lease"`
	File  string        `json:"file"`
}

// receipt is the worker's answer.
type receipt struct {
	SHA256 string `json:"sha256"`
}

// worker is one machine of the demo: an agent, which speaks with the scheduler,
// and a small HTTP server at the worker's address, which takes tasks.
type worker struct {
	id    string
	tags  []string
	slots uint32
	agent *agent.Agent
	web   *http.Server

	mu      sync.Mutex // Guards the counts.
	running int
	most    int
	done    int
	bytes   int64
}

// startWorker starts the i-th worker.
func startWorker(ctx context.Context, i int, scheduler string) (*worker, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	kind := kinds[i%len(kinds)]
	w := &worker{id: fmt.Sprintf("worker-%d", i+1), tags: kind.tags, slots: kind.slots}
	// The agent outlives ctx, which bounds the batch; stop ends it.
	w.agent, err = agent.Start(context.WithoutCancel(ctx), agent.Config{
		Scheduler: "dtask://" + scheduler, Worker: w.id, Address: l.Addr().String(),
		Tags: w.tags, Slots: w.slots, Devices: slices.Repeat([]wire.Device{demoGPU}, kind.gpus), TasksDieWithAgent: true,
	})
	if err != nil {
		l.Close()
		return nil, err
	}
	w.web = &http.Server{Handler: w, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = w.web.Serve(l) }() // it ends with stop
	return w, nil
}

func (w *worker) stop(ctx context.Context) {
	w.web.Close()
	_ = w.agent.Stop(ctx) // the scheduler ends next
}

// maxOrder bounds the body of an order, in bytes.
const maxOrder = 64 << 10

// ServeHTTP takes one task: it begins the lease, works, and ends it.
func (w *worker) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	var o order
	if err := json.NewDecoder(io.LimitReader(r.Body, maxOrder)).Decode(&o); err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	task, err := w.agent.Begin(o.Lease, agent.Caller{})
	if err != nil {
		http.Error(rw, err.Error(), http.StatusConflict)
		return
	}
	w.count(1, 0)
	sum, n, err := hashFile(o.File)
	w.count(-1, n)
	outcome := wire.ReasonOK
	if err != nil {
		outcome = wire.ReasonFailed
	}
	if e := task.End(outcome); err == nil {
		err = e
	}
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(receipt{sum}) // the client notices a lost answer
}

// count notes that a task starts (by 1) or ends (by -1).
func (w *worker) count(by int, bytes int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running += by
	w.most = max(w.most, w.running)
	w.bytes += bytes
	if by < 0 {
		w.done++
	}
}

// workerReport is one row of the summary.
type workerReport struct {
	Worker     string   `json:"worker_id"`
	Tags       []string `json:"tags"`
	Slots      uint32   `json:"max_tasks"`
	Done       int      `json:"tasks_run"`
	MostAtOnce int      `json:"most_at_once"`
	Bytes      int64    `json:"bytes_hashed"`
	Refused    int      `json:"refused_for_lack_of_slots"`
}

func (w *worker) report() workerReport {
	w.mu.Lock()
	defer w.mu.Unlock()
	return workerReport{w.id, w.tags, w.slots, w.done, w.most, w.bytes, w.agent.Status().Refused}
}

// hashFile returns the SHA-256 of a file, and its size.
func hashFile(name string) (sum string, n int64, err error) {
	f, err := os.Open(name)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	if n, err = io.Copy(neighbour{h}, f); err != nil {
		return "", n, err
	}
	return hex.EncodeToString(h.Sum(nil)), n, nil
}

// neighbour lets others run between two blocks: all machines of the demo are one
// process here, and the scheduler should not wait for their tasks.
type neighbour struct{ to io.Writer }

func (n neighbour) Write(block []byte) (int, error) {
	runtime.Gosched()
	return n.to.Write(block)
}

// files are the inputs of the batch with the hashes that must come out.
type files struct {
	names []string
	sums  []string
	bytes int64
}

// Sizes of the demo's files, drawn so that each doubling is as likely as the
// next.
const (
	smallestFile = 4 << 10
	doublings    = 9 // the largest file has 1.4 MiB
)

// writeFiles writes n files of mixed sizes. Their content differs and is the
// same in every run.
func writeFiles(dir string, n int) (*files, error) {
	all := &files{}
	for i := range n {
		size := smallestFile << (i * 7 % doublings)
		size += size * (i % 5) / 10
		name := filepath.Join(dir, fmt.Sprintf("file-%d", i))
		text := strings.Repeat(fmt.Sprintf("file %d of the demo\n", i), size/16+1)[:size]
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return nil, err
		}
		sum := sha256.Sum256([]byte(text))
		all.names = append(all.names, name)
		all.sums = append(all.sums, hex.EncodeToString(sum[:]))
		all.bytes += int64(size)
	}
	return all, nil
}
