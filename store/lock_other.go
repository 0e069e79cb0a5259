//go:build !unix

package store

import (
	"errors"
	"io"
	"os"
)

var errHeld = errors.New("store: lock is held")

// lockFile has no lock to offer here: one process at a time is up to the operator.
func lockFile(path string) (io.Closer, error) { return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) }
