package server

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheDocumentNamesEveryPathAndMetric(t *testing.T) {
	raw, err := os.ReadFile("../docs/api.md")
	require.NoError(t, err)
	text := string(raw)
	for path, methods := range endpoints {
		path = strings.Replace(path, workerPath+"/un", "/un", 1) // named beside its opposite
		require.Contains(t, text, path+"`")
		for method := range methods {
			require.Contains(t, text, method)
		}
	}
	var s statsAnswer
	f := start(t)
	f.connect().raw([]byte{0, 0, 0, 0})
	eventually(t, func() bool {
		f.get("/stats", &s)
		return s.Metrics["closed_bad_frame"] == 1
	}, "a connection closes")
	for name := range s.Metrics {
		if strings.HasPrefix(name, "closed_") {
			name = "closed_..."
		}
		require.Contains(t, text, "`"+name+"`")
	}
}
