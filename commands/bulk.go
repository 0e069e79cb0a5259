package commands

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/requests"
	"usher/invites/spaces"
	"usher/policy"
	"usher/room"
)

// list is where the people of a command for many come from, besides its words.
type list struct {
	*Call
	file *File         // nil: none
	move *invites.Move // nil: none; its people are the members of another room
}

// list returns the list of a command for many people; nil for a command that names a few. The message replied to is looked at where the
// command names nobody: it may be a list.
func listOf(ctx context.Context, c *Call) (*list, error) {
	if c.form.Many == nil || c.form.part != nil || len(c.addresses("user")) > 0 {
		return nil, nil
	}
	guests := c.words["user"]
	switch {
	case c.Message.File != nil:
		return &list{c, c.Message.File, nil}, nil
	case c.has("from"), len(guests) > invites.FewRows && !c.has("dry-run"):
		c.listed = true
		return &list{c, nil, nil}, nil
	case len(guests) != 1 || !guests[0].reply || c.Lists.Files == nil:
		return nil, nil
	}
	file, err := c.Lists.Files.In(ctx, c.Message.Room, c.Message.ReplyTo, c.Message.Sender)
	switch {
	case errors.Is(err, ErrNotShown):
		return nil, fault(room.Say("list.not_shown"))
	case err != nil || file == nil || !file.lists():
		return nil, invites.UnlessUnseen(err) // its author is meant
	}
	c.words["user"], c.listed = nil, true
	return &list{c, file, nil}, nil
}

// inviteMany shows what a request for many people would do, and asks for a confirmation. The card does the rest: see requests.Propose.
func inviteMany(ctx context.Context, c *list) (reply Reply, err error) {
	if c.has("space") {
		return reply, fault(room.Say("space.people", "most", spaces.MaxPeople))
	}
	req, seen, err := c.Requests.Proposed(ctx, c.Message.Event)
	switch {
	case err != nil || seen:
		return Reply{Progress: true}, err // after a restart: the card stands, or the request is under way
	case c.Clock.Now().Sub(c.Event.ReceivedAt) >= ConfirmWithin:
		reply.Text.Say("prune.late")
		return reply, nil
	}
	return c.Chat.Beside(ctx, c.Event, func(ctx context.Context) (Reply, error) {
		reply, err := c.preview(ctx, req)
		reply.Text = c.withMeant(reply.Text)
		return faultless(reply, err)
	})
}

// preview decides on the people of a list, and opens the card. A request proposed before a restart is proposed again as it was.
func (c *list) preview(ctx context.Context, req requests.Request) (reply Reply, err error) {
	r, fresh := &roster{users: req.Targets}, len(req.Targets) == 0
	if fresh {
		if req, err = c.request(ctx); err != nil {
			return reply, err
		}
		if r, err = c.gather(ctx); err != nil {
			return reply, err
		}
		if req.Targets = r.users; len(r.users) == 0 {
			reply.Text.Say("bulk.empty")
			tellLost(&reply.Text, r)
			return reply, nil
		}
	}
	p, err := requests.Bulk{Requests: c.Requests}.Preview(ctx, req)
	if err != nil {
		return reply, err
	}
	reply = previewed(p, r, req, c.Message.Room)
	if reply.Progress = reply.Progress && !c.has("dry-run"); reply.Progress {
		if c.move != nil && fresh {
			if err := c.propose(ctx, req, &reply.Text); err != nil {
				return reply, err
			}
		}
		reply.Text.Line().Say("prune.react", "within", ConfirmWithin)
		err = c.Requests.Propose(ctx, req, c.Clock.Now().Add(ConfirmWithin))
	}
	return reply, err
}

// request is the request of the command, without its people.
func (c *list) request(ctx context.Context) (req requests.Request, err error) {
	in, err := inviteInto(ctx, c.Call)
	req = requestOf(c.Call, room.Invite, in)
	req.Targets = nil
	return req, err
}

// gather finds the people of a list: of the words, of a file, and of a room.
func (c *list) gather(ctx context.Context) (r *roster, err error) {
	r = &roster{seen: map[id.UserID]bool{}}
	if c.file != nil {
		if r, err = c.readFile(ctx, c.file); err != nil {
			return nil, err
		}
	}
	if len(c.words["user"]) > 0 {
		if err := c.recognize(ctx); err != nil {
			return nil, err
		}
		for _, user := range c.people("user") {
			r.add(user)
		}
	}
	if c.has("from") || c.move != nil {
		if err := c.addMembers(ctx, r); err != nil {
			return nil, err
		}
	}
	if most := cmp.Or(c.Lists.People, maxTargets); len(r.users) > most {
		return nil, fault(room.Say("many.people", "n", len(r.users), "most", most))
	}
	r.dropMissing(ctx, lookupOf(c.Call))
	return r, nil
}

// dropMissing drops people of the bot's own server that do not exist. The homeserver is asked for a part of a long list only.
func (r *roster) dropMissing(ctx context.Context, l *lookup) {
	r.missing = l.missing(ctx, r.users[:min(len(r.users), maxChecked)])
	gone := map[id.UserID]bool{}
	for _, user := range r.missing {
		gone[user] = true
	}
	r.users = slices.DeleteFunc(r.users, func(user id.UserID) bool { return gone[user] })
}

// maxChecked is how many people of a list are looked up.
const maxChecked = 1000

// addMembers adds the members of a room.
func (c *list) addMembers(ctx context.Context, r *roster) error {
	from, err := c.source(ctx)
	if err != nil {
		return err
	}
	users, err := requests.Bulk{Requests: c.Requests}.MembersOf(ctx, from, c.Message.Sender, c.Lists.People)
	switch {
	case errors.Is(err, requests.ErrCrowd):
		return fault(room.Say("list.crowd", "room", from, "most", c.Lists.People))
	case invites.Unseen(err):
		return fault(room.Say("list.unseen", "room", from))
	case err != nil:
		return err
	}
	for _, user := range users {
		r.add(user)
	}
	return nil
}

// fetchTakes is how long a file may take to arrive.
const fetchTakes = time.Minute

// readFile reads the people in a file.
func (c *list) readFile(ctx context.Context, f *File) (*roster, error) {
	most := c.Lists.Bytes
	switch {
	case c.Lists.Files == nil:
		return nil, fault(room.Say("list.off"))
	case !f.lists():
		return nil, fault(room.Say("list.kind"))
	case f.Size > most:
		return nil, fault(room.Say("list.large", "most", most>>10))
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTakes)
	defer cancel()
	data, err := c.Lists.Files.Read(ctx, *f, most)
	switch {
	case errors.Is(err, ErrTooLarge):
		return nil, fault(room.Say("list.large", "most", most>>10))
	case errors.Is(err, ErrChanged):
		return nil, fault(room.Say("list.changed"))
	case invites.Refused(err), errors.Is(err, context.DeadlineExceeded), invites.Errcode(err) != "", invites.Unreachable(err) != "":
		return nil, fault(room.Say("list.unread", "words", invites.Words(err)))
	case err != nil:
		return nil, err
	}
	return readRoster(data)
}

// previewed words what a request would do. It is in progress if there is something to confirm.
func previewed(p requests.Preview, r *roster, req requests.Request, here id.RoomID) (reply Reply) {
	reply.Mention, reply.Progress = true, p.Sends > 0
	t := &reply.Text
	to := req.Room
	if to == here {
		to = ""
	}
	t.Say("bulk.head", "n", len(r.users), "room", to)
	if r.twice > 0 {
		t.Say("bulk.twice", "n", r.twice)
	}
	if p.Sends > 0 {
		t.Line().Say("bulk.sends", "n", p.Sends)
	} else {
		t.Line().Say("bulk.nobody")
	}
	var refused []requests.Group
	for _, g := range p.Groups {
		switch d := g.First.Decision; {
		case d.Code == policy.CodeAlready:
			t.Line().Say("bulk.invited", "n", g.N)
		case d.Code == room.RuleInviteTargetJoined:
			t.Line().Say("bulk.in", "n", g.N)
		case d.Code == policy.CodeApproval:
			t.Line().Say("bulk.approval", "n", g.N)
		case d.Verdict == room.Deny:
			refused = append(refused, g)
		case d.Verdict == room.Unknown:
			t.Line().Say("bulk.unsure", "n", g.N)
		}
	}
	if len(refused) > 0 {
		n := 0
		for _, g := range refused {
			n += g.N
		}
		t.Line().Say("bulk.refused", "n", n)
		tellSome(t, len(refused), func(i int) {
			j := refused[i].First
			tellGroup(t, j.Question.Target, refused[i].N, j.Explain().Phrase(), string(j.Decision.Code))
		})
	}
	tellLost(t, r)
	if p.Sends > 0 {
		t.Line().Tell(pace(p))
	}
	return reply
}

// tellGroup words one outcome that several people share, by the first of them.
func tellGroup(t *Text, first id.UserID, n int, why room.Phrase, code string) {
	more := ""
	if n > 1 {
		more = strconv.Itoa(n - 1)
	}
	p := room.Say("prune.stays", "target", first, "more", more)
	if !why.Empty() {
		p = p.Holding(why)
	}
	t.Tell(p).Reason(code)
}

// tellLost names the lines of a list that name nobody.
func tellLost(t *Text, r *roster) {
	if len(r.missing) > 0 {
		t.Line().Say("bulk.missing", "n", len(r.missing), "users", strings.Join(texts(r.missing), " "))
	}
	if r.lines == 0 {
		return
	}
	lost := make([]string, len(r.lost))
	for i, l := range r.lost {
		lost[i] = strconv.Itoa(l.number) + " “" + l.text + "”"
	}
	if r.lines > len(r.lost) {
		lost = append(lost, "…")
	}
	t.Line().Say("bulk.lost", "n", r.lines, "lines", strings.Join(lost, ", "))
}

// usualLimit is the time between two invitations of one person by the defaults of Synapse, after the first usualBurst: rc_message, which counts
// every event of a person, is below rc_invites.
const (
	usualLimit = 5 * time.Second
	usualBurst = 10
)

// pace says which limit decides how long a request takes.
func pace(p requests.Preview) room.Phrase {
	all := max(p.Estimate.Round(time.Second), time.Second)
	switch {
	case p.Gap > 0:
		return room.Say("bulk.pace.known", "gap", p.Gap.Round(100*time.Millisecond), "all", all)
	case p.ByBot || p.Sends <= usualBurst:
		return room.Say("bulk.pace.bot", "all", all)
	}
	return room.Say("bulk.pace.usual", "all", all, "limited", (time.Duration(p.Sends-usualBurst) * usualLimit).Round(time.Second))
}

// BulkOutcome words a request for many people as its rows stand. It serves each edit of its message, and its end.
func BulkOutcome(st invites.Standing, now time.Time) (reply Reply) {
	all, open, paused, done, failed := 0, 0, 0, 0, 0
	var waiting []invites.Change
	for _, c := range st.Counts {
		all += c.N
		switch {
		case c.Status == invites.StatusOpen:
			open += c.N
			first := c.First
			first.DueAt = c.Due
			waiting = append(waiting, first)
		case c.Status == invites.StatusWaiting && c.Code == invites.CodePaused:
			paused += c.N
		case c.Status == invites.StatusDone:
			done += c.N
		case c.Status != invites.StatusWaiting:
			failed += c.N
		}
	}
	asked := all - open - paused - done - failed
	switch t := &reply.Text; {
	case paused > 0:
		reply.Progress = true
		t.Say("bulk.paused", "done", done+failed, "all", all)
	case open > 0:
		reply.Progress = true
		t.Tell(room.Say("progress.open", "n", all, "done", done+failed, "all", all).Holding(wait(waiting, open, now)))
		t.Line().Say("bulk.steer")
	case st.Beginning:
		reply.Progress = true
		t.Tell(room.Say("progress.open", "n", all, "done", done+failed, "all", all).Holding(room.Say("wait.soon", "n", all)))
		t.Line().Say("bulk.steer")
	case asked > 0:
		waits(&reply, all, done+failed, asked)
	default:
		ended(&reply, st.Counts, all)
	}
	return reply
}

// ended words the end of a request for many people.
func ended(reply *Reply, counts []invites.RowCount, all int) {
	invited := 0
	for _, c := range counts {
		if c.Status == invites.StatusDone && c.Code != string(policy.CodeAlready) {
			invited += c.N
		}
	}
	if reply.React = "✅"; invited < all {
		reply.React = partly
	}
	t := &reply.Text
	reply.Outcomes = true
	t.Say("bulk.end", "n", invited, "all", all)
	told := slices.DeleteFunc(slices.Clone(counts), func(c invites.RowCount) bool {
		return c.Status == invites.StatusDone && c.Code != string(policy.CodeAlready)
	})
	tellSome(t, len(told), func(i int) {
		switch c := told[i]; c.Code {
		case string(policy.CodeAlready):
			t.Say("bulk.invited", "n", c.N)
		case string(room.RuleInviteTargetJoined):
			t.Say("bulk.in", "n", c.N)
		case invites.CodeEnded:
			t.Say("bulk.stopped", "n", c.N)
		default:
			tellGroup(t, c.First.Target, c.N, c.First.Detail, c.Code)
		}
	})
}
