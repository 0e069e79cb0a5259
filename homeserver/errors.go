package homeserver

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"maunium.net/go/mautrix"

	"usher/exactjson"
	"usher/invites"
	"usher/room"
	"usher/words"
)

// ErrUnsupported says that the homeserver does not have what was asked for.
var ErrUnsupported = errors.New("matrix: the homeserver does not support this")

// errAnswer says that an answer made no sense.
var errAnswer = errors.New("unreadable answer")

// Bounds of what is believed of a rate limit: of the homeserver's own, and of one without an errcode, which is a proxy's.
const (
	maxRetryAfter  = 24 * time.Hour
	maxProxysRetry = 5 * time.Minute
)

// maxWords is how many bytes of a homeserver's explanation people get to read.
const maxWords = 200

// answerError turns the failure of a request into an *invites.ActError. remote is the other server that the homeserver needs for the
// request; empty: none. The result does not hold the library's error, which holds the request and with it the token.
func answerError(caller context.Context, err error, remote string, resp *http.Response, body []byte, now time.Time) error {
	if caller.Err() != nil {
		return caller.Err()
	}
	if resp == nil || (resp.StatusCode >= 200 && resp.StatusCode < 300) {
		act := &invites.ActError{Class: invites.ClassFailed, Status: status(resp), Err: cause(err)}
		if resp == nil && errors.Is(err, context.DeadlineExceeded) {
			act.Server = remote
		}
		return act
	}
	code, text := errcode(body)
	act := &invites.ActError{
		Class:      class(resp.StatusCode, code),
		Code:       code,
		Status:     resp.StatusCode,
		RetryAfter: retryAfter(resp.Header.Get("Retry-After"), body, now),
		Words:      words.Visible(strings.Join(strings.Fields(exactjson.Text(body, "error")), " ")),
		Err:        errors.New(text),
	}
	if code == "" {
		act.RetryAfter = min(act.RetryAfter, maxProxysRetry)
	}
	act.Words = room.Shorten(act.Words, maxWords)
	if remote != "" && unreachable(resp.StatusCode, code, text, body) {
		act.Class, act.Server = invites.ClassFailed, remote
	}
	return act
}

// class judges an answer other than a success. docs/reliability.md has the table. A verdict is an errcode other than M_UNKNOWN with a
// 4xx. A 4xx without an errcode comes from a proxy. M_UNKNOWN says that the homeserver itself does not know, as while a module of
// Synapse can't reach its service. Both pass.
func class(status int, code string) invites.Class {
	switch {
	case status == http.StatusTooManyRequests, code == mautrix.MLimitExceeded.ErrCode:
		return invites.ClassLater
	case code == mautrix.MUnknownToken.ErrCode, code == mautrix.MMissingToken.ErrCode:
		return invites.ClassStopped
	case status == http.StatusRequestTimeout, status < 400, status >= 500, code == "", code == mautrix.MUnknown.ErrCode:
		return invites.ClassFailed
	}
	return invites.ClassRefused
}

// unreachable reports whether an answer says that the homeserver could not reach the other server that a request needs. Synapse answers
// 502 or 504 with an errcode: a proxy's answer has none. Dendrite answers 500, to a look-up or a join with an object without an errcode. To an
// invitation, Dendrite answers 403 M_FORBIDDEN, with the reason in the text alone: the text of an answer of the other server has its status as
// "code=".
func unreachable(status int, code, text string, body []byte) bool {
	const dendrite, answered = "failed to send invite: ", "code=4"
	switch {
	case code == mautrix.MForbidden.ErrCode:
		return strings.Contains(text, dendrite) && !strings.Contains(text, answered)
	case code != "":
		return status >= 500
	}
	return status == http.StatusInternalServerError && isObject(body)
}

// errcode reads a standard error response (https://spec.matrix.org/latest/client-server-api/#standard-error-response).
func errcode(body []byte) (code, text string) {
	if !exactjson.Valid(body) {
		return "", errAnswer.Error()
	}
	code, known := exactjson.Get(body, "errcode").Str()
	if !known {
		return "", errAnswer.Error()
	}
	return room.Shorten(code, 64), room.Shorten(exactjson.Text(body, "error"), 300)
}

// cause strips the library's wrapper, which holds the request, and keeps what lies below.
func cause(err error) error {
	var wrapped mautrix.HTTPError
	if !errors.As(err, &wrapped) {
		return err
	}
	if wrapped.WrappedError != nil {
		return wrapped.WrappedError
	}
	return errAnswer
}

// retryAfter is the larger of the header, in seconds or as a date (RFC 9110, 10.2.3), and retry_after_ms in the body, also as a string.
func retryAfter(header string, body []byte, now time.Time) time.Duration {
	longest := time.Duration(0)
	if seconds, known := number(header); known {
		longest = duration(seconds * 1000)
	} else if at, err := http.ParseTime(header); err == nil {
		longest = duration(float64(at.Sub(now).Milliseconds()))
	}
	ms, _ := number(strings.Trim(string(exactjson.Find(body, "retry_after_ms")), `"`))
	return max(longest, duration(ms))
}

// number reads a number. A number beyond the range of float64 is infinite.
func number(text string) (n float64, known bool) {
	n, err := strconv.ParseFloat(text, 64)
	return n, err == nil || errors.Is(err, strconv.ErrRange)
}

func duration(ms float64) time.Duration {
	if !(ms > 0) { // NaN too
		return 0
	}
	return time.Duration(math.Min(ms, float64(maxRetryAfter.Milliseconds()))) * time.Millisecond
}

func status(resp *http.Response) int {
	if resp == nil {
		return 0
	}
	return resp.StatusCode
}
