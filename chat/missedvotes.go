package chat

import (
	"context"
	"encoding/json"
	"maps"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/exactjson"
	"usher/invites"
	"usher/room"
)

// Annotations reads the annotations of an event, the oldest first.
type Annotations interface {
	Annotations(ctx context.Context, r id.RoomID, event id.EventID) ([]json.RawMessage, error)
}

// VoteInbox takes in events that the intake has passed over. It returns the events that are new to the inbox.
type VoteInbox interface {
	Receive(ctx context.Context, events []invites.Received, members ...invites.MemberEvent) ([]invites.Received, error)
}

// MissedVotes finds votes on cards that came before Usher knew the event of the card: the answer to the card was lost, or the process
// ended before it kept the answer. The intake ignores reactions to events that are no card.
type MissedVotes struct {
	annotations Annotations
	inbox       VoteInbox
	lanes       *Lanes
	bot         id.UserID
	open        OpenCards
	log         zerolog.Logger

	mu    sync.Mutex
	cards map[id.EventID]id.RoomID // cards whose reactions are still to be read
}

// maxMissed bounds the cards to look after at a start: no more were being posted when the earlier process ended, since each needs a lane.
const maxMissed = 2 * parallelLanes

// note has the reactions of a card be read by the next call of collectAll.
func (m *MissedVotes) note(r id.RoomID, card id.EventID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cards[card] = r
}

// collectAll collects the reactions of the noted cards. A room with trouble holds up no others.
func (m *MissedVotes) collectAll(ctx context.Context) {
	m.mu.Lock()
	noted := maps.Clone(m.cards)
	m.mu.Unlock()
	trouble := map[id.RoomID]bool{}
	for card, in := range noted {
		if ctx.Err() == nil && !trouble[in] {
			trouble[in] = !m.collectInTime(ctx, in, card)
		}
	}
}

// collectInTime collects the reactions of a card, for reviewTakes at most.
func (m *MissedVotes) collectInTime(ctx context.Context, in id.RoomID, card id.EventID) bool {
	ctx, cancel := context.WithTimeout(ctx, reviewTakes)
	defer cancel()
	return m.collect(ctx, in, card)
}

// collect reads the reactions of a noted card, and hands those that are new to their lanes. Where that fails, the card stays noted.
func (m *MissedVotes) collect(ctx context.Context, in id.RoomID, card id.EventID) bool {
	if err := m.read(ctx, in, card); err != nil && !invites.Refused(err) {
		m.log.Warn().Err(err).Stringer("room", in).Stringer("event", card).Msg("Reactions to a card can't be read")
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.cards, card)
	return true
}

// read brings the votes on one card to their lane. The inbox has each event once, so that a vote that came twice counts once.
func (m *MissedVotes) read(ctx context.Context, in id.RoomID, card id.EventID) error {
	list, err := m.annotations.Annotations(ctx, in, card)
	if err != nil {
		return err
	}
	var votes []invites.Received
	for _, raw := range list {
		ev := invites.Received{
			Event: id.EventID(exactjson.Text(raw, "event_id")), Room: in, Sender: id.UserID(exactjson.Text(raw, "sender")), Type: exactjson.Text(raw, "type"),
			Raw: raw, ReceivedAt: time.Now().Add(time.Duration(len(votes)) * time.Millisecond), // votes count in the order of their times
		}
		ev.SentAt = ev.ReceivedAt
		if ev.Event == "" || ev.Sender == m.bot {
			continue
		}
		switch _, key := commands.Reaction(raw); ev.Type {
		case room.TypeReaction:
			if _, vote := invites.ChoiceOf(key); !vote {
				continue
			}
		case room.TypeEncrypted:
		default:
			continue
		}
		m.open.Vote(card, ev.Event)
		votes = append(votes, ev)
	}
	fresh, err := m.inbox.Receive(ctx, votes)
	if err != nil {
		return err
	}
	m.lanes.Push(fresh...)
	return nil
}
