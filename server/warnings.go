package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/dtask/dtask-scheduler/wire"
)

// Keys that no request has are ignored, because older clients may send some: the
// answer tells of them. Who would rather be refused asks for it.
const (
	strictHeader = "DTask-Strict" // 1 or true
	strictParam  = "strict"       // true
	// warningHeader tells of unknown parameters, because one list is an array.
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

// knownKeys warns of the keys of a body that v does not have. It reports false
// after it has refused the request for them.
func (g *gateway) knownKeys(w http.ResponseWriter, body []byte, v any, isStrict bool) bool {
	unknown, more := unknownKeys(body, shapeOf(v))
	if len(unknown) == 0 {
		return true
	}
	if isStrict {
		refuse(w, &wire.Error{Code: wire.CodeBadRequest, Field: unknown[0].path, Message: badBody + ": " + unknown[0].String()})
		return false
	}
	for _, key := range unknown {
		warn(w, key.String())
	}
	if more > 0 {
		warn(w, fmt.Sprintf("%d more unknown keys", more))
	}
	return true
}

func (k unknownKey) String() string {
	if k.near == "" {
		return "unknown key " + k.path
	}
	return "unknown key " + k.path + ", did you mean " + k.near + "?"
}

// warn adds a warning to the answer.
func warn(w http.ResponseWriter, text string) {
	if r, ok := w.(*reply); ok {
		r.warnings = append(r.warnings, text)
	}
}

// withWarnings adds the warnings of a request to the object that answers it.
func withWarnings(w http.ResponseWriter, body []byte) []byte {
	const end = "}\n"
	r, ok := w.(*reply)
	if !ok || len(r.warnings) == 0 || len(body) < len(`{"":0}`)+1 || string(body[len(body)-len(end):]) != end {
		return body
	}
	list, err := json.Marshal(r.warnings)
	if err != nil {
		return body
	}
	all := append(make([]byte, 0, len(body)+len(list)+len(`,"warnings":`)), body[:len(body)-len(end)]...)
	return append(append(append(all, `,"warnings":`...), list...), end...)
}
