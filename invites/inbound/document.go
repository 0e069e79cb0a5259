package inbound

import (
	"context"
	"errors"
	"strconv"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/policy"
	"usher/room"
)

// EventType is the state event in the operators' room whose fields replace those of the config. Its state key is empty.
const EventType = "chat.usher.inbound"

// Bounds of its values, as of the config.
const (
	mostPeople = 10_000
	mostLists  = 100
	longestPer = 7 * 24 * time.Hour
	shortest   = time.Minute // of a block
	longest    = 30 * 24 * time.Hour
)

// Replacement is what the state event in the operators' room says.
type Replacement struct {
	By     id.UserID
	Fields []string      // that count instead of those of the config
	Faults []room.Phrase // all of them; then the config counts alone
}

// Reload reads the state event in the operators' room, and takes its rules over. It asks the homeserver for what is not cached only. Its author must
// be an operator with the power to send it, as of now. A room that the bot can't see replaces nothing.
func (s *Inbound) Reload(ctx context.Context) (found Replacement, err error) {
	own := configured(s)
	if own.Ops == "" {
		s.replaced.Store(nil)
		return found, nil
	}
	key := room.Key{Type: EventType}
	needs := []room.Key{key, {Type: room.TypeCreate}, {Type: room.TypePowerLevels}}
	snap, err := s.Homeserver.Snapshot(ctx, own.Ops, s.Self.Bot, needs, false)
	if err == nil {
		if event, _ := snap.Event(key); event != nil {
			found.By = event.Sender
			snap, err = s.Homeserver.Snapshot(ctx, own.Ops, s.Self.Bot, append(needs, room.MemberKey(event.Sender)), false)
		}
	}
	if errors.Is(err, invites.ErrNoView) {
		s.replaced.Store(nil)
		return Replacement{}, nil
	}
	if err != nil {
		return found, err
	}
	event, known := snap.Event(key)
	if !known {
		return found, errors.New("inbound: the rules of the operators' room are not known")
	}
	if event == nil || len(event.Content) == 0 {
		s.replaced.Store(nil)
		return found, nil
	}
	rules := *own
	if !s.Operator(event.Sender) || snap.CanSend(event.Sender, EventType, true).Verdict != room.Allow {
		found.Faults = []room.Phrase{room.Say("inbound.fault.author", "author", event.Sender)}
	} else {
		found.Fields, found.Faults = rules.read(event.Content)
	}
	if len(found.Faults) > 0 || len(found.Fields) == 0 {
		s.replaced.Store(nil)
		return found, nil
	}
	s.replaced.Store(&rules)
	if configured(s) != own { // taken over meanwhile
		return s.Reload(ctx)
	}
	return found, nil
}

// Take takes over other rules of the config, and reads those of the operators' room again.
func (s *Inbound) Take(ctx context.Context, rules Rules) error {
	s.taken.Store(&rules)
	s.replaced.Store(nil)
	_, err := s.Reload(ctx)
	return err
}

// configured returns the rules of the config.
func configured(s *Inbound) *Rules {
	if r := s.taken.Load(); r != nil {
		return r
	}
	return &s.Rules
}

// read replaces fields by those of a document, and returns their names, or all faults.
func (r *Rules) read(content []byte) (fields []string, faults []room.Phrase) {
	doc, _, ok := exactjson.Parse(content)
	if !ok || doc.Kind != exactjson.Object {
		return nil, []room.Phrase{room.Say("inbound.fault.object", "field", EventType)}
	}
	limits := map[string]*Limit{"sender": &r.Sender, "per_room": &r.Room, "server": &r.Server, "new_sender": &r.New, "rush": &r.Rush, "breaker": &r.Breaker}
	switches := map[string]*bool{"ip_literals": &r.IPLiterals, "no_create": &r.NoCreate}
	for _, m := range doc.Items {
		var wrong []room.Phrase
		switch {
		case limits[m.Key] != nil:
			wrong = limits[m.Key].read(m.Key, m.Value)
		case switches[m.Key] != nil:
			*switches[m.Key] = m.Kind == exactjson.True
			if m.Kind != exactjson.True && m.Kind != exactjson.False {
				wrong = []room.Phrase{room.Say("inbound.fault.switch", "field", m.Key)}
			}
		case m.Key == "lists":
			wrong = r.readLists(m.Value)
		case m.Key == "block_for":
			r.Block, wrong = readSpan(m.Key, m.Value, shortest, longest)
		default:
			wrong = []room.Phrase{room.Say("inbound.fault.unknown", "field", m.Key)}
		}
		fields, faults = append(fields, m.Key), append(faults, wrong...)
	}
	return fields, faults
}

// read reads a limit. A part that is not there stays as it is.
func (l *Limit) read(field string, v exactjson.Value) (faults []room.Phrase) {
	if v.Kind != exactjson.Object {
		return []room.Phrase{room.Say("inbound.fault.object", "field", field)}
	}
	for _, m := range v.Items {
		switch path := field + "." + m.Key; m.Key {
		case "people":
			n, err := strconv.Atoi(m.Raw)
			if m.Kind != exactjson.Number || err != nil || n < 0 || n > mostPeople {
				faults = append(faults, room.Say("inbound.fault.people", "field", path, "most", mostPeople))
			}
			l.People = n
		case "per":
			per, wrong := readSpan(path, m.Value, time.Second, longestPer)
			l.Per, faults = per, append(faults, wrong...)
		default:
			faults = append(faults, room.Say("inbound.fault.unknown", "field", path))
		}
	}
	return faults
}

func readSpan(field string, v exactjson.Value, least, most time.Duration) (time.Duration, []room.Phrase) {
	text, _ := v.Str()
	span, ok := policy.ParseSpan(text)
	if !ok || span < least || span > most {
		return 0, []room.Phrase{room.Say("inbound.fault.span", "field", field, "least", least, "most", most)}
	}
	return span, nil
}

// readLists reads the policy lists. That of the operators stays among them.
func (r *Rules) readLists(v exactjson.Value) []room.Phrase {
	texts, ok := v.Texts()
	r.Lists = nil
	for _, text := range texts {
		ok = ok && len(text) > 1 && text[0] == '!' && len(text) <= room.MaxID
		r.Lists = append(r.Lists, id.RoomID(text))
	}
	if !ok || len(texts) > mostLists {
		return []room.Phrase{room.Say("inbound.fault.lists", "field", "lists", "most", mostLists)}
	}
	if r.BanList != "" {
		r.Lists = append(r.Lists, r.BanList)
	}
	return nil
}
