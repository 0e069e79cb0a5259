package matrix

import (
	"io"
	"strings"
)

// newStuck is a body that never ends until it is released.
func newStuck(start string) (body io.Reader, release func()) {
	r, w := io.Pipe()
	return io.MultiReader(strings.NewReader(start), r), func() { w.Close() }
}
