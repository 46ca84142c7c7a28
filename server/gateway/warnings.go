package gateway

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/dtask/dtask-scheduler/wire"
)

// Keys that no request has are ignored, because older clients may send some: the
// answer warns of them. A header or parameter has the request refused instead.
const (
	strictHeader = "DTask-Strict" // 1 or true
	strictParam  = "strict"       // true
	// warningHeader names unknown parameters, because one list is an array.
	warningHeader = "DTask-Warning"
)

// strict reports whether a request wants to be refused for unknown keys.
func strict(r *http.Request) (bool, *wire.Error) {
	yes := false
	for _, from := range [...]struct{ field, value string }{{strictHeader, r.Header.Get(strictHeader)}, {strictParam, r.URL.Query().Get(strictParam)}} {
		if from.value == "" {
			continue
		}
		is, err := strconv.ParseBool(from.value)
		if err != nil {
			return false, badField(from.field, "must be true or false", 0)
		}
		yes = yes || is
	}
	return yes, nil
}

// knownKeys warns of the keys of a body that its type does not have. It reports
// false after it has refused the request for them.
func (c *call) knownKeys(odd *walk, isStrict bool) bool {
	if len(odd.unknown) == 0 {
		return true
	}
	if isStrict {
		c.refuse(&wire.Error{Code: wire.CodeBadRequest, Field: odd.unknown[0].path, Message: badBody + ": " + odd.unknown[0].String()})
		return false
	}
	for _, key := range odd.unknown {
		c.warn(key.String())
	}
	if odd.more > 0 {
		c.warn(fmt.Sprintf("%d more unknown keys", odd.more))
	}
	return true
}

func (k unknownKey) String() string {
	if k.near == "" {
		return "unknown key " + k.path
	}
	return "unknown key " + k.path + ", did you mean " + k.near + "?"
}
