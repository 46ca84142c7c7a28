package gateway

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// The sentences and the scanner agree with encoding/json on bodies of all kinds.
func TestWalkFindsWhatEncodingJSONFinds(t *testing.T) {
	for _, body := range []string{
		` { } `, `{"tasks" : [ ] , "distinct":true}`, `{"tasks":[{"task_id":"a\\\"]}"},{"priority" : 1.0 }]}`, `{"tasks":[null,{"resources":{"\"":{"a":"}"}}}]}`,
		`{"":1}`, `{"a":{"b":[[[]]],"c":"\\"},"tasks":[[]]}`, "{\"tasks\":\n[\t{\"not_workers\":[\"a\",5]}]}",
	} {
		err := json.Unmarshal([]byte(body), new(batchRequest))
		fault := walkOver([]byte(body), new(batchRequest)).fault
		require.Equal(t, err == nil, fault == nil, "%s: %v", body, err)
	}
	fault := walkOver([]byte(`{"tasks":[{},{"not_workers":["a",5]}]}`), new(batchRequest)).fault
	require.Equal(t, "tasks[1].not_workers[1]", fault.Field)
	require.Equal(t, []string{"all_or_none", "distinct", "max_wait_ms", "tasks", "wait_for_workers"}, slices.Sorted(slices.Values((&walk{seen: map[reflect.Type]*keys{}}).keysOf(reflect.TypeFor[batchRequest]()).names)))
	require.EqualValues(t, wire.MaxPriority, walkOver([]byte(`{"tasks":[{"priority":1.0}]}`), new(batchRequest)).fault.Limit)
}

func FuzzWalk(f *testing.F) {
	f.Add([]byte(`{"tasks":[{"task_id":"a","resources":{"cpu":"1"}},null],"x":[1,{"y":"\u0041"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		_, err := decodeObject(body, new(batchRequest))
		if !json.Valid(body) || err == errNotObject {
			return
		}
		require.Equal(t, err == nil, walkOver(body, new(batchRequest)).fault == nil, "%s: %v", body, err)
	})
}
