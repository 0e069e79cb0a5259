package homeserver

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"maunium.net/go/mautrix"

	"usher/exactjson"
	"usher/invites"
	"usher/room"
)

// ErrUnsupported says that the homeserver does not have what was asked for.
var ErrUnsupported = errors.New("matrix: the homeserver does not support this")

// errAnswer says that an answer made no sense.
var errAnswer = errors.New("unreadable answer")

// maxRetryAfter bounds what is believed of a rate limit.
const maxRetryAfter = 24 * time.Hour

// answerError is what became of a request that did not work out, in the words of invites. It leaves the library's error
// behind, which holds the request and with it the token.
func answerError(caller context.Context, err error, resp *http.Response, body []byte, now time.Time) error {
	if caller.Err() != nil {
		return caller.Err()
	}
	if resp == nil || (resp.StatusCode >= 200 && resp.StatusCode < 300) {
		return &invites.ActError{Class: invites.ClassFailed, Status: status(resp), Err: cause(err)}
	}
	code, text := errcode(body)
	return &invites.ActError{
		Class:      class(resp.StatusCode, code),
		Code:       code,
		Status:     resp.StatusCode,
		RetryAfter: retryAfter(resp.Header.Get("Retry-After"), body, now),
		Err:        errors.New(text),
	}
}

// class judges a refusal. An errcode is the homeserver's own word; a 4xx without one is a proxy's, which may pass.
func class(status int, code string) invites.Class {
	switch {
	case status == http.StatusTooManyRequests, code == mautrix.MLimitExceeded.ErrCode:
		return invites.ClassLater
	case code == mautrix.MUnknownToken.ErrCode, code == mautrix.MMissingToken.ErrCode:
		return invites.ClassStopped
	case status == http.StatusRequestTimeout, status < 400, status >= 500, code == "":
		return invites.ClassFailed
	}
	return invites.ClassRefused
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

// retryAfter is the larger of the header, in seconds or as a date (RFC 9110, 10.2.3), and retry_after_ms in the body.
func retryAfter(header string, body []byte, now time.Time) time.Duration {
	longest := time.Duration(0)
	if seconds, err := strconv.ParseFloat(header, 64); err == nil {
		longest = duration(seconds * 1000)
	} else if at, err := http.ParseTime(header); err == nil {
		longest = duration(float64(at.Sub(now).Milliseconds()))
	}
	if ms, err := strconv.ParseFloat(string(exactjson.Find(body, "retry_after_ms")), 64); err == nil {
		longest = max(longest, duration(ms))
	}
	return longest
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
