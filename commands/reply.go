package commands

import (
	"fmt"
	"html"
	"net/url"
	"strings"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"usher/picture"
	"usher/room"
	"usher/words"
)

// Reply is a command's answer: a value. The lane sends it.
type Reply struct {
	React    string      // reaction on the command; empty: none
	Text     Text        // notice in reply; empty: none
	Mention  bool        // the notice mentions the asker
	Call     []id.UserID // mentioned besides the asker
	Aloud    bool        // a message instead of a notice: the default push rules notify nobody of notices, not even of mentions
	Progress bool        // work goes on: the notice is edited as it does
	Image    *Image      // picture in reply; nil: none
	Outcomes bool        // a file with the outcome of each person goes with it
	Names    Names       // of rooms, set by the sender; nil: people and rooms are shown by their ids
	Lang     string      // language of the text (BCP 47), set by the sender; empty: English
}

// EndedBelow is the last edit of a status message whose result another message tells.
func EndedBelow(r Reply) Reply {
	below := Reply{React: r.React}
	below.Text.Say("progress.below")
	return below
}

// InWords is a reply of a reaction alone, for a room without reactions.
func (r Reply) InWords() Reply {
	r.Text.Say("progress.all", "n", 1)
	return r
}

// InOneSign is a reply as a reaction, for a room without notices.
func (r Reply) InOneSign() Reply {
	switch r.React = "🔇"; {
	case r.Progress:
		r.React = "⏳"
	case r.Mention: // something is refused
		r.React = "❌"
	}
	return r
}

// Attachment is a file to send.
type Attachment struct {
	Name, Type string
	Data       []byte
}

// Image is a picture to send.
type Image struct {
	picture.Picture
	Name    string // of the file
	Caption string
}

// Empty reports whether there is nothing to send.
func (r Reply) Empty() bool { return r.React == "" && r.Text.Empty() && r.Image == nil }

// Text is a message in the making, as plain text and as HTML. Everything added is escaped. The text ends where it gets too long for a
// message.
type Text struct{ pieces []piece }

// piece is a part of a text: a phrase, or one of the others.
type piece struct {
	phrase room.Phrase
	code   string // shown in fixed width
	line   bool   // ends a line
	whole  *Text  // added whole, or not at all
	quote  []words.Run
}

// Empty reports whether nothing was added.
func (t *Text) Empty() bool { return len(t.pieces) == 0 }

// Say adds a sentence by its key and pairs of an argument's name and its value. A space goes before it, save at the start of a line.
func (t *Text) Say(key string, pairs ...any) *Text { return t.Tell(room.Say(key, pairs...)) }

// Tell adds a phrase, as Say does.
func (t *Text) Tell(p room.Phrase) *Text {
	if p.Empty() {
		return t
	}
	return t.add(piece{phrase: p})
}

// Code adds words in fixed width, such as a user id.
func (t *Text) Code(words string) *Text { return t.add(piece{code: words}) }

// Reason adds a reason code after a sentence.
func (t *Text) Reason(code string) *Text { return t.Say("reason", "code", code) }

// Quote adds words of people as they are. Of the runs, Text and Link count; a text may have several lines.
func (t *Text) Quote(runs ...words.Run) *Text { return t.add(piece{quote: runs}) }

// Line ends a line.
func (t *Text) Line() *Text { return t.add(piece{line: true}) }

// Add adds another text, whole or not at all, as Say does.
func (t *Text) Add(other Text) *Text { return t.add(piece{whole: &other}) }

// Append adds the pieces of another text.
func (t *Text) Append(other Text) *Text {
	t.pieces = append(t.pieces, other.pieces...)
	return t
}

func (t *Text) add(p piece) *Text {
	t.pieces = append(t.pieces, p)
	return t
}

// String returns the text in English, without markup.
func (t *Text) String() string { return string(t.in("", nil).plain) }

// Names returns the name of a room, empty where it has none or may not be told.
type Names func(id.RoomID) string

// in renders the text in a language. With names, it mentions people and rooms.
func (t *Text) in(lang string, names Names) *message {
	m := &message{voice: words.For(lang)}
	if names != nil {
		m.voice = m.voice.Naming(func(r string) string { return names(id.RoomID(r)) })
	}
	m.text(t)
	return m
}

// message is a text as it is sent: as plain text and as HTML. Every added text is escaped.
type message struct {
	voice       *words.Voice
	plain, html []byte
	size        int // as sent, with both
	cut         bool
	candidates  []string // users to be shown as links
}

// maxMessage is how long a message may get, in bytes as sent: an event holds 64 KiB, an edit has the text twice, and encryption adds a
// third. A longer event would not be sent at all.
const maxMessage = 22_000

func (m *message) text(t *Text) {
	for _, p := range t.pieces {
		switch {
		case p.line:
			m.put("\n", "<br>")
		case p.quote != nil:
			m.quote(p.quote)
		case p.whole != nil:
			m.space()
			other := &message{voice: m.voice}
			other.text(p.whole)
			m.put(string(other.plain), string(other.html))
		case !p.phrase.Empty():
			m.space()
			m.candidates = candidates(p.phrase)
			for _, run := range m.voice.Runs(p.phrase) {
				m.run(run)
			}
		default:
			m.run(words.Run{Text: p.code, Code: true})
		}
	}
}

// quote adds words of people, which mention nobody but by their links.
func (m *message) quote(runs []words.Run) {
	m.candidates = nil
	for _, r := range runs {
		for i, line := range strings.Split(r.Text, "\n") {
			if i > 0 {
				m.run(words.Run{Line: true})
			}
			m.run(words.Run{Text: line, Link: r.Link})
		}
	}
}

// space goes between two sentences of a line.
func (m *message) space() {
	if n := len(m.plain); n > 0 && m.plain[n-1] != '\n' {
		m.put(" ", " ")
	}
}

func (m *message) run(r words.Run) {
	text := visible(r.Text)
	switch {
	case r.Line:
		m.put("\n", "<br>")
	case r.Link != "":
		m.put(text, `<a href="`+html.EscapeString(permalink(r.Link))+`">`+html.EscapeString(text)+"</a>")
	case r.Code:
		m.put(text, "<code>"+html.EscapeString(text)+"</code>")
	default:
		m.put(text, pills(html.EscapeString(text), m.candidates))
	}
}

// permalink is the link of a user or of a room (https://spec.matrix.org/latest/appendices/#matrixto-navigation).
func permalink(to string) string {
	link := "https://matrix.to/#/" + url.PathEscape(to)
	if _, server, found := strings.Cut(to, ":"); found && to[0] == '!' {
		link += "?via=" + url.QueryEscape(server)
	}
	return link
}

// put adds escaped text.
func (m *message) put(plain, html string) {
	if m.cut {
		return
	}
	size := sent(plain) + sent(html)
	if m.cut = m.size+size > maxMessage; m.cut {
		plain, html = " …", " …"
	}
	m.size += size
	m.plain = append(m.plain, plain...)
	m.html = append(m.html, html...)
}

// sent is the length of a text in JSON.
func sent(s string) (n int) {
	for i := range len(s) {
		switch s[i] {
		case '<', '>', '&':
			n += len(`\u003c`)
		case '"', '\\', '\n':
			n += 2
		default:
			n++
		}
	}
	return n
}

// Say adds words. They may come from people.
const maxText = 1000

// visible makes a text safe to show: it spells out characters which hide or reorder others, "@room" can't ring a bell, and a
// long text is cut.
func visible(s string) string {
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	var out strings.Builder
	for _, r := range s {
		if room.Invisible(r) {
			fmt.Fprintf(&out, "[U+%04X]", r)
			continue
		}
		out.WriteRune(r)
	}
	return strings.ReplaceAll(out.String(), "@room", "@\u2060room")
}

// Notice returns the content of a notice, or of a message with Aloud, in reply to m unless m is empty.
func (r Reply) Notice(m Message) *event.MessageEventContent {
	text := r.Text.in(r.Lang, r.Names)
	c := &event.MessageEventContent{
		MsgType: event.MsgNotice, Body: string(text.plain), Format: event.FormatHTML, FormattedBody: string(text.html),
		Mentions: &event.Mentions{},
	}
	if r.Mention && m.Sender != "" {
		c.Mentions.UserIDs = []id.UserID{m.Sender}
	}
	c.Mentions.UserIDs = append(c.Mentions.UserIDs, r.Call...)
	if r.Aloud {
		c.MsgType = event.MsgText
	}
	c.RelatesTo = m.relation()
	return c
}

// shown is the event shown by clients for the message: of an edit, the edited one.
func (m Message) shown() id.EventID {
	if m.Edits != "" {
		return m.Edits
	}
	return m.Event
}

// relation makes a content a reply to the message, in the message's thread if there is one.
func (m Message) relation() *event.RelatesTo {
	switch {
	case m.Event == "":
		return nil
	case m.Thread != "":
		return (&event.RelatesTo{}).SetThread(m.Thread, m.shown())
	}
	return (&event.RelatesTo{}).SetReplyTo(m.shown())
}

// Picture returns the content of the picture, a reply to the command, which was uploaded to a URI
// (https://spec.matrix.org/latest/client-server-api/#mimage).
func (r Reply) Picture(m Message, uri id.ContentURIString) *event.MessageEventContent {
	return &event.MessageEventContent{
		MsgType: event.MsgImage, Body: r.Image.Caption, FileName: r.Image.Name, URL: uri, Mentions: &event.Mentions{}, RelatesTo: m.relation(),
		Info: &event.FileInfo{MimeType: "image/png", Size: len(r.Image.PNG), Width: r.Image.Width, Height: r.Image.Height},
	}
}

// Attached returns the content of the file, a reply to the command, which was uploaded to a URI
// (https://spec.matrix.org/latest/client-server-api/#mfile).
func (a Attachment) Attached(m Message, uri id.ContentURIString) *event.MessageEventContent {
	return &event.MessageEventContent{
		MsgType: event.MsgFile, Body: a.Name, FileName: a.Name, URL: uri, Mentions: &event.Mentions{}, RelatesTo: m.relation(),
		Info: &event.FileInfo{MimeType: a.Type, Size: len(a.Data)},
	}
}

// Edit returns the content of an edit of an earlier notice.
func (r Reply) Edit(m Message, earlier id.EventID) *event.MessageEventContent {
	c := r.Notice(m)
	c.RelatesTo = nil
	c.SetEdit(earlier)
	return c
}

// Reaction returns the content of the reaction on the command, or nil.
func (r Reply) Reaction(m Message) *event.ReactionEventContent {
	if r.React == "" {
		return nil
	}
	return &event.ReactionEventContent{RelatesTo: event.RelatesTo{Type: event.RelAnnotation, EventID: m.shown(), Key: r.React}}
}
