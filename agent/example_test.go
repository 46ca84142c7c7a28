package agent_test

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"time"

	"github.com/dtask/dtask-scheduler/agent"
	"github.com/dtask/dtask-scheduler/wire"
)

// A worker program that takes tasks by HTTP: a client sends the lease it was
// granted, and the task runs as a goroutine of the program.
func ExampleStart() {
	a, err := agent.Start(context.Background(), agent.Config{
		Scheduler: "dtask://localhost:8081",
		Worker:    "worker-001", Address: "localhost:9000", Tags: []string{"cpu"}, Slots: 4,
		TasksDieWithAgent: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("POST /tasks", func(w http.ResponseWriter, r *http.Request) {
		var h wire.Handover
		if err := json.NewDecoder(r.Body).Decode(&h); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		task, err := a.Begin(h, agent.Caller{})
		if err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		go func() {
			time.Sleep(time.Second) // the work
			task.End(wire.ReasonOK)
		}()
	})
	log.Print(http.ListenAndServe("localhost:9000", nil))

	bounded, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	a.Stop(bounded)
}
