package roomtest

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"maunium.net/go/mautrix/id"

	"usher/room"
)

func (g *generator) action() {
	a := &g.c.Action
	a.Type = pick(g, room.Invite, room.Join, room.Knock, room.Leave, room.Kick, room.Ban, room.Unban, room.ThirdParty,
		room.SetJoinRules, room.SetPowerLevels, room.SetPowerLevels, room.SetPowerLevels)
	a.Sender, a.Target = g.user(), g.user()
	if g.chance(40) {
		a.Sender = Users()[0]
	}
	if a.Type != room.Join && a.Type != room.Knock && g.chance(60) {
		g.set("m.room.member", string(a.Sender), a.Sender, object{"membership": "join"})
	}
	content := object{}
	switch a.Type {
	case room.Join, room.Knock, room.Leave:
		if g.chance(90) {
			a.Target = a.Sender
		}
		if a.Type == room.Join {
			g.join(a, content)
		}
	case room.Unban:
		if g.chance(70) {
			g.set("m.room.member", string(a.Target), Users()[0], object{"membership": "ban"})
		}
	case room.Invite:
		if g.chance(25) {
			content["third_party_invite"] = g.thirdParty(a)
		}
	case room.SetJoinRules:
		content["join_rule"] = pick(g, "public", "invite", "knock", "restricted", "other")
	case room.SetPowerLevels:
		content = g.newLevels()
	case room.ThirdParty:
		content["display_name"] = "b...@e..."
	}
	raw, err := json.Marshal(content)
	if err != nil {
		panic(err)
	}
	a.Content = raw
}

func (g *generator) join(a *room.Action, content object) {
	if g.chance(10) {
		a.PrevIsCreate = true
		a.Target = Users()[0]
		for key := range g.c.State.Events {
			if key.Type != "m.room.create" {
				delete(g.c.State.Events, key)
			}
		}
		return
	}
	if g.chance(60) {
		content["join_authorised_via_users_server"] = pick(g, g.user(), Users()[0])
	}
	if g.chance(30) {
		delete(g.c.State.Events, room.Key{Type: "m.room.member", StateKey: string(a.Sender)})
	}
}

// newLevels changes the room's power levels a little, and now and then wrongly.
func (g *generator) newLevels() object {
	next := clone(g.levels)
	if g.levels == nil || g.chance(5) {
		next = object{"users": object{string(Users()[1]): g.level(0)}}
	}
	for range pick(g, 0, 1, 1, 2, 3) {
		switch g.IntN(4) {
		case 0:
			change(g, next, pick(g, named()...))
		case 1:
			change(g, sub(next, "users"), string(g.user()))
		case 2:
			change(g, sub(next, "events"), pick(g, "m.room.name", "m.room.power_levels", "m.room.message"))
		case 3:
			change(g, sub(next, "notifications"), pick(g, "room", "org.example"))
		}
	}
	if g.chance(12) {
		g.spoil(next)
	}
	return next
}

func clone(from object) object {
	out := object{}
	for key, value := range from {
		if inner, ok := value.(object); ok {
			value = clone(inner)
		}
		out[key] = value
	}
	return out
}

func sub(from object, key string) object {
	if inner, ok := from[key].(object); ok {
		return inner
	}
	inner := object{}
	from[key] = inner
	return inner
}

func change(g *generator, in object, key string) {
	if g.chance(30) {
		delete(in, key)
		return
	}
	in[key] = g.level(0)
}

// spoil makes power levels that some version refuses.
func (g *generator) spoil(levels object) {
	bad := pick[any](g, "foo", "", "0x10", "1e2", "1.5", true, nil, []int{}, object{}, "50", " 50 ", "٥",
		json.RawMessage("50.5"), json.RawMessage("1e2"), json.RawMessage("1e400"), json.RawMessage("9007199254740992"),
		json.RawMessage("-9007199254740992"), json.RawMessage("9223372036854775807"), json.RawMessage("-0"),
		json.RawMessage("100000000000000000000"), json.RawMessage("-100000000000000000000"), "100000000000000000000")
	switch g.IntN(6) {
	case 0:
		levels[pick(g, named()...)] = bad
	case 1:
		sub(levels, "users")[string(g.user())] = bad
	case 2:
		sub(levels, "events")["m.room.name"] = bad
	case 3:
		sub(levels, "notifications")["room"] = bad
	case 4:
		levels[pick(g, "users", "events", "notifications")] = bad
	case 5:
		sub(levels, "users")[pick(g, "@baduser", "olga:one.example", "@alma:", "#alma:one.example", "")] = 0
	}
}

// thirdParty makes a third-party invite and most often an m.room.third_party_invite event that goes with it.
func (g *generator) thirdParty(a *room.Action) any {
	seed := make([]byte, ed25519.SeedSize)
	key := ed25519.NewKeyFromSeed(seed)
	seed[0] = 1
	other := ed25519.NewKeyFromSeed(seed)
	public := base64.RawStdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
	wrong := base64.RawStdEncoding.EncodeToString(other.Public().(ed25519.PublicKey))

	sender := a.Sender
	if g.chance(15) {
		sender = g.user()
	}
	invite := object{"display_name": "b...@e...", "key_validity_url": "https://id.example/v", "public_key": pick(g, public, public, wrong)}
	if g.chance(70) {
		invite["public_keys"] = []object{{"public_key": pick(g, public, public, wrong), "key_validity_url": "https://id.example/v"}}
	}
	if g.chance(90) {
		g.set("m.room.third_party_invite", "token", sender, invite)
	}

	mxid := a.Target
	if g.chance(10) {
		mxid = g.user()
	}
	signed := object{"mxid": mxid, "token": "token"}
	signer := key
	if g.chance(15) {
		signer = other
	}
	signed["signatures"] = g.signatures(signer, mxid)
	delete(signed, pick(g, "", "", "", "", "mxid", "token", "signatures"))
	if g.chance(8) {
		return object{"display_name": "b"}
	}
	return object{"display_name": "b", "signed": signed}
}

func (g *generator) signatures(signer ed25519.PrivateKey, mxid id.UserID) object {
	message := fmt.Appendf(nil, `{"mxid":%q,"token":"token"}`, mxid)
	signature := base64.RawStdEncoding.EncodeToString(ed25519.Sign(signer, message))
	return object{"id.example": object{"ed25519:0": signature}}
}
