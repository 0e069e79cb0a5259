//go:build unix

package child

import (
	"runtime"
	"testing"
)

// TestFreePort has no port given out twice: two servers that start side by side would meet on it.
func TestFreePort(t *testing.T) {
	seen := map[int]bool{}
	for range 500 {
		port, err := FreePort()
		if err != nil {
			t.Fatal(err)
		}
		if seen[port] {
			t.Fatalf("port %d was given out twice", port)
		}
		seen[port] = true
	}
	runtime.GC()
	for port := range seen {
		if claimed, err := claim(port); claimed || err != nil {
			t.Fatalf("port %d can be claimed again (error %v)", port, err)
		}
	}
}
