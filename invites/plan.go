package invites

import (
	"time"

	"maunium.net/go/mautrix/id"
)

// PlanRun is one carrying out of a plan. Package plan knows its content.
type PlanRun struct {
	Key       string // unique, chosen by the asking side
	Plan      string // name of the plan
	Content   string
	CreatedAt time.Time
	EndedAt   time.Time // zero: under way
}

// PlanNoteKind is the kind of a note.
type PlanNoteKind string

// The kinds of notes.
const (
	PlanMissing PlanNoteKind = "missing" // no source names the user, who is in the room, since then
	PlanRefused PlanNoteKind = "refused" // a change of membership was refused last
	PlanHeld    PlanNoteKind = "held"    // in place of the plan's name, a file, which the fault in Code keeps from being carried out
	PlanLevel   PlanNoteKind = "level"   // a power level was refused last
)

// PlanNote is what a plan remembers of a user in a room. It is unique by all fields but Code and At.
type PlanNote struct {
	Plan string
	Kind PlanNoteKind
	Room id.RoomID
	User id.UserID
	Code string // reason code of a refusal
	At   time.Time
}
