package operator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rs/zerolog"

	"usher/config"
	"usher/homeserver"
	"usher/invites"
	"usher/room"
	"usher/words"
)

// Errors of a set-up with a remedy of their own. The operator's manual lists them with their exit codes.
var (
	ErrTokenRefused          = errors.New("the homeserver refuses the as_token")
	ErrHomeserverUnreachable = errors.New("the homeserver can't be reached")
)

// setup checks the set-up at the homeserver, for doctor and for a start.
type setup struct {
	cfg    *config.Config
	client *homeserver.Client
}

// Unwell is a step of the set-up that failed, with its remedy. It wraps the kind of error and its cause.
type Unwell struct {
	finding
	kinds []error
}

// Error implements error.
func (u *Unwell) Error() string {
	return fmt.Sprintf("%v: %s", u.kinds[0], words.For("").Text(u.found))
}

// Remedy returns the advice for the operator.
func (u *Unwell) Remedy() string { return words.For("").Text(u.remedy) }

// Unwrap returns the kind of error and its cause.
func (u *Unwell) Unwrap() []error { return u.kinds }

// Meet makes the bot known to the homeserver and checks what a start needs of it: the homeserver itself, the token, the bot's account. The
// error is an *Unwell. A fault that leaves Usher useful, such as a second registration that is not listed, is logged.
func Meet(ctx context.Context, cfg *config.Config, client *homeserver.Client, log zerolog.Logger) error {
	s := setup{cfg, client}
	reachable, err := s.homeserver(ctx)
	if reachable.mark == ill {
		return &Unwell{reachable, []error{ErrHomeserverUnreachable, cmp.Or(err, errNoHomeserver)}}
	}
	account, err := s.account(ctx)
	switch {
	case account.mark == ill && err != nil && !invites.Refused(err) && !invites.Stopped(err):
		return &Unwell{account, []error{ErrHomeserverUnreachable, err}}
	case account.mark == ill:
		return &Unwell{account, []error{ErrTokenRefused, cmp.Or(err, errOtherRegistration)}}
	}
	for _, f := range []finding{account, s.puppet(ctx)} {
		if f.mark == ill || f.mark == warned {
			voice := words.For("")
			log.Warn().Str("found", voice.Text(f.found)).Str("remedy", voice.Text(f.remedy)).Msg("Set-up not well")
		}
	}
	return nil
}

var (
	errNoHomeserver      = errors.New("no homeserver answers")
	errOtherRegistration = errors.New("another registration")
)

// homeserver checks that a homeserver answers at homeserver.address.
func (s setup) homeserver(ctx context.Context) (finding, error) {
	address := s.cfg.Homeserver.Address
	versions, err := s.client.Versions(ctx)
	switch {
	case err != nil:
		cause := s.unreachable(err)
		return finding{ill, room.Say("doctor.unreachable", "address", address, "error", words.For("").Text(cause.found)), cause.remedy}, err
	case len(versions) == 0:
		return finding{ill, room.Say("doctor.no_homeserver", "address", address), room.Say("remedy.cause.web")}, nil
	}
	return finding{mark: well, found: room.Say("doctor.answers", "address", address, "version", versions[len(versions)-1])}, nil
}

// account checks the as_token and the bot's account, and registers the bot if it is not there. It first asks who the registration's sender
// is, which a homeserver also answers before the bot is registered.
func (s setup) account(ctx context.Context) (finding, error) {
	bot := s.cfg.BotUser()
	sender, err := s.client.Sender(ctx, false)
	switch {
	case invites.Stopped(err):
		return finding{ill, room.Say("doctor.token_unknown"), room.Say("remedy.registration")}, err
	case err != nil:
		return finding{ill, because(err), room.Say("remedy.log")}, err
	case sender.Homeserver() != s.cfg.Homeserver.Domain && sender != "":
		return finding{ill, room.Say("doctor.other_domain", "theirs", sender.Homeserver(), "ours", s.cfg.Homeserver.Domain),
			room.Say("remedy.domain", "theirs", sender.Homeserver(), "ours", s.cfg.Homeserver.Domain)}, nil
	}
	if err := s.client.Register(ctx); err != nil {
		return s.unregistered(err), err
	}
	if _, err := s.client.Whoami(ctx); invites.Stopped(err) || invites.Refused(err) { // Dendrite takes the token for unknown then
		return finding{ill, room.Say("doctor.no_user", "user", bot, "error", said(err)), room.Say("remedy.namespace", "user", bot)}, err
	} else if err != nil {
		return finding{ill, because(err), room.Say("remedy.log")}, err
	}
	if s.cfg.Encryption.Enabled && sender.String() == bot {
		return finding{warned, room.Say("doctor.sender"), room.Say("remedy.sender")}, nil
	}
	devices, err := s.client.Devices(ctx)
	devices = slices.DeleteFunc(devices, func(name string) bool { return name == ownDevice })
	if err == nil && len(devices) > 0 {
		return finding{warned, room.Say("doctor.devices", "user", bot, "devices", strings.Join(devices, ", ")), room.Say("remedy.devices")}, nil
	}
	return finding{mark: well, found: room.Say("doctor.token", "user", bot)}, nil
}

// ownDevice is the name of the device that Usher makes.
const ownDevice = "Usher"

// unregistered is the finding of a failed registration of the bot. Only the homeserver's words tell a namespace that does not cover the bot
// from one of another registration that does.
func (s setup) unregistered(err error) finding {
	bot := s.cfg.BotUser()
	switch words := said(err); {
	case strings.Contains(words, "reserved"), strings.Contains(words, "multiple exclusive"):
		return finding{ill, room.Say("doctor.taken", "user", bot, "error", words), room.Say("remedy.taken")}
	case invites.Refused(err), invites.Stopped(err):
		return finding{ill, room.Say("doctor.no_user", "user", bot, "error", words), room.Say("remedy.namespace", "user", bot)}
	}
	return finding{ill, because(err), room.Say("remedy.log")}
}

// puppet checks the second registration. The bot must be registered.
func (s setup) puppet(ctx context.Context) finding {
	if !s.cfg.Puppet.Enabled {
		return finding{mark: unchecked, found: room.Say("doctor.puppet_off")}
	}
	sender, err := s.client.Sender(ctx, true)
	switch {
	case invites.Stopped(err):
		return finding{ill, room.Say("doctor.puppet_refused"), room.Say("remedy.puppet")}
	case err != nil:
		return finding{ill, because(err), room.Say("remedy.log")}
	case sender.Homeserver() != s.cfg.Homeserver.Domain:
		return finding{ill, room.Say("doctor.other_domain", "theirs", sender.Homeserver(), "ours", s.cfg.Homeserver.Domain), room.Say("remedy.puppet_namespace")}
	}
	if err := s.client.CheckAssertion(ctx); invites.Stopped(err) || invites.Refused(err) {
		return finding{ill, room.Say("doctor.puppet_namespace", "error", said(err)), room.Say("remedy.puppet_namespace")}
	} else if err != nil {
		return finding{ill, because(err), room.Say("remedy.log")}
	}
	if err := s.client.PingPuppet(ctx, s.cfg.Puppet.ID); err == nil || unanswered(err) {
		return finding{ill, room.Say("doctor.puppet_url"), room.Say("remedy.puppet_url")}
	}
	return finding{mark: well, found: room.Say("doctor.puppet", "domain", s.cfg.Homeserver.Domain)}
}

// unanswered reports whether the homeserver called an application service, and got no answer or a wrong one.
func unanswered(err error) bool {
	code := invites.Errcode(err)
	return strings.HasSuffix(code, "CONNECTION_FAILED") || strings.HasSuffix(code, "CONNECTION_TIMEOUT") || strings.HasSuffix(code, "BAD_STATUS")
}

// said returns the homeserver's words in an error.
func said(err error) string { return cmp.Or(invites.Words(err), err.Error()) }
