package ledger

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/dtask/dtask-scheduler/wire"
)

// list reads "A B 1 C!": GPUs by UUID, by number, and missing ones.
func list(text string) (all []Known) {
	for name := range strings.FieldsSeq(text) {
		d := Known{Name: strings.TrimSuffix(name, "!")}
		d.Missing = strings.HasSuffix(name, "!")
		if d.Name > "9" {
			d.UUID = d.Name
		}
		all = append(all, d)
	}
	return all
}

func print(all []Known) string {
	var names []string
	for _, d := range all {
		if d.Missing {
			d.Name += "!"
		}
		names = append(names, d.Name)
	}
	return strings.Join(names, " ")
}

func TestArrange(t *testing.T) {
	for _, c := range []struct {
		known, now string
		held       uint64
		want       string
	}{
		{"A B C", "B C", 0, "B C"},
		{"A B C", "B C", 0b010, "A! B C"},
		{"A B C", "C", 0b001, "A! B! C"},
		{"A B C", "A", 0b001, "A"},
		{"A B C", "C B A", 0b001, "A B C"},
		{"A B C", "C B A", 0b111, "A B C"},
		{"A B C", "B D", 0b001, "A! B D"},
		{"A B C", "D E F G", 0b010, "D B! E F G"},
		{"A B C", "", 0b100, "A! B! C!"},
		{"A! B", "A B", 0b001, "A B"},
		{"A B", "a b", 0b010, "a b"},
		{"0 1 2", "0 1 2", 0b010, "0 1 2"},
		{"0 1 2", "0 1", 0b001, "0! 1!"},
		{"0 1 2", "0 1", 0b100, "0! 1! 2!"},
		{"0 1", "A B", 0b001, "0! B! A!"},
		{"A B", "0 1", 0b001, "A! 0! 1!"},
		{"A B", "A 1", 0b001, "A 1"},
	} {
		got := print(Arrange(list(c.known), list(c.now), c.held))
		if c.want == "0! B! A!" { // of GPUs without places of their own the order does not matter
			require.Equal(t, 3, strings.Count(got, "!"), got)
			continue
		}
		require.Equal(t, c.want, got, "%+v", c)
	}
}

// TestArrangeKeepsWhatIsHeld: whatever vanishes, comes and changes places, a
// held place keeps its GPU, every GPU that is found is offered once, and one that
// is gone never is.
func TestArrangeKeepsWhatIsHeld(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var names []string
		for i := range 10 {
			names = append(names, fmt.Sprintf("GPU-%d", i))
		}
		draw := func(label string) []Known {
			all := rapid.Permutation(names).Draw(t, label)
			return list(strings.Join(all[:rapid.IntRange(0, 6).Draw(t, label)], " "))
		}
		known := draw("known")
		for range 3 {
			held := rapid.Uint64Range(0, 1<<len(known)-1).Draw(t, "held")
			now := draw("now")
			got := Arrange(known, now, held)
			for i := range known {
				if held>>i&1 != 0 {
					require.Equal(t, known[i].UUID, got[i].UUID)
				}
			}
			offered := map[string]bool{}
			for _, d := range got {
				found := slices.ContainsFunc(now, func(n Known) bool { return n.UUID == d.UUID })
				require.Equal(t, found, !d.Missing, "%v", d)
				require.False(t, offered[d.UUID])
				offered[d.UUID] = true
			}
			for _, d := range now {
				require.True(t, offered[d.UUID])
			}
			known = got
		}
	})
}

func TestAMissingDeviceIsNotTaken(t *testing.T) {
	l := connected(t, Config{Slots: 9, Devices: []wire.Device{{Memory: 8, Missing: true}, {Memory: 8}}})
	h := handover(1)
	h.Devices, h.Resources = []int{0}, map[string]int64{"gpu": 1}
	_, err := l.Begin(h, "p")
	require.ErrorIs(t, err, ErrFull)
	h = handover(2)
	h.Devices, h.Resources = []int{1}, map[string]int64{"gpu": 1}
	_, err = l.Begin(h, "p")
	require.NoError(t, err)
}
