package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/internal/ports"
)

// prometheus is a Prometheus that the test started.
type prometheus struct {
	t   *testing.T
	ctx context.Context
	url string
}

// sample is a time series and its latest value.
type sample struct {
	Metric map[string]string  `json:"metric"`
	Value  [2]json.RawMessage `json:"value"`
}

// number returns the value.
func (s *sample) number() (float64, error) {
	var text string
	if err := json.Unmarshal(s.Value[1], &text); err != nil {
		return 0, err
	}
	return strconv.ParseFloat(text, 64)
}

// firing is an alert that fires, or waits to.
type firing struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	State       string            `json:"state"`
}

// watch starts a Prometheus with the files that are shipped. Of them only the
// address of the scheduler, the intervals and how long alerts wait are changed,
// so that nobody has to wait for minutes.
func watch(ctx context.Context, t *testing.T, program, scheduler string) *prometheus {
	t.Helper()
	dir := t.TempDir()
	config := strings.ReplaceAll(read(t, configFile), "127.0.0.1:8080", scheduler)
	config = regexp.MustCompile(`(?m)_interval: .*$`).ReplaceAllString(config, "_interval: 1s")
	waits := regexp.MustCompile(`(?m)^( +for): .*$`).ReplaceAllString(read(t, alertsFile), "$1: 1s")
	require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(configFile)), []byte(config), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(alertsFile)), []byte(waits), 0o600))
	port := strconv.Itoa(ports.Row(t, 1))
	p := &prometheus{t: t, ctx: ctx, url: "http://127.0.0.1:" + port}
	launch(ctx, t, "prometheus", program, "--config.file="+filepath.Join(dir, filepath.Base(configFile)),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address=127.0.0.1:"+port, "--log.level=warn")
	p.until("it is ready", func() bool {
		answer, err := http.Get(p.url + "/-/ready")
		if err != nil {
			return false
		}
		defer func() { _ = answer.Body.Close() }()
		return answer.StatusCode == http.StatusOK
	})
	return p
}

// until waits for something; the context of the test bounds it.
func (p *prometheus) until(what string, holds func() bool) {
	p.t.Helper()
	began := time.Now()
	for !holds() {
		select {
		case <-p.ctx.Done():
			require.FailNow(p.t, "the time is over", "waiting until %s", what)
		case <-time.After(250 * time.Millisecond):
		}
	}
	p.t.Logf("%6.1f s until %s", time.Since(began).Seconds(), what)
}

// get asks the API of Prometheus for what lies below data.
func (p *prometheus) get(path string, data any) error {
	request, err := http.NewRequestWithContext(p.ctx, http.MethodGet, p.url+path, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	body := struct {
		Status string `json:"status"`
		Error  string `json:"error"`
		Data   any    `json:"data"`
	}{Data: data}
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
		return err
	}
	if body.Status != "success" {
		return fmt.Errorf("%s: %s", answer.Status, body.Error)
	}
	return nil
}

// query evaluates an expression now.
func (p *prometheus) query(expr string) ([]sample, error) {
	var data struct {
		Result []sample `json:"result"`
	}
	err := p.get("/api/v1/query?query="+url.QueryEscape(expr), &data)
	return data.Result, err
}

// holds reports whether an expression has a sample: comparisons keep what they
// hold for.
func (p *prometheus) holds(expr string) bool {
	samples, err := p.query(expr)
	require.NoError(p.t, err, expr)
	return len(samples) > 0
}

// hasNumber reports whether an expression has a sample that is a number.
func (p *prometheus) hasNumber(expr string) bool {
	samples, err := p.query(expr)
	require.NoError(p.t, err, expr)
	for i := range samples {
		n, err := samples[i].number()
		require.NoError(p.t, err, expr)
		if !math.IsNaN(n) {
			return true
		}
	}
	return false
}

// alert returns the alert of a name if it fires, nil otherwise.
func (p *prometheus) alert(name string) *firing {
	var data struct {
		Alerts []firing `json:"alerts"`
	}
	require.NoError(p.t, p.get("/api/v1/alerts", &data))
	for i, a := range data.Alerts {
		if a.Labels["alertname"] == name && a.State == "firing" {
			return &data.Alerts[i]
		}
	}
	return nil
}
