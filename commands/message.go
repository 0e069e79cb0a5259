package commands

import (
	"encoding/json"
	"errors"
	"strings"

	"golang.org/x/net/html"
	"maunium.net/go/mautrix/id"
)

// Message is what a room message says, as far as a command needs it.
type Message struct {
	Event  id.EventID
	Room   id.RoomID
	Sender id.UserID
	Text   string     // words, with each pill replaced by the identifier it links to
	Thread id.EventID // root of the thread it stands in, empty if none
	edit   bool
	kind   string

	structured *structured // nil: none
}

// errNoMessage says that a content is no text message.
var errNoMessage = errors.New("commands: no text message")

// object decodes a JSON object with exact keys: encoding/json would take "ſender" for "sender".
func object(raw json.RawMessage) map[string]json.RawMessage {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		return nil
	}
	return fields
}

// str decodes a JSON string; anything else is empty.
func str(raw json.RawMessage) (s string) {
	_ = json.Unmarshal(raw, &s)
	return s
}

// parseMessage reads an m.room.message event. Where there is HTML, the HTML is the source: body and formatted_body may
// differ, and only the HTML says whom a pill means.
func parseMessage(event id.EventID, in id.RoomID, sender id.UserID, raw json.RawMessage) (Message, error) {
	content := object(object(raw)["content"])
	m := Message{Event: event, Room: in, Sender: sender, kind: str(content["msgtype"])}
	if m.kind == "" {
		return m, errNoMessage
	}
	relation := object(content["m.relates_to"])
	switch str(relation["rel_type"]) {
	case "m.replace":
		m.edit = true
	case "m.thread":
		m.Thread = id.EventID(str(relation["event_id"]))
	}
	m.structured = readStructured(content)
	formatted := str(content["formatted_body"])
	if str(content["format"]) == "org.matrix.custom.html" && formatted != "" {
		m.Text = htmlText(formatted)
		return m, nil
	}
	m.Text = str(content["body"])
	if relation["m.in_reply_to"] != nil {
		m.Text = withoutQuote(m.Text)
	}
	return m, nil
}

// withoutQuote drops the quoted lines that older clients put before a reply.
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

// htmlText returns the words of an HTML message. A link to a Matrix identifier becomes that link's address, so that it is the
// link that counts and not what it shows; the quote of a reply is left out. What begins with a quotation, or as code, begins with the
// sign that stands for it in plain text: whoever speaks of a command does not give it.
func htmlText(source string) string {
	var out strings.Builder
	tokens := html.NewTokenizer(strings.NewReader(source))
	skip, link := 0, false
	for {
		switch tokens.Next() {
		case html.ErrorToken:
			return strings.TrimSpace(out.String())
		case html.TextToken:
			if skip == 0 && !link {
				out.Write(tokens.Text())
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			name, attrs := tokens.TagName()
			switch tag := string(name); {
			case tag == "mx-reply":
				skip++
			case tag == "a" && skip == 0 && attrs:
				if address := href(tokens); isMatrixLink(address) {
					out.WriteString(address)
					link = true
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
			case tag == "mx-reply" && skip > 0:
				skip--
			case tag == "a":
				link = false
			case tag == "p" || tag == "div" || tag == "li":
				out.WriteByte(' ')
			}
		}
	}
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
	_, err := id.ParseMatrixURIOrMatrixToURL(address)
	return err == nil
}
