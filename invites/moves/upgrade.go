package moves

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/invites/judge"
	"usher/policy"
	"usher/room"
)

// ActionUpgrade is the action of a card that confirms an upgrade. Its reason is the version.
const ActionUpgrade = room.ActionType("upgrade")

// Upgrader upgrades rooms for people who ask for it.
type Upgrader struct {
	*Moves
	Asked Commands
}

// Refusal says why a room can't be upgraded.
type Refusal struct {
	Code   string
	Phrase room.Phrase
}

// Error implements error.
func (r Refusal) Error() string { return r.Code }

// Reason codes of upgrades.
const (
	codeReplaced  = "upgrade.replaced"   // another room has replaced it already
	codeVersion   = "upgrade.version"    // the homeserver has no such version, or it is no newer one
	codeRight     = "upgrade.right"      // the asker may not send the tombstone
	codeSender    = "upgrade.performer"  // the asker may, but the bot can't act for them and lacks the power itself
	codeServer    = "upgrade.homeserver" // the homeserver refused it
	codeUnderWay  = "upgrade.under_way"  // another command asked for it
	codeNoOutcome = "upgrade.no_outcome" // the homeserver was asked several times, and the room has no successor
)

// Plan is what an upgrade would do.
type Plan struct {
	From, To  string    // versions
	Performer id.UserID // the asker, or the bot
	Creators  []id.UserID
	Lines     []room.Phrase // what comes along, and what does not
}

// standing is a room to be upgraded, with the rights of the asker.
type standing struct {
	snap *room.Snapshot
	by   id.UserID
}

// stands judges whether a user may upgrade a room now, and chooses the performer.
func (s *Upgrader) stands(ctx context.Context, r id.RoomID, actor id.UserID) (standing, error) {
	needs := append(powers(s.Self.Bot, actor), room.Key{Type: room.TypeTombstone}, policy.Key())
	snap, err := s.lookAs(ctx, r, actor, true, needs...)
	if err != nil {
		return standing{}, err
	}
	if event, _ := snap.Event(room.Key{Type: room.TypeTombstone}); event != nil && exactjson.Text(event.Content, "replacement_room") != "" {
		return standing{}, Refusal{codeReplaced, room.Say("upgrade.replaced", "next", exactjson.Text(event.Content, "replacement_room"))}
	}
	if may := snap.CanSend(actor, room.TypeTombstone, true); may.Verdict != room.Allow {
		return standing{}, Refusal{codeRight, room.Say("upgrade.right").Holding(may.Phrase())}
	}
	by, why := s.writer(snap, actor, room.TypeTombstone)
	if by == "" {
		return standing{}, Refusal{codeSender, room.Say("upgrade.performer").Holding(why)}
	}
	return standing{snap, by}, nil
}

// Plan tells what the upgrade of a room would do; an empty version stands for the homeserver's usual one. The error is a Refusal where the asker
// may not, or there is no such version.
func (s *Upgrader) Plan(ctx context.Context, r id.RoomID, actor id.UserID, version string) (p Plan, err error) {
	now, err := s.stands(ctx, r, actor)
	if err != nil {
		return p, err
	}
	usual, stable, err := s.Homeserver.RoomVersions(ctx)
	if err != nil {
		return p, err
	}
	p.From, p.Performer = string(now.snap.Version()), now.by
	if p.To, err = choose(p.From, version, usual, stable); err != nil {
		return p, err
	}
	p.Creators = s.creators(now, actor, p.To)
	p.Lines, err = s.foresee(ctx, r, actor, now, p)
	return p, err
}

// choose chooses the version of the new room.
func choose(from, wish, usual string, stable []string) (string, error) {
	slices.SortFunc(stable, func(a, b string) int { return number(a) - number(b) })
	newer := slices.DeleteFunc(slices.Clone(stable), func(v string) bool { return number(v) <= number(from) })
	switch {
	case wish != "" && slices.Contains(newer, wish):
		return wish, nil
	case wish != "" || len(newer) == 0:
		return "", Refusal{codeVersion, room.Say("upgrade.version", "from", from, "newer", strings.Join(newer, ", "))}
	case slices.Contains(newer, usual):
		return usual, nil
	}
	return newer[len(newer)-1], nil
}

// number is the number of a version, 0 for others.
func number(version string) int {
	n, _ := strconv.Atoi(version)
	return n
}

// firstWithCreators is the first room version in which creators have power without end.
const firstWithCreators = 12

// creators are the additional creators of the new room: those of the old one, and the asker where the bot makes it. The asker could name them, too.
func (s *Upgrader) creators(now standing, actor id.UserID, to string) (list []id.UserID) {
	if number(to) < firstWithCreators {
		return nil
	}
	if number(string(now.snap.Version())) >= firstWithCreators {
		if event, _ := now.snap.Event(room.Key{Type: room.TypeCreate}); event != nil {
			more, _ := exactjson.Get(event.Content, "additional_creators").Texts()
			list = append(list, event.Sender)
			for _, creator := range more {
				list = append(list, id.UserID(creator))
			}
		}
	}
	list = append(list, actor)
	slices.Sort(list)
	return slices.DeleteFunc(slices.Compact(list), func(user id.UserID) bool { return user == now.by })
}

// foresee lists what an upgrade would take along, and what not.
func (s *Upgrader) foresee(ctx context.Context, r id.RoomID, actor id.UserID, now standing, p Plan) (lines []room.Phrase, err error) {
	lines = append(lines, room.Say("upgrade.copied"))
	if number(p.To) >= firstWithCreators {
		all := append([]id.UserID{p.Performer}, p.Creators...)
		var names []string
		for _, user := range all {
			names = append(names, string(user))
		}
		lines = append(lines, room.Say("upgrade.creators", "n", len(all), "creators", strings.Join(names, ", ")))
	}
	if event, _ := now.snap.Event(policy.Key()); event != nil && !blank(event.Content) {
		author := policy.Read(r, event).Person(s.Self.Bot)
		snap, err := s.lookAs(ctx, r, actor, false, powers(author)...)
		if err != nil {
			return nil, err
		}
		if snap.CanSend(author, policy.EventType, true).Verdict == room.Allow {
			lines = append(lines, room.Say("upgrade.policy", "author", author))
		} else {
			lines = append(lines, room.Say("upgrade.policy.kept", "author", author))
		}
	}
	for _, space := range s.Homeserver.Spaces(r) {
		snap, err := s.look(ctx, space, false, powers(actor, s.Self.Bot)...)
		if invites.Unseen(err) {
			lines = append(lines, room.Say("upgrade.space.unseen", "space", space))
			continue
		} else if err != nil {
			return nil, err
		}
		if by, _ := s.writer(snap, actor, room.TypeSpaceChild); by != "" {
			lines = append(lines, room.Say("upgrade.space", "space", space))
		} else {
			lines = append(lines, room.Say("upgrade.space.asked", "space", space))
		}
	}
	_, open, err := s.Store.Pending(ctx, r, 1)
	if err != nil {
		return nil, err
	}
	if open > 0 {
		lines = append(lines, room.Say("upgrade.open", "n", open))
	}
	return append(lines, room.Say("upgrade.rest")), nil
}

// Bounds of asking the homeserver for the new room. It may finish a request whose answer was lost.
const (
	finishes = 15 * time.Second
	tries    = 3
)

// Perform upgrades the room of a confirmed card, and returns the outcome as a row. A second call goes on where the first one ended.
func (s *Upgrader) Perform(ctx context.Context, c invites.Card) (invites.Change, error) {
	u, err := s.Asked.UpgradeBy(ctx, c.Command)
	if errors.Is(err, invites.ErrNotFound) {
		u, err = s.wanted(ctx, c)
	}
	if err == nil && u.New == "" {
		err = s.make(ctx, &u)
	}
	if err == nil {
		err = s.enter(ctx, u)
	}
	row := invites.Change{ID: c.ID, Room: u.New, Actor: c.Actor, Status: invites.StatusDone, Detail: room.Say("upgrade.done", "next", u.New)}
	if refusal := (Refusal{}); errors.As(err, &refusal) {
		row.Status, row.Code, row.Detail = invites.StatusRefused, refusal.Code, refusal.Phrase
		return row, nil
	}
	return row, err
}

// wanted judges a confirmed upgrade anew, and records it.
func (s *Upgrader) wanted(ctx context.Context, c invites.Card) (invites.Upgrade, error) {
	now, err := s.stands(ctx, c.Room, c.Actor)
	if invites.Unseen(err) {
		err = Refusal{codeRight, room.Say("move.unseen")}
	}
	if err != nil {
		return invites.Upgrade{}, err
	}
	u, err := s.Store.BeginUpgrade(ctx, invites.Upgrade{
		Old: c.Room, Actor: c.Actor, Performer: now.by, Command: c.Command, Version: c.Reason, CreatedAt: s.Clock.Now(),
	})
	if err == nil && u.Command != c.Command {
		err = Refusal{codeUnderWay, room.Say("upgrade.under_way", "by", u.Actor)}
	}
	return u, err
}

// make has the homeserver make the new room, once: after a lost answer, the tombstone tells the room.
func (s *Upgrader) make(ctx context.Context, u *invites.Upgrade) error {
	now, err := s.stands(ctx, u.Old, u.Actor)
	var refusal Refusal
	if errors.As(err, &refusal) && refusal.Code == codeReplaced {
		if made, err := s.made(ctx, u); err != nil || made {
			return err
		}
	}
	if errors.As(err, &refusal) {
		return errors.Join(err, s.Asked.DropUpgrade(ctx, u.ID))
	}
	if err != nil {
		return err
	}
	at := s.Clock.Now()
	if len(u.Rest) > 0 { // asked before
		last, _ := time.Parse(time.RFC3339, u.Rest[len(u.Rest)-1])
		if again := last.Add(finishes); at.Before(again) {
			return &invites.UnderWayError{Until: again}
		}
	}
	if len(u.Rest) >= tries {
		return errors.Join(Refusal{codeNoOutcome, room.Say("upgrade.no_outcome")}, s.Asked.DropUpgrade(ctx, u.ID))
	}
	u.Rest = append(u.Rest, at.Format(time.RFC3339))
	if err := s.Store.SaveUpgrade(ctx, *u); err != nil {
		return err
	}
	next, err := s.Homeserver.Upgrade(ctx, u.Old, u.Performer, u.Version, s.creators(standing{now.snap, u.Performer}, u.Actor, u.Version))
	if invites.Refused(err) {
		no := Refusal{codeServer, room.Say("upgrade.homeserver", "errcode", invites.Errcode(err)).Holding(judge.Meaning(err)...)}
		return errors.Join(no, s.Asked.DropUpgrade(ctx, u.ID))
	}
	if err != nil {
		return err
	}
	return s.follow(ctx, u, next)
}

// made looks whether the homeserver made the new room for an earlier request: the performer sent the tombstone, and the room names the old one.
func (s *Upgrader) made(ctx context.Context, u *invites.Upgrade) (bool, error) {
	then, err := s.lookAs(ctx, u.Old, u.Performer, true, room.Key{Type: room.TypeTombstone})
	if err != nil {
		return false, err
	}
	event, _ := then.Event(room.Key{Type: room.TypeTombstone})
	if event == nil || event.Sender != u.Performer {
		return false, nil
	}
	next := id.RoomID(exactjson.Text(event.Content, "replacement_room"))
	snap, err := s.lookAs(ctx, next, u.Performer, false, room.Key{Type: room.TypeCreate})
	if err != nil {
		return false, invites.UnlessUnseen(err)
	}
	created, _ := snap.Event(room.Key{Type: room.TypeCreate})
	if created == nil || exactjson.Text(created.Content, "predecessor", "room_id") != u.Old.String() {
		return false, nil
	}
	return true, s.follow(ctx, u, next)
}

// follow keeps the new room of an upgrade. Its steps begin.
func (s *Upgrader) follow(ctx context.Context, u *invites.Upgrade, next id.RoomID) error {
	u.New, u.Step, u.Rest, u.DueAt = next, 0, nil, s.Clock.Now().Add(beginAfter)
	return s.Store.SaveUpgrade(ctx, *u)
}

// enter brings the bot into the new room, and invites the asker where the bot made it.
func (s *Upgrader) enter(ctx context.Context, u invites.Upgrade) error {
	user := s.Self.Bot
	if u.Performer == s.Self.Bot {
		user = u.Actor
	}
	snap, err := s.lookAs(ctx, u.New, u.Performer, true, room.MemberKey(user))
	if err != nil {
		return invites.UnlessUnseen(err)
	}
	membership, _ := snap.Membership(user)
	if membership != "join" && membership != "invite" {
		err := s.Homeserver.Act(ctx, invites.Effect{Action: room.Invite, Room: u.New, Performer: u.Performer, Target: user, Actor: u.Actor, Because: room.Say("upgrade.because", "old", u.Old)})
		if invites.UnlessRefused(err) != nil {
			return err
		}
	}
	if user != s.Self.Bot || membership == "join" {
		return nil
	}
	return invites.UnlessRefused(s.Homeserver.Act(ctx, invites.Effect{Action: room.Join, Room: u.New, Performer: s.Self.Bot, Target: s.Self.Bot}))
}
