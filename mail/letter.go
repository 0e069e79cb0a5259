package mail

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"net/mail"
	"regexp"
	"strings"
	"unicode"

	gomail "github.com/wneessen/go-mail"
)

// Letter is one letter to one address.
type Letter struct {
	ID          string       // the left part of the Message-ID: letters, digits, - and _
	From        mail.Address // the name may be empty
	ReplyTo     string       // empty: From
	To          string       // a bare address; see ValidAddress
	Language    string       // tag (BCP 47)
	Subject     string
	Paragraphs  []string
	Action      string // label of Link
	Link        string
	Footer      []string
	Unsubscribe string // address of a page where one click ends all letters (RFC 8058)
	Stop        string // label of Unsubscribe
}

// Forms of addresses. They leave out what RFC 5321 allows and nobody has: quoted names, addresses by number, and names of other scripts.
var (
	localPart = regexp.MustCompile(`\A[A-Za-z0-9!#$%&'*+/=?^_{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_{|}~-]+)*\z`)
	domain    = regexp.MustCompile(`\A(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\z`)
	word      = regexp.MustCompile(`\A[A-Za-z0-9_-]+\z`)
)

// ValidAddress reports whether letters can go to an address. None that is valid can break out of a header field or of a line of SMTP.
func ValidAddress(address string) bool {
	local, server, found := strings.Cut(address, "@")
	return found && len(local) <= 64 && len(address) <= 254 && localPart.MatchString(local) && domain.MatchString(server) && strings.ContainsAny(server[strings.LastIndexByte(server, '.'):], letters)
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// ParseAddress reads an address with or without a name, as in Usher <usher@example.org>.
func ParseAddress(text string) (mail.Address, error) {
	a, err := mail.ParseAddress(text)
	switch {
	case err != nil:
		return mail.Address{}, err
	case !ValidAddress(a.Address):
		return mail.Address{}, errors.New("mail: no address that letters can come from")
	case strings.ContainsFunc(a.Name, unicode.IsControl):
		return mail.Address{}, errors.New("mail: a name with control characters")
	}
	return *a, nil
}

// line makes a text fit for a header field: one line, without control characters.
func line(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
}

var errAddress = errors.New("mail: an address, id or link of the letter is not valid")

// message makes the message that is sent.
func (l Letter) message() (*gomail.Msg, error) {
	reply := l.ReplyTo
	if reply == "" {
		reply = l.From.Address
	}
	if !ValidAddress(l.To) || !ValidAddress(l.From.Address) || !ValidAddress(reply) || !word.MatchString(l.ID) || strings.ContainsAny(l.Link+l.Unsubscribe, "<> \r\n\t") {
		return nil, errAddress
	}
	var page bytes.Buffer
	if err := letterPage.Execute(&page, l); err != nil {
		return nil, err
	}
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent(), gomail.WithEncoding(gomail.EncodingQP))
	err := errors.Join(m.FromFormat(line(l.From.Name), l.From.Address), m.EnvelopeFrom(l.From.Address), m.To(l.To), m.ReplyTo(reply))
	m.Subject(line(l.Subject))
	_, server, _ := strings.Cut(l.From.Address, "@")
	m.SetMessageIDWithValue(l.ID + "@" + server)
	m.SetDate()
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	m.SetGenHeader("Content-Language", line(l.Language))
	m.SetGenHeader("X-Auto-Response-Suppress", "All")
	// One unfolded line each: an encoded word or a fold within the address would break the click.
	m.SetGenHeaderPreformatted("List-Unsubscribe", "<"+l.Unsubscribe+">")
	m.SetGenHeaderPreformatted("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
	m.SetBodyString(gomail.TypeTextPlain, l.plain())
	m.AddAlternativeString(gomail.TypeTextHTML, page.String())
	return m, err
}

// plain is the text part.
func (l Letter) plain() string {
	var t strings.Builder
	for _, p := range l.Paragraphs {
		fmt.Fprintf(&t, "%s\r\n\r\n", line(p))
	}
	fmt.Fprintf(&t, "%s:\r\n%s\r\n\r\n-- \r\n", line(l.Action), l.Link)
	for _, p := range l.Footer {
		fmt.Fprintf(&t, "%s\r\n", line(p))
	}
	fmt.Fprintf(&t, "%s: %s\r\n", line(l.Stop), l.Unsubscribe)
	return t.String()
}

// letterPage is the HTML part. It loads nothing: no picture, no font, no style sheet.
var letterPage = template.Must(template.New("letter").Parse(`<!DOCTYPE html>
<html lang="{{.Language}}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{.Subject}}</title>
</head>
<body style="margin:0;padding:24px 16px;font-family:sans-serif;font-size:16px;line-height:1.5">
<div style="max-width:36em;margin:0 auto">
{{range .Paragraphs}}<p>{{.}}</p>
{{end}}<p style="margin:24px 0"><a href="{{.Link}}" style="display:inline-block;padding:12px 20px;border-radius:8px;background:#0b5394;color:#ffffff;text-decoration:none;font-weight:bold">{{.Action}}</a></p>
<p style="font-size:14px;word-break:break-all"><a href="{{.Link}}">{{.Link}}</a></p>
<hr style="border:0;border-top:1px solid #888888;margin:24px 0">
{{range .Footer}}<p style="font-size:13px">{{.}}</p>
{{end}}<p style="font-size:13px"><a href="{{.Unsubscribe}}">{{.Stop}}</a></p>
</div>
</body>
</html>
`))
