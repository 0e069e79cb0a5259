package homeserver

import (
	"context"
	"net/http"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/room"
)

// JoinedRooms returns the rooms of the bot.
func (s *records) JoinedRooms(ctx context.Context) ([]id.RoomID, error) {
	return s.client.JoinedRooms(ctx)
}

// maxAliases bounds how many aliases of one room are read.
const maxAliases = 50

// Aliases returns the aliases of a room at the homeserver itself, as a user sees them (empty: the bot).
func (s *records) Aliases(ctx context.Context, r id.RoomID, as id.UserID) ([]id.RoomAlias, error) {
	body, err := s.client.do(ctx, request{name: "aliases", must: "aliases", as: as, method: http.MethodGet, path: path("v3", "rooms", r, "aliases")})
	var list []id.RoomAlias
	names, _ := exactjson.Get(body, "aliases").Texts()
	for _, name := range names {
		if len(name) <= room.MaxID && len(list) < maxAliases {
			list = append(list, id.RoomAlias(name))
		}
	}
	return list, err
}

// SetAlias has an alias that leads nowhere lead to a room, as a user (empty: the bot).
func (s *records) SetAlias(ctx context.Context, alias id.RoomAlias, r id.RoomID, as id.UserID) error {
	_, err := s.client.do(ctx, request{
		name: "set_alias", as: as, method: http.MethodPut, path: path("v3", "directory", "room", alias), body: map[string]string{"room_id": r.String()},
	})
	return err
}

// DropAlias removes an alias, as a user (empty: the bot).
func (s *records) DropAlias(ctx context.Context, alias id.RoomAlias, as id.UserID) error {
	_, err := s.client.do(ctx, request{name: "drop_alias", as: as, method: http.MethodDelete, path: path("v3", "directory", "room", alias)})
	return err
}

// Upgrade replaces a room by one of another version, as a user (empty: the bot), and returns the new room
// (https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3roomsroomidupgrade).
func (s *records) Upgrade(ctx context.Context, r id.RoomID, as id.UserID, version string, creators []id.UserID) (id.RoomID, error) {
	wish := map[string]any{"new_version": version}
	if len(creators) > 0 {
		wish["additional_creators"] = creators
	}
	body, err := s.client.do(ctx, request{name: "upgrade", as: as, method: http.MethodPost, path: path("v3", "rooms", r, "upgrade"), body: wish})
	next := id.RoomID(exactjson.Text(body, "replacement_room"))
	return next, shows(next.String(), err)
}

// RoomVersions returns the version of new rooms, and all stable versions that the homeserver knows.
func (s *records) RoomVersions(ctx context.Context) (usual string, stable []string, err error) {
	body, err := s.client.do(ctx, request{name: "capabilities", must: "capabilities", method: http.MethodGet, path: path("v3", "capabilities")})
	versions := exactjson.Get(body, "capabilities", "m.room_versions")
	for version, stability := range exactjson.Members(body, "capabilities", "m.room_versions", "available") {
		if string(stability) == `"stable"` {
			stable = append(stable, version)
		}
	}
	return versions.Get("default").Text(), stable, err
}
