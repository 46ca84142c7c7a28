package wire

import (
	"encoding/json"
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNames(t *testing.T) {
	require.Equal(t, "already_ended", CodeAlreadyEnded.String())
	require.Equal(t, "code_99", Code(99).String())
	require.Equal(t, "asked_back", StateAskedBack.String())
	require.Equal(t, "released", ReasonReleased.String())
	require.Equal(t, "agent", RoleAgent.String())
	require.Equal(t, "role_0", Role(0).String())
	require.Equal(t, "list_workers", KindListWorkers.String())
	require.Equal(t, "kind_63", Kind(63).String())
}

func TestParseCode(t *testing.T) {
	for i := range codeNames {
		code, ok := ParseCode(Code(i).String())
		require.True(t, ok)
		require.Equal(t, Code(i), code)
	}
	_, ok := ParseCode("code_99")
	require.False(t, ok)
	_, ok = ParseCode("")
	require.False(t, ok)
}

func TestKindIsAnswer(t *testing.T) {
	require.False(t, KindGetStats.IsAnswer())
	require.True(t, KindHelloOK.IsAnswer())
	require.True(t, KindStats.IsAnswer())
	require.False(t, KindBeat.IsAnswer())
	require.True(t, KindBeatAck.IsAnswer())
}

func TestErrorText(t *testing.T) {
	require.Equal(t, "bad_request: tags holds too many values (limit 16)", badField("tags", 16, "holds too many values").Error())
	require.Equal(t, "busy: try again", (&Error{Code: CodeBusy, Message: "try again"}).Error())
	require.Equal(t, "conflict: task", (&Error{Code: CodeConflict, Field: "task"}).Error())
	var target *Error
	require.True(t, errors.As(error(badFrame("x")), &target))
}

func TestLeaseIDText(t *testing.T) {
	require.Equal(t, "3-9f04c2d1-2a", sampleLease.String())
	for _, id := range []LeaseID{{}, sampleLease, {math.MaxUint32, math.MaxUint32, math.MaxUint64}} {
		parsed, err := ParseLeaseID(id.String())
		require.NoError(t, err)
		require.Equal(t, id, parsed)
		text, err := json.Marshal(map[string]LeaseID{"id": id})
		require.NoError(t, err)
		var back map[string]LeaseID
		require.NoError(t, json.Unmarshal(text, &back))
		require.Equal(t, id, back["id"])
		require.Equal(t, id, leaseFrom(appendLease(nil, id)[2:]))
	}
}

func TestLeaseIDTextThatIsNone(t *testing.T) {
	for _, text := range []string{
		"", "1", "1-2", "1-2-3-4", "-1-2-3", "1--3", "01-2-3", "1-2-3 ", "A-2-3", "0x1-2-3", "+1-2-3",
		"100000000-1-1", "1-100000000-1", "1-1-10000000000000000", "1-1-x", "000000000000000000000000000000000000001-1-1",
	} {
		_, err := ParseLeaseID(text)
		var bad *Error
		require.ErrorAs(t, err, &bad, text)
		require.Equal(t, "lease_id", bad.Field)
		id := sampleLease
		require.Error(t, id.UnmarshalText([]byte(text)))
		require.Equal(t, sampleLease, id, "a failure leaves the id as it was")
	}
}

func TestHandoverJSON(t *testing.T) {
	h := &Handover{
		Lease: sampleLease, Worker: "worker-001", Address: "10.1.2.3:9000", Incarnation: math.MaxUint64,
		Task: "job-17/part-3", Client: "render-farm", Owner: "ana", Group: "job-17", Priority: -7,
		Resources: map[string]int64{"mem": 4096, "cpu": 2000},
	}
	text, err := json.Marshal(h)
	require.NoError(t, err)
	require.JSONEq(t, `{"lease_id":"3-9f04c2d1-2a","worker_id":"worker-001","address":"10.1.2.3:9000",
		"incarnation":"18446744073709551615","task_id":"job-17/part-3","client":"render-farm","owner":"ana",
		"group":"job-17","priority":-7,"resources":{"cpu":2000,"mem":4096}}`, string(text))
	back := &Handover{}
	require.NoError(t, json.Unmarshal(text, back))
	require.Equal(t, h, back)
	require.Equal(t, sampleRecord, back.Record())
	require.NoError(t, back.Verify())
}

func TestHandoverVerify(t *testing.T) {
	for field, spoil := range map[string]func(h *Handover){
		"lease":       func(h *Handover) { h.Lease = LeaseID{} },
		"worker":      func(h *Handover) { h.Worker = "a b" },
		"incarnation": func(h *Handover) { h.Incarnation = 0 },
		"task":        func(h *Handover) { h.Task = "" },
		"client":      func(h *Handover) { h.Client = "a\nb" },
		"owner":       func(h *Handover) { h.Owner = "ä" },
		"group":       func(h *Handover) { h.Group = " " },
		"priority":    func(h *Handover) { h.Priority = MaxPriority + 1 },
		"resources":   func(h *Handover) { h.Resources = map[string]int64{"cpu": -1} },
	} {
		h := &Handover{Lease: sampleLease, Worker: "w", Incarnation: 1, Task: "t"}
		require.NoError(t, h.Verify())
		spoil(h)
		var bad *Error
		require.ErrorAs(t, h.Verify(), &bad, field)
		require.Equal(t, field, bad.Field)
	}
}
