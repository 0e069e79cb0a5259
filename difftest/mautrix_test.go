package difftest

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json/jsontext"
	"testing"
	"time"

	"maunium.net/go/mautrix/federation/eventauth"
	"maunium.net/go/mautrix/federation/pdu"
	"maunium.net/go/mautrix/id"

	"usher/room"
)

func mautrixEvent(p pair, key room.Key) *pdu.PDU {
	e := p.State.Events[key]
	if e == nil {
		return nil
	}
	out := &pdu.PDU{Type: key.Type, StateKey: &key.StateKey, Sender: e.Sender, Content: jsontext.Value(e.Content), RoomID: id.RoomID(p.roomID())}
	if key.Type == "m.room.create" {
		out.InternalMeta.EventID = createID
		if p.Version() >= 12 {
			out.RoomID = ""
		}
	}
	return out
}

// mautrix asks maunium.net/go/mautrix/federation/eventauth.
func mautrix(p pair) error {
	version := p.State.Version
	create := mautrixEvent(p, room.Key{Type: "m.room.create"})
	auth := []*pdu.PDU{}
	for _, key := range p.authEvents() {
		if e := mautrixEvent(p, key); e != nil && (key.Type != "m.room.create" || p.Version() < 12) {
			auth = append(auth, e)
		}
	}
	stateKey := p.stateKey()
	e := &pdu.PDU{Type: p.eventType(), StateKey: &stateKey, Sender: p.Action.Sender, Content: jsontext.Value(p.content), RoomID: id.RoomID(p.roomID())}
	for _, prev := range p.prevEvents() {
		e.PrevEvents = append(e.PrevEvents, id.EventID(prev))
	}
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	for _, needed := range room.Needs(p.Action) { // signed by the server of whoever authorises the join
		if p.Action.Type == room.Join && needed.Type == "m.room.member" && needed.StateKey != string(p.Action.Sender) {
			if err := e.Sign(version, id.UserID(needed.StateKey).Homeserver(), "ed25519:0", key); err != nil {
				return err
			}
		}
	}
	if p.Action.Type == room.Join && len(e.Signatures) == 0 {
		if err := e.Sign(version, p.Action.Sender.Homeserver(), "ed25519:0", key); err != nil {
			return err
		}
	}
	getEvents := func([]id.EventID) ([]*pdu.PDU, error) {
		if create == nil {
			return nil, nil
		}
		return []*pdu.PDU{create}, nil
	}
	getKey := func(string, id.KeyID, time.Time) (id.SigningKey, time.Time, error) {
		public := base64.RawStdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
		return id.SigningKey(public), time.Now().Add(time.Hour), nil
	}
	return eventauth.Authorize(version, e, auth, getEvents, getKey)
}

func TestMain(m *testing.M) {
	pdu.UseInternalMetaForGetEventID = true
	m.Run()
}
