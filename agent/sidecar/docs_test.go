package sidecar

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func document(t *testing.T) string {
	text, err := os.ReadFile("../../docs/worker.md")
	require.NoError(t, err)
	return string(text)
}

// TestReasonsAreDocumented: docs/worker.md has a row for each reason, with its
// status, and no others.
func TestReasonsAreDocumented(t *testing.T) {
	want := map[string]bool{}
	for _, r := range refusals {
		want[fmt.Sprintf("%d %s", r.status, r.reason)] = true
	}
	source := ""
	for _, file := range []string{"handlers.go", "refusal.go", "../../webguard/webguard.go"} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		source += string(text)
	}
	got := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| (\\d+) \\| `([a-z_]+)` \\|").FindAllStringSubmatch(document(t), -1) {
		got[m[1]+" "+m[2]] = true
		require.Contains(t, source, `"`+m[2]+`"`, "no answer has the reason %s", m[2])
		delete(want, m[1]+" "+m[2])
	}
	require.Empty(t, want, "reasons without a row")
	for _, m := range regexp.MustCompile(`Reason: "([a-z_]+)"`).FindAllStringSubmatch(source, -1) {
		found := false
		for row := range got {
			found = found || strings.HasSuffix(row, " "+m[1])
		}
		require.True(t, found, "%s has no row", m[1])
	}
}

// TestStatusIsDocumented: every member of the status stands in the document.
func TestStatusIsDocumented(t *testing.T) {
	_, section, ok := strings.Cut(document(t), "## Status of the agent")
	require.True(t, ok)
	for _, v := range []any{Status{}, Grantor{}, Heartbeat{}, Task{}, taskName{}} {
		for f := range reflect.TypeOf(v).NumField() {
			name, _, _ := strings.Cut(reflect.TypeOf(v).Field(f).Tag.Get("json"), ",")
			if name != "" {
				require.Contains(t, section, "`"+name+"`")
			}
		}
	}
}

// TestBeginIsDocumented: the shown answer to a begin is one, with every member.
func TestBeginIsDocumented(t *testing.T) {
	shown := regexp.MustCompile(`(?m)^\{"status":"begun".*\}$`).FindAllString(document(t), -1)
	require.Len(t, shown, 1)
	d := json.NewDecoder(strings.NewReader(shown[0]))
	d.DisallowUnknownFields()
	var got begunTask
	require.NoError(t, d.Decode(&got))
	again, err := json.Marshal(got)
	require.NoError(t, err)
	require.Equal(t, shown[0], string(again))
	require.NotEmpty(t, got.Devices)
	require.NotEmpty(t, got.Env)
}
