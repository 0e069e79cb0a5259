package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/text/language"

	"usher/room"
	"usher/words"
)

//go:embed pages/*.html static/*
var files embed.FS

// Pages renders pages: templates of folder pages, in the language of the browser, under the headers that hold for all of them.
type Pages struct {
	base      string // path of the public address, without a slash at the end
	origin    string // scheme and host of the public address
	version   string // names the static files: it changes with them
	mark      string // see Mark
	templates *template.Template
}

// MarkPath is where a site shows its mark.
const MarkPath = "/static/mark"

// Mark names an Usher, so that usher doctor can tell it from another one. It does not tell the secret.
func Mark(secret string) string {
	sum := sha256.Sum256([]byte("usher web mark\x00" + secret))
	return hex.EncodeToString(sum[:16])
}

// NewPages makes the pages of a public address.
func NewPages(publicURL, mark string) *Pages {
	p := &Pages{mark: mark, templates: template.Must(template.ParseFS(files, "pages/*.html"))}
	if address, err := url.Parse(publicURL); err == nil {
		p.base, p.origin = strings.TrimRight(address.EscapedPath(), "/"), address.Scheme+"://"+address.Host
	}
	sum := sha256.New()
	for _, name := range []string{"page.css", "page.js", "icon.svg"} {
		content, _ := files.ReadFile("static/" + name)
		sum.Write(content)
	}
	p.version = hex.EncodeToString(sum.Sum(nil)[:6])
	return p
}

// routes adds the static files.
func (p *Pages) routes(mux *http.ServeMux) {
	mux.HandleFunc("GET "+MarkPath, func(w http.ResponseWriter, _ *http.Request) {
		Guard(w.Header())
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(p.mark))
	})
	for name, kind := range map[string]string{"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"} {
		content, _ := files.ReadFile("static/" + name)
		mux.HandleFunc("GET /static/"+name, func(w http.ResponseWriter, _ *http.Request) {
			Guard(w.Header())
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable") // the address changes with the content
			_, _ = w.Write(content)
		})
	}
}

// Guard sets the headers of everything that browsers show: nothing is loaded from elsewhere, framed, indexed, or told to other sites.
func Guard(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Robots-Tag", "noindex, nofollow")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// Frame is what every page has. The data of a template embed it.
type Frame struct {
	Title     string
	Base      string
	Version   string
	Lang      string
	Languages []choice
	voice     *words.Voice
}

// choice is a language to switch to.
type choice struct {
	Tag, Name, Address string
	Current            bool
}

// Say returns a sentence by its key and pairs of an argument's name and its value.
func (f *Frame) Say(key string, pairs ...any) string {
	for i := 1; i < len(pairs); i += 2 {
		pairs[i] = isolated(fmt.Sprint(pairs[i]))
	}
	return f.voice.Text(room.Say(key, pairs...))
}

// Tell returns the words of a phrase.
func (f *Frame) Tell(p room.Phrase) string { return f.voice.Text(p) }

// isolated makes a text of people safe within a sentence: hidden characters are spelled out, and its direction of writing ends with it.
func isolated(text string) string {
	shown := Visible(text)
	for _, r := range shown {
		if r > 0x2ff {
			return "\u2068" + shown + "\u2069"
		}
	}
	return shown
}

// Visible makes a text of people fit for one line.
func Visible(text string) string { return words.Visible(strings.Join(strings.Fields(text), " ")) }

// Frame makes the frame of an answer. here is the address of the page, for the switch of languages.
func (p *Pages) Frame(r *http.Request, here string) *Frame {
	lang := preferred(r)
	f := &Frame{Base: p.base, Version: p.version, Lang: lang, voice: words.For(lang)}
	for _, tag := range words.Languages() {
		f.Languages = append(f.Languages, choice{tag, words.For(tag).Text(room.Say("page.language")), p.Address(here, tag), tag == lang})
	}
	return f
}

// Address is a path of Usher's own in a language.
func (p *Pages) Address(path, lang string) string {
	mark := "?"
	if strings.Contains(path, "?") {
		mark = "&"
	}
	return p.base + path + mark + "lang=" + url.QueryEscape(lang)
}

// preferred is the language of an answer: the one that the person chose, else the browser's.
func preferred(r *http.Request) string {
	tags, _, _ := language.ParseAcceptLanguage(r.Header.Get("Accept-Language"))
	asked := []string{r.URL.Query().Get("lang")} // not the body: a stranger may send it slowly
	for _, tag := range tags {
		base, _ := tag.Base()
		asked = append(asked, base.String())
	}
	for _, lang := range asked {
		if slices.Contains(words.Languages(), lang) {
			return lang
		}
	}
	return words.Languages()[0]
}

// show answers with a template.
func (p *Pages) show(w http.ResponseWriter, status int, name string, data any) {
	p.Show(w, status, p.templates, name, data)
}

// Show answers with one of some templates, whose data embed a Frame.
func (p *Pages) Show(w http.ResponseWriter, status int, templates *template.Template, name string, data any) {
	var page bytes.Buffer
	if err := templates.ExecuteTemplate(&page, name, data); err != nil {
		panic(err) // a bug: the Site logs it
	}
	Guard(w.Header())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(page.Bytes())
}

// message is a page with some sentences.
type message struct {
	*Frame
	Texts []string
}

// tell answers with a page of sentences.
func (p *Pages) tell(w http.ResponseWriter, f *Frame, status int, title string, texts ...string) {
	f.Title = title
	p.show(w, status, "message.html", message{f, texts})
}

// Path is the path of the public address, without a slash at the end.
func (p *Pages) Path() string { return p.base }

// Secure reports whether browsers come by HTTPS.
func (p *Pages) Secure() bool { return strings.HasPrefix(p.origin, "https:") }

// Ours reports whether a form was certainly sent by one of Usher's own pages.
func (p *Pages) Ours(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin"
	}
	return r.Header.Get("Origin") == p.origin
}

// elsewhere reports whether a form was sent by the page of another site. A browser that tells nothing about it is believed: the address that
// the form is sent to is itself the secret.
func (p *Pages) elsewhere(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site != "same-origin" && site != "none"
	}
	origin := r.Header.Get("Origin")
	if origin == "" || origin == "null" || origin == p.origin {
		return false
	}
	address, err := url.Parse(origin)
	return err != nil || address.Host != r.Host
}
