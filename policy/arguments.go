package policy

import (
	"fmt"

	"usher/room"
)

// argument is a value of a decision, by its name in sentences.
func argument(name string, q Question, d Decision) string {
	switch name {
	case "action":
		return string(q.Action)
	case "target":
		return string(q.Target)
	case "performer":
		return string(q.Performer)
	case "needed":
		return d.Evidence.Needed.String()
	case "had":
		return d.Evidence.Had.String()
	case "found":
		return d.Evidence.Found
	case "rule":
		if d.Evidence.Key.Type == room.TypeMember {
			return "" // what was found is a membership
		}
		return either(d.Evidence.Found == "", "invite", d.Evidence.Found)
	case "from":
		return string(d.From)
	case "field":
		return d.Field
	case "match":
		return d.Match
	case "fact":
		return d.Missing.first()
	case "wait":
		return d.Wait.String()
	case "n":
		return fmt.Sprint(d.Rate.Count)
	case "per":
		return Span(d.Rate.Per)
	}
	return d.Hit.argument(name, q)
}

// argument is a value of a banning rule. The entity is left out where it is the user's own id.
func (h *Hit) argument(name string, q Question) string {
	switch {
	case h == nil:
		return ""
	case name == "list":
		return string(h.List)
	case name == "reason":
		return h.Reason
	case h.Entity == string(q.Target):
		return ""
	}
	return h.Entity
}

// first names one fact of a set, for a sentence.
func (f Fact) first() string {
	for _, k := range [...]struct {
		fact Fact
		name string
	}{{FactLists, "lists"}, {FactMembers, "members"}, {FactJoined, "joined"}, {FactPast, "past"}, {FactSpent, "spent"}, {FactAuthors, "authors"}} {
		if f&k.fact != 0 {
			return k.name
		}
	}
	return "other"
}

// statePhrase names a piece of state.
func statePhrase(k room.Key) room.Phrase {
	switch k.Type {
	case room.TypeMember:
		return room.Say("state.m.room.member", "of", k.StateKey)
	case room.TypePowerLevels, room.TypeJoinRules, room.TypeCreate, EventType:
		return room.Phrase{Key: "state." + k.Type}
	}
	return room.Say("state.other", "type", k.Type)
}

// either chooses between two values.
func either(which bool, yes, no string) string {
	if which {
		return yes
	}
	return no
}
