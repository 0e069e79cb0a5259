package appservice

import (
	"bytes"
	"sync"

	"maunium.net/go/mautrix/id"

	"usher/events"
	"usher/exactjson"
	"usher/invites"
)

// Cards knows the open cards: messages of the bot's that people decide about with a reaction. Of all the reactions in the
// stream, and of what takes them back, only those that relate to one of these cost a write; they reach the lane of their
// room through the inbox, as m.reaction and m.room.redaction events. NewCards makes one.
type Cards struct {
	mu    sync.Mutex
	open  map[id.EventID][]id.EventID // votes on it, which a redaction may name
	votes map[id.EventID]id.EventID   // reaction → card
}

// NewCards makes an empty set.
func NewCards() *Cards {
	return &Cards{open: map[id.EventID][]id.EventID{}, votes: map[id.EventID]id.EventID{}}
}

// Open opens a card. The votes are the reactions that are on it already.
func (c *Cards) Open(card id.EventID, votes ...id.EventID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, open := c.open[card]; !open {
		c.open[card] = nil
	}
	for _, vote := range votes {
		c.add(card, vote)
	}
}

// Close forgets a card and its votes. It reports whether the card was open.
func (c *Cards) Close(card id.EventID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, open := c.open[card]
	for _, vote := range c.open[card] {
		delete(c.votes, vote)
	}
	delete(c.open, card)
	return open
}

func (c *Cards) add(card, vote id.EventID) {
	if c.votes[vote] != card { // a vote is on one card, and there may be very many
		c.open[card] = append(c.open[card], vote)
		c.votes[vote] = card
	}
}

// Vote notes a reaction, if it is on an open card, so that its redaction is noticed.
func (c *Cards) Vote(card, reaction id.EventID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, open := c.open[card]
	if open {
		c.add(card, reaction)
	}
	return open
}

// has tells whether an event is an open card, or a vote on one.
func (c *Cards) has(event id.EventID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, open := c.open[event]
	_, vote := c.votes[event]
	return open || vote
}

// isVote reports whether a reaction's key is a vote.
func isVote(key string) bool {
	_, vote := invites.ChoiceOf(key)
	return vote
}

// reaction collects a vote on an open card (https://spec.matrix.org/latest/client-server-api/#event-annotations-and-reactions).
func (n *Intake) reaction(t *work, e *rawEvent) (kind, string) {
	if string(e.content.rel) != `"m.annotation"` || string(e.sender) == n.own {
		return ignored, ""
	}
	if k := e.content.relKey; len(k) < 2 || bytes.IndexByte(k, '\\') < 0 && !isVote(string(k[1:len(k)-1])) {
		return ignored, "" // nearly all of them
	}
	card, okCard := exactjson.Unquote(e.content.relEvent)
	key, okKey := exactjson.Unquote(e.content.relKey)
	event, okEvent := exactjson.Unquote(e.id)
	if !okCard || !okKey || !okEvent || !isVote(key) || !n.o.Index.Cards.Vote(id.EventID(card), id.EventID(event)) {
		return ignored, ""
	}
	return t.collect(e, vote)
}

// sealedReaction notes an encrypted reaction to an open card. What it says shows once it is opened; clients that also hide what it is
// a reaction to have it opened as any message.
func (n *Intake) sealedReaction(e *rawEvent) bool {
	if string(e.content.rel) != `"m.annotation"` || !e.content.megolm() {
		return false
	}
	card, okCard := exactjson.Unquote(e.content.relEvent)
	event, okEvent := exactjson.Unquote(e.id)
	return okCard && okEvent && n.o.Index.Cards.Vote(id.EventID(card), id.EventID(event))
}

// redaction collects what an event takes back, and the event itself where that is a card, a vote, or may be state whose changes are kept.
func (n *Intake) redaction(t *work, e *rawEvent) (kind, string) {
	before := len(t.redactions)
	k := t.redaction(e)
	in, ok := exactjson.Unquote(e.room)
	keep := false
	for _, r := range t.redactions[before:] {
		keep = n.o.Index.Cards.has(r.event) || keep
		if !ok {
			continue
		}
		at := id.RoomID(in)
		for _, state := range n.o.Watcher.Forget(at, r.event, events.Suspects(n.o.Sink.Guarded(at))...) {
			row := events.Find(events.Event{Type: state.Type, State: true, StateKey: state.StateKey}, n.o.Bot)
			keep = n.keeps(at, row.Keep) || keep
		}
	}
	if keep {
		return t.collect(e, k)
	}
	return k, ""
}
