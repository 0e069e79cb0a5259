package plan

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/policy"
	"usher/room"
)

// Wish is what one file wants. Its people are united from all sources.
type Wish struct {
	Name    string        `json:"name"`
	Manager id.UserID     `json:"manager,omitempty"` // the plan acts in this user's name; empty: in the bot's
	Reason  string        `json:"reason,omitempty"`  // of the invitations
	Grace   time.Duration `json:"grace,omitempty"`   // between the first miss of somebody and the removal
	Again   bool          `json:"again,omitempty"`   // also invite people who left or declined by themselves
	Rooms   []Room        `json:"rooms"`
}

// Room is what a wish wants of one room.
type Room struct {
	Room      string   `json:"room"`                // id or alias
	Exclusive bool     `json:"exclusive,omitempty"` // people whom no source names are to be removed
	Keep      []string `json:"keep,omitempty"`      // never removed: ids of users, with * and ? as wildcards
	People    []Person `json:"people"`
}

// Person is somebody named by a source.
type Person struct {
	User  id.UserID `json:"user"`
	Power *int64    `json:"power,omitempty"` // nil: it does not matter
}

// Source is the people of one source.
type Source struct {
	Name      string // for people, such as a file and its line
	Exclusive bool
	People    []Person
}

// Bounds of wishes.
const (
	MaxPeople = 100_000 // of one wish
	maxRooms  = 1000
	maxReason = 500 // bytes
	maxGrace  = 366 * 24 * time.Hour
	maxPower  = 1<<53 - 1
)

// Fault is why a wish can't be carried out at all. Nothing was done.
type Fault struct {
	Code   string
	Phrase room.Phrase
}

// Error implements error, for logs.
func (f *Fault) Error() string { return f.Code + " " + f.Phrase.String() }

// fault makes a Fault of a phrase whose key is "plan.fault." and the end of the code.
func fault(p room.Phrase) *Fault {
	return &Fault{"plan." + strings.TrimPrefix(p.Key, "plan.fault."), p}
}

// NewFault makes a Fault of a phrase whose key is "plan.fault." and the end of its code.
func NewFault(p room.Phrase) error { return fault(p) }

// Unite makes the people of one room of several sources. A source without people is a fault, never the wish for an empty room. So are two
// different power levels of one person.
func Unite(sources []Source) (people []Person, exclusive bool, err error) {
	at := map[id.UserID]int{}
	for _, s := range sources {
		if len(s.People) == 0 {
			return nil, false, fault(room.Say("plan.fault.empty", "source", s.Name))
		}
		exclusive = exclusive || s.Exclusive
		for _, p := range s.People {
			i, known := at[p.User]
			switch {
			case !known:
				at[p.User] = len(people)
				people = append(people, p)
			case people[i].Power == nil:
				people[i].Power = p.Power
			case p.Power != nil && *p.Power != *people[i].Power:
				return nil, false, fault(room.Say("plan.fault.conflict", "user", p.User, "one", *people[i].Power, "other", *p.Power))
			}
		}
	}
	slices.SortFunc(people, func(a, b Person) int { return cmp.Compare(a.User, b.User) })
	return people, exclusive, nil
}

// Check finds the first fault of a wish.
func (w *Wish) Check() error {
	switch {
	case !policy.PlanName(w.Name):
		return fault(room.Say("plan.fault.name", "name", w.Name))
	case w.Manager != "" && !room.ValidUserID(string(w.Manager)):
		return fault(room.Say("plan.fault.user", "user", w.Manager, "source", "manager"))
	case len(w.Rooms) == 0 || len(w.Rooms) > maxRooms:
		return fault(room.Say("plan.fault.rooms", "most", maxRooms))
	case len(w.Reason) > maxReason || strings.ContainsFunc(w.Reason, func(r rune) bool { return r < ' ' }):
		return fault(room.Say("plan.fault.reason", "most", maxReason))
	case w.Grace < 0 || w.Grace > maxGrace:
		return fault(room.Say("plan.fault.grace"))
	}
	seen, people := map[string]bool{}, 0
	for _, r := range w.Rooms {
		if len(r.Room) < 2 || len(r.Room) > room.MaxID || (r.Room[0] != '!' && r.Room[0] != '#') {
			return fault(room.Say("plan.fault.room", "room", r.Room))
		}
		if seen[r.Room] {
			return fault(room.Say("plan.fault.twice", "room", r.Room))
		}
		seen[r.Room] = true
		if people += len(r.People); people > MaxPeople {
			return fault(room.Say("plan.fault.people", "most", MaxPeople))
		}
		if err := r.check(); err != nil {
			return err
		}
	}
	return nil
}

func (r *Room) check() error {
	if len(r.People) == 0 {
		return fault(room.Say("plan.fault.empty", "source", r.Room))
	}
	for _, p := range r.People {
		if !room.ValidUserID(string(p.User)) || len(p.User) > room.MaxID {
			return fault(room.Say("plan.fault.user", "user", p.User, "source", r.Room))
		}
		if p.Power != nil && (*p.Power > maxPower || *p.Power < -maxPower) {
			return fault(room.Say("plan.fault.power", "power", *p.Power, "user", p.User))
		}
	}
	for _, glob := range r.Keep {
		if !strings.HasPrefix(glob, "@") || len(glob) > room.MaxID {
			return fault(room.Say("plan.fault.user", "user", glob, "source", "keep"))
		}
	}
	return nil
}
