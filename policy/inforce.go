package policy

import (
	"slices"

	"maunium.net/go/mautrix/id"
)

// Source is one policy event, of the room itself or of a space above it.
type Source struct {
	Room   id.RoomID
	Event  id.EventID
	Author id.UserID // sender of the event
	For    id.UserID // where the bot sent the event: the user for whom the bot wrote it
	Size   int       // bytes of its content: a redaction changes it, but not Event
	Layer  Layer
	Fault  Malformed // why the event can't be read; nil where it can

	Inherited bool      // a space sets it
	Carried   bool      // inherited from the replaced room
	Copied    id.RoomID // the replaced room that the event was copied from in the upgrade; empty: none
	Lapsed    bool      // inherited, and its author may not write it any more
}

// InForce is the policy in force for a room: its own fields, and each other field from the nearest space which sets it. The zero value is
// no policy at all.
type InForce struct {
	Document Document
	Sources  []Source // nearest first: the room itself, then the spaces above it; without rooms lacking a policy event

	denyUsers, denyServers []denying // of Document.Whom, prepared
}

// Merge puts sources together, nearest first, field by field.
func Merge(sources ...Source) *InForce {
	p := &InForce{Document: defaults(), Sources: sources}
	for i := len(sources) - 1; i >= 0; i-- {
		for path, value := range sources[i].Layer.values {
			if f, known := Lookup(path); known {
				f.assign(&p.Document, value)
			}
		}
	}
	p.denyUsers, p.denyServers = denyingUsers(p.Document.Whom.DenyUsers), denyingServers(p.Document.Whom.DenyServers)
	return p
}

// From returns where a field comes from; false where nothing sets it.
func (p *InForce) From(path string) (Source, bool) {
	for _, s := range p.Sources {
		if s.Layer.Has(path) {
			return s, true
		}
	}
	return Source{}, false
}

// Nearest returns the nearest policy that sets anything. Its author answers for defaults that act.
func (p *InForce) Nearest() (Source, bool) {
	for _, s := range p.Sources {
		if s.Fault != nil || !s.Layer.Empty() {
			return s, true
		}
	}
	return Source{}, false
}

// Paths lists the fields set anywhere, in the order of the document.
func (p *InForce) Paths() []string {
	var all Layer
	for _, s := range p.Sources {
		for path, value := range s.Layer.values {
			all = all.with(path, value)
		}
	}
	return all.Paths()
}

// Fault returns the first unreadable source, or nil.
func (p *InForce) Fault() *Source {
	for i := range p.Sources {
		if p.Sources[i].Fault != nil {
			return &p.Sources[i]
		}
	}
	return nil
}

// Governs reports whether there is a policy at all: an empty event is none.
func (p *InForce) Governs() bool {
	return slices.ContainsFunc(p.Sources, func(s Source) bool { return s.Fault != nil || !s.Layer.Empty() })
}

// Event is the nearest policy event, for decisions to name. Empty where there is no policy.
func (p *InForce) Event() id.EventID {
	if len(p.Sources) == 0 {
		return ""
	}
	return p.Sources[0].Event
}
