package invitestest

import (
	"context"
	"encoding/json"
	"slices"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// Hidden is the type of an event in rooms that a space shows to the bot only.
const Hidden = "hidden"

// Tree shows the spaces of a model homeserver: to everybody all rooms, except for those with an event of type Hidden.
type Tree struct{ Model *Homeserver }

// treeOf is a homeserver with spaces.
type treeOf struct {
	FullHomeserver
	Tree
}

// Hierarchy implements spaces.Homeserver.
func (t Tree) Hierarchy(_ context.Context, space id.RoomID, as id.UserID) (rooms []invites.SpaceRoom, whole bool, err error) {
	h := t.Model
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.rooms[space] == nil {
		return nil, false, &invites.ActError{Class: invites.ClassRefused, Code: "M_FORBIDDEN", Status: 403}
	}
	seen := map[id.RoomID]bool{}
	var visit func(r id.RoomID)
	visit = func(r id.RoomID) {
		if seen[r] || h.rooms[r] == nil || as != "" && h.rooms[r][room.Key{Type: Hidden}] != nil {
			return
		}
		seen[r] = true
		one := invites.SpaceRoom{Room: r, Name: string(r)}
		for key, e := range h.rooms[r] {
			var content struct {
				Type  string `json:"type"`
				Rule  string `json:"join_rule"`
				Order string `json:"order"`
				Via   []string
				Allow []struct {
					Room id.RoomID `json:"room_id"`
				}
				Suggested bool
			}
			_ = json.Unmarshal(e.Content, &content)
			switch key.Type {
			case room.TypeCreate:
				one.Space = content.Type == "m.space"
			case room.TypeJoinRules:
				one.JoinRule = content.Rule
				for _, a := range content.Allow {
					one.Allowed = append(one.Allowed, a.Room)
				}
			case room.TypeSpaceChild:
				if len(content.Via) > 0 {
					one.Children = append(one.Children, invites.SpaceLink{Room: id.RoomID(key.StateKey), Order: content.Order, Suggested: content.Suggested})
				}
			}
		}
		slices.SortFunc(one.Children, invites.SpaceLink.Compare)
		rooms = append(rooms, one)
		for _, child := range one.Children {
			visit(child.Room)
		}
	}
	visit(space)
	return rooms, true, nil
}
