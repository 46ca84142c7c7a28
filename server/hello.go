package server

import (
	"fmt"

	"github.com/dtask/dtask-scheduler/wire"
)

// checkVersion reports, as *wire.Error, that no version of the protocol is
// spoken by both ends.
func checkVersion(h *wire.Hello) error {
	if h.MinVersion <= wire.Version && h.MaxVersion >= wire.MinVersion && h.MinVersion <= h.MaxVersion {
		return nil
	}
	return &wire.Error{
		Code:  wire.CodeUnsupportedVersion,
		Field: "max_version",
		Message: fmt.Sprintf("this scheduler speaks versions %d to %d of the protocol, the peer %d to %d",
			wire.MinVersion, wire.Version, h.MinVersion, h.MaxVersion),
		Limit: wire.Version,
	}
}
