package plan

import (
	"errors"
	"testing"

	"usher/room"
)

// TestBrake: more than 10 people, or more than a fifth of a room, are removed only with the exact number.
func TestBrake(t *testing.T) {
	for _, tt := range []struct {
		remove, members, confirm int
		code                     string
	}{
		{0, 4, 0, ""}, {1, 5, 0, ""}, {1, 4, 0, "plan.brake"}, {10, 50, 0, ""}, {10, 49, 0, "plan.brake"}, {11, 1000, 0, "plan.brake"},
		{11, 1000, 11, ""}, {11, 1000, 12, "plan.confirm"}, {1, 5, 1, ""}, {1, 5, 2, "plan.confirm"}, {0, 5, 3, "plan.confirm"},
	} {
		d := Difference{Rooms: []RoomDiff{{Members: tt.members}}}
		for range tt.remove {
			d.Rooms[0].Steps = append(d.Rooms[0].Steps, Step{Kind: Remove})
		}
		var f *Fault
		if err := d.Brake(tt.confirm); errors.As(err, &f) != (tt.code != "") || f != nil && f.Code != tt.code {
			t.Errorf("%+v: %v", tt, err)
		}
	}
	two := Difference{Rooms: []RoomDiff{{Members: 100, Steps: []Step{{Kind: Remove}}}, {Members: 2, Steps: []Step{{Kind: Remove}}}}}
	if two.Brake(1) == nil || two.Brake(0) == nil || two.Brake(2) != nil {
		t.Error("the number is that of all rooms")
	}
}

// TestWithFile: the command of a brake names the file as a shell takes it.
func TestWithFile(t *testing.T) {
	d := Difference{Rooms: []RoomDiff{{Members: 10, Steps: make([]Step, 3)}}}
	for i := range d.Rooms[0].Steps {
		d.Rooms[0].Steps[i].Kind = Remove
	}
	var f *Fault
	if !errors.As(d.Brake(0), &f) {
		t.Fatal("no brake")
	}
	for file, want := range map[string]string{"plans/staff-1.yaml": "plans/staff-1.yaml", "Ann's staff.yaml": `'Ann'\''s staff.yaml'`, "$(x)": "'$(x)'"} {
		if got := WithFile(f.Phrase, file).Args["file"]; got != want {
			t.Errorf("%s is %s", file, got)
		}
	}
	if other := WithFile(room.Say("plan.fault.version", "file", "a"), "b"); other.Args["file"] != "a" {
		t.Error("another phrase was changed")
	}
}
