package dashboard

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites/sessions"
	"usher/web"
	"usher/words"
)

// visit is one request. The data of templates embed it.
type visit struct {
	*web.Frame
	User     id.UserID // empty: nobody is logged in
	Form     string    // token for the forms of the session
	Operator bool
	Room     id.RoomID // of a page about a room
	RoomName string
	Tab      string // the page among the ones of a room
	Style    string
	Picked   string // the language that the person chose for these pages; may be empty

	d      *Dashboard
	w      http.ResponseWriter
	r      *http.Request
	secret sessions.Secret
}

func (d *Dashboard) newVisit(w http.ResponseWriter, r *http.Request) *visit {
	here := r.URL.EscapedPath()
	query := r.URL.Query()
	query.Del("lang")
	if r.Method != http.MethodGet {
		query = nil
	}
	if len(query) > 0 {
		here += "?" + query.Encode()
	}
	v := &visit{Frame: d.Pages.Frame(r, here), Style: d.style, d: d, w: w, r: r}
	if lang := r.URL.Query().Get("lang"); slices.Contains(words.Languages(), lang) {
		v.Picked = lang
	}
	return v
}

// To is the address of a page, with pairs of a parameter's name and its value. Empty values are left out.
func (v *visit) To(path string, pairs ...string) string {
	query := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			query.Set(pairs[i], pairs[i+1])
		}
	}
	if v.Picked != "" {
		query.Set("lang", v.Picked)
	}
	address := v.d.Pages.Path() + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	return address
}

// At is the address of a page about the room.
func (v *visit) At(tab string, pairs ...string) string {
	path := roomPath(v.Room)
	if tab != "" {
		path += "/" + tab
	}
	return v.To(path, pairs...)
}

// Of is the address of the page about a person in the room.
func (v *visit) Of(user id.UserID) string { return v.At("people/" + url.PathEscape(string(user))) }

// Day and Minute write times, in UTC. Moment writes one for programs.
func (v *visit) Day(t time.Time) string    { return t.UTC().Format(time.DateOnly) }
func (v *visit) Minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }
func (v *visit) Moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Text is a text of people for one line.
func (v *visit) Text(text any) string { return web.Visible(fmt.Sprint(text)) }

func roomPath(r id.RoomID) string { return "/rooms/" + url.PathEscape(string(r)) }

// show answers with a page. Nobody may keep it, and it tells other sites nothing.
func (v *visit) show(status int, name string, data any) {
	h := v.w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Cookie, Accept-Language")
	h.Set("Referrer-Policy", "same-origin") // without it, browsers leave the origin out of the requests of forms
	v.d.Pages.Show(v.w, status, v.d.templates, name, data)
}

// notice is a page with some sentences.
type notice struct {
	*visit
	Texts []string
	Back  string // empty: there is nothing to go back to
}

// tell answers with a page of sentences.
func (v *visit) tell(status int, title string, texts ...string) {
	v.Title = title
	v.show(status, "notice.html", notice{v, texts, ""})
}

// wait answers that there were too many requests.
func (v *visit) wait() {
	v.w.Header().Set("Retry-After", "60")
	v.tell(http.StatusTooManyRequests, v.Say("page.wait"), v.Say("page.wait.again"))
}

// redirect sends the browser to a page after a form.
func (v *visit) redirect(address string) {
	http.Redirect(v.w, v.r, address, http.StatusSeeOther)
}

// version names a file by its content.
func version(name string) string {
	content, _ := files.ReadFile(name)
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:6])
}

func serveStyle(w http.ResponseWriter, _ *http.Request) {
	content, _ := files.ReadFile("static/dashboard.css")
	web.Guard(w.Header())
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable") // the address changes with the content
	_, _ = w.Write(content)
}

// initial is the first character of a name, without its sigil or quotation mark.
func initial(name string) string {
	for _, c := range strings.TrimLeft(name, "#!“") {
		return string(c)
	}
	return "?"
}
