package requests_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/cards"
	"usher/invites/invitestest"
	"usher/invites/judge"
	"usher/invites/links"
	"usher/invites/requests"
	"usher/policy"
	"usher/room"
)

var most = requests.Most{Person: 3, Server: 4, All: 6, JoinsOfServer: 2, JoinsOfOwn: 3}

// limited gives a world limits. The operator is alice.
func limited(w *world, most requests.Most) *requests.Limits {
	l := requests.NewLimits(most, w.In.Self, w.Clock, func(user id.UserID) bool { return user == alice })
	w.Requests.Limits = l
	return l
}

// codes asks for invitations of guests of a server and returns the codes of the rows.
func codes(t *testing.T, w *world, actor id.UserID, asBot bool, in id.RoomID, server string, from, to int) (list []string) {
	t.Helper()
	req := requests.Request{Command: id.EventID(fmt.Sprintf("$%s%s%d%s", actor, server, from, in)), CommandRoom: in, Actor: actor, Action: room.Invite, Room: in, AsBot: asBot}
	for n := from; n < to; n++ {
		req.Targets = append(req.Targets, id.UserID(fmt.Sprintf("@guest%d:%s", n, server)))
	}
	dry, err := w.Requests.DryRun(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := w.Requests.Ask(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range rows {
		code := ""
		if row.Status == invites.StatusRefused {
			code = row.Code
		}
		if foretold := string(dry[i].Decision.Code); (dry[i].Decision.Verdict == room.Deny) != (code != "") || code != "" && foretold != code {
			t.Errorf("%s: %q, foretold %q", row.Target, code, foretold)
		}
		list = append(list, code)
	}
	return list
}

// TestLimitInvitations: the limits of the operator hold in all rooms together, for the bot and for people, by whatever spelling.
func TestLimitInvitations(t *testing.T) {
	const other = id.RoomID("!other:here")
	w := newWorld(t)
	l := limited(w, most)
	w.HS.Create(other, "11", alice, bot, bob, carol)
	w.HS.Set(other, "m.room.power_levels", "", alice, object{"users": object{string(alice): 100, string(bot): 100}, "invite": 0})
	w.HS.Set(lobby, "m.room.power_levels", "", alice, object{"users": object{string(alice): 100, string(bot): 100}, "invite": 0})
	w.HS.Member(lobby, bob, "join")
	w.HS.Member(lobby, carol, "join")
	person, server, all := string(policy.CodeLimitPerson), string(policy.CodeLimitServer), string(policy.CodeLimitAll)
	check := func(got []string, want ...string) {
		t.Helper()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	check(codes(t, w, bob, false, lobby, "one.example", 0, 2), "", "")
	check(codes(t, w, bob, true, other, "two.example", 0, 2), "", person)
	check(codes(t, w, carol, false, lobby, "ONE.example", 2, 4), "", "")
	check(codes(t, w, carol, false, lobby, "one.example.", 4, 5), server)
	check(codes(t, w, carol, false, lobby, "two.example", 5, 7), "", person)
	check(codes(t, w, alice, false, other, "two.example", 7, 8), "") // an operator, the seventh of all
	w.HS.Member(lobby, remote, "join")
	check(codes(t, w, remote, false, lobby, "three.example", 0, 1), all)

	again := requests.NewLimits(most, w.In.Self, w.Clock, nil) // as after a restart
	if err := again.Load(t.Context(), w.DB); err != nil {
		t.Fatal(err)
	}
	w.Requests.Limits = again
	check(codes(t, w, bob, false, lobby, "four.example", 0, 1), person)
	check(codes(t, w, remote, false, lobby, "four.example", 1, 2), all)
	w.Requests.Limits = l
	w.Clock.Advance(24*time.Hour + time.Second)
	check(codes(t, w, bob, false, lobby, "five.example", 0, 4), "", "", "", person)
}

// full is a store that records nothing.
type full struct{ requests.Store }

func (full) Record(context.Context, []invites.Change, []invites.Audit, ...invites.Charge) ([]invites.Change, error) {
	return nil, errors.New("disk full")
}

// TestLimitGivenBack: what could not be recorded does not count.
func TestLimitGivenBack(t *testing.T) {
	w := newWorld(t)
	limited(w, requests.Most{Person: 1})
	w.HS.Set(lobby, "m.room.power_levels", "", alice, object{"users": object{string(bot): 100}, "invite": 0})
	w.HS.Member(lobby, bob, "join")
	whole := w.Requests.Store
	w.Requests.Store = full{whole}
	if _, err := w.Requests.Ask(t.Context(), requests.Request{Command: "$x", CommandRoom: lobby, Actor: bob, Action: room.Invite, Room: lobby, Targets: []id.UserID{"@x:there"}}); err == nil {
		t.Fatal("recorded")
	}
	w.Requests.Store = whole
	if got := codes(t, w, bob, false, lobby, "there", 0, 1); got[0] != "" {
		t.Errorf("refused: %s", got)
	}
}

// broken stores fail to open or to close a card.
type (
	brokenDesk  struct{ cards.KnockStore }
	brokenCards struct{ cards.Store }
)

func (brokenDesk) OpenCard(context.Context, invites.Card) (invites.Card, error) {
	return invites.Card{}, errors.New("disk full")
}

func (brokenCards) CloseCard(context.Context, invites.Closing) (bool, error) {
	return false, errors.New("disk full")
}

// TestLimitGivenBackByKnocks: neither does a knock whose card could not be kept, be it accepted by the policy or by a vote, nor one that others have
// decided meanwhile.
func TestLimitGivenBackByKnocks(t *testing.T) {
	w := newWorld(t)
	w.In.Most = requests.Most{All: 2}
	w.Build()
	w.Power(50)
	w.Govern(object{"knocks": object{"desk": true, "accept_servers": []string{"open.example"}}})
	receive := func(user id.UserID) (invites.Card, error) {
		w.HS.Member(lobby, user, "knock")
		got, err := w.Knocks.Receive(t.Context(), cards.Knock{Event: id.EventID("$" + user), Room: lobby, User: user})
		if err != nil {
			return invites.Card{}, err
		}
		return *got.Card, nil
	}
	vote := func(c invites.Card) (invites.Card, error) {
		got, err := w.Cards.Vote(t.Context(), c, invites.Vote{Voter: alice, Choice: invites.Accept, Room: lobby, Event: "$vote", At: w.Clock.Now()})
		return got.Card, err
	}
	waits, err := receive("@b:closed.example")
	if err != nil || waits.State != invites.CardOpen {
		t.Fatal(waits.State, err)
	}
	desk, all := w.Knocks.Store, w.Cards.Store
	w.Knocks.Store, w.Cards.Store = brokenDesk{desk}, brokenCards{all}
	for range 3 {
		if _, err := receive("@a:open.example"); err == nil {
			t.Fatal("a card was made")
		}
		if c, err := vote(waits); err == nil {
			t.Fatal("a card was closed", c.State)
		}
	}
	w.Knocks.Store, w.Cards.Store = desk, all
	if c, err := receive("@a:open.example"); err != nil || c.State != invites.CardAccepted {
		t.Errorf("the failures count: %s %v", c.State, err)
	}
	if c, err := vote(waits); err != nil || c.State != invites.CardAccepted {
		t.Errorf("the failures count: %s %v", c.State, err)
	}
	if c, err := receive("@c:open.example"); err != nil || c.State != invites.CardOpen {
		t.Errorf("the limit does not hold: %s %v", c.State, err)
	}
}

// TestLimitJoins: the users of one server lead the bot into so many rooms an hour, however they spell their server, and so do their own joins.
func TestLimitJoins(t *testing.T) {
	w := newWorld(t)
	l := limited(w, most)
	for range 2 {
		if !l.Join("@a:evil.example") {
			t.Fatal("too few")
		}
	}
	for _, again := range []string{"evil.example", "EVIL.example", "evil.example."} {
		if l.Join(id.UserID("@b:" + again)) {
			t.Errorf("%s has more", again)
		}
	}
	if !l.Join("@a:other.example") || !l.Join(bob) || !l.Join(alice) || !l.Join(alice) || !l.Join(alice) {
		t.Error("others, or an operator, are limited")
	}
	w.HS.Set(lobby, "m.room.join_rules", "", alice, object{"join_rule": "public"})
	rows, err := w.Requests.Ask(t.Context(), requests.Request{Command: "$j", CommandRoom: lobby, Actor: bob, Action: room.Join, Room: lobby, Targets: []id.UserID{bob}})
	if err != nil || len(rows) != 1 || rows[0].Code != string(policy.CodeLimitJoins) {
		t.Errorf("%v %+v", err, rows)
	}
	w.Clock.Advance(time.Hour + time.Second)
	if !l.Join("@b:evil.example") || !l.Join(bob) {
		t.Error("limited for ever")
	}
}

// TestLimitOfOwn: the homeserver's own people have a limit of joins of their own, and the bot is no person.
func TestLimitOfOwn(t *testing.T) {
	w := newWorld(t)
	l := limited(w, requests.Most{Person: 1, JoinsOfServer: 1, JoinsOfOwn: 2})
	if !l.Join(bob) || !l.Join(carol) || l.Join(bob) || !l.Join("@a:evil.example") || l.Join("@b:evil.example") {
		t.Error("joins of one's own server count as those of another, or not at all")
	}
	for _, actor := range []id.UserID{bot, bot, carol} {
		if no, _ := l.Spend(actor, "@guest:there"); no != nil {
			t.Errorf("%s: %s", actor, no.Code)
		}
	}
	if no, _ := l.Spend(carol, "@guest:there"); no == nil || no.Code != policy.CodeLimitPerson {
		t.Errorf("a person's second: %+v", no)
	}
}

// TestLimitApproval: a question to the moderators counts as an invitation does.
func TestLimitApproval(t *testing.T) {
	w := newWorld(t)
	limited(w, requests.Most{Person: 1})
	w.Power(50)
	w.Govern(object{"approval": object{"required": true}})
	if got := invitestest.Outcomes(w.MustAsk(t, w.Request(t, carol, bob, "@dave:here"))); got != "waiting policy.approval.required, refused "+string(policy.CodeLimitPerson) {
		t.Error(got)
	}
}

// TestUnknownIsNotTried: what the room's state does not tell is not tried in anybody else's matter.
func TestUnknownIsNotTried(t *testing.T) {
	w := newWorld(t)
	w.Power(50)
	w.HS.Kept = []room.Key{{Type: room.TypePowerLevels}}
	rows, err := w.Ask(t.Context(), w.Request(t, carol, bob))
	if err != nil || len(rows) != 1 || rows[0].Status != invites.StatusRefused || len(w.HS.Acts()) != 0 {
		t.Errorf("%+v %v %v", rows, err, w.HS.Acts())
	}
}

// TestLimitPeople: the people of a user's commands count, refused ones too, all of a command or none, and once however often it is tried. Another
// user, and a command that is on record, are not concerned; the operator is free.
func TestLimitPeople(t *testing.T) {
	w := newWorld(t)
	limited(w, requests.Most{People: 4})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ask := func(command id.EventID, actor id.UserID, targets ...id.UserID) error {
		t.Helper()
		_, err := w.Requests.Ask(ctx, requests.Request{Command: command, CommandRoom: lobby, Actor: actor, Action: room.Invite, Room: lobby, Targets: targets})
		return err
	}
	over := func(err error) bool { return errors.As(err, new(*requests.LimitError)) }
	for range 3 {
		if err := ask("$1", carol, "@a:x", "@b:x", "@c:x"); err == nil || over(err) {
			t.Fatalf("in trouble: %v", err)
		}
	}
	ctx = t.Context()
	for _, c := range []struct {
		command id.EventID
		actor   id.UserID
		targets []id.UserID
		over    bool
	}{
		{"$1", carol, []id.UserID{"@a:x", "@b:x", "@c:x"}, false},
		{"$2", carol, []id.UserID{"@d:x", "@e:x"}, true},
		{"$3", carol, []id.UserID{"@d:x"}, false},
		{"$4", carol, []id.UserID{"@e:x"}, true},
		{"$1", carol, []id.UserID{"@a:x", "@b:x", "@c:x"}, false},
		{"$5", bob, []id.UserID{"@e:x"}, false},
		{"$6", alice, []id.UserID{"@a:x", "@b:x", "@c:x", "@d:x", "@e:x"}, false},
	} {
		if err := ask(c.command, c.actor, c.targets...); over(err) != c.over || err != nil && !c.over {
			t.Errorf("%s: %v", c.command, err)
		}
	}
	w.Clock.Advance(time.Hour)
	if err := ask("$7", carol, "@a:x", "@b:x", "@c:x", "@d:x"); err != nil {
		t.Errorf("an hour later: %v", err)
	}
}

// TestLimitOtherWays: invitations by clients, by links and by knocks count as those by commands do, all together. A knock beyond a limit stays
// a card, with the reason, until there is room again.
func TestLimitOtherWays(t *testing.T) {
	w := newWorld(t)
	w.In.Most = requests.Most{Person: 2, Server: 2, All: 6}
	w.Build()
	w.Power(50)
	w.Govern(object{"knocks": object{"desk": true, "accept_servers": []string{"open.example"}}})
	l, _ := makeLink(t, w, func(wish *links.Wish) { wish.Uses = 10 })
	native := func(by, target id.UserID, want string) {
		t.Helper()
		w.Clock.Advance(time.Second)
		row, err := w.Native(t.Context(), lobby, by, target)
		if code := row.Code; err != nil || want == "" && row.Status != invites.StatusOpen || want != "" && (row.Status != invites.StatusRefused || code != want) {
			t.Errorf("%s: %s %q, %v; want %q", target, row.Status, code, err, want)
		}
	}
	link := func(user id.UserID, want string) {
		t.Helper()
		w.Clock.Advance(time.Second)
		if _, rows, err := w.UseLink(t.Context(), l, user); err != nil || len(rows) != 1 || rows[0].Status == invites.StatusRefused != (want != "") || want != "" && rows[0].Code != want {
			t.Errorf("%s: %+v, %v; want %q", user, rows, err, want)
		}
	}
	knock := func(user id.UserID, state invites.CardState) invites.Card {
		t.Helper()
		w.Clock.Advance(time.Second)
		w.HS.Member(lobby, user, "knock")
		got, err := w.Knocks.Receive(t.Context(), cards.Knock{Event: id.EventID("$" + user), Room: lobby, User: user})
		if err != nil || got.Card == nil || got.Card.State != state || got.Card.Remark.Empty() != (state == invites.CardAccepted) {
			t.Fatalf("%s: %+v, %v; want %s", user, got.Card, err, state)
		}
		return *got.Card
	}
	vote := func(c invites.Card, by id.UserID, event id.EventID, code string) {
		t.Helper()
		got, err := w.Cards.Vote(t.Context(), c, invites.Vote{Voter: by, Choice: invites.Accept, Room: lobby, Event: event, At: w.Clock.Now()})
		if err != nil || got.Code != code || got.Sentence.Empty() != (code == "") || (got.Card.State == invites.CardAccepted) != (code == "") {
			t.Errorf("the vote of %s: %+v, %v; want %q", by, got, err, code)
		}
		if votes, err := w.DB.Votes(t.Context(), c.ID); err != nil || len(votes) == 0 != (code != "") {
			t.Error("votes:", votes, err)
		}
	}
	person, server, all := string(policy.CodeLimitPerson), string(policy.CodeLimitServer), string(policy.CodeLimitAll)
	native(carol, "@a:one.example", "")
	native(carol, "@b:here", "")
	native(carol, "@c:here", person)
	link("@a:two.example", "")
	link("@b:one.example", "")
	link("@c:three.example", person)
	native(remote, "@c:one.example", "invite.power")
	knock("@a:open.example", invites.CardAccepted)
	knock("@b:open.example", invites.CardAccepted) // by the bot, which is no person with a limit
	waits := knock("@c:open.example", invites.CardOpen)
	vote(waits, alice, "$vote1", person)
	vote(waits, carol, "$vote2", person)
	w.HS.Set(lobby, "m.room.power_levels", "", alice, object{"users": object{string(alice): 100, string(bot): 50, string(bob): 50}, "invite": 50})
	w.HS.Member(lobby, bob, "join")
	vote(waits, bob, "$vote3", server)
	w.Build() // as after a restart, which counts them again
	if err := w.Requests.Limits.Load(t.Context(), w.DB); err != nil {
		t.Fatal(err)
	}
	vote(waits, bob, "$vote4", server)
	native(bob, "@z:four.example", all)
	w.Clock.Advance(25 * time.Hour)
	vote(waits, bob, "$vote5", "")
	native(bob, "@z:four.example", "")
	native(bob, "@y:four.example", person)
}

// TestForetoldWhileOthersAsk: a look ahead takes nothing from the commands that are judged at the same time.
func TestForetoldWhileOthersAsk(t *testing.T) {
	w := newWorld(t)
	l := limited(w, requests.Most{All: 51})
	judged := func(n int) []judge.Judgement {
		list := make([]judge.Judgement, n)
		for i := range list {
			q := policy.Question{Action: room.Invite, Actor: bob, Performer: bob, Target: id.UserID(fmt.Sprintf("@guest%d:there", i))}
			list[i] = judge.Judgement{Question: q, Decision: policy.Decision{Verdict: room.Allow}}
		}
		return list
	}
	var looking sync.WaitGroup
	for range 4 {
		looking.Go(func() {
			for range 200 {
				ahead := judged(60)
				l.Foretell(ahead)
				if ahead[49].Decision.Verdict != room.Allow || ahead[51].Decision.Code != policy.CodeLimitAll {
					t.Errorf("the 50th is %s, the 52nd %s", ahead[49].Decision.Code, ahead[51].Decision.Code)
				}
			}
		})
	}
	for range 200 {
		one := judged(1)
		giveBack := l.Take(one)
		if one[0].Decision.Verdict != room.Allow {
			t.Fatal("a look ahead used up the limit")
		}
		giveBack()
	}
	looking.Wait()
}
