package appservice

import (
	"bytes"
	"io"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/events"
	"usher/exactjson"
	"usher/invites"
	"usher/room"
)

// work is one transaction as it is taken in.
type work struct {
	now        time.Time
	txn        string
	body       []byte
	events     int
	received   []invites.Received
	members    []invites.MemberEvent
	broken     []invites.Undecodable
	redactions []redaction
	left       []leaving
	kinds      [len(kinds)]int
}

type redaction struct {
	event  id.EventID
	sender id.UserID
}

// leaving is one of a user, or of several from the same room; a ban is one of its own.
type leaving struct {
	room   id.RoomID
	banned id.UserID
}

// kind is an index into kinds.
type kind int

const (
	ignored kind = iota
	state
	command
	life
	redacted
	vote
	encrypted
	undecodable
)

var kinds = [...]string{KindIgnored, KindState, KindCommand, KindLife, KindRedaction, KindVote, KindEncrypted, KindUndecodable}

// Bounds of what is kept in memory and in quarantine.
const (
	maxPooled     = 1 << 20
	maxQuarantine = 64 << 10 // bytes of one undecodable event
	maxBroken     = 100      // undecodable events of one transaction; the rest is only counted
)

func (t *work) reset(now time.Time) { *t = work{now: now, body: t.body[:0]} }

// quiet tells whether a transaction brought nothing to be done.
func (t *work) quiet() bool {
	return len(t.received)+len(t.members) == 0 && len(t.redactions) == 0 && len(t.broken) == 0 && len(t.left) == 0
}

// read reads a body of the length announced, -1 if none was, into the buffer.
func (t *work) read(r io.Reader, length, limit int64) error {
	t.body = slices.Grow(t.body[:0], int(min(max(length, 0), maxPooled))+bytes.MinRead)
	for {
		n, err := r.Read(t.body[len(t.body):cap(t.body)])
		t.body = t.body[:len(t.body)+n]
		switch {
		case int64(len(t.body)) > limit:
			return errTooLarge
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case len(t.body) == cap(t.body):
			t.body = slices.Grow(t.body, len(t.body))
		}
	}
}

// sort takes a transaction apart: it tells the cache what changed and collects what is for the inbox.
func (n *Intake) sort(t *work, txn string) error {
	broken := func(raw []byte, fault string) {
		t.kinds[undecodable]++
		t.events++
		n.unreadable(t, raw)
		if len(t.broken) == maxBroken {
			return
		}
		t.broken = append(t.broken, invites.Undecodable{
			Transaction: txn, Raw: bytes.Clone(raw[:min(len(raw), maxQuarantine)]), Fault: fault, ReceivedAt: t.now,
		})
	}
	err := eachEvent(t.body, func(e *rawEvent) {
		kind, fault := n.event(t, e)
		if fault != "" {
			broken(e.raw, fault)
			return
		}
		t.kinds[kind]++
		t.events++
	}, broken)
	for kind, count := range t.kinds {
		if count > 0 {
			n.o.Counters.Event(kinds[kind], count)
		}
	}
	for _, b := range t.broken {
		n.o.Log.Warn().Str("transaction_id", room.Shorten(txn, 64)).Str("fault", b.Fault).Int("bytes", len(b.Raw)).Msg("Undecodable event")
	}
	return err
}

// event collects an event that is kept for the inbox. It returns the kind to count the event as, or the fault of a malformed one.
func (n *Intake) event(t *work, e *rawEvent) (kind, string) {
	if e.stateKey != nil {
		return n.stateEvent(t, e)
	}
	switch events.Find(events.Event{Type: inside(e.typ)}, n.o.Bot).Keep {
	case events.IfAddressed:
		if !exactjson.IsObject(e.content.raw) {
			return 0, faultContent
		}
		if string(e.sender) != n.own && (n.addressed.concerns(&e.content) || n.direct(e)) {
			return t.collect(e, command)
		}
	case events.IfSecret:
		if n.o.Encrypted && string(e.sender) != n.own && (e.content.secret() || n.sealedReaction(e)) {
			return t.collect(e, encrypted)
		}
	case events.IfVote:
		return n.reaction(t, e)
	case events.IfCard:
		return n.redaction(t, e)
	}
	return ignored, ""
}

// stateEvent tells the watcher which piece of state changed and collects the event where its row says so.
func (n *Intake) stateEvent(t *work, e *rawEvent) (kind, string) {
	in, ok := exactjson.Unquote(e.room)
	if !ok {
		return 0, faultRoom
	}
	r := id.RoomID(in)
	typ, okType := exactjson.Unquote(e.typ)
	key, okKey := exactjson.Unquote(e.stateKey)
	if !okType || !okKey {
		return 0, faultState
	}
	n.o.Watcher.Changed(r, room.Key{Type: typ, StateKey: key})
	about := events.Event{Type: typ, State: true, StateKey: key}
	switch typ {
	case room.TypeMember:
		about.Sender, about.Membership = inside(e.sender), inside(e.content.membership)
		if key != n.o.Bot.String() {
			if fault := n.member(t, e, r, id.UserID(key)); fault != "" {
				return 0, fault
			}
		}
	case room.TypeThirdParty:
		if fault := t.address(e, r, key); fault != "" {
			return 0, fault
		}
	}
	if n.keeps(r, events.Find(about, n.o.Bot).Keep) {
		return t.collect(e, life)
	}
	switch last := len(t.left) - 1; {
	case about.Membership == "ban":
		t.left = append(t.left, leaving{r, id.UserID(key)})
	case about.Membership == "leave" && (last < 0 || t.left[last].room != r):
		t.left = append(t.left, leaving{room: r})
	}
	return state, ""
}

// keeps reports whether a state event of a room is kept for the inbox.
func (n *Intake) keeps(r id.RoomID, keep events.Keep) bool {
	switch keep {
	case events.Always:
		return true
	case events.IfGuarded:
		return n.o.Sink.Guarded(r)
	case events.IfGuardedOrClaimed:
		return n.o.Sink.Guarded(r) || n.o.Sink.Claimed(r)
	}
	return false
}

// inside returns the text between the quotes of a JSON string, with its escapes, "" for any other value.
func inside(quoted []byte) string {
	if len(quoted) < 2 || quoted[0] != '"' {
		return ""
	}
	return string(quoted[1 : len(quoted)-1])
}

// collect puts an event among those for the inbox.
func (t *work) collect(e *rawEvent, k kind) (kind, string) {
	r, fault := e.received(t.now)
	if fault == "" {
		t.received = append(t.received, r)
	}
	return k, fault
}

// redaction collects what an event redacts: said at the top in room versions 1 to 10, in the content from 11 on. Homeservers
// may say both; the inbox believes neither unless the sender is the same.
func (t *work) redaction(e *rawEvent) kind {
	sender, ok := exactjson.Unquote(e.sender)
	first, okFirst := exactjson.Unquote(e.redacts)
	second, okSecond := exactjson.Unquote(e.content.redacts)
	if ok && okFirst {
		t.redactions = append(t.redactions, redaction{id.EventID(first), id.UserID(sender)})
	}
	if ok && okSecond && second != first {
		t.redactions = append(t.redactions, redaction{id.EventID(second), id.UserID(sender)})
	}
	return redacted
}

// direct reports whether a text message stands in its sender's direct chat with the bot, where each concerns it.
func (n *Intake) direct(e *rawEvent) bool {
	if !e.content.isText() || e.content.isEdit() {
		return false
	}
	in, ok := exactjson.Unquote(e.room)
	sender, known := exactjson.Unquote(e.sender)
	return ok && known && n.o.Sink.Addressed(id.RoomID(in), id.UserID(sender))
}
