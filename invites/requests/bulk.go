package requests

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/judge"
	"usher/policy"
	"usher/room"
)

// A request for many people is decided for a preview, which its sender confirms by a card (Propose). Then begin decides again on each
// person and records the rows in batches. The rows are the state of the request: they tell whether it is paused or stopped, and which people
// are missing, so a restart at any point goes on.

// Bulk is the use cases for requests for many people.
type Bulk struct{ *Requests }

// batch is how many people are decided on, and recorded, at a time. Other people's commands wait for no more than one such commit.
const batch = 200

// Preview is what a request for many people would do.
type Preview struct {
	Groups   []Group
	Sends    int           // how many invitations would be sent, or put to a vote
	ByBot    bool          // the bot sends them
	Gap      time.Duration // between two invitations by the homeserver's limit, as it was measured; 0: no limit was met lately
	Estimate time.Duration // of all
}

// Group is the people of a request with the same decision.
type Group struct {
	First judge.Judgement
	N     int
}

// Preview decides on the people of a request without doing anything. The error is a *LimitError where the asker's commands name too many
// people: those of a preview count, since each costs a decision.
func (s Bulk) Preview(ctx context.Context, req Request) (p Preview, err error) {
	giveBack, limited := s.Limits.name(req.Actor, len(req.Targets))
	if limited != nil {
		return p, limited
	}
	ahead := foresight{s.Limits, map[window]int64{}}
	reader, at := &judge.Reader{Bounded: true}, map[string]int{}
	for part := range slices.Chunk(req.Targets, judge.MaxPrefetched) {
		s.Judge.Prefetch(ctx, req.Room, s.questions(req.about(part)))
		for some := range slices.Chunk(part, batch) {
			judged, err := s.Judge.Each(ctx, req.Room, s.questions(req.about(some)), reader)
			if err != nil {
				giveBack() // another try counts
				return p, err
			}
			ahead.judge(judged)
			p.add(judged, at)
		}
	}
	for _, g := range p.Groups {
		if d := g.First.Decision; d.Code == policy.CodeApproval || d.Verdict != room.Deny && d.Code != policy.CodeAlready {
			p.Sends += g.N
			p.ByBot = p.ByBot || g.First.Question.Performer == s.Self.Bot
		}
	}
	performer := req.Actor
	if p.ByBot {
		performer = s.Self.Bot
	}
	p.Gap = s.Delivery.Gap(req.Room, performer)
	p.Estimate = time.Duration(p.Sends) * max(p.Gap, usualGap)
	return p, nil
}

// usualGap is the time for one invitation where no limit is known.
const usualGap = 20 * time.Millisecond

// add counts judgements by their code and side.
func (p *Preview) add(judged []judge.Judgement, at map[string]int) {
	for _, j := range judged {
		key := fmt.Sprint(j.Decision.Verdict, j.Decision.Code, j.Decision.Side)
		i, known := at[key]
		if !known {
			i, at[key] = len(p.Groups), len(p.Groups)
			p.Groups = append(p.Groups, Group{First: j})
		}
		p.Groups[i].N++
	}
}

// about is the request about other people.
func (r Request) about(targets []id.UserID) Request {
	r.Targets = targets
	return r
}

// begin records the rows of a confirmed request in batches, and hands them to the queue. A second call goes on where the first one ended.
func (s Bulk) begin(ctx context.Context, req Request) error {
	had, err := s.Store.TargetsOf(ctx, req.key(), req.Action)
	if err != nil {
		return err
	}
	have := make(map[id.UserID]bool, len(had))
	for _, user := range had {
		have[user] = true
	}
	left := slices.DeleteFunc(slices.Clone(req.Targets), func(user id.UserID) bool {
		twice := have[user]
		have[user] = true
		return twice
	})
	for part := range slices.Chunk(left, judge.MaxPrefetched) {
		s.Judge.Prefetch(ctx, req.Room, s.questions(req.about(part)))
		for some := range slices.Chunk(part, batch) {
			if err := s.beginSome(ctx, req.about(some)); err != nil {
				return err
			}
		}
	}
	return nil
}

// beginSome records some rows of a request. The rows of a stopped request are stopped, too, and those of a paused one wait.
func (s Bulk) beginSome(ctx context.Context, req Request) error {
	counts, err := s.Store.CountRows(ctx, req.key(), req.Action)
	if err != nil {
		return err
	}
	if stands(counts, invites.StatusCancelled, invites.CodeEnded) > 0 {
		_, err := s.Store.Record(ctx, s.stopped(req), nil)
		return err
	}
	asked := stands(counts, invites.StatusWaiting, string(policy.CodeApproval))
	rows, _, err := s.decideAndRecord(ctx, req, false, asked)
	if err != nil {
		return err
	}
	if err := s.Cards.Open(ctx, rows); err != nil {
		return err
	}
	if counts, err = s.Store.CountRows(ctx, req.key(), req.Action); err != nil { // somebody may have paused or stopped it meanwhile
		return err
	}
	switch {
	case stands(counts, invites.StatusCancelled, invites.CodeEnded) > 0:
		return s.Delivery.Stop(ctx, req.key())
	case stands(counts, invites.StatusWaiting, invites.CodePaused) > 0:
		return s.Delivery.Pause(ctx, req.key())
	}
	var queue []int64
	for _, row := range rows {
		if row.Status == invites.StatusOpen {
			queue = append(queue, row.ID)
		}
	}
	if len(queue) == 0 {
		return nil
	}
	return s.Queue.Wake(ctx, s.Clock.Now(), queue...)
}

// stands counts the rows with a status and a code.
func stands(counts []invites.RowCount, status invites.Status, code string) int {
	i := slices.IndexFunc(counts, func(c invites.RowCount) bool { return c.Status == status && c.Code == code })
	if i < 0 {
		return 0
	}
	return counts[i].N
}

// stopped makes the rows of people on whom nothing was decided before the request was stopped.
func (s Bulk) stopped(req Request) []invites.Change {
	now := s.Clock.Now()
	rows := make([]invites.Change, len(req.Targets))
	for i, q := range s.questions(req) {
		rows[i] = invites.Change{
			Origin: cmp.Or(req.Origin, invites.OriginCommand), Request: req.key(), Command: req.Command, CommandRoom: req.CommandRoom, Action: req.Action,
			Room: req.Room, Target: q.Target, Actor: q.Actor, Performer: q.Performer, Status: invites.StatusCancelled, Code: invites.CodeEnded,
			CreatedAt: now, SettledAt: now,
		}
	}
	return rows
}

// Steer pauses, resumes or stops a request under way. Its actor may; a request for many people may also be steered by users with the power to
// kick. It reports whether the wish was one of theirs.
func (s Bulk) Steer(ctx context.Context, user id.UserID, command id.EventID, wish invites.Choice) (bool, error) {
	rows, err := s.Store.ChangesAfter(ctx, string(command), 0, 1)
	if err != nil || len(rows) == 0 {
		return false, err
	}
	first, bulk := rows[0], rows[0].Origin == invites.OriginBulk
	if first.Actor != user && bulk {
		if err := s.Judge.Reach.MayKick(ctx, first.Room, user); errors.Is(err, judge.ErrKickPower) {
			return false, nil
		} else if err != nil {
			return false, err
		}
	} else if first.Actor != user {
		return false, nil
	}
	switch {
	case wish == invites.Decline:
		return true, s.Delivery.Stop(ctx, string(command))
	case wish == invites.Pause && bulk:
		return true, s.Delivery.Pause(ctx, string(command))
	case wish == invites.Resume && bulk:
		return true, s.Delivery.Resume(ctx, string(command))
	}
	return false, nil
}

// EachOutcome hands the rows of a command, without automatic joins, to f, in the order of the command.
func (s Bulk) EachOutcome(ctx context.Context, command id.EventID, f func(invites.Change)) error {
	for after := int64(0); ; {
		rows, err := s.Store.ChangesAfter(ctx, string(command), after, someRows)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, row := range rows {
			if after = row.ID; row.Origin != invites.OriginAutoJoin {
				f(row)
			}
		}
	}
}

// ErrCrowd says that a room has more people than one request may name.
var ErrCrowd = errors.New("requests: too many people")

// MembersOf returns the people in a room, at most a number of them, for an asker in the room. The bot has to be there, too. Invited, former and
// banned users are no members.
func (s Bulk) MembersOf(ctx context.Context, r id.RoomID, asker id.UserID, most int) ([]id.UserID, error) {
	if err := s.Judge.Reach.Member(ctx, r, asker); err != nil {
		return nil, err
	}
	users, err := s.Homeserver.Members(ctx, r, "join")
	if err != nil {
		return nil, err
	}
	users = slices.DeleteFunc(users, func(user id.UserID) bool { return user == s.Self.Bot })
	if len(users) > most {
		return nil, ErrCrowd
	}
	return users, nil
}
