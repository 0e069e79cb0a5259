package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidwall/gjson"
)

const (
	domain = "bench.example"
	bot    = "@usher:" + domain
)

// homeserver answers at once: every room has the same state, every invitation takes effect. It is no test of anything.
type homeserver struct {
	url      string
	rooms    int // that the bot is in
	members  int // joined in each room, told to whoever asks for a list
	rules    int // of the policy list that the rooms' policy watches; 0: they have no policy
	requests atomic.Int64
	bytes    atomic.Int64 // of answers

	mu      sync.Mutex
	invited map[string]string         // inviter by room and user
	waiting map[string]chan time.Time // by invited user, or by the event that is answered
	preview string                    // the event of the preview shown last
	react   string                    // the reaction that confirms it
	file    string                    // in the media repository
}

func openHomeserver() (*homeserver, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	h := &homeserver{url: "http://" + listener.Addr().String(), rooms: 50, invited: map[string]string{}, waiting: map[string]chan time.Time{}}
	go func() { _ = http.Serve(listener, h) }()
	return h, nil
}

// expect returns a channel that gets the time at which somebody is invited, or an event is answered by a reaction or a
// message.
func (h *homeserver) expect(key string) <-chan time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := make(chan time.Time, 1)
	h.waiting[key] = c
	return c
}

func (h *homeserver) arrived(key string, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.waiting[key]; c != nil {
		c <- now
		delete(h.waiting, key)
	}
}

// invite notes an invitation.
func (h *homeserver) invite(room, user, by string, now time.Time) {
	h.mu.Lock()
	h.invited[room+user] = by
	h.mu.Unlock()
	h.arrived(user, now)
}

// forget frees what the rounds before have left.
func (h *homeserver) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.invited)
}

// ServeHTTP implements http.Handler.
func (h *homeserver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	h.requests.Add(1)
	var body bytes.Buffer
	_, _ = io.Copy(&body, r.Body)
	status, answer := h.answer(r, strings.TrimPrefix(r.URL.Path, "/_matrix/client/"), body.Bytes(), now)
	h.bytes.Add(int64(len(answer)))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answer)
}

func (h *homeserver) answer(r *http.Request, path string, body []byte, now time.Time) (int, string) {
	if rest, ok := strings.CutPrefix(path, "v3/rooms/"); ok {
		room, call, _ := strings.Cut(rest, "/")
		return h.room(r, room, call, body, now)
	}
	switch {
	case strings.HasPrefix(path, "v1/media/download/"):
		h.mu.Lock()
		defer h.mu.Unlock()
		return 200, h.file
	case strings.HasSuffix(path, "/media/v3/upload"): // the outcomes of a request for many people
		h.arrived("upload", now)
		return 200, `{"content_uri":"mxc://` + domain + `/outcomes"}`
	case path == "versions":
		return 200, `{"versions":["v1.16"]}`
	case path == "v3/account/whoami":
		return 200, `{"user_id":"` + bot + `"}`
	case path == "v3/joined_rooms":
		var list strings.Builder
		for i := range h.rooms {
			fmt.Fprintf(&list, `,%q`, roomID(i))
		}
		return 200, `{"joined_rooms":[` + strings.TrimPrefix(list.String(), ",") + `]}`
	case strings.Contains(path, "/account_data/") && r.Method == http.MethodGet:
		return 404, `{"errcode":"M_NOT_FOUND","error":"none"}`
	}
	return 200, `{}`
}

func (h *homeserver) room(r *http.Request, room, call string, body []byte, now time.Time) (int, string) {
	switch {
	case call == "invite":
		h.invite(room, gjson.GetBytes(body, "user_id").Str, r.URL.Query().Get("user_id"), now)
		return 200, `{}`
	case strings.HasPrefix(call, "state/"):
		kind, key, _ := strings.Cut(strings.TrimPrefix(call, "state/"), "/")
		return h.state(room, kind, key)
	case strings.HasPrefix(call, "send/"):
		relation := gjson.GetBytes(body, `m\.relates_to`)
		for _, path := range []string{"event_id", `m\.in_reply_to.event_id`} {
			if event := relation.Get(path).Str; event != "" {
				h.arrived(event, now)
			}
		}
		if relation.Get("key").Str == "❌" { // the bot offers it on a preview
			h.mu.Lock()
			h.preview = relation.Get("event_id").Str
			h.mu.Unlock()
			h.arrived("preview", now)
		}
		if gjson.GetBytes(body, `m\.new_content`).Exists() {
			h.arrived("edit", now)
		}
		return 200, fmt.Sprintf(`{"event_id":"$sent%d"}`, h.requests.Load())
	case strings.HasPrefix(call, "event/"):
		h.mu.Lock()
		defer h.mu.Unlock()
		return 200, cmp.Or(h.react, "{}")
	case call == "joined_members":
		return 200, h.joined()
	case call == "members":
		return 200, h.memberEvents(room)
	case call == "state" && room == listRoom:
		return 200, h.list()
	}
	return 200, `{}`
}

// state is one event of a room's state.
func (h *homeserver) state(room, kind, key string) (int, string) {
	content := ""
	switch kind {
	case "m.room.create":
		content = `{"room_version":"11"}`
	case "m.room.join_rules":
		content = `{"join_rule":"invite"}`
	case "m.room.power_levels":
		content = `{"users":{"@admin:` + domain + `":100,"` + bot + `":50},"users_default":50,"invite":50,"state_default":50}`
	case "chat.usher.policy":
		if h.rules > 0 && room != listRoom {
			content = `{"version":1,"whom":{"lists":["` + listRoom + `"]}}`
		}
	case "m.room.member":
		h.mu.Lock()
		inviter := h.invited[room+key]
		h.mu.Unlock()
		switch {
		case key == bot || strings.HasPrefix(key, "@asker"):
			content = `{"membership":"join"}`
		case inviter != "":
			content = `{"membership":"invite"}`
		}
	}
	if content == "" {
		return 404, `{"errcode":"M_NOT_FOUND","error":"none"}`
	}
	return 200, stateEvent(room, kind, key, content)
}

func stateEvent(room, kind, key, content string) string {
	return fmt.Sprintf(`{"type":%q,"state_key":%q,"room_id":%q,"sender":"@admin:%s","event_id":"$state","origin_server_ts":1,"content":%s}`,
		kind, key, room, domain, content)
}

const listRoom = "!list:" + domain

// list is the state of a room with a policy list: globs on people and on servers, in turn, none of which matches anybody here.
func (h *homeserver) list() string {
	var list strings.Builder
	list.WriteString("[" + stateEvent(listRoom, "m.room.create", "", `{"room_version":"11"}`))
	for i := range h.rules {
		kind, entity := "m.policy.rule.user", fmt.Sprintf("@spam%d*:*", i)
		switch i % 3 {
		case 1:
			entity = fmt.Sprintf("@*-crypto?%d:*.example", i)
		case 2:
			kind, entity = "m.policy.rule.server", fmt.Sprintf("*.evil%d.example", i)
		}
		content := fmt.Sprintf(`{"entity":%q,"reason":"spam","recommendation":"m.ban"}`, entity)
		list.WriteString("," + stateEvent(listRoom, kind, "rule:"+entity, content))
	}
	return list.String() + "]"
}

func (h *homeserver) joined() string {
	var list strings.Builder
	fmt.Fprintf(&list, `{"joined":{%q:{}`, bot)
	for i := range h.members {
		fmt.Fprintf(&list, `,"@member%d:%s":{"display_name":"Member %d"}`, i, domain, i)
	}
	return list.String() + "}}"
}

// memberEvents are those of the bot, of who asks for something there, of the other members and of who is invited.
func (h *homeserver) memberEvents(room string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := []string{memberEvent(room, bot, "join"), memberEvent(room, askerOf(room), "join")}
	for i := range h.members {
		list = append(list, memberEvent(room, fmt.Sprintf("@member%d:%s", i, domain), "join"))
	}
	for key := range h.invited {
		if user, here := strings.CutPrefix(key, room); here {
			list = append(list, memberEvent(room, user, "invite"))
		}
	}
	return `{"chunk":[` + strings.Join(list, ",") + "]}"
}

func memberEvent(room, user, membership string) string {
	return stateEvent(room, "m.room.member", user, `{"membership":"`+membership+`"}`)
}

func roomID(i int) string { return fmt.Sprintf("!room%dabcdefghijk:%s", i, domain) }
