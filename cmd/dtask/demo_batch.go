package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dtask/dtask-scheduler/agent"
	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/client"
)

// Limits of the batch.
const (
	demoProbes  = 500                   // requests that measure the idle scheduler
	demoCallers = 32                    // tasks that are on their way at once
	retryAfter  = 20 * time.Millisecond // the longest pause before a task that got no place asks again
	maxReceipt  = 64 << 10              // bytes of a worker's answer
)

// summary is what the demo prints at its end, also as JSON.
type summary struct {
	Agents       int            `json:"agents"`
	Tasks        int            `json:"tasks"`
	Bytes        int64          `json:"bytes"`
	Matching     int            `json:"hashes_that_match"`
	Unavailable  int            `json:"refused_as_unavailable"` // and asked again
	Refusal      string         `json:"infeasible_request"`
	Seconds      float64        `json:"seconds"`
	MedianMS     float64        `json:"schedule_median_ms"`
	P99MS        float64        `json:"schedule_p99_ms"`
	IdleMedianMS float64        `json:"schedule_idle_median_ms"` // one caller, nothing else running
	IdleP99MS    float64        `json:"schedule_idle_p99_ms"`
	Workers      []workerReport `json:"workers"`
	mu           sync.Mutex     // Guards Matching, Unavailable and latencies.
	latencies    []time.Duration
	idle         []time.Duration
}

// tags returns what the i-th task requires.
func tags(i int) []string {
	switch {
	case i%10 == 9:
		return []string{agent.TagGPU}
	case i%3 == 2:
		return []string{"ssd"}
	}
	return []string{"cpu"}
}

// refusal asks for what no worker has, to show how that is answered.
func (d *demo) refusal(ctx context.Context) (string, error) {
	_, err := d.client.Schedule(ctx, client.Task{ID: "impossible", Tags: []string{"cpu", "tpu"}})
	if !errors.Is(err, client.ErrInfeasible) {
		return "", fmt.Errorf("a task that needs a tpu was not refused as infeasible: %w", err)
	}
	d.sayf("Asked for a worker with a tpu, which none has: %q", err)
	return err.Error(), nil
}

// runBatch hashes every file on some worker and compares the hashes.
func (d *demo) runBatch(ctx context.Context, all *files, s *summary) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	have := map[string]bool{}
	for _, w := range d.fleet {
		for _, tag := range w.tags {
			have[tag] = true
		}
	}
	start := time.Now()
	next := make(chan int)
	var callers sync.WaitGroup
	for range demoCallers {
		callers.Go(func() {
			for i := range next {
				t := client.Task{ID: fmt.Sprintf("hash-%d", i), Tags: tags(i), Group: "demo"}
				if !have[t.Tags[0]] { // a small fleet has not every kind of worker
					t.Tags = nil
				}
				if slices.Contains(t.Tags, agent.TagGPU) {
					t.Resources = map[string]int64{capacity.GPU: 1}
				}
				if err := d.hashOnWorker(ctx, t, all.names[i], all.sums[i], s); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := range all.names {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	callers.Wait()
	s.Seconds = time.Since(start).Seconds()
	return context.Cause(ctx)
}

// probe asks for places one at a time and gives them back.
func (d *demo) probe(ctx context.Context, s *summary) error {
	for i := range demoProbes {
		start := time.Now()
		l, err := d.client.Schedule(ctx, client.Task{ID: fmt.Sprintf("probe-%d", i)})
		if err != nil {
			return err
		}
		s.idle = append(s.idle, time.Since(start))
		if err := d.client.Release(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

// hashOnWorker is what a client does for one task: ask for a place until there
// is one, hand the task to the worker, and take the result.
func (d *demo) hashOnWorker(ctx context.Context, t client.Task, file, want string, s *summary) error {
	l, err := d.place(ctx, t, s)
	if err != nil {
		return err
	}
	h, err := l.Hand()
	if err != nil {
		return err
	}
	var r receipt
	if err := post(ctx, "http://"+h.Address, order{Lease: h, File: file}, &r); err != nil {
		return fmt.Errorf("task %s on %s: %w", h.Task, h.Worker, err)
	}
	l.Began()
	if r.SHA256 != want {
		return fmt.Errorf("task %s on %s: the hash is %s, not %s", h.Task, h.Worker, r.SHA256, want)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Matching++
	return nil
}

// place asks for a lease; while the workers are busy it waits and asks again.
func (d *demo) place(ctx context.Context, t client.Task, s *summary) (*client.Lease, error) {
	for {
		start := time.Now()
		l, err := d.client.Schedule(ctx, t)
		s.asked(time.Since(start), err)
		if !errors.Is(err, client.ErrUnavailable) {
			return l, err
		}
		select {
		case <-time.After(rand.N(retryAfter)):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// asked notes how long an answer took.
func (s *summary) asked(took time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latencies = append(s.latencies, took)
	if errors.Is(err, client.ErrUnavailable) {
		s.Unavailable++
	}
}

// errands keeps its connections to the workers.
var errands = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: demoCallers}}

// post sends an order to a worker and reads its answer.
func post(ctx context.Context, url string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	resp, err := errands.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(io.LimitReader(resp.Body, maxReceipt))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, bytes.TrimSpace(text))
	}
	return json.Unmarshal(text, answer)
}

// judge reports a worker that was given more than it has room for.
func (s *summary) judge() error {
	for _, w := range s.Workers {
		if w.MostAtOnce > int(w.Slots) || w.Refused > 0 {
			return fmt.Errorf("%s was given more than its %d slots: %d at once, %d refused", w.Worker, w.Slots, w.MostAtOnce, w.Refused)
		}
	}
	return nil
}

// print writes the summary.
func (d *demo) print(s *summary) error {
	median, tail := quantiles(s.latencies)
	idleMedian, idleTail := quantiles(s.idle)
	s.MedianMS, s.P99MS = milliseconds(median), milliseconds(tail)
	s.IdleMedianMS, s.IdleP99MS = milliseconds(idleMedian), milliseconds(idleTail)
	out := d.app.out
	switch {
	case out.json:
		return out.object(s)
	case out.quiet:
		return nil
	}
	var rows [][]string
	for _, w := range s.Workers {
		rows = append(rows, []string{
			w.Worker, fmt.Sprint(w.Done), fmt.Sprintf("%d of %d", w.MostAtOnce, w.Slots), fmt.Sprint(w.Refused), size(w.Bytes), strings.Join(w.Tags, " "),
		})
	}
	out.linef("")
	out.table([]string{"WORKER", "TASKS", "MOST AT ONCE", "OVERFLOWS", "HASHED", "TAGS"}, rows)
	out.linef("")
	out.linef("%s in %.2fs: all %d hashes match, every slot is free again.", out.in(bold, fmt.Sprintf("%d tasks", s.Tasks)), s.Seconds, s.Matching)
	out.linef("The scheduler was asked %d times; %d answers were \"busy, try again\".", len(s.latencies), s.Unavailable)
	out.linef("An answer took %s (median), %s (p99) while the hashing used every core of this machine,", precise(median), precise(tail))
	out.linef("and %s (median), %s (p99) afterwards, one at a time.", precise(idleMedian), precise(idleTail))
	return nil
}

// quantiles sorts durations and returns their median and 99th percentile.
func quantiles(all []time.Duration) (median, p99 time.Duration) {
	slices.Sort(all)
	return all[len(all)/2], all[len(all)*99/100]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// size shows a number of bytes.
func size(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}
