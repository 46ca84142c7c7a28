package server

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/server/gateway"
	"github.com/dtask/dtask-scheduler/view"
)

func TestTheDocumentNamesEveryPathAndMetric(t *testing.T) {
	raw, err := os.ReadFile("../docs/api.md")
	require.NoError(t, err)
	text := string(raw)
	for _, e := range gateway.Endpoints {
		path := strings.Replace(e.Path, gateway.WorkerPath+"/un", "/un", 1) // named beside its opposite
		require.Contains(t, text, path+"`")
		require.Contains(t, text, e.Method)
	}
	var s view.Stats
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

var curlLine = regexp.MustCompile(`(?m)^curl -X POST http://localhost:8080(\S+) -d '(.*)'$`)

// The commands of the document do what it says.
func TestTheDocumentedCurls(t *testing.T) {
	raw, err := os.ReadFile("../docs/api.md")
	require.NoError(t, err)
	curls := curlLine.FindAllStringSubmatch(string(raw), -1)
	require.GreaterOrEqual(t, len(curls), 6)
	for _, c := range curls {
		t.Run(c[2], func(t *testing.T) {
			f := start(t)
			f.equipped(gpus("w1", "gpu", "cuda=12.4", "zone=a"))
			f.equipped(gpus("w2", "gpu", "cuda=12.4", "zone=b"))
			a := f.call("POST", c[1], c[2])
			require.Equal(t, 200, a.status, a.body)
			require.NotContains(t, a.body, "error")
		})
	}
}
