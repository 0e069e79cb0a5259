package harness

import (
	"net/http"

	"maunium.net/go/mautrix/id"
)

// RoomOptions say how a room is made.
type RoomOptions struct {
	Version string         // room version; empty: the homeserver's default
	Name    string         // shown name
	Preset  string         // default "private_chat"
	Invite  []id.UserID    // invited from the start
	Direct  bool           // a direct chat
	Power   map[string]any // overrides in m.room.power_levels, such as "invite": 50
	State   []any          // further initial state events
	Type    string         // as "m.space"; empty: an ordinary room
	// Replaces is the room that this one says it replaces; empty: none.
	Replaces id.RoomID
}

// CreateRoom makes a room.
func (a *Account) CreateRoom(o RoomOptions) id.RoomID {
	a.t.Helper()
	if o.Preset == "" {
		o.Preset = "private_chat"
	}
	body := map[string]any{"preset": o.Preset, "invite": o.Invite, "is_direct": o.Direct, "initial_state": o.State}
	if o.Invite == nil {
		body["invite"] = []string{}
	}
	if o.State == nil {
		body["initial_state"] = []string{}
	}
	create := map[string]any{}
	if o.Type != "" {
		create["type"] = o.Type
	}
	if o.Replaces != "" {
		create["predecessor"] = map[string]any{"room_id": o.Replaces, "event_id": "$last"}
	}
	if len(create) > 0 {
		body["creation_content"] = create
	}
	if o.Version != "" {
		body["room_version"] = o.Version
	}
	if o.Name != "" {
		body["name"] = o.Name
	}
	if o.Power != nil {
		body["power_level_content_override"] = o.Power
	}
	return id.RoomID(a.Do(http.MethodPost, "/v3/createRoom", body).Get("room_id"))
}
