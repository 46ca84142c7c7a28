package spell

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNearest(t *testing.T) {
	known := []string{"gpu", "cuda-12.0", "cuda-11.8", "zone=a", strings.Repeat("x", 100)}
	for word, want := range map[string]string{
		"gpuu": "gpu", "GPU": "gpu", "pgu": "gpu", "cuda12.0": "cuda-12.0", "cuda-12.1": "cuda-12.0",
		"zone=b": "zone=a", "tpuv4": "", "x": "", strings.Repeat("x", 101): "", "": "",
	} {
		require.Equal(t, want, Nearest(word, known), word)
	}
	require.Equal(t, 1, distance("abcd", "abdc"))
	require.Equal(t, 3, distance("kitten", "sitting"))
}
