package difftest

import (
	"encoding/json"
	"fmt"

	"github.com/matrix-org/gomatrixserverlib"
	"github.com/matrix-org/gomatrixserverlib/spec"

	"usher/room"
)

// serverlibEvent makes an event by its fields. eventID is not checked against its hash.
func serverlibEvent(p pair, key room.Key, sender, content, eventID string, prev []string) (gomatrixserverlib.PDU, error) {
	fields := map[string]any{
		"type": key.Type, "state_key": key.StateKey, "sender": sender, "content": json.RawMessage(content),
		"room_id": p.roomID(), "event_id": eventID, "origin_server_ts": 1, "depth": 1, "auth_events": []string{},
	}
	if p.Version() <= 2 {
		refs := [][2]any{}
		for _, id := range prev {
			refs = append(refs, [2]any{id, map[string]string{"sha256": hash}})
		}
		fields["prev_events"] = refs
	} else {
		fields["prev_events"] = prev
	}
	if key.Type == "m.room.create" && p.Version() >= 12 {
		delete(fields, "room_id")
	}
	raw, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	version, err := gomatrixserverlib.GetRoomVersion(gomatrixserverlib.RoomVersion(p.State.Version))
	if err != nil {
		return nil, err
	}
	return version.NewEventFromTrustedJSONWithEventID(eventID, raw, false)
}

// serverlibCase holds what Allowed takes.
type serverlibCase struct {
	event gomatrixserverlib.PDU
	auth  gomatrixserverlib.AuthEventProvider
}

func newServerlibCase(p pair) (c serverlibCase, err error) {
	var auth []gomatrixserverlib.PDU
	for i, key := range p.authEvents() {
		e := p.State.Events[key]
		if e == nil {
			continue
		}
		eventID := fmt.Sprintf("$%c%s", 'C'+i, hash[1:])
		if key.Type == "m.room.create" {
			eventID = createID
		}
		pdu, err := serverlibEvent(p, key, string(e.Sender), string(e.Content), eventID, nil)
		if err != nil {
			return c, err
		}
		auth = append(auth, pdu)
	}
	key := room.Key{Type: p.eventType(), StateKey: p.stateKey()}
	if c.event, err = serverlibEvent(p, key, string(p.Action.Sender), p.content, "$Z"+hash[1:], p.prevEvents()); err != nil {
		return c, err
	}
	c.auth, err = gomatrixserverlib.NewAuthEvents(auth)
	return c, err
}

func serverlibUser(_ spec.RoomID, sender spec.SenderID) (*spec.UserID, error) {
	return spec.NewUserID(string(sender), true)
}

// serverlib asks github.com/matrix-org/gomatrixserverlib.
func serverlib(p pair) error {
	c, err := newServerlibCase(p)
	if err != nil {
		return err
	}
	return gomatrixserverlib.Allowed(c.event, c.auth, serverlibUser)
}
