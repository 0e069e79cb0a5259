package judge_test

import (
	"encoding/json"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/invitestest"
	"usher/invites/judge"
	"usher/policy"
	"usher/room"
)

func TestDelegated(t *testing.T) {
	w := newWorld(t)
	w.Power(0)
	if got := invitestest.Outcomes(w.MustAsk(t, w.Request(t, carol, bob))); got != "refused invite.power" {
		t.Errorf("without a policy: %s", got)
	}
	w.Govern(object{"delegate": true})
	rows := w.MustAsk(t, w.Request(t, carol, bob))
	if got := invitestest.Outcomes(rows); got != "done done" || rows[0].Performer != bot {
		t.Errorf("got %s by %s", got, rows[0].Performer)
	}
	rows = w.MustAsk(t, w.Request(t, alice, "@dan:here"))
	if rows[0].Performer != alice {
		t.Errorf("who has the power is lent none: sent by %s", rows[0].Performer)
	}
	audit, err := w.DB.Audit(t.Context(), rows[0].Request)
	if err != nil || len(audit) == 0 || audit[0].Policy == "" {
		t.Errorf("the audit does not name the policy: %+v %v", audit, err)
	}
}

// TestMalformedPolicyDenies, of the room's own and of its space's.
func TestMalformedPolicyDenies(t *testing.T) {
	w := newWorld(t)
	w.Govern(object{"nonsense": true})
	if got := invitestest.Outcomes(w.MustAsk(t, w.Request(t, alice, bob))); got != "refused policy.malformed" {
		t.Errorf("got %s", got)
	}
	w.HS.Set(lobby, policy.EventType, "", alice, json.RawMessage(`{}`))
	if got := invitestest.Outcomes(w.MustAsk(t, w.Request(t, alice, bob))); got != "done done" {
		t.Errorf("emptied: %s", got)
	}
}

// TestPerformer: nobody's own act is sent for them where the homeserver does not let Usher act for them.
func TestPerformer(t *testing.T) {
	for _, assert := range []bool{true, false} {
		w := newWorld(t)
		w.In.Self.Assert = assert
		w.Build()
		w.Power(50)
		for performer, want := range map[id.UserID]bool{bot: true, carol: assert} {
			j, err := w.Judge.Each(t.Context(), lobby, []policy.Question{{Action: room.Invite, Actor: carol, Performer: performer, Target: bob}}, &judge.Reader{})
			if err != nil {
				t.Fatal(err)
			}
			if d := j[0].Decision; (d.Verdict == room.Allow) != want || !want && d.Code != policy.CodeNoAssertion {
				t.Errorf("sent by %s, may act for people: %t: %s %s", performer, assert, d.Verdict, d.Code)
			}
		}
	}
}

// TestTakeBack: who had the bot send an invitation may take this very one back without the power to kick, where the policy lends the power to
// invite. Nobody takes back another one's, or one that was made by hand since.
func TestTakeBack(t *testing.T) {
	const dora = id.UserID("@dora:here")
	w := newWorld(t)
	w.Power(0)
	w.HS.Member(lobby, dora, "join")
	w.Govern(object{"delegate": true})
	req := w.Request(t, carol, bob)
	req.AsBot = true
	if row := w.MustAsk(t, req)[0]; row.Status != invites.StatusDone {
		t.Fatalf("%+v", row)
	}
	sent := func() id.EventID {
		snap, err := w.HS.Snapshot(t.Context(), lobby, "", nil, true)
		if err != nil {
			t.Fatal(err)
		}
		return invites.MemberEventID(snap, bob)
	}
	w.Observe(t, sent(), bob, bot, "invite")
	may := func(actor id.UserID) bool {
		j, err := w.Judge.Each(t.Context(), lobby, []policy.Question{{Action: policy.ActionWithdraw, Actor: actor, Performer: bot, Target: bob}}, &judge.Reader{})
		if err != nil {
			t.Fatal(err)
		}
		return j[0].Decision.Verdict == room.Allow
	}
	if !may(carol) {
		t.Error("the asker may not")
	}
	if may(dora) {
		t.Error("another member may")
	}
	w.HS.Set(lobby, "m.room.member", bob.String(), alice, object{"membership": "invite"})
	if may(carol) {
		t.Error("the asker may take back an invitation that is not the one the bot sent")
	}
}

// TestJoinAmong: join rules that leave it to Usher as well as to another room let that room's members in by themselves.
func TestJoinAmong(t *testing.T) {
	const other = id.RoomID("!other:here")
	w := newWorld(t)
	w.HS.Create(other, "11", alice, bot)
	w.HS.Set(lobby, room.TypeJoinRules, "", alice, object{"join_rule": "restricted", "allow": []object{
		{"type": "fi.mau.spam_checker"}, {"type": "m.room_membership", "room_id": other}, {"type": "m.room_membership", "room_id": "!unseen:here"}}})
	for _, member := range []bool{false, true} {
		if member {
			w.HS.Member(other, bob, "join")
		}
		if j, err := w.Judge.Join(t.Context(), lobby, bob); err != nil || j.Asks == member {
			t.Errorf("a member of the other room: %t, left to Usher: %t (%v)", member, j.Asks, err)
		}
	}
}
