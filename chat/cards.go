package chat

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/exactjson"
	"usher/invites"
	"usher/invites/cards"
	"usher/room"
)

// CardStore is the part of the store for cards. Its methods return invites.ErrNotFound where there is no such card.
type CardStore interface {
	// CardsTodo returns open cards, and closed ones until their outcome is told, by ID.
	CardsTodo(ctx context.Context, q invites.CardTodo) ([]invites.Card, error)
	// CardShown returns the card with an event as its notice.
	CardShown(ctx context.Context, notice id.EventID) (invites.Card, error)
	// CardVoted returns the card on which an event is a vote.
	CardVoted(ctx context.Context, vote id.EventID) (invites.Card, error)
	// PostedCard keeps the notice of a card.
	PostedCard(ctx context.Context, card int64, notice id.EventID) error
	// Votes returns the votes on a card, in the order of voting.
	Votes(ctx context.Context, card int64) ([]invites.Vote, error)
	// ToldCard ends the work on a closed card.
	ToldCard(ctx context.Context, card int64) error
}

// OpenCards is the intake's index of cards, on which users decide by a reaction. Of all reactions, the intake keeps reactions on an
// open card.
type OpenCards interface {
	// Open opens a card, with the votes on it.
	Open(card id.EventID, votes ...id.EventID)
	// Close forgets a card. It reports whether the card was open.
	Close(card id.EventID) bool
	// Vote notes a reaction, if it is on an open card: the intake will keep its redaction.
	Vote(card, reaction id.EventID) bool
}

// CardCases are the use cases of cards.
type CardCases interface {
	// Review closes a card if its question is gone or its time is over. A thorough review reads the room anew.
	Review(ctx context.Context, c invites.Card, thorough bool) (invites.Card, error)
	Cancel(ctx context.Context, c invites.Card, code string) (invites.Card, error)
	Vote(ctx context.Context, c invites.Card, v invites.Vote) (cards.Ballot, error)
	// Tally counts the votes on a card. Recount reads each at the homeserver before.
	Tally(ctx context.Context, c invites.Card) (cards.Ballot, error)
	Recount(ctx context.Context, c invites.Card) (cards.Ballot, error)
	// CarryOut carries out the decision of a closed card, once, and returns the row of the change.
	CarryOut(ctx context.Context, c invites.Card) (invites.Change, error)
	// Deciders returns the people to call to a card.
	Deciders(ctx context.Context, c invites.Card) ([]id.UserID, error)
}

// CardDesk shows cards in rooms, counts reactions on them, and tells their outcome.
type CardDesk struct {
	store  CardStore
	cases  CardCases
	knocks KnockCase
	links  LinkCase
	runner *commands.Runner
	open   OpenCards
	sender *Sender
	limits *Limits
	status *StatusMessages
	missed *MissedVotes
	full   *limit[id.RoomID] // notes that a room's desk shows no more knocks
	called *limit[id.RoomID] // cards that call people
	swept  int64             // ID of the card at which the last sweep ended
	bulk   *bulk
	log    zerolog.Logger

	knockers Knockers
}

// Bounds of the cards that are read at a time: in one turn of a sweep those that are due, and some of the others in turn; of one command or
// about one room; and in a part of all.
const (
	sweptDue   = 100
	sweptOther = 20
	cardsOfOne = 500
	cardsPart  = 500
)

// Load tells the intake which cards are open. It reads them in parts.
func (d *CardDesk) Load(ctx context.Context) error {
	var last []invites.Card
	for after, more := int64(0), true; more; {
		part, err := d.store.CardsTodo(ctx, invites.CardTodo{After: after, Limit: cardsPart})
		if err != nil {
			return err
		}
		for _, c := range part {
			after = c.ID
			if c.Event == "" || c.State != invites.CardOpen {
				continue
			}
			if err := d.load(ctx, c); err != nil {
				return err
			}
			last = append(last, c)
		}
		last = slices.Clone(last[max(0, len(last)-maxMissed):])
		more = len(part) == cardsPart
	}
	for _, c := range last {
		d.missed.note(c.ShownIn, c.Event)
	}
	return nil
}

// load tells the intake of one open card and the votes on it.
func (d *CardDesk) load(ctx context.Context, c invites.Card) error {
	votes, err := d.store.Votes(ctx, c.ID)
	if err != nil {
		return err
	}
	cast := make([]id.EventID, len(votes))
	for i := range votes {
		cast[i] = votes[i].Event
	}
	d.open.Open(c.Event, cast...)
	return nil
}

// postOf shows the cards of a command.
func (d *CardDesk) postOf(ctx context.Context, command id.EventID) error {
	todo, err := d.store.CardsTodo(ctx, invites.CardTodo{Command: command, Limit: cardsOfOne})
	if err != nil {
		return err
	}
	for _, c := range todo {
		if forMany(c) {
			d.bulk.begin(c)
		}
		if c.State != invites.CardOpen || c.Event != "" {
			continue
		}
		if err := d.post(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// part names a part of a card, for transaction ids of its own.
func part(c invites.Card, name string) string { return fmt.Sprintf("card %d %s", c.ID, name) }

// post shows one card, at a later review if its room has had enough answers for now. Where its room does not let the bot speak, nobody can
// decide it, so it is cancelled. The notice of a confirmation is the answer to its command.
func (d *CardDesk) post(ctx context.Context, c invites.Card) error {
	var notice id.EventID
	var err error
	if c.Kind == invites.CardConfirm {
		ev, err := d.status.inbox.Received(ctx, c.Command)
		if err != nil || ev.Answer == "" && !ev.Handled {
			return invites.UnlessNone(err) // the lane of the command answers it
		}
		notice = ev.Answer
	} else if c.Code != invites.CodeNoRoom {
		if !d.limits.mayPost(c.ShownIn) {
			return nil
		}
		card := d.runner.Card(c, 0, 0)
		if card.Call, err = d.call(ctx, c); err != nil {
			return err
		}
		if notice, err = d.sender.say(ctx, c.ShownIn, transaction(c.Command, part(c, "notice")), card, commands.Message{}, ""); err != nil {
			return err
		}
	}
	if notice == "" {
		if c, err = d.cases.Cancel(ctx, c, invites.CodeNoRoom); err != nil {
			return err
		}
		return d.Show(ctx, cards.Ballot{Card: c})
	}
	if err := d.store.PostedCard(ctx, c.ID, notice); err != nil {
		return err
	}
	d.open.Open(notice)
	d.missed.note(c.ShownIn, notice)
	defer d.missed.collect(ctx, c.ShownIn, notice)
	for _, key := range commands.Reactions(c) {
		content := &event.ReactionEventContent{RelatesTo: event.RelatesTo{Type: event.RelAnnotation, EventID: notice, Key: key}}
		if _, err := d.sender.send(ctx, c.ShownIn, transaction(notice, key), room.TypeReaction, content); err != nil {
			return err
		}
	}
	return nil
}

// call returns the people to mention in a card: none where another card of the room has called somebody within the last minute.
func (d *CardDesk) call(ctx context.Context, c invites.Card) ([]id.UserID, error) {
	people, err := d.cases.Deciders(ctx, c)
	if err != nil || len(people) == 0 {
		return nil, err
	}
	if first, _ := d.called.take(c.ShownIn, time.Now()); !first {
		return nil, nil
	}
	return people, nil
}

// redact handles the redaction of a card, or of a vote.
func (d *CardDesk) redact(ctx context.Context, ev invites.Received) error {
	for _, gone := range redacts(ev) {
		if err := invites.UnlessNone(d.gone(ctx, gone)); err != nil {
			return err
		}
	}
	return nil
}

// redacts returns the events that a redaction names.
func redacts(ev invites.Received) [2]id.EventID {
	return [2]id.EventID{id.EventID(exactjson.Text(ev.Raw, "redacts")), id.EventID(exactjson.Text(ev.Raw, "content", "redacts"))}
}

// gone handles the redaction of one event, maybe a card or a vote. The state at the homeserver counts, not the redaction.
func (d *CardDesk) gone(ctx context.Context, gone id.EventID) error {
	c, err := d.store.CardShown(ctx, gone)
	if err == nil {
		if c, err = d.cases.Review(ctx, c, true); err != nil {
			return err
		}
		return d.Show(ctx, cards.Ballot{Card: c})
	}
	if c, err = d.store.CardVoted(ctx, gone); err != nil || c.State != invites.CardOpen {
		return err
	}
	ballot, err := d.cases.Recount(ctx, c)
	if err != nil {
		return err
	}
	ballot.After = gone
	return d.Show(ctx, ballot)
}

// Show brings the notice of a card up to date after a vote: with the votes so far, or with the outcome, which is carried out first. A call
// after a crash completes an earlier one.
func (d *CardDesk) Show(ctx context.Context, ballot cards.Ballot) error {
	c := ballot.Card
	if c.State == invites.CardOpen {
		if ballot.Code != "" || c.Votes == 1 {
			return nil
		}
		return d.redraw(ctx, c, ballot.After, d.runner.Card(c, ballot.For, ballot.Against))
	}
	if c.Told {
		return nil
	}
	if forMany(c) {
		d.bulk.begin(c)
		return nil
	}
	row, err := d.cases.CarryOut(ctx, c)
	if err != nil {
		return err
	}
	if err := d.tell(ctx, c, row); err != nil {
		return err
	}
	d.open.Close(c.Event)
	return d.store.ToldCard(ctx, c.ID)
}

// tell shows the outcome of a closed card in its notice, and to its asker.
func (d *CardDesk) tell(ctx context.Context, c invites.Card, row invites.Change) error {
	if c.Kind == invites.CardConfirm && c.State == invites.CardAccepted && row.ID != 0 {
		return d.status.conclude(ctx, c.Command, d.runner.Performed(row), false, false)
	}
	if c.Kind == invites.CardConfirm && c.State != invites.CardAccepted {
		return d.status.conclude(ctx, c.Command, d.runner.Closed(c, row), false, false)
	}
	if c.Kind != invites.CardConfirm {
		if err := d.redraw(ctx, c, "", d.runner.Closed(c, row)); err != nil {
			return err
		}
	}
	why := settled
	if reply := d.runner.Verdict(c, row); !reply.Text.Empty() {
		why = decided
		m := commands.Message{Event: c.Command, Room: c.Home, Sender: c.Actor}
		if !c.Commanded() {
			m.Event = "" // there is no command to reply to
		}
		if _, err := d.sender.say(ctx, c.Home, transaction(c.Command, part(c, "verdict")), reply, m, ""); err != nil {
			return err
		}
	}
	if c.Kind == invites.CardKnock || c.Kind == invites.CardWithdraw || c.Kind == invites.CardMove || c.ByLink() { // no command waits for it
		return nil
	}
	return d.status.report(ctx, c.Command, why)
}

// redraw edits a card's notice after a vote. A later edit may have the same text as an earlier one, so the transaction id names the vote.
func (d *CardDesk) redraw(ctx context.Context, c invites.Card, vote id.EventID, reply commands.Reply) error {
	if c.Event == "" {
		return nil
	}
	_, err := d.sender.say(ctx, c.ShownIn, transaction(c.Event, string(vote)+reply.Text.String()), reply, commands.Message{}, c.Event)
	return err
}

// postAfter is the age from which on the sweep shows a card if its lane has not.
const postAfter = time.Minute

// Sweep does the work on cards that lanes have left, and closes cards when their time is over: on cards that are due, and on some others
// in turn. After a failure, a later sweep tries again.
func (d *CardDesk) Sweep(ctx context.Context) {
	d.missed.collectAll(ctx)
	d.review(ctx, invites.CardTodo{Due: time.Now(), Limit: sweptDue}, false)
	d.swept = d.review(ctx, invites.CardTodo{After: d.swept, Limit: sweptOther}, false)
}

// reviewRoom looks after the cards about a room, thoroughly.
func (d *CardDesk) reviewRoom(ctx context.Context, r id.RoomID) {
	d.review(ctx, invites.CardTodo{Room: r, Limit: cardsOfOne}, true)
}

// review looks after some cards, and returns the ID of the last one, or 0 where there are no more.
func (d *CardDesk) review(ctx context.Context, q invites.CardTodo, thorough bool) (last int64) {
	todo, err := d.store.CardsTodo(ctx, q)
	if err != nil {
		d.log.Warn().Err(err).Msg("Cards can't be read")
		return q.After
	}
	trouble := map[id.RoomID]bool{} // rooms with trouble or slow answers, which hold up no others
	for _, c := range todo {
		if ctx.Err() != nil || trouble[c.Room] || trouble[c.ShownIn] {
			continue
		}
		if err := d.reviewInTime(ctx, c, thorough); err != nil && ctx.Err() == nil {
			d.log.Warn().Err(err).Int64("card", c.ID).Msg("Review of a card failed")
			trouble[c.Room], trouble[c.ShownIn] = true, true
		}
	}
	if len(todo) < q.Limit {
		return 0
	}
	return todo[len(todo)-1].ID
}

// reviewTakes is how long the review of one card waits for the homeserver.
const reviewTakes = 10 * time.Second

// reviewInTime looks after one card, for reviewTakes at most.
func (d *CardDesk) reviewInTime(ctx context.Context, c invites.Card, thorough bool) error {
	ctx, cancel := context.WithTimeout(ctx, reviewTakes)
	defer cancel()
	return d.reviewOne(ctx, c, thorough)
}

// reviewOne looks after one card.
func (d *CardDesk) reviewOne(ctx context.Context, c invites.Card, thorough bool) error {
	if c.State != invites.CardOpen {
		if time.Since(c.ClosedAt) < postAfter && !thorough {
			return nil // its lane tells the outcome
		}
		return d.Show(ctx, cards.Ballot{Card: c})
	}
	c, err := d.cases.Review(ctx, c, thorough)
	switch {
	case err != nil:
		return err
	case c.State != invites.CardOpen:
		return d.Show(ctx, cards.Ballot{Card: c})
	case c.Event == "" && time.Since(c.CreatedAt) > postAfter:
		return d.post(ctx, c)
	case c.Event == "":
		return nil
	}
	ballot, err := d.cases.Tally(ctx, c)
	if err != nil || ballot.Card.State == invites.CardOpen {
		return err
	}
	return d.Show(ctx, ballot)
}
