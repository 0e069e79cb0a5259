package judge

import "testing"

// TestCacheBounds: a cache is bounded in values and in bytes.
func TestCacheBounds(t *testing.T) {
	for name, tt := range map[string]struct{ size, most int }{"values": {10, maxCached}, "bytes": {maxBytes / 8, 8}, "one that is too large": {2 * maxBytes, 1}} {
		var c cache[int, int]
		for i := range maxCached + 10 {
			made := 0
			for range 2 { // the second time it is there
				v, err := c.get(i, func() (int, int, error) { made++; return i, tt.size, nil })
				if err != nil || v != i || made != 1 {
					t.Fatal(name, v, err, made)
				}
			}
			if len(c.kept) > tt.most || c.bytes != len(c.kept)*tt.size {
				t.Fatalf("%s: %d kept, %d bytes", name, len(c.kept), c.bytes)
			}
		}
	}
}
