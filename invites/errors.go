package invites

import (
	"errors"
	"fmt"
	"time"
)

// Errors of the store.
var (
	// ErrFenced means: another attempt has claimed the row in the meantime.
	ErrFenced = errors.New("invites: claimed by another attempt")
	// ErrNotFound means: no such row exists.
	ErrNotFound = errors.New("invites: not found")
	// ErrSpent means: another request charged the same quotas since they were read.
	ErrSpent = errors.New("invites: quotas were charged meanwhile")
	// ErrUsedUp means: a link has no use left, or has ended.
	ErrUsedUp = errors.New("invites: the link has no use left")
)

// ErrNoView means: neither the bot nor the viewer can see the room.
var ErrNoView = errors.New("invites: the room's state can't be read")

// ErrKept means: the homeserver showed the room without a piece of state that decides. Another try may bring it.
var ErrKept = errors.New("invites: the homeserver kept a part of the room's state back")

// Errors of opening an encrypted event.
var (
	// ErrNoKey means: the room key of the event has not arrived. It may arrive later.
	ErrNoKey = errors.New("invites: the key has not arrived")
	// ErrUnreadable means: the event can never be decrypted, or its key is not its sender's own.
	ErrUnreadable = errors.New("invites: unreadable")
	// ErrReplay means: the event repeats the ciphertext of another event.
	ErrReplay = errors.New("invites: a replay")
)
var errUnderWay = errors.New("invites: an attempt is under way")

// UnderWayError means: an earlier attempt at a row of the command ends in a moment, as after a crash. The command is to be run
// again at Until.
type UnderWayError struct{ Until time.Time }

// Error implements error.
func (e *UnderWayError) Error() string { return errUnderWay.Error() }

// Class says how to go on after the homeserver refused or failed.
type Class uint8

// The classes of failure.
const (
	ClassFailed  Class = iota // passing trouble, no verdict: try again with backoff
	ClassRefused              // final: the homeserver will not
	ClassLater                // rate limited: not before RetryAfter
	ClassStopped              // the homeserver refuses Usher's own token: stop acting, the row stays open
)

// ActError is a classified refusal or failure of the homeserver. Callers ask for its parts by the functions below.
type ActError struct {
	Class      Class
	Code       string        // errcode such as "M_FORBIDDEN"; empty without one
	Status     int           // HTTP status; 0 without an answer
	RetryAfter time.Duration // for ClassLater
	Server     string        // for ClassFailed: the other server out of reach; empty: the homeserver's own trouble
	Words      string        // the homeserver's explanation, one short line without invisible characters; may be empty
	Err        error
}

// Error implements error. It never holds a token.
func (e *ActError) Error() string {
	if e.Status == 0 {
		return fmt.Sprintf("homeserver: no answer: %v", e.Err)
	}
	return fmt.Sprintf("homeserver: %d %s: %v", e.Status, e.Code, e.Err)
}

// Unwrap returns the cause.
func (e *ActError) Unwrap() error { return e.Err }

// answered returns the homeserver's error in err; nil without one.
func answered(err error) *ActError {
	var act *ActError
	_ = errors.As(err, &act)
	return act
}

// Refused reports whether err is a final refusal of the homeserver.
func Refused(err error) bool { return IsClass(err, ClassRefused) }

// Stopped reports whether the homeserver refuses Usher's own token.
func Stopped(err error) bool { return IsClass(err, ClassStopped) }

// Unseen reports whether err means: no user whom Usher may read as can read the room or the event.
func Unseen(err error) bool { return errors.Is(err, ErrNoView) || Refused(err) }

// Unreachable returns the name of the other server out of the homeserver's reach; empty for every other error.
func Unreachable(err error) string {
	if act := answered(err); act != nil {
		return act.Server
	}
	return ""
}

// Limited reports whether the homeserver asks to wait, and how long.
func Limited(err error) (wait time.Duration, limited bool) {
	act := answered(err)
	if act == nil || act.Class != ClassLater {
		return 0, false
	}
	return act.RetryAfter, true
}

// IsClass reports whether err is a homeserver's error of one of the classes.
func IsClass(err error, classes ...Class) bool {
	act := answered(err)
	for _, c := range classes {
		if act != nil && act.Class == c {
			return true
		}
	}
	return false
}

// Errcode returns the errcode in the homeserver's answer; empty without one.
func Errcode(err error) string {
	if act := answered(err); act != nil {
		return act.Code
	}
	return ""
}

// Words returns the explanation in the homeserver's answer; empty without one.
func Words(err error) string {
	if act := answered(err); act != nil {
		return act.Words
	}
	return ""
}

// HTTPStatus returns the status of the homeserver's answer; 0 without one.
func HTTPStatus(err error) int {
	if act := answered(err); act != nil {
		return act.Status
	}
	return 0
}

// UnlessRefused drops a final refusal: no second try would mend it.
func UnlessRefused(err error) error {
	if Refused(err) {
		return nil
	}
	return err
}

// UnlessUnseen drops an error for which Unseen is true.
func UnlessUnseen(err error) error {
	if Unseen(err) {
		return nil
	}
	return err
}

// UnlessNone drops ErrNotFound.
func UnlessNone(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
