package stub

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// ServeHTTP implements http.Handler: the script has its say, then the request is served.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests++
	s.mu.Unlock()
	s.script.Serve(w, r, s.mux)
}

// routes is the API (https://spec.matrix.org/latest/client-server-api/).
func (s *Server) routes() *http.ServeMux {
	const api = "/_matrix/client/v3/"
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_matrix/client/versions", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"versions": []string{"v1.11"}})
	})
	for pattern, serve := range map[string]func(user string, r *http.Request) (int, any){
		"POST " + api + "register":                              s.register,
		"GET " + api + "account/whoami":                         s.whoami,
		"GET " + api + "profile/{user}":                         s.profile,
		"PUT " + api + "profile/{user}/{key}":                   nothing,
		"GET " + api + "joined_rooms":                           s.joined,
		"GET " + api + "sync":                                   s.sync,
		"GET " + api + "user/{user}/account_data/{type}":        s.accountData,
		"PUT " + api + "user/{user}/account_data/{type}":        s.setAccountData,
		"GET " + api + "rooms/{room}/state/{type}/{key...}":     s.state,
		"GET " + api + "rooms/{room}/event/{event}":             s.event,
		"GET " + api + "rooms/{room}/joined_members":            s.joinedMembers,
		"GET " + api + "rooms/{room}/members":                   s.members,
		"PUT " + api + "rooms/{room}/send/{type}/{transaction}": s.send,
		"POST " + api + "rooms/{room}/invite":                   s.invite,
		"POST " + api + "rooms/{room}/leave":                    s.leave,
		"POST " + api + "join/{room}":                           s.join,
		"POST /_matrix/media/v3/upload":                         s.upload,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			user, ok := s.user(r)
			if !ok {
				answer(w, http.StatusUnauthorized, failure("M_UNKNOWN_TOKEN"))
				return
			}
			s.mu.Lock()
			status, body := serve(user, r)
			s.mu.Unlock()
			answer(w, status, body)
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusNotFound, failure("M_UNRECOGNIZED"))
	})
	return mux
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func failure(code string) map[string]string { return map[string]string{"errcode": code, "error": code} }

func nothing(string, *http.Request) (int, any) { return http.StatusOK, struct{}{} }

// upload takes a file and forgets it.
func (s *Server) upload(string, *http.Request) (int, any) {
	return http.StatusOK, map[string]string{"content_uri": "mxc://" + s.Domain + "/file"}
}

// user tells whom a request is by: the bot's token acts for nobody else, and not without saying so. Who it is by itself, the sender of
// its registration, may be asked.
func (s *Server) user(r *http.Request) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	user, sender := r.URL.Query().Get("user_id"), !r.URL.Query().Has("user_id") && strings.HasSuffix(r.URL.Path, "/account/whoami")
	switch s.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")] {
	case "bot":
		if sender {
			return "@usher-sender:" + s.Domain, true
		}
		return user, user == s.bot
	case "puppet":
		if sender {
			return "@usher-puppet:" + s.Domain, true
		}
		return user, strings.HasSuffix(user, ":"+s.Domain)
	}
	return "", false
}

func (s *Server) register(string, *http.Request) (int, any) {
	return http.StatusBadRequest, failure("M_USER_IN_USE")
}

func (s *Server) whoami(user string, _ *http.Request) (int, any) {
	return http.StatusOK, map[string]string{"user_id": user}
}

func (s *Server) profile(string, *http.Request) (int, any) {
	return http.StatusOK, map[string]string{"displayname": "Usher"}
}

func (s *Server) joined(user string, _ *http.Request) (int, any) {
	list := []string{}
	for id := range s.rooms {
		if m, _ := s.membership(id, user); m == "join" {
			list = append(list, id)
		}
	}
	return http.StatusOK, map[string]any{"joined_rooms": list}
}

// sync shows the user's open invitations, all of them at each time.
func (s *Server) sync(user string, _ *http.Request) (int, any) {
	open := map[string]any{}
	for id := range s.rooms {
		if m, sender := s.membership(id, user); m == "invite" {
			open[id] = map[string]any{"invite_state": map[string]any{"events": []any{map[string]any{
				"type": "m.room.member", "state_key": user, "sender": sender, "content": map[string]string{"membership": "invite"},
			}}}}
		}
	}
	return http.StatusOK, map[string]any{"next_batch": "s1", "rooms": map[string]any{"invite": open}}
}

func (s *Server) accountData(_ string, r *http.Request) (int, any) {
	if raw := s.account[r.PathValue("type")]; raw != nil {
		return http.StatusOK, raw
	}
	return http.StatusNotFound, failure("M_NOT_FOUND")
}

func (s *Server) setAccountData(_ string, r *http.Request) (int, any) {
	s.account[r.PathValue("type")] = body(r)
	return http.StatusOK, struct{}{}
}

// body reads a request's body.
func body(r *http.Request) json.RawMessage {
	text, _ := io.ReadAll(r.Body)
	return text
}

// inside returns a room that a user is in.
func (s *Server) inside(user string, r *http.Request) *room {
	id := r.PathValue("room")
	if m, _ := s.membership(id, user); m == "join" {
		return s.rooms[id]
	}
	return nil
}

func (s *Server) state(user string, r *http.Request) (int, any) {
	in := s.inside(user, r)
	if in == nil {
		return http.StatusForbidden, failure("M_FORBIDDEN")
	}
	if e, ok := in.state[r.PathValue("type")+"\x00"+strings.TrimSuffix(r.PathValue("key"), "/")]; ok {
		return http.StatusOK, e
	}
	return http.StatusNotFound, failure("M_NOT_FOUND")
}

func (s *Server) event(user string, r *http.Request) (int, any) {
	in := s.inside(user, r)
	if in == nil {
		return http.StatusForbidden, failure("M_FORBIDDEN")
	}
	if e, ok := in.events[r.PathValue("event")]; ok {
		return http.StatusOK, e
	}
	return http.StatusNotFound, failure("M_NOT_FOUND")
}

func (s *Server) joinedMembers(string, *http.Request) (int, any) {
	return http.StatusOK, map[string]any{"joined": map[string]any{"@a:x": struct{}{}, "@b:x": struct{}{}}}
}

// members lists the member events of a room, or those with a membership.
func (s *Server) members(user string, r *http.Request) (int, any) {
	in := s.inside(user, r)
	if in == nil {
		return http.StatusForbidden, failure("M_FORBIDDEN")
	}
	chunk, wanted := []Event{}, r.URL.Query().Get("membership")
	for _, e := range in.state {
		if got, _ := s.membership(e.Room, *e.StateKey); e.Type == "m.room.member" && (wanted == "" || got == wanted) {
			chunk = append(chunk, e)
		}
	}
	return http.StatusOK, map[string]any{"chunk": chunk}
}

// send sends an event once for each transaction id.
func (s *Server) send(user string, r *http.Request) (int, any) {
	if s.inside(user, r) == nil {
		return http.StatusForbidden, failure("M_FORBIDDEN")
	}
	id, known := s.sent[user+r.URL.Path]
	if !known {
		id = s.add(r.PathValue("room"), r.PathValue("type"), nil, user, body(r)).ID
		s.sent[user+r.URL.Path] = id
	}
	return http.StatusOK, map[string]string{"event_id": id}
}

// invite invites anybody who is not there. That somebody was invited before is noted.
func (s *Server) invite(user string, r *http.Request) (int, any) {
	var asked struct {
		User   string `json:"user_id"`
		Reason string `json:"reason"`
	}
	_ = json.Unmarshal(body(r), &asked)
	id := r.PathValue("room")
	if s.inside(user, r) == nil {
		return http.StatusForbidden, failure("M_FORBIDDEN")
	}
	switch m, _ := s.membership(id, asked.User); m {
	case "join", "ban":
		return http.StatusForbidden, failure("M_FORBIDDEN")
	case "invite":
		s.again = append(s.again, id+" "+asked.User)
	}
	s.set(id, "m.room.member", asked.User, user, map[string]any{"membership": "invite", "reason": asked.Reason})
	return http.StatusOK, struct{}{}
}

func (s *Server) leave(user string, r *http.Request) (int, any) {
	if s.rooms[r.PathValue("room")] == nil {
		return http.StatusForbidden, failure("M_FORBIDDEN")
	}
	s.set(r.PathValue("room"), "m.room.member", user, user, map[string]any{"membership": "leave"})
	return http.StatusOK, struct{}{}
}

func (s *Server) join(user string, r *http.Request) (int, any) {
	id := r.PathValue("room")
	if m, _ := s.membership(id, user); m != "invite" && m != "join" {
		return http.StatusForbidden, failure("M_FORBIDDEN")
	}
	s.set(id, "m.room.member", user, user, map[string]any{"membership": "join"})
	return http.StatusOK, map[string]string{"room_id": id}
}
