package appservice

import (
	"hash/maphash"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/room"
)

// Pending knows who has an open invitation where, so that of all the joins and leaves in the stream only those that end an
// invitation cost a write. It keeps a hash of each, 64 bits with a seed of this process: where two should share one,
// the ledger finds that there is nothing to end. The zero value is not ready; NewPending makes one.
type Pending struct {
	seed maphash.Seed
	mu   sync.Mutex
	open map[uint64]struct{}
}

// NewPending makes an empty set.
func NewPending() *Pending {
	return &Pending{seed: maphash.MakeSeed(), open: map[uint64]struct{}{}}
}

func (p *Pending) hash(r id.RoomID, user id.UserID) uint64 {
	const odd = 0x9E3779B97F4A7C15 // tells (a, b) from (b, a)
	return maphash.String(p.seed, string(r))*odd + maphash.String(p.seed, string(user))
}

// Add notes an open invitation.
func (p *Pending) Add(r id.RoomID, user id.UserID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[p.hash(r, user)] = struct{}{}
}

func (p *Pending) remove(r id.RoomID, user id.UserID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, p.hash(r, user))
}

func (p *Pending) has(r id.RoomID, user id.UserID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, open := p.open[p.hash(r, user)]
	return open
}

// member collects a member event that the ledger wants: an invitation, or the end of one. It returns the fault of one that
// can't be read.
func (n *Intake) member(t *work, e *rawEvent, in id.RoomID, user id.UserID) (fault string) {
	m := invites.MemberEvent{Room: in, Target: user, SeenAt: t.now}
	switch m.Membership = inside(e.content.membership); m.Membership {
	case "invite":
		if m.ThirdParty = e.content.thirdParty != nil; m.ThirdParty {
			m.Token = exactjson.Text(e.content.thirdParty, "signed", "token")
		}
	case "join", "leave", "ban":
	default:
		return ""
	}
	if m.Membership != "invite" && !n.o.Index.Pending.has(in, user) && !n.late(t, e, user) {
		return ""
	}
	if fault = t.collectMember(e, m, string(user)); fault == "" && m.Membership == "invite" {
		n.o.Index.Pending.Add(in, user) // before the commit: what ends it may follow in the same transaction
	}
	return fault
}

// address collects the invitation of an address, or its withdrawal, which leaves an event without keys. token is its state key.
func (t *work) address(e *rawEvent, in id.RoomID, token string) (fault string) {
	m := invites.MemberEvent{Room: in, Membership: invites.AddressInvited, Token: token, SeenAt: t.now}
	if exactjson.Find(e.content.raw, "public_key") == nil && exactjson.Find(e.content.raw, "public_keys") == nil {
		m.Membership = invites.AddressGone
	}
	m.Name = room.Shorten(exactjson.Text(e.content.raw, "display_name"), room.MaxID)
	return t.collectMember(e, m, token)
}

// collectMember puts an event among those for the ledger, unless it can't be read. key is its state key.
func (t *work) collectMember(e *rawEvent, m invites.MemberEvent, key string) (fault string) {
	event, okID := exactjson.Unquote(e.id)
	sender, okSender := exactjson.Unquote(e.sender)
	ts, okTime := number(e.ts)
	switch {
	case !okID || len(event) < 2 || event[0] != '$' || len(event) > room.MaxID:
		return faultID
	case !okSender || len(sender) < 2 || sender[0] != '@' || len(sender) > room.MaxID:
		return faultSender
	case len(m.Room) > room.MaxID || len(key) > room.MaxID:
		return faultState
	case !okTime:
		return faultTime
	}
	m.Event, m.Sender, m.SentAt = id.EventID(event), id.UserID(sender), time.UnixMilli(ts)
	t.members = append(t.members, m)
	return ""
}

// late reports whether a user's own event came later than its server dated it, by more than the usual delay. Of the homeserver's own users
// the dates are its own.
func (n *Intake) late(t *work, e *rawEvent, user id.UserID) bool {
	ts, ok := number(e.ts)
	sender, okSender := exactjson.Unquote(e.sender)
	m := invites.MemberEvent{Sender: id.UserID(sender), Target: user, SentAt: time.UnixMilli(ts), SeenAt: t.now}
	return ok && okSender && m.Late() && user.Homeserver() != n.o.Bot.Homeserver()
}

// settled forgets the invitations that a committed transaction has ended.
func (n *Intake) settled(members []invites.MemberEvent) {
	for i := range members {
		if m := &members[i]; m.OfAddress() {
			continue
		} else if m.Membership == "invite" {
			n.o.Index.Pending.Add(m.Room, m.Target)
		} else {
			n.o.Index.Pending.remove(m.Room, m.Target)
		}
	}
}
