package picture

import (
	"bytes"
	"flag"
	"fmt"
	"image"
	"image/png"
	"math/rand"
	"os"
	"path/filepath"
	"testing"
)

var keep = flag.String("keep", "", "folder to keep the pictures in, to look at them")

// family makes a tree of n people: the first is a root, and each later one hangs below an earlier one, now and then deep.
func family(n int) []Row {
	r := rand.New(rand.NewSource(int64(n)))
	names := []string{"alice", "bob", "carol", "dave", "erin", "frank.miller", "grace", "heidi_of_the_long_name", "ivan", "judy"}
	servers := []string{"example.org", "matrix.org", "chat.university-of-somewhere.edu"}
	children := make([][]int, n)
	for i := 1; i < n; i++ {
		parent := r.Intn(i)
		if r.Intn(3) == 0 {
			parent = i - 1
		}
		children[parent] = append(children[parent], i)
	}
	var rows []Row
	var walk func(i, depth int)
	walk = func(i, depth int) {
		row := Row{Name: fmt.Sprintf("@%s%d:%s", names[i%len(names)], i, servers[r.Intn(len(servers))]), Depth: depth, Tint: Good}
		if n < 100 {
			row.Note = "2026-03-14"
		}
		if i == 0 {
			row.Tint, row.Note = Plain, ""
		} else if len(children[i]) == 0 {
			row.Tint = []Tint{Good, Open, Bad, Absent}[r.Intn(4)]
		}
		rows = append(rows, row)
		for _, child := range children[i] {
			walk(child, depth+1)
		}
	}
	if n > 0 {
		walk(0, 0)
	}
	return rows
}

var meaning = map[Tint]string{Plain: "was here before", Good: "joined", Open: "invited", Bad: "declined or banned", Absent: "withdrawn or expired"}

func TestTree(t *testing.T) {
	for _, n := range []int{0, 1, 5, 25, 50, 500} {
		p, err := Tree{"Who invited whom", fmt.Sprintf("%d people · as of 2026-03-20 12:00 UTC", n), family(n), meaning, n == 5}.Draw()
		if err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(bytes.NewReader(p.PNG))
		if err != nil {
			t.Fatal(err)
		}
		b := img.Bounds()
		if b.Dx() != p.Width || b.Dy() != p.Height {
			t.Errorf("%d people: %v, but it says %d×%d", n, b, p.Width, p.Height)
		}
		if n <= oneColumn && b.Dx() > narrow {
			t.Errorf("%d people: %d pixels wide", n, b.Dx())
		}
		empty(t, img, fmt.Sprintf("%d people", n))
		t.Logf("%d people: %d×%d, %d KiB", n, p.Width, p.Height, len(p.PNG)>>10)
		save(t, fmt.Sprintf("tree-%d.png", n), p)
	}
}

// empty checks that nothing is cut off: a margin all around holds nothing.
func empty(t *testing.T, img image.Image, name string) {
	t.Helper()
	b := img.Bounds()
	paper := img.At(0, 0)
	for y := range b.Dy() {
		for x := range b.Dx() {
			inside := x >= margin-2 && x < b.Dx()-margin/2 && y >= margin/2 && y < b.Dy()-margin/2
			if !inside && img.At(x, y) != paper {
				t.Fatalf("%s: something at %d,%d of %v", name, x, y, b)
			}
		}
	}
}

func save(t *testing.T, name string, p Picture) {
	t.Helper()
	if *keep == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(*keep, name), p.PNG, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestPlaceDrawsLinesToTheLastChild(t *testing.T) {
	items := place([]Row{{Depth: 0}, {Depth: 1}, {Depth: 2}, {Depth: 1}, {Depth: 0}})
	for i, want := range []struct {
		last   bool
		guides string
	}{{false, "[]"}, {false, "[true]"}, {true, "[true true]"}, {true, "[true]"}, {true, "[]"}} {
		if items[i].last != want.last || fmt.Sprint(items[i].guides) != want.guides {
			t.Errorf("row %d: %v %v, want %v", i, items[i].last, items[i].guides, want)
		}
	}
}
