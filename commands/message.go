package commands

import (
	"encoding/json"
	"errors"
	"strings"

	"golang.org/x/net/html"
	"maunium.net/go/mautrix/id"

	"usher/exactjson"
)

// Message is the part of a room message needed by commands.
type Message struct {
	Event  id.EventID
	Room   id.RoomID
	Sender id.UserID
	Text   string     // words, with each pill replaced by the identifier it links to
	Thread id.EventID // root of the thread it stands in, empty if none
	// ReplyTo is the message replied to, empty if none.
	ReplyTo id.EventID
	// Edits is the edited message, empty if none.
	Edits id.EventID
	File  *File // attached; nil: none
	kind  string

	structured *structured // nil: none
}

// errNoMessage reports a content without a text.
var errNoMessage = errors.New("commands: no text message")

// parseMessage reads an m.room.message event. Where there is HTML, the HTML is the source: body and formatted_body may
// differ, and only the HTML has the targets of pills.
func parseMessage(event id.EventID, in id.RoomID, sender id.UserID, raw json.RawMessage) (Message, error) {
	content := exactjson.Get(raw, "content")
	m := Message{Event: event, Room: in, Sender: sender}
	relation := content.Get("m.relates_to")
	if m.kind = content.Get("msgtype").Text(); m.kind == "" {
		return m, errNoMessage
	}
	switch relation.Get("rel_type").Text() {
	case "m.replace":
		m.Edits = id.EventID(relation.Get("event_id").Text())
		content = content.Get("m.new_content")
		if m.kind = content.Get("msgtype").Text(); m.kind == "" || m.Edits == "" {
			return m, errNoMessage
		}
	case "m.thread":
		m.Thread = id.EventID(relation.Get("event_id").Text())
	}
	if relation.Get("is_falling_back").Kind != exactjson.True {
		m.ReplyTo = id.EventID(relation.Get("m.in_reply_to").Get("event_id").Text())
	}
	m.structured = readStructured(content)
	if m.File = fileIn(content); m.File != nil && !captioned(content) {
		return m, nil
	}
	formatted := content.Get("formatted_body").Text()
	if content.Get("format").Is("org.matrix.custom.html") && formatted != "" {
		m.Text = htmlText(formatted)
		return m, nil
	}
	m.Text = content.Get("body").Text()
	if relation.Get("m.in_reply_to").Exists() {
		m.Text = withoutQuote(m.Text)
	}
	return m, nil
}

// withoutQuote drops the quoted lines before a reply, which older clients write.
func withoutQuote(body string) string {
	for strings.HasPrefix(body, "> ") {
		_, rest, found := strings.Cut(body, "\n")
		if !found {
			return ""
		}
		body = rest
	}
	return strings.TrimLeft(body, "\n")
}

// htmlText returns the words of an HTML message. A link to a Matrix identifier becomes the link's address: the
// address counts, not the text of the link. The quote of a reply is left out. A text beginning with a quotation or with code begins with
// its sign in plain text, so a quoted command does not run.
func htmlText(source string) string {
	var out strings.Builder
	tokens := html.NewTokenizer(strings.NewReader(source))
	skip, link := 0, "" // link is the address of the open Matrix link
	var label strings.Builder
	for {
		switch tokens.Next() {
		case html.ErrorToken:
			if link != "" {
				out.WriteString(link)
			}
			return strings.TrimSpace(out.String())
		case html.TextToken:
			switch {
			case skip == 0 && link == "":
				out.Write(tokens.Text())
			case skip == 0:
				label.Write(tokens.Text())
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			name, attrs := tokens.TagName()
			switch tag := string(name); {
			case tag == "mx-reply":
				skip++
			case tag == "a" && skip == 0 && attrs:
				if address := href(tokens); isMatrixLink(address) {
					link = strings.Join(strings.Fields(address), "%20")
					label.Reset()
				}
			case tag == "blockquote" && skip == 0:
				out.WriteString(" > ")
			case (tag == "code" || tag == "pre") && skip == 0 && strings.TrimSpace(out.String()) == "":
				out.WriteByte('`')
			case tag == "br" || tag == "p" || tag == "div" || tag == "li":
				out.WriteByte(' ')
			}
		case html.EndTagToken:
			name, _ := tokens.TagName()
			switch tag := string(name); {
			case tag == "mx-reply": // of several, the last one counts: a client that does not escape its quote lets the quoted author write the others
				skip, link = 0, ""
				out.Reset()
			case tag == "a" && link != "":
				out.WriteString(linkText(label.String(), link))
				link = ""
			case tag == "p" || tag == "div" || tag == "li":
				out.WriteByte(' ')
			}
		}
	}
}

// linkText is the address of a link. A link with another identifier in its text is written in Markdown, so it is refused.
func linkText(label, address string) string {
	if shown := misleading(label, address); shown != "" {
		return "[" + peel(shown) + "](" + address + ")"
	}
	return address
}

func href(tokens *html.Tokenizer) string {
	for {
		key, value, more := tokens.TagAttr()
		if string(key) == "href" {
			return string(value)
		}
		if !more {
			return ""
		}
	}
}

func isMatrixLink(address string) bool {
	l, ok := readLink(address)
	return ok && !l.foreign
}
