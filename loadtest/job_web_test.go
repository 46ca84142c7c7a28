package loadtest

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// TestAnswersByHTTP: an answer by HTTP means the same as one of the native
// protocol, and one that means nothing is noticed.
func TestAnswersByHTTP(t *testing.T) {
	lease := wire.LeaseID{Epoch: 1, Instance: 0x5f3a9c01, Counter: 0x1000001}
	placed := &wire.Placed{Lease: lease, Target: wire.AppendTarget(nil, "w1", "10.0.0.7:9000"), Incarnation: 1<<63 + 1, TTLMS: 10_000}
	guessed := *placed
	guessed.Flags = wire.PlacedBestEffort
	renewed := func(s wire.State) wire.Message { return &wire.Renewed{Leases: []wire.LeaseStatus{{State: s}}} }
	const text = `{"worker_id":"w1","address":"10.0.0.7:9000","lease_id":"1-5f3a9c01-1000001","incarnation":"9223372036854775809","ttl_ms":10000`
	for _, c := range []struct {
		name   string
		step   step
		status int
		body   string
		want   wire.Message // nil: no answer at all
	}{
		{"placed", stepSchedule, 200, text + "}", placed},
		{"placed again, by a guess", stepRepeat, 200, text + `,"best_effort":true}`, &guessed},
		{"placed without a lease", stepSchedule, 200, `{"worker_id":"w1"}`, nil},
		{"broken", stepSchedule, 200, `{"worker_id":`, nil},
		{"no room", stepSchedule, 503, `{"error":"none","reason":"unavailable"}`, &wire.Error{Code: wire.CodeUnavailable, Message: "503 none"}},
		{"an error in words alone", stepSchedule, 400, "Invalid request body", nil},
		{"an unknown reason", stepSchedule, 503, `{"error":"none","reason":"mood"}`, nil},
		{"kept", stepRenew, 200, `{"status":"granted"}`, renewed(wire.StateGranted)},
		{"kept by a guess", stepRenew, 200, `{"status":"assumed"}`, renewed(wire.StateAssumed)},
		{"ended", stepRenew, 200, `{"status":"ended","reason":"believed"}`, renewed(wire.StateEnded)},
		{"never was", stepRenew, 404, `{"error":"no such lease","reason":"not_found"}`, renewed(wire.StateNone)},
		{"an unknown state", stepRenew, 200, `{"status":"lent"}`, nil},
		{"released", stepRelease, 200, `{"status":"released"}`, &wire.Released{Code: wire.CodeOK}},
		{"released twice", stepRelease, 200, `{"status":"already_ended"}`, &wire.Released{Code: wire.CodeAlreadyEnded}},
		{"asked back", stepRelease, 200, `{"status":"asked_back"}`, &wire.Released{Code: wire.CodeAskedBack}},
		{"begun", stepRelease, 409, `{"error":"it runs","reason":"begun"}`, &wire.Released{Code: wire.CodeBegun}},
		{"gone", stepRelease, 404, `{"error":"no such lease","reason":"not_found"}`, &wire.Released{Code: wire.CodeNotFound}},
		{"an unknown word", stepRelease, 200, `{"status":"perhaps"}`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := translate(c.step, &answer{status: c.status, body: []byte(c.body)})
			require.Equal(t, c.want != nil, ok)
			if ok {
				require.Equal(t, c.want, got)
			}
		})
	}
}

func TestNobodyAnswersByHTTP(t *testing.T) {
	w := newWeb("127.0.0.1:1")
	defer w.close()
	a := w.call(&request{method: http.MethodGet, path: "/healthz"})
	require.Error(t, a.err)
	require.False(t, a.late(), "nobody took the connection")
}
