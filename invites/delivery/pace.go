package delivery

import (
	"sync"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// sharedWait is the longest wait taken for a limit of the room or of its sender (5 s by Synapse's defaults). A longer
// one is taken for the invitee's own (5.5 minutes), which is nobody else's business. A homeserver does not say which limit it is.
const sharedWait = 30 * time.Second

// pacer has the rows waiting for the same rate limit ask one after the other, each when it can be expected to pass. A homeserver
// only tells each row how long until one row passes. Without turns all rows would come back together, and all but one in vain.
// Nothing of this outlives a restart but the rows' own due times, which are turns; the next 429 tells the rest anew.
type pacer struct {
	mu    sync.Mutex
	gates map[limit]*gate
	met   time.Duration // the gap of the gate closed last for a person's invitations to a room; 0: none was
}

// limit names the acts under a limit: acts of a user in a room; with no room all acts of a user, all acts on a user, or all acts on the users of
// another server.
type limit struct {
	action room.ActionType
	room   id.RoomID
	user   id.UserID
	on     bool
	byBot  bool   // with on: sent by the bot for somebody, whom the homeserver may exempt
	server string // of the users acted on
}

// gate is a limit met by a row.
type gate struct {
	gap    time.Duration // between two rows passing; 0: only suspected
	floor  time.Duration // gap is not less than this: the longest wait named, then the time measured
	sure   time.Duration // the last time measured
	next   time.Time     // when the next one may ask
	tail   time.Time     // the next turn to be given
	again  time.Time     // the next turn of a row whose turn was used by another row, or came too early
	from   time.Time     // when one could pass, by the homeserver's last word
	passed int           // how many did since
	met    string        // the user last told to wait, or the other server of that user
	in     id.RoomID     // and the room
}

// gates are the gates of one row. Any may be nil; there is always nil for users of the homeserver itself.
type gates struct{ here, everywhere, own, there *gate }

// maxGates bounds the gates kept. A full pacer forgets all, and learns again.
const maxGates = 10_000

// turn tells whether a row may ask now, else when its turn is, and which limit decides. A row allowed to ask has used up its turn.
func (p *pacer) turn(inv *invites.Change, now time.Time) (at time.Time, which room.Phrase, wait bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.of(inv, now)
	if g == (gates{}) {
		return now, which, false
	}
	had := inv.Code == invites.CodeTurn || inv.Code == invites.CodeLimited
	if had && now.Before(inv.DueAt) {
		return inv.DueAt, inv.Detail, true // woken too early
	}
	waits := func(until time.Time, limit room.Phrase) {
		if wait = true; until.After(at) {
			at, which = until, limit
		}
	}
	if !g.here.free(now, had) {
		waits(g.here.give(had), roomLimit(inv))
	}
	if !g.own.free(now, had) {
		waits(g.own.give(had), targetLimit(inv))
	}
	if !g.there.free(now, had) {
		waits(g.there.give(had), serverLimit(inv))
	}
	switch jumps := !had && !g.here.paces() && !g.there.paces(); {
	case g.everywhere.free(now, had || jumps):
	case jumps: // rows in another room are not behind a long line in this one
		waits(g.everywhere.next, senderLimit(inv))
	default:
		waits(g.everywhere.give(had), senderLimit(inv))
	}
	if !wait {
		g.here.take()
		g.own.take()
		g.there.take()
		g.everywhere.take()
	}
	return at, which, wait
}

// Limits of the homeserver, for people.
func roomLimit(inv *invites.Change) room.Phrase { return room.Say("limit.room", "action", inv.Action) }
func targetLimit(inv *invites.Change) room.Phrase {
	return room.Say("limit.target", "target", inv.Target)
}
func serverLimit(inv *invites.Change) room.Phrase {
	return room.Say("limit.server", "server", inv.Target.Homeserver())
}
func senderLimit(inv *invites.Change) room.Phrase {
	return room.Say("limit.sender", "sender", inv.Performer)
}

// limited notes the wait told to a row, and says which limit it seems to be.
func (p *pacer) limited(inv *invites.Change, now time.Time, wait time.Duration) (which room.Phrase) {
	if wait <= 0 {
		wait = time.Second
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	g, passes := p.of(inv, now), now.Add(wait)
	here, everywhere, own, there := limitsOf(inv)
	if g.own != nil || (wait > sharedWait && !(g.here.paces() && wait <= 2*g.here.gap)) {
		p.made(own, g.own).close(passes, wait)
		return targetLimit(inv)
	}
	// One user alone may be at the limit of their own. Two users, or one after the wait they were told, show a shared limit. Users of one other server
	// alone may be at a limit of that server, whose answer looks the same: it must not hold up anybody else.
	kept, who := inv.Code == invites.CodeLimited && !now.Before(inv.DueAt), string(inv.Target)
	if there.server != "" {
		who = there.server
	}
	if e := p.made(everywhere, g.everywhere); e.paces() || e.in != "" && e.in != inv.Room && e.met != who {
		e.close(passes, wait)
		return senderLimit(inv)
	} else {
		e.met, e.in = who, inv.Room
		e.suspect(passes)
	}
	h := p.made(here, g.here)
	if h.meets(who) || kept && there.server == "" {
		h.close(passes, wait)
		if inv.Performer == inv.Actor && inv.Action == room.Invite {
			p.met = h.gap
		}
		return roomLimit(inv)
	}
	h.suspect(passes)
	if there.server != "" {
		if t := p.made(there, g.there); t.meets(string(inv.Target)) || kept {
			t.close(passes, wait)
			return serverLimit(inv)
		} else {
			t.suspect(passes)
		}
	}
	return room.Say("limit.some")
}

// answered notes an answer without a wait to a row.
func (p *pacer) answered(inv *invites.Change, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.of(inv, now)
	for _, g := range []*gate{all.here, all.everywhere, all.own, all.there} {
		if g != nil {
			g.pass()
		}
	}
}

func limitsOf(inv *invites.Change) (here, everywhere, own, there limit) {
	here, everywhere = limit{action: inv.Action, room: inv.Room, user: inv.Performer}, limit{action: inv.Action, user: inv.Performer}
	own = limit{action: inv.Action, user: inv.Target, on: true, byBot: inv.Performer != inv.Actor}
	if server := inv.Target.Homeserver(); server != inv.Performer.Homeserver() {
		there = limit{action: inv.Action, server: room.CanonicalServer(server)}
	}
	return here, everywhere, own, there
}

func (p *pacer) of(inv *invites.Change, now time.Time) (all gates) {
	here, everywhere, own, there := limitsOf(inv)
	all = gates{here: p.gate(here, now), everywhere: p.gate(everywhere, now), own: p.gate(own, now)}
	if there.server != "" {
		all.there = p.gate(there, now)
	}
	return all
}

// gate returns the gate of a limit, or nil where nobody has waited for a while.
func (p *pacer) gate(l limit, now time.Time) *gate {
	g := p.gates[l]
	if g != nil && now.After(later(g.tail, g.from).Add(max(g.gap, sharedWait))) {
		delete(p.gates, l)
		return nil
	}
	return g
}

// made returns the gate found, or makes one.
func (p *pacer) made(l limit, found *gate) *gate {
	if found != nil {
		return found
	}
	if p.gates == nil || len(p.gates) >= maxGates {
		p.gates = map[limit]*gate{}
	}
	g := &gate{}
	p.gates[l] = g
	return g
}

func (g *gate) paces() bool { return g != nil && g.gap > 0 }

// free tells whether a row may ask now. A row without a turn comes after the rows with one.
func (g *gate) free(now time.Time, had bool) bool {
	return !g.paces() || (!now.Before(g.next) && (had || !now.Before(g.tail)))
}

// take is called for an asking row. The homeserver's clock runs by the turns, not by when they are used.
func (g *gate) take() {
	if g.paces() {
		g.next = g.next.Add(g.gap)
		g.tail = later(g.tail, g.next)
	}
}

// give gives a turn: the last turn to a new row, the next turn to a row which had one. If no row came to it, the limit would be left
// unused; if two rows come to it, one comes again.
func (g *gate) give(had bool) time.Time {
	line := &g.tail
	if had {
		line = &g.again
	}
	at := later(*line, g.next)
	*line = at.Add(g.gap)
	g.tail = later(g.tail, g.again)
	return at
}

// meets notes the user or room told to wait, and tells whether the limit concerns others as well.
func (g *gate) meets(what string) bool {
	shared := g.paces() || (g.met != "" && g.met != what)
	g.met = what
	return shared
}

// suspect remembers the homeserver's word of a limit, which may be shared.
func (g *gate) suspect(passes time.Time) { g.from, g.passed = passes, 0 }

// close takes the homeserver's word for when the next one passes. The rows passing between two such words
// tell how far apart rows may pass, and how much of the limit others leave.
func (g *gate) close(passes time.Time, wait time.Duration) {
	g.floor = max(g.floor, wait)
	since := passes.Sub(g.from)
	switch {
	case !g.paces() && (g.from.IsZero() || g.passed == 0):
		g.gap, g.from = wait, passes
	case !g.paces() || since > g.gap/2: // else it is the same word, said to another
		if g.passed > 0 {
			g.measured(since / time.Duration(g.passed))
		}
		g.from, g.passed = passes, 0
	}
	g.gap = max(g.gap, g.floor)
	g.next = passes
	g.tail = later(g.tail, passes.Add(g.gap))
}

// measured takes a measurement. One alone may be far too long: Synapse counts refusals for the sender's sake against the room, too,
// and others may have used the limit. The shorter of two is taken for the limit.
func (g *gate) measured(gap time.Duration) {
	if g.sure > 0 {
		g.floor = max(g.floor, min(g.sure, gap))
	}
	g.sure = gap
	g.gap = min(gap, g.floor*3/2)
}

// pass counts a passing row. As long as rows pass, the gap shrinks towards its floor.
func (g *gate) pass() {
	g.passed++
	g.gap -= max(0, g.gap-g.floor) / 4
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Gap returns the time between two invitations of a performer in a room as far as the homeserver's answers have told it; 0 where no limit was
// met. The limits of the same homeserver are alike for all people that it limits.
func (d *Delivery) Gap(r id.RoomID, performer id.UserID) time.Duration {
	p := &d.pace
	p.mu.Lock()
	defer p.mu.Unlock()
	if g := p.gates[limit{action: room.Invite, room: r, user: performer}]; g.paces() {
		return g.gap
	}
	if performer == d.Self.Bot {
		return 0
	}
	return p.met
}
