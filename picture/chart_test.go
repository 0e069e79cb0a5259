package picture

import (
	"bytes"
	"fmt"
	"image/png"
	"testing"
)

func TestChart(t *testing.T) {
	full := Chart{Title: "Invitations", Subtitle: "12 weeks to 2026-03-20 · 412 sent, 260 accepted, 40 declined, 61 expired",
		Meaning:   map[Tint]string{Good: "accepted", Open: "pending", Bad: "declined or banned", Absent: "withdrawn or expired"},
		ListTitle: "Who invited most"}
	for i := range 12 {
		full.Columns = append(full.Columns, Bar{Name: fmt.Sprintf("%d %s", i*7%28+1, []string{"Jan", "Feb", "Mar"}[i/4]), Parts: [Absent + 1]int{Good: i * 3, Open: i / 3, Bad: i % 4, Absent: i % 3}})
	}
	for i := range 10 {
		full.List = append(full.List, Bar{Name: fmt.Sprintf("@person%d:chat.university-of-somewhere.edu", i), Parts: [Absent + 1]int{Good: 100 / (i + 1), Open: 5, Bad: i, Absent: 2}})
	}
	one := Chart{Title: "Invitations", Meaning: full.Meaning, Columns: []Bar{{Name: "2 Mar", Parts: [Absent + 1]int{Good: 1}}}}
	for name, ch := range map[string]Chart{"full": full, "one": one, "none": {Title: "Invitations", Dark: true}} {
		p, err := ch.Draw()
		if err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(bytes.NewReader(p.PNG))
		if err != nil {
			t.Fatal(err)
		}
		empty(t, img, name)
		save(t, "chart-"+name+".png", p)
	}
}

func TestNice(t *testing.T) {
	for n, want := range map[int]int{0: 1, 1: 1, 4: 1, 5: 2, 9: 5, 20: 5, 21: 10, 81: 50, 1234: 500} {
		if got := nice(n); got != want {
			t.Errorf("nice(%d) is %d, want %d", n, got, want)
		}
	}
}

// TestAvatar: it is a square.
func TestAvatar(t *testing.T) {
	p, err := Avatar()
	if err != nil || p.Width != AvatarSize || p.Height != AvatarSize || len(p.PNG) > 20<<10 {
		t.Errorf("%d×%d, %d bytes, %v", p.Width, p.Height, len(p.PNG), err)
	}
	save(t, "avatar.png", p)
}
