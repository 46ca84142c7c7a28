package server

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/server/gateway"
)

// parameters are those of the lists.
func parameters(t *testing.T, path string) (names []string) {
	d := readDocument(t)
	for _, p := range d.at(d.root, "paths", path, "get")["parameters"].([]any) {
		names = append(names, d.at(p.(node))["name"].(string))
	}
	return names
}

// Every list knows the parameters that are documented, tells of others, and names
// those that are wrong.
func TestEveryParameterIsKnownOrToldOf(t *testing.T) {
	f := start(t)
	for _, path := range lists() {
		names := parameters(t, path)
		for _, name := range names {
			odd := name + "s"
			a := f.call("GET", path+"?"+odd+"=1", "")
			require.Equal(t, 200, a.status)
			want := "unknown key " + odd + ", did you mean " + name + "?"
			if a.body[0] == '[' {
				require.Equal(t, want, a.header.Get("DTask-Warning"))
			} else {
				require.Contains(t, a.body, want)
			}
			require.Contains(t, f.call("GET", path+"?strict=true&"+odd+"=1", "").body, `"field":"`+odd+`"`)
			require.NotContains(t, f.call("GET", path+"?"+name+"=1", "").body, "unknown key")
		}
		for name, values := range map[string][]string{
			"limit": {"0", "-1", "1.0", "x", "99999999999999999999"}, "before": {"-1", "x"}, "count": {"1", "yes"}, "state": {"x"}, "after": {"-1", "x"}, "strict": {"maybe"},
		} {
			if !slices.Contains(append(names, "strict"), name) || name == "after" && slices.Contains([]string{gateway.Prefix + "workers", gateway.Prefix + "tags"}, path) {
				continue
			}
			for _, value := range values {
				a := f.call("GET", path+"?"+name+"="+value, "", "Accept", jsonAccept)
				require.Equal(t, 400, a.status, path+name+value)
				require.Contains(t, a.body, `"field":"`+name+`"`)
				require.Equal(t, 400, f.call("GET", path+"?"+name+"="+value, "").status)
			}
		}
	}
}
