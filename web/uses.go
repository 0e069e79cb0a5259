package web

import (
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/links"
	"usher/room"
	"usher/words"
)

// step is one room on the page of a use, or of a knock.
type step struct {
	Name, Initial, Text string
	Stage               links.Stage
	Open, Web           template.URL // empty: there is nothing to open yet
}

// usePage follows a use.
type usePage struct {
	*Frame
	Stage, Self, StageAddress string
	Going                     bool // it may change
	Texts                     []string
	Steps                     []step
}

// follow shows how far somebody has come, or, asked for the stage, just that.
func (s *Links) follow(v *visit) error {
	ctx := v.r.Context()
	use, stages, err := s.Cases.Follow(ctx, v.link, v.r.PathValue("ticket"))
	if errors.Is(err, invites.ErrNotFound) {
		http.Redirect(v.w, v.r, s.Pages.Address(v.self(), v.frame.Lang), http.StatusSeeOther)
		return nil
	} else if err != nil {
		return err
	}
	all := stageOf(stages)
	if v.r.URL.Query().Has("stage") {
		v.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		Guard(v.w.Header())
		_, _ = v.w.Write([]byte(all))
		return nil
	}
	here := v.self() + "/" + use.Ticket
	f := s.Pages.Frame(v.r, here)
	p := usePage{Frame: f, Stage: all, Self: s.Pages.Address(here, f.Lang), StageAddress: s.Pages.base + here + "?stage"}
	rooms := make([]id.RoomID, len(stages))
	for i, one := range stages {
		rooms[i] = one.Room
	}
	shown, _, err := s.Cases.Rooms(ctx, v.link, rooms)
	if err != nil {
		return err
	}
	seen := map[links.Stage]bool{}
	for i, one := range stages {
		seen[one.Stage] = true
		p.Steps = append(p.Steps, step{Name: s.name(v, shown[i]), Stage: one.Stage})
		p.Steps[i].tell(f, shown[i])
	}
	p.Going = seen[links.StageWorking] || seen[links.StageWaiting] || seen[links.StageInvited]
	p.tell(seen, string(use.Target))
	s.Pages.show(v.w, http.StatusOK, "use.html", p)
	return nil
}

// tell words a step, and adds the ways to open its room.
func (one *step) tell(f *Frame, r links.Room) {
	switch one.Stage {
	case links.StageWorking:
		one.Text = f.Say("page.use.working")
	case links.StageWaiting:
		one.Text = f.Say("page.use.waiting")
	case links.StageInvited:
		one.Text = f.Say("page.use.invited")
	case links.StageJoined:
		one.Text = f.Say("page.use.joined")
	case links.StageRefused:
		one.Text = f.Say("page.use.refused")
	}
	if one.Stage == links.StageInvited || one.Stage == links.StageJoined {
		one.Open, one.Web = roomLink(r.Room, r.Via), matrixTo(string(r.Room), r.Via)
	}
}

// tell words all steps of a user together.
func (p *usePage) tell(seen map[links.Stage]bool, user string) {
	switch {
	case seen[links.StageInvited]:
		p.Title, p.Texts = p.Say("page.use.title.invited"), []string{p.Say("page.use.look", "user", user)}
	case seen[links.StageWaiting]:
		p.Title, p.Texts = p.Say("page.use.title.waiting"), []string{p.Say("page.use.stay", "user", user)}
	case seen[links.StageWorking]:
		p.Title, p.Texts = p.Say("page.use.title.working"), []string{p.Say("page.use.moment", "user", user)}
	case seen[links.StageJoined]:
		p.Title, p.Texts = p.Say("page.use.title.joined"), []string{p.Say("page.use.welcome", "user", user)}
	default:
		p.Title, p.Texts = p.Say("page.link.no"), []string{p.Say("page.link.no.why")}
	}
}

// stageOf names all stages in one word.
func stageOf(stages []links.Progress) string {
	var all []string
	for _, one := range stages {
		all = append(all, string(one.Stage))
	}
	return strings.Join(all, " ")
}

// knockPage shows the code for a knock.
type knockPage struct {
	*Frame
	User, Code, Back string
	Minutes          int
	Steps            []step
}

// knock shows the code with which one user may knock. It uses nothing up: the knock does.
func (s *Links) knock(v *visit, open []id.RoomID, user id.UserID) error {
	rooms, _, err := s.Cases.Rooms(v.r.Context(), v.link, open)
	if err != nil {
		return err
	}
	p := knockPage{
		Frame: v.frame, User: string(user), Back: s.Pages.Address(v.self(), v.frame.Lang), Minutes: int(links.KnockFor / time.Minute),
		Code: v.secret.KnockCode(v.link.ID, user, time.Now().Add(links.KnockFor)),
	}
	p.Title = v.frame.Say("page.knock.title")
	for _, r := range rooms {
		if r.Knock {
			name := s.name(v, r)
			p.Steps = append(p.Steps, step{Name: name, Initial: initial(name), Open: roomLink(r.Room, r.Via), Web: matrixTo(string(r.Room), r.Via)})
		}
	}
	s.Pages.show(v.w, http.StatusOK, "knock.html", p)
	return nil
}

// roomLink opens a room in an app (https://spec.matrix.org/latest/appendices/#matrix-uri-scheme).
func roomLink(r id.RoomID, via []string) template.URL {
	q := url.Values{"action": {"join"}, "via": via}
	return template.URL("matrix:roomid/" + url.PathEscape(strings.TrimPrefix(string(r), "!")) + "?" + q.Encode())
}

// userLink opens a chat with a user in an app.
func userLink(u id.UserID) template.URL {
	return template.URL("matrix:u/" + url.PathEscape(strings.TrimPrefix(string(u), "@")) + "?action=chat")
}

// matrixTo shows apps that open a room or a user (https://spec.matrix.org/latest/appendices/#matrixto-navigation).
func matrixTo(target string, via []string) template.URL {
	address := "https://matrix.to/#/" + url.PathEscape(target)
	if len(via) > 0 {
		address += "?" + url.Values{"via": via}.Encode()
	}
	return template.URL(address)
}

// maxUser is the length of a user id in bytes.
const maxUser = 255

// readUser reads a Matrix ID as people type or paste it. wrong says what is wrong with it.
func readUser(typed string) (user id.UserID, wrong room.Phrase) {
	text := strings.Trim(strings.TrimSpace(typed), "<>\"'“”„`,; ")
	for _, prefix := range [...]string{"https://matrix.to/#/", "http://matrix.to/#/", "matrix:u/", "mailto:"} {
		if len(text) >= len(prefix) && strings.EqualFold(text[:len(prefix)], prefix) {
			text, _, _ = strings.Cut(text[len(prefix):], "?")
			if plain, err := url.PathUnescape(text); err == nil {
				text = plain
			}
		}
	}
	if text == "" {
		return "", room.Say("page.user.none")
	}
	local, server, found := strings.Cut(strings.TrimPrefix(text, "@"), ":")
	if name, host, mail := strings.Cut(strings.TrimPrefix(text, "@"), "@"); mail && !strings.Contains(name, ":") {
		return "", room.Say("page.user.mail", "guess", "@"+Visible(room.Shorten(name, 60))+":"+Visible(room.Shorten(host, 60)))
	}
	if !found {
		return "", room.Say("page.user.server")
	}
	if local == "" || strings.ContainsAny(local[:1], "!#$+") {
		return "", room.Say("page.user.wrong")
	}
	user = id.UserID("@" + local + ":" + strings.ToLower(server))
	if _, _, err := user.ParseAndValidateRelaxed(); err != nil || len(user) > maxUser || strings.ContainsFunc(string(user), unfit) {
		return "", room.Say("page.user.wrong")
	}
	return user, wrong
}

// unfit characters make an id that is not what it looks like.
func unfit(r rune) bool { return r <= ' ' || r == 0x7f || words.Visible(string(r)) != string(r) }
