package mail

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	gomail "github.com/wneessen/go-mail"
)

// serverClosing is the answer of a server that ends the conversation whatever the letter.
const serverClosing = 421

// asError classifies the end of a try. Only the answers to the recipient and to the content are about the letter. A refused sender or login
// is the operator's to mend, and until then all letters wait.
func asError(err error) error {
	if err == nil {
		return nil
	}
	e := &Error{Err: err, Answer: answerIn(err.Error())}
	refused := (*gomail.SendError)(nil)
	if !errors.As(err, &refused) {
		return e
	}
	e.Code = refused.ErrorCode()
	switch refused.Reason {
	case gomail.ErrSMTPRcptTo, gomail.ErrSMTPData, gomail.ErrSMTPDataClose:
		e.Letter = e.Code >= 400 && e.Code != serverClosing
		e.Permanent = e.Letter && e.Code >= 500
		e.Uncertain = e.Code == 0 && refused.Reason == gomail.ErrSMTPDataClose
	}
	return e
}

// Answers of the server in errors of the library, which quotes some.
var (
	spoken = regexp.MustCompile(`\b[45][0-9]{2}[ -].*`)
	quoted = regexp.MustCompile(`\b([45][0-9]{2}) ("(?:[^"\\]|\\.)*")`)
)

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 200

// answerIn returns the server's answer in an error, as one line.
func answerIn(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if found := quoted.FindStringSubmatch(text); found != nil {
		said, _ := strconv.Unquote(found[2])
		text = found[1] + " " + strings.Join(strings.Fields(said), " ")
	} else {
		text, _, _ = strings.Cut(spoken.FindString(text), ", affected ")
	}
	if len(text) > maxAnswer {
		text = strings.ToValidUTF8(text[:maxAnswer], "") + "…"
	}
	return text
}
