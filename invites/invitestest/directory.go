package invitestest

import (
	"context"
	"maps"
	"slices"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// Directory is the model's list of rooms and aliases.
type Directory struct{ *Homeserver }

// JoinedRooms implements moves.Directory.
func (h Directory) JoinedRooms(context.Context) (joined []id.RoomID, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for r := range h.rooms {
		snap, _ := h.snapshot(r)
		if membership, _ := snap.Membership(Bot); membership == "join" {
			joined = append(joined, r)
		}
	}
	return joined, nil
}

// Aliases implements moves.Directory.
func (h Directory) Aliases(_ context.Context, r id.RoomID, _ id.UserID) (list []id.RoomAlias, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, alias := range slices.Sorted(maps.Keys(h.aliases)) {
		if h.aliases[alias] == r {
			list = append(list, alias)
		}
	}
	return list, nil
}

// SetAlias implements moves.Directory.
func (h Directory) SetAlias(_ context.Context, alias id.RoomAlias, r id.RoomID, as id.UserID) error {
	h.note(invites.Effect{Action: "alias", Room: r, Performer: as, Reason: string(alias)})
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.aliases[alias] != "" {
		return &invites.ActError{Class: invites.ClassRefused, Code: "M_UNKNOWN", Status: 409}
	}
	if h.aliases == nil {
		h.aliases = map[id.RoomAlias]id.RoomID{}
	}
	h.aliases[alias] = r
	return nil
}

// DropAlias implements moves.Directory.
func (h Directory) DropAlias(_ context.Context, alias id.RoomAlias, _ id.UserID) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.aliases[alias] == "" {
		return &invites.ActError{Class: invites.ClassRefused, Code: "M_NOT_FOUND", Status: 404}
	}
	delete(h.aliases, alias)
	return nil
}

// RoomVersions implements moves.Directory.
func (h Directory) RoomVersions(context.Context) (usual string, stable []string, err error) {
	return "11", []string{"9", "12", "10", "11"}, nil
}

// Upgrade implements moves.Directory: the new room has the name of the old one with its version.
func (h Directory) Upgrade(_ context.Context, r id.RoomID, as id.UserID, version string, creators []id.UserID) (id.RoomID, error) {
	h.note(invites.Effect{Action: "upgrade", Room: r, Performer: as, Reason: version})
	next := r + id.RoomID(version)
	h.Create(next, version, as)
	create := map[string]any{"room_version": version, "creator": as, "predecessor": map[string]any{"room_id": r}}
	if len(creators) > 0 {
		create["additional_creators"] = creators
	}
	h.Set(next, "m.room.create", "", as, create)
	h.Set(r, "m.room.tombstone", "", as, map[string]any{"replacement_room": next})
	return next, nil
}
