package view_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/view"
	"github.com/dtask/dtask-scheduler/wire"
)

// What a listed worker is appended as is what encoding/json reads into the same
// row.
func TestAListedWorkerIsReadAsItWasWritten(t *testing.T) {
	now := view.Now(time.Date(2026, 1, 2, 15, 4, 5, 670_000_000, time.UTC))
	for _, w := range []wire.WorkerInfo{
		{ID: "w1", Address: "10.0.0.7:9000", Tags: []string{"gpu", "a \"b\" <é>"}, Slots: 3, Taken: 2, External: 4, SeenMS: 1500, State: "online"},
		{Tags: []string{}},
	} {
		row, flushed := view.ListedOf(&w, now), 0
		b := row.Append([]byte("["), func(b []byte) []byte { flushed++; return b })
		var got []view.Listed
		require.NoError(t, json.Unmarshal(append(b, ']'), &got), string(b))
		require.Equal(t, []view.Listed{row}, got)
		require.Equal(t, len(w.Tags)+1, flushed)
		require.Equal(t, int64(w.Slots)-int64(w.Taken)-int64(w.External), row.Available)
	}
}

// Times have milliseconds, also where these are 0, and are in UTC.
func TestTimesHaveOneFormat(t *testing.T) {
	at := time.Date(2026, 1, 2, 15, 4, 5, 0, time.FixedZone("", 3600))
	b, err := json.Marshal(view.At(at))
	require.NoError(t, err)
	require.Equal(t, `"2026-01-02T14:04:05.000Z"`, string(b))
	var read view.Time
	require.NoError(t, json.Unmarshal(b, &read))
	require.True(t, at.Equal(read.Time))
	w := view.WorkerOf(&wire.WorkerInfo{Flags: []string{"cordoned"}, CordonMS: 1, DeadlineMS: 2}, view.Now(at))
	b, err = json.Marshal(w.Cordon)
	require.NoError(t, err)
	require.Equal(t, `{"reason":"","by":"","since":"2026-01-02T14:04:04.999Z","deadline":"2026-01-02T14:04:05.002Z"}`, string(b))
}

// Lists and objects that are empty are no null in JSON.
func TestNothingIsNull(t *testing.T) {
	b, err := json.Marshal(view.WorkerOf(&wire.WorkerInfo{}, view.Now{}))
	require.NoError(t, err)
	require.NotContains(t, string(b), "null")
}
