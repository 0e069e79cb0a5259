package homeserver

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"usher/exactjson"
	"usher/invites"
	"usher/room"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"
)

// AccountData returns the bot's own account data of a type, nil where there is none
// (https://spec.matrix.org/latest/client-server-api/#client-config).
func (c Account) AccountData(ctx context.Context, kind string) (json.RawMessage, error) {
	body, err := c.do(ctx, request{name: "account_data", method: http.MethodGet, path: path("v3", "user", c.user, "account_data", kind)})
	if invites.Errcode(err) == mautrix.MNotFound.ErrCode {
		return nil, nil
	}
	return body, err
}

// SetAccountData replaces the bot's own account data of a type.
func (c Account) SetAccountData(ctx context.Context, kind string, content any) error {
	_, err := c.do(ctx, request{
		name: "set_account_data", method: http.MethodPut, path: path("v3", "user", c.user, "account_data", kind), body: content,
	})
	return err
}

// CheckAssertion tells whether the homeserver takes the second registration: it asks who it is by that one's token, as
// the bot, whom both namespaces cover. The bot must be registered.
func (c Account) CheckAssertion(ctx context.Context) error {
	if c.puppet == nil {
		return ErrUnsupported
	}
	_, err := c.do(ctx, request{name: "whoami", must: "user_id", puppet: true, as: c.user, method: http.MethodGet, path: path("v3", "account", "whoami")})
	return err
}

// Sender returns the user whom a registration names as its sender, of the second registration with puppet. It shows which server the
// homeserver is and which registration it has, also before the bot is registered.
func (c Account) Sender(ctx context.Context, puppet bool) (id.UserID, error) {
	body, err := c.do(ctx, request{name: "whoami", puppet: puppet, sender: true, method: http.MethodGet, path: path("v3", "account", "whoami")})
	return id.UserID(exactjson.Text(body, "user_id")), err
}

// Devices returns the names of the bot's devices, or their ids where they have no name.
func (c Account) Devices(ctx context.Context) (names []string, err error) {
	body, err := c.do(ctx, request{name: "devices", method: http.MethodGet, path: path("v3", "devices")})
	for device := range exactjson.Items(body, "devices") {
		names = append(names, cmp.Or(exactjson.Text(device, "display_name"), exactjson.Text(device, "device_id")))
	}
	return names, err
}

// CreateRoom makes a room of the bot alone.
func (c Account) CreateRoom(ctx context.Context) (id.RoomID, error) {
	body, err := c.do(ctx, request{
		name: "create_room", method: http.MethodPost, path: path("v3", "createRoom"), body: map[string]string{"preset": "private_chat", "visibility": "private"},
	})
	made := id.RoomID(exactjson.Text(body, "room_id"))
	return made, shows(made.String(), err)
}

// CreateDirect makes a direct chat with a user and invites them. The create event names the user under mark.
func (c Account) CreateDirect(ctx context.Context, user id.UserID, encrypted bool, mark string) (id.RoomID, error) {
	content := map[string]any{
		"preset": "private_chat", "visibility": "private", "is_direct": true, "invite": []id.UserID{user}, "creation_content": map[string]string{mark: user.String()},
	}
	if encrypted {
		content["initial_state"] = []any{map[string]any{"type": room.TypeEncryption, "state_key": "", "content": map[string]string{"algorithm": "m.megolm.v1.aes-sha2"}}}
	}
	body, err := c.do(ctx, request{
		name: "create_room", remote: c.other(user.Homeserver()), method: http.MethodPost, path: path("v3", "createRoom"), body: content,
	})
	made := id.RoomID(exactjson.Text(body, "room_id"))
	return made, shows(made.String(), err)
}

// LeaveRoom has the bot leave a room that it made.
func (c Account) LeaveRoom(ctx context.Context, r id.RoomID) error {
	_, err := c.do(ctx, request{name: "leave", method: http.MethodPost, path: path("v3", "rooms", r, "leave"), body: map[string]string{}})
	return err
}

// LoginTypes returns the ways to log in that the homeserver offers, such as "m.login.application_service".
func (c Account) LoginTypes(ctx context.Context) ([]string, error) {
	body, err := c.do(ctx, request{name: "login_types", must: "flows", method: http.MethodGet, path: path("v3", "login")})
	var types []string
	for flow := range exactjson.Items(body, "flows") {
		types = append(types, exactjson.Text(flow, "type"))
	}
	return types, err
}

// Whoami returns the user that the homeserver takes the bot's requests for.
func (c Account) Whoami(ctx context.Context) (id.UserID, error) {
	body, err := c.do(ctx, request{name: "whoami", must: "user_id", method: http.MethodGet, path: path("v3", "account", "whoami")})
	return id.UserID(exactjson.Text(body, "user_id")), err
}

// Versions returns the versions of the specification that the homeserver has, such as "v1.16".
func (c Account) Versions(ctx context.Context) ([]string, error) {
	body, err := c.do(ctx, request{name: "versions", open: true, method: http.MethodGet, path: path("versions")})
	versions, _ := exactjson.Get(body, "versions").Texts()
	return versions, err
}

// Time returns the time of the homeserver's clock, to the second. ErrUnsupported if the homeserver sends no Date header.
func (c Account) Time(ctx context.Context) (time.Time, error) {
	var date string
	_, err := c.do(ctx, request{
		name: "versions", open: true, method: http.MethodGet, path: path("versions"),
		reader: func(_ *http.Request, resp *http.Response, _ any, _ int64) ([]byte, error) {
			date = resp.Header.Get("Date")
			return nil, nil
		},
	})
	if err != nil {
		return time.Time{}, err
	}
	at, err := http.ParseTime(date)
	if err != nil {
		return time.Time{}, ErrUnsupported
	}
	return at, nil
}

// Register makes the bot's user (https://spec.matrix.org/latest/application-service-api/#server-admin-style-permissions).
// That it exists already is fine.
func (c Account) Register(ctx context.Context) error {
	_, err := c.do(ctx, request{
		name: "register", method: http.MethodPost, path: path("v3", "register"),
		body: map[string]any{"type": "m.login.application_service", "username": c.user.Localpart(), "inhibit_login": true},
	})
	if invites.Errcode(err) == mautrix.MUserInUse.ErrCode {
		return nil
	}
	return err
}

// Avatar returns the bot's avatar, an mxc: URI; empty where it has none.
func (c Account) Avatar(ctx context.Context) (string, error) {
	body, err := c.profile(ctx)
	return exactjson.Text(body, "avatar_url"), err
}

// profile returns the bot's profile, nil where it has none.
func (c Account) profile(ctx context.Context) ([]byte, error) {
	body, err := c.do(ctx, request{name: "profile", method: http.MethodGet, path: path("v3", "profile", c.user)})
	if invites.Errcode(err) == mautrix.MNotFound.ErrCode {
		return nil, nil
	}
	return body, err
}

// SetProfile sets the bot's display name and avatar, an mxc: URI, where they differ: each change is an event in every
// room. An empty one is left as it is.
func (c Account) SetProfile(ctx context.Context, name, avatar string) error {
	body, err := c.profile(ctx)
	if err != nil {
		return err
	}
	for key, want := range map[string]string{"displayname": name, "avatar_url": avatar} {
		if want == "" || exactjson.Text(body, key) == want {
			continue
		}
		_, err := c.do(ctx, request{
			name: "set_profile", method: http.MethodPut, path: path("v3", "profile", c.user, key), body: map[string]string{key: want},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// JoinedRooms returns the rooms that the bot is in.
func (c Account) JoinedRooms(ctx context.Context) ([]id.RoomID, error) {
	body, err := c.do(ctx, request{name: "joined_rooms", must: "joined_rooms", method: http.MethodGet, path: path("v3", "joined_rooms")})
	var rooms []id.RoomID
	for r := range exactjson.Items(body, "joined_rooms") {
		rooms = append(rooms, id.RoomID(exactjson.Text(r)))
	}
	return rooms, err
}

// Ping has the homeserver call the application service of the given registration id
// (https://spec.matrix.org/latest/application-service-api/#pinging). ErrUnsupported where it can't.
func (c Account) Ping(ctx context.Context, appservice, txn string) error {
	return c.ping(ctx, appservice, txn, false)
}

// PingPuppet is Ping for the second registration. M_URL_NOT_SET is right: the homeserver has nothing to send for it.
func (c Account) PingPuppet(ctx context.Context, appservice string) error {
	return c.ping(ctx, appservice, "", true)
}

// ping asks as the registration's sender: the bot may not be registered yet.
func (c Account) ping(ctx context.Context, appservice, txn string, puppet bool) error {
	_, err := c.do(ctx, request{
		name: "ping", puppet: puppet, sender: true, method: http.MethodPost, path: path("v1", "appservice", appservice, "ping"), body: map[string]string{"transaction_id": txn},
	})
	if status := invites.HTTPStatus(err); status == http.StatusNotFound || status == http.StatusMethodNotAllowed {
		return ErrUnsupported
	}
	return err
}
