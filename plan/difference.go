package plan

import (
	"strings"
	"time"
	"unicode"

	"maunium.net/go/mautrix/id"

	"usher/room"
)

// Kind is what a step does.
type Kind string

// The kinds. Only the first three change a room.
const (
	Invite Kind = "invite"
	Remove Kind = "remove"
	Power  Kind = "power"
	Wait   Kind = "wait" // removed after the grace period
	Busy   Kind = "busy" // an invitation waits to be sent already
	Refuse Kind = "refuse"
)

// Refusal says that the change is refused, with the reason.
func (k Kind) Refusal(code string, because room.Phrase) room.Phrase {
	switch k {
	case Invite:
		return room.Say("plan.refused.invite", "code", code).Holding(because)
	case Remove:
		return room.Say("plan.refused.remove", "code", code).Holding(because)
	}
	return room.Say("plan.refused.power", "code", code).Holding(because)
}

// Step is one change, or the reason against one.
type Step struct {
	Kind    Kind        `json:"kind"`
	Room    id.RoomID   `json:"room"`
	User    id.UserID   `json:"user"`
	Was     int64       `json:"was,omitempty"`   // of a power level
	Power   int64       `json:"power,omitempty"` // the wanted one
	Would   Kind        `json:"would,omitempty"` // of Refuse: the change
	Code    string      `json:"code,omitempty"`  // reason code of a refusal, or how a step of a run ended
	Because room.Phrase `json:"because,omitzero"`
	Until   time.Time   `json:"until,omitzero"`  // of Wait: removed after
	First   bool        `json:"first,omitempty"` // of Wait: the grace period has not begun
	Done    bool        `json:"done,omitempty"`  // a power level of a run is settled
}

// Difference is what lies between a wish and its rooms.
type Difference struct {
	Plan  string     `json:"plan"`
	Rooms []RoomDiff `json:"rooms"`
}

// RoomDiff is the difference in one room.
type RoomDiff struct {
	Name    string      `json:"name"` // as the wish has it
	Room    id.RoomID   `json:"room,omitempty"`
	Same    int         `json:"same"`           // people who are as they should be
	Members int         `json:"members"`        // joined and invited, without the bot
	Code    string      `json:"code,omitempty"` // why nothing is done in the whole room
	Because room.Phrase `json:"because,omitzero"`
	Steps   []Step      `json:"steps,omitempty"`
}

// Each calls f for each step.
func (d *Difference) Each(f func(Step)) {
	for _, r := range d.Rooms {
		for _, s := range r.Steps {
			f(s)
		}
	}
}

// Steps returns the steps of some kinds, all changes where none is named.
func (d *Difference) Steps(kinds ...Kind) (list []Step) {
	if len(kinds) == 0 {
		kinds = []Kind{Invite, Remove, Power}
	}
	d.Each(func(s Step) {
		for _, k := range kinds {
			if s.Kind == k {
				list = append(list, s)
			}
		}
	})
	return list
}

// Changes reports whether carrying the plan out would do anything, be it to begin a grace period.
func (d *Difference) Changes() bool {
	changes := len(d.Steps()) > 0
	d.Each(func(s Step) { changes = changes || s.First })
	return changes
}

// Refused counts the refusals, a whole room as one.
func (d *Difference) Refused() int {
	n := len(d.Steps(Refuse))
	for _, r := range d.Rooms {
		if r.Code != "" {
			n++
		}
	}
	return n
}

// Bounds of removals without a confirmation, for each room.
const (
	freeRemovals = 10 // people
	freePart     = 20 // per cent of its people
)

// Brake returns the fault of a difference that removes many people, unless confirmed is exactly the number of all removals.
func (d *Difference) Brake(confirmed int) error {
	all := len(d.Steps(Remove))
	if confirmed != 0 && confirmed != all {
		return fault(room.Say("plan.fault.confirm", "n", all, "given", confirmed))
	}
	for _, r := range d.Rooms {
		n := 0
		for _, s := range r.Steps {
			if s.Kind == Remove {
				n++
			}
		}
		if (n > freeRemovals || 100*n > freePart*r.Members) && confirmed != all {
			return fault(room.Say("plan.fault.brake", "n", n, "members", r.Members, "room", r.Name, "all", all, "file", ""))
		}
	}
	return nil
}

// WithFile names the file of the plan in the command of a brake, as a shell takes it. Other phrases stay as they are.
func WithFile(p room.Phrase, file string) room.Phrase {
	if p.Key != "plan.fault.brake" {
		return p
	}
	if strings.ContainsFunc(file, func(c rune) bool {
		return !unicode.IsLetter(c) && !unicode.IsDigit(c) && !strings.ContainsRune("._-/", c)
	}) {
		file = "'" + strings.ReplaceAll(file, "'", `'\''`) + "'"
	}
	return p.With("file", file)
}
