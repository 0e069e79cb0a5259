package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/e2e/child"
	"usher/e2e/harness"
	"usher/e2e/homeserver"
)

// doors is a stage on which the homeserver asks Usher before it sends an invitation. Dendrite has no module for this: there the tests ask
// in its place, by the same protocol.
type doors struct {
	*stage
	t *testing.T
}

// newDoors makes the stage. Usher being down refuses invitations and lets joins through.
func newDoors(t *testing.T) *doors {
	t.Helper()
	return newDoorsWith(t, nil)
}

// newDoorsWith makes it with further settings of Usher.
func newDoorsWith(t *testing.T, set m) *doors {
	t.Helper()
	return &doors{newStageOf(t, harness.Options{
		Set: set, Puppet: true, Antispam: []string{"user_may_invite", "federated_user_may_invite", "user_may_send_3pid_invite", "user_may_join_room"}, FailOpen: []string{"user_may_join_room"},
	}), t}
}

// refusalBody is the part of a refusal that clients read.
type refusalBody struct {
	Errcode string `json:"errcode"`
	Error   string `json:"error"`
	Code    string `json:"chat.usher.code"`
}

// invites invites by hand: with a request for it, or with the member event itself. It returns the refusal, if there is one.
func (d *doors) invites(by *harness.Account, room id.RoomID, user id.UserID, event bool) (refused refusalBody) {
	d.t.Helper()
	if d.Server.Kind == homeserver.Dendrite && d.asked("user_may_invite", m{"inviter": by.ID, "invitee": user, "room_id": room}, &refused) {
		return refused
	}
	method, path, body := http.MethodPost, "/v3/rooms/"+url.PathEscape(string(room))+"/invite", m{"user_id": user}
	if event {
		method, path, body = http.MethodPut, "/v3/rooms/"+url.PathEscape(string(room))+"/state/m.room.member/"+url.PathEscape(string(user)), m{"membership": "invite"}
	}
	status, text := by.Try(method, path, body)
	if status != http.StatusOK {
		if json.Unmarshal(text, &refused) != nil || refused.Errcode == "" {
			d.t.Fatalf("%d %s", status, text)
		}
	}
	return refused
}

// govern sets a room's policy, and waits until Usher has it.
func (d *doors) govern(room id.RoomID, fields m) {
	d.t.Helper()
	fields["version"] = 1
	d.owner.SetState(room, "chat.usher.policy", "", fields)
	d.settled(d.owner, room)
}

// TestNative: invitations by a client's own means.
func TestNative(t *testing.T) {
	d := newDoors(t)
	t.Run("judged", func(t *testing.T) { d.t = t; d.judged(t) })
	t.Run("address", func(t *testing.T) { d.t = t; d.address(t) })
	t.Run("approval", func(t *testing.T) { d.t = t; d.approval(t) })
}

// judged: invitations follow the room's policy, and the client gets Usher's sentence and code.
func (d *doors) judged(t *testing.T) {
	member := d.Account("member")
	if no := d.invites(d.owner, d.room, member.ID, false); no.Errcode != "" {
		t.Fatal("a room without a policy:", no)
	}
	member.Join(d.room)
	d.owner.AwaitMember(d.room, member.ID, "join")
	if made := d.owner.CreateRoom(harness.RoomOptions{Invite: []id.UserID{member.ID}}); made == "" {
		t.Error("a new room with invitations")
	}
	kicked := d.Account("kicked")
	if no := d.invites(d.owner, d.room, kicked.ID, false); no.Errcode != "" {
		t.Fatal(no)
	}
	kicked.Join(d.room)
	d.owner.Do(http.MethodPost, "/v3/rooms/"+url.PathEscape(string(d.room))+"/kick", m{"user_id": kicked.ID})
	list := d.BotRoom(d.owner, harness.RoomOptions{})
	d.owner.SetState(list, "m.policy.rule.user", "a", m{"entity": "@listed*", "recommendation": "m.ban", "reason": "spam"})
	listed, fine := d.Account("listed"), d.Account("fine")
	d.govern(d.room, m{"ask": m{"level": 50}})
	for _, event := range []bool{false, true} {
		no := d.invites(member, d.room, fine.ID, event)
		if no.Errcode != "M_FORBIDDEN" || no.Code != "policy.ask.level" || !strings.Contains(no.Error, "50") {
			t.Errorf("by a member without power: %+v", no)
		}
	}
	d.owner.Grant(d.room, 50, member.ID)
	d.govern(d.room, m{
		"whom": m{"lists": []id.RoomID{list}, "cooldown": m{"kick": "1d"}}, "quota": m{"person": m{"count": 1, "per": "1d"}}, "ask": m{"level": 50},
		"guard": m{"mode": "enforce", "by_hand": "withdraw"},
	})
	if no := d.invites(member, d.room, listed.ID, false); no.Code != "policy.whom.listed" {
		t.Errorf("a listed person: %+v", no)
	}
	if no := d.invites(member, d.room, kicked.ID, false); no.Code != "policy.whom.cooldown.kick" {
		t.Errorf("a kicked person: %+v", no)
	}
	if no := d.invites(member, d.room, fine.ID, true); no.Errcode != "" {
		t.Errorf("an allowed one: %+v", no)
	}
	d.is(t, d.room, fine.ID, "invite", member.ID)
	if no := d.invites(member, d.room, d.guest.ID, false); no.Code != "policy.quota.person" {
		t.Errorf("beyond the quota: %+v", no)
	}
	start := time.Now()
	d.succeeds(d.owner, d.room, "!invite "+string(d.guest.ID)) // the homeserver asks about this one, too
	t.Logf("Usher's own invitation took %v", time.Since(start).Round(time.Millisecond))
	d.is(t, d.room, d.guest.ID, "invite", d.owner.ID)
	d.settled(d.owner, d.room)
	d.is(t, d.room, fine.ID, "invite", member.ID) // the guard does not judge it again
	d.owner.SetState(d.room, "m.room.join_rules", "", m{"join_rule": "public"})
	d.govern(d.room, m{"whom": m{"lists": []id.RoomID{list}}, "join": m{"deny": true}})
	if no := d.joins(listed, d.room); no.Errcode != "M_FORBIDDEN" || no.Code != "policy.join.deny" || !strings.Contains(no.Error, string(listed.ID)) {
		t.Errorf("a listed person joins: %+v", no)
	}
	if no := d.joins(fine, d.room); no.Errcode != "" {
		t.Errorf("an invited person may not join: %+v", no)
	}
}

// address: the invitation of an address is judged, is pending, and ends when the inviter takes it back. The homeserver would ask an identity
// server before it sends the event, so the test sends it.
func (d *doors) address(t *testing.T) {
	room := d.BotRoom(d.owner, harness.RoomOptions{})
	d.govern(room, m{"whom": m{"deny_servers": []string{"evil.example"}}})
	var no refusalBody
	if !d.asked("user_may_send_3pid_invite", m{"inviter": d.owner.ID, "medium": "email", "address": "ann@evil.example", "room_id": room}, &no) || no.Code != "policy.whom.server_denied" {
		t.Errorf("an address of a denied server: %+v", no)
	}
	if d.asked("user_may_send_3pid_invite", m{"inviter": d.owner.ID, "medium": "email", "address": "ann@good.example", "room_id": room}, &no) {
		t.Errorf("an address: %+v", no)
	}
	d.owner.SetState(room, "m.room.third_party_invite", "token", m{
		"display_name": "a...@g...", "public_key": "abc", "key_validity_url": "https://id.example/valid", "public_keys": []m{{"public_key": "abc"}},
	})
	d.settled(d.owner, room)
	if text := d.pending(room); !strings.Contains(text, "a...@g...") || !strings.Contains(text, string(d.owner.ID)) {
		t.Errorf("pending: %s", text)
	}
	d.succeeds(d.owner, room, "!uninvite ann@good.example")
	if e := d.owner.State(room, "m.room.third_party_invite", "token"); string(e.Content) != "{}" || e.Sender != string(d.owner.ID) {
		t.Errorf("withdrawn: %s by %s", e.Content, e.Sender)
	}
	if text := d.pending(room); strings.Contains(text, "a...@g...") {
		t.Errorf("still pending: %s", text)
	}
}

// pending returns the answer to !pending.
func (d *doors) pending(room id.RoomID) string {
	return d.owner.AwaitReply(d.owner.Say(room, "!pending"), d.Usher.Bot).Field("body")
}

// joins joins by hand, and returns the refusal, if there is one.
func (d *doors) joins(by *harness.Account, room id.RoomID) (refused refusalBody) {
	d.t.Helper()
	if d.Server.Kind == homeserver.Dendrite && d.asked("user_may_join_room", m{"user": by.ID, "room": room, "is_invited": false}, &refused) {
		return refused
	}
	if status, text := by.Try(http.MethodPost, "/v3/join/"+url.PathEscape(string(room)), m{}); status != http.StatusOK {
		if json.Unmarshal(text, &refused) != nil || refused.Errcode == "" {
			d.t.Fatalf("%d %s", status, text)
		}
	}
	return refused
}

// asked asks Usher in place of the homeserver, and reports whether Usher refuses.
func (d *doors) asked(callback string, body m, refused *refusalBody) bool {
	d.t.Helper()
	caller := harness.Caller{URL: d.Usher.URL(), Token: d.AntispamToken}
	answer, err := caller.Do(d.t.Context(), http.MethodPost, "/_usher/antispam/"+callback, body)
	if err != nil {
		d.t.Fatal(err)
	}
	_ = json.Unmarshal(answer.Body, refused)
	return answer.Status != http.StatusOK
}

// approval: the refusal of an invitation in need of approval opens a card, and Usher sends the invitation once people agree. While Usher is
// down, its word is missing.
func (d *doors) approval(t *testing.T) {
	member, room := d.Account("member"), d.BotRoom(d.owner, harness.RoomOptions{Power: m{"invite": 0}})
	d.owner.Invite(room, member.ID)
	member.Join(room)
	d.govern(room, m{"approval": m{"required": true}})
	guest, other := d.Account("guest"), d.Account("other")
	no := d.invites(member, room, guest.ID, false)
	if no.Code != "policy.approval.required" || no.Error == "" {
		t.Fatalf("%+v", no)
	}
	d.owner.React(room, d.card(d.owner, room, guest.ID), done)
	guest.AwaitInvite(room)
	d.is(t, room, guest.ID, "invite", member.ID)

	if d.Server.Kind == homeserver.Dendrite {
		return // it asks nobody, so it does not mind
	}
	if err := d.Usher.Stop(); err != nil {
		t.Fatal(err)
	}
	if no := d.invites(d.owner, room, other.ID, false); no.Errcode != "M_UNKNOWN" {
		t.Errorf("with Usher down: %+v", no)
	}
	guest.Join(room)
	if err := d.Usher.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.govern(room, m{})
	if no := d.invites(d.owner, room, other.ID, false); no.Errcode != "" {
		t.Errorf("with Usher up again: %+v", no)
	}
}

// TestNativeFederated: a sender of another server may invite so many different local people. The breaker of a server whose users are refused asks
// operators, and when they ban it, its open invitation is declined for the invitee. While Usher is down, Synapse lets invitations pass. Dendrite
// asks nobody.
func TestNativeFederated(t *testing.T) {
	if harness.Kind() == homeserver.Dendrite {
		t.Skip("Dendrite asks nobody")
	}
	callbacks := []string{"user_may_invite", "federated_user_may_invite"}
	s := &stage{World: harness.New(t, harness.Options{TLSPort: tlsPort(t, 8448), Puppet: true, Antispam: callbacks, FailOpen: callbacks,
		Set: m{"permissions": m{"*": "user", "@owner1:localhost:8448": "operator"}, "inbound.enabled": true, "inbound.sender": m{"people": 1, "per": "1h"}, "inbound.breaker": m{"people": 1, "per": "1h"}}})}
	s.owner = s.Account("owner")
	ops, bans := s.BotRoom(s.owner, harness.RoomOptions{Name: "ops"}), s.BotRoom(s.owner, harness.RoomOptions{Name: "bans"})
	s.owner.Grant(bans, 100, s.Usher.Bot)
	for path, value := range (m{"inbound.room": ops, "inbound.ban_list": bans}) {
		if err := s.Usher.Set(path, value); err != nil {
			t.Fatal(err)
		}
	}
	restart := func() {
		t.Helper()
		if err := s.Usher.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Usher.Stop(); err != nil {
		t.Fatal(err)
	}
	restart()
	peer := harness.Peer(t, homeserver.Dendrite, tlsPort(t, 8449))
	dave, first, second := harness.NewAccount(t, peer, "dave", "", false), s.Account("first"), s.Account("second")
	var rooms []id.RoomID
	invite := func(guest *harness.Account, may bool) {
		t.Helper()
		room := dave.CreateRoom(harness.RoomOptions{})
		rooms = append(rooms, room)
		status, text := dave.Try(http.MethodPost, "/v3/rooms/"+url.PathEscape(string(room))+"/invite", m{"user_id": guest.ID})
		if (status == http.StatusOK) != may {
			t.Errorf("the invitation of %s is answered %d %s", guest.ID, status, text)
		}
	}
	invite(first, true)
	invite(second, false)
	card := s.announced(t, ops, "Many invitations by users of")
	s.owner.React(ops, id.EventID(card.ID), "🚫")
	dave.Await("the end of the open invitation", func(harness.Event) bool {
		membership, sender := dave.Membership(rooms[0], first.ID)
		return membership == "leave" && sender == first.ID
	})
	s.owner.SetState(ops, "chat.usher.inbound", "", m{"sender": m{"people": 7}, "x": 1})
	s.announced(t, ops, "x", "no field")
	s.owner.SetState(ops, "chat.usher.inbound", "", m{"sender": m{"people": 7}})
	s.announced(t, ops, "these rules count", "sender")
	if err := s.Usher.Stop(); err != nil {
		t.Fatal(err)
	}
	invite(second, true)
	restart()
}

// TestNativeLoad: 200 callbacks in a second are answered while commands flow, without requests to the homeserver once the room's state is known.
// An invitee who is new costs one.
func TestNativeLoad(t *testing.T) {
	port, err := child.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	at := fmt.Sprintf("127.0.0.1:%d", port)
	d := newDoorsWith(t, m{"metrics.enabled": true, "metrics.listen": at})
	const perSecond, people = 200, 20
	n := perSecond * scaled(2, 30)
	d.govern(d.room, m{"ask": m{"level": 0}, "whom": m{"deny_servers": []string{"evil.example"}}})
	d.owner.SetState(d.room, "m.room.power_levels", "", m{"users": m{string(d.owner.ID): 100, string(d.Usher.Bot): 100}, "invite": 0})
	d.settled(d.owner, d.room)
	took, refused := make([]time.Duration, n), make([]bool, n)
	ask := func(i int) {
		server := []string{"good.example", "evil.example"}[i%2]
		var no refusalBody
		start := time.Now()
		refused[i] = d.asked("user_may_invite", m{"inviter": d.owner.ID, "invitee": fmt.Sprintf("@user%d:%s", i%people, server), "room_id": d.room}, &no)
		took[i] = time.Since(start)
	}
	ask(0) // the state is known from here on
	before := len(d.Usher.Tap.Requests(nil))
	commands, stop := 0, make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for next := time.NewTicker(time.Second); ; commands++ { // a person may give 30 a minute
			d.settled(d.owner, d.room)
			select {
			case <-stop:
				return
			case <-next.C:
			}
		}
	})
	var asking sync.WaitGroup
	tick := time.NewTicker(time.Second / perSecond)
	defer tick.Stop()
	start := time.Now()
	for i := 1; i < n; i++ {
		<-tick.C
		asking.Go(func() { ask(i) })
	}
	asking.Wait()
	within := time.Since(start)
	close(stop)
	running.Wait()
	for i := range refused {
		if refused[i] != (i%2 == 1) {
			t.Fatalf("callback %d: refused %v", i, refused[i])
		}
	}
	requests := 0
	for _, r := range d.Usher.Tap.Requests(nil)[before:] {
		if r.Method == http.MethodGet && strings.Contains(r.Path, "/state/m.room.member/@user") {
			requests++
		}
	}
	slices.Sort(took)
	t.Logf("%d callbacks in %v beside %d commands: p50 %v, p99 %v, at most %v; %d requests about invitees", n, within.Round(time.Millisecond), commands,
		took[n/2], took[n*99/100], took[n-1], requests)
	_, metrics := get(t, "http://"+at+"/metrics")
	_, within5, _ := strings.Cut(metrics, `usher_callback_seconds_bucket{callback="user_may_invite",le="0.005"} `)
	within5, _, _ = strings.Cut(within5, "\n")
	t.Logf("Usher itself answered %s of %d within 5 ms", within5, n)
	if requests > 2*people || commands == 0 { // at most once more: the state is kept for a while
		t.Error("too many requests, or no commands")
	}
}

// TestNativeCost says how long an invitation by command takes where the homeserver asks Usher about it, and where it does not.
func TestNativeCost(t *testing.T) {
	took := map[bool]time.Duration{}
	for _, asks := range []bool{false, true} {
		s := newStage(t, true)
		if asks {
			s = newDoors(t).stage
		}
		s.settled(s.owner, s.room)
		var all []time.Duration
		for range scaled(2, 20) {
			guest, start := s.Account("guest"), time.Now()
			s.succeeds(s.owner, s.room, "!invite "+string(guest.ID))
			all = append(all, time.Since(start))
			s.is(t, s.room, guest.ID, "invite", s.owner.ID)
		}
		slices.Sort(all)
		took[asks] = all[len(all)/2]
	}
	t.Logf("median from the command to its ✅: %v, with callbacks %v", took[false], took[true])
}
