package sched

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// longTags returns n tags of 1,000 bytes.
func longTags(n int) []string {
	tags := make([]string, n)
	for i := range tags {
		tags[i] = fmt.Sprintf("%03d%s", i, strings.Repeat("x", 997))
	}
	return tags
}

// TestPagesFitIntoFrames: workers that came by HTTP have texts as long as a
// body, and a page of them is still a frame.
func TestPagesFitIntoFrames(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Instance = 7
	s, err := New(cfg)
	require.NoError(t, err)
	var out Outbox
	for i := range 20 {
		require.NoError(t, s.Report(0, &Report{Worker: fmt.Sprintf("w%02d", i), Tags: longTags(50 * (i + 1)), Slots: 1}, &out))
	}
	seen, clipped := 0, 0
	for after := ""; ; {
		page := s.listWorkers(&wire.ListWorkers{After: after}, true)
		require.NotEmpty(t, page.Rows)
		require.LessOrEqual(t, len(wire.Append(nil, 1, page)), wire.MaxFrame)
		for i := range page.Rows {
			seen++
			if page.Rows[i].Tags == nil {
				clipped++
				require.Contains(t, page.Rows[i].Flags, "tags_omitted")
			}
		}
		if after = page.Next; after == "" {
			break
		}
	}
	require.Equal(t, 20, seen)
	require.Equal(t, 10, clipped)
	most := 0
	for after, seen := "", 0; seen < 20; {
		page := s.listWorkers(&wire.ListWorkers{After: after}, false)
		require.NotEmpty(t, page.Rows)
		size := 0
		for i := range page.Rows {
			most = max(most, len(page.Rows[i].Tags))
			require.LessOrEqual(t, size, pageBytes, "one row goes over the bound at most")
			size += sizeOf(&page.Rows[i])
		}
		seen, after = seen+len(page.Rows), page.Next
	}
	require.Equal(t, 1000, most, "HTTP gets them all")
}

// TestPageVisitsAreBounded: a filter that nothing passes does not make one page
// walk through the whole fleet.
func TestPageVisitsAreBounded(t *testing.T) {
	s := withWorkers(t, listVisits+100)
	page := s.listWorkers(&wire.ListWorkers{Tags: []string{"no such tag"}}, true)
	require.Empty(t, page.Rows)
	require.Equal(t, fmt.Sprintf("worker-%06d", listVisits-1), page.Next)
	page = s.listWorkers(&wire.ListWorkers{After: page.Next, Tags: []string{"no such tag"}}, true)
	require.Empty(t, page.Next)
}

// TestTagPagesOfOneRow: every tag is listed once, the empty one of an HTTP
// worker included.
func TestTagPagesOfOneRow(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Instance = 7
	s, err := New(cfg)
	require.NoError(t, err)
	var out Outbox
	require.NoError(t, s.Report(0, &Report{Worker: "w", Tags: []string{"b", "", "a"}, Slots: 1}, &out))
	var got []string
	for m := (&wire.ListTags{Limit: 1}); ; {
		page := s.listTags(m)
		for _, r := range page.Rows {
			got = append(got, r.Tag)
		}
		if m.After = page.Next; page.Next == "" {
			break
		}
	}
	require.Equal(t, []string{"", "a", "b"}, got)
}

// TestLongTaskIDsAreCutBetweenCharacters: what HTTP lets be longer than an id
// stays text.
func TestLongTaskIDsAreCutBetweenCharacters(t *testing.T) {
	for cut := range 4 {
		long := []byte(strings.Repeat("x", wire.MaxID-cut) + "日本語")
		got := clip(long)
		require.True(t, utf8.Valid(got), "%q", got)
		require.Greater(t, len(got), wire.MaxID-4)
		require.LessOrEqual(t, len(got), wire.MaxID)
	}
}
