// Package operator is for the people who run Usher: the commands usher doctor, usher audit and usher quarantine, and the
// listener for metrics and health.
//
// Doctor, Audit and Quarantine each read a config, work beside a running Usher and print on a writer. Health reports the
// faults of the running process; Monitor serves them over HTTP with the metrics. The package knows no rooms, no chat
// and no rules.
package operator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"usher/appservice"
	"usher/config"
	"usher/connect"
	"usher/homeserver"
	"usher/invites"
	"usher/store"
)

// ErrUnwell is returned by Doctor when at least one step failed.
var ErrUnwell = errors.New("not everything is well")

// finding is the result of one step, with a remedy where the step failed.
type finding struct {
	well   bool
	found  string
	remedy string // with well: advice
}

// doctor checks the set-up of one config.
type doctor struct {
	cfg    *config.Config
	client *homeserver.Client
	out    io.Writer
	ill    bool
}

// Doctor checks a set-up step by step and prints each step on out, with a remedy where it failed. It returns ErrUnwell if a
// step failed. Doctor changes nothing at the homeserver. It creates or upgrades the database as a start does. It may run
// beside a running Usher.
func Doctor(ctx context.Context, cfg *config.Config, out io.Writer) error {
	client, err := connect.Homeserver(cfg, "doctor", nil, zerolog.Nop())
	if err != nil {
		return err
	}
	defer client.Close()
	d := &doctor{cfg: cfg, client: client, out: out}
	d.say("config", finding{well: true, found: "read and without faults"})
	d.say("database", d.database(ctx))
	d.say("keys", d.keys(ctx))
	reachable := d.homeserver(ctx)
	d.say("homeserver", reachable)
	if reachable.well {
		d.say("clock", d.clock(ctx))
		token := d.token(ctx)
		d.say("as_token", token)
		if token.well {
			d.say("puppet", d.puppet(ctx))
			d.say("device", d.device(ctx))
			d.say("way back", d.wayBack(ctx))
		}
		d.say("rate limits", d.limits())
	}
	if d.ill {
		return ErrUnwell
	}
	return nil
}

// say prints one step.
func (d *doctor) say(step string, f finding) {
	mark := "✓"
	if !f.well {
		mark, d.ill = "✗", true
	}
	fmt.Fprintf(d.out, "%s %-11s %s\n", mark, step, f.found)
	if f.remedy != "" {
		fmt.Fprintf(d.out, "  %-11s → %s\n", "", f.remedy)
	}
}

func (d *doctor) database(ctx context.Context) finding {
	at := connect.Database(d.cfg)
	at.MaxOpenConns = 2
	s, err := store.Open(ctx, at)
	if err != nil {
		return unopened(at, "database.type and database.uri", err)
	}
	defer func() { _ = s.Close() }()
	return committed(at, s.Ping(ctx))
}

// unopened is the finding for a database that cannot be opened. settings are the names of the settings that hold its place.
func unopened(at store.Config, settings string, err error) finding {
	switch {
	case errors.Is(err, store.ErrLocked):
		return finding{well: true, found: connect.Place(at) + " is in use by another process, which is well if that is a running Usher"}
	case errors.Is(err, store.ErrNewer):
		return finding{found: err.Error(), remedy: "Run the newer version of Usher again, or go back to a backup from before it."}
	}
	return finding{found: connect.Place(at) + ": " + err.Error(), remedy: "Look at " + settings + ", and whether Usher may write there."}
}

// committed is the finding for a database after an attempt to commit.
func committed(at store.Config, err error) finding {
	if err != nil {
		return finding{found: connect.Place(at) + " does not commit: " + err.Error(), remedy: "Look for a full disk or a read-only file system."}
	}
	return finding{well: true, found: connect.Place(at) + " commits"}
}

func (d *doctor) homeserver(ctx context.Context) finding {
	versions, err := d.client.Versions(ctx)
	if err != nil {
		return finding{found: d.cfg.Homeserver.Address + " does not answer: " + err.Error(),
			remedy: "Look at homeserver.address; it is the client-server API, often port 8008."}
	}
	if len(versions) == 0 {
		return finding{found: d.cfg.Homeserver.Address + " answers, but not as a homeserver does", remedy: "Look at homeserver.address."}
	}
	return finding{well: true, found: fmt.Sprintf("%s answers, with versions up to %s", d.cfg.Homeserver.Address, versions[len(versions)-1])}
}

// maxSkew is the largest harmless difference between two clocks. Beyond it Usher misjudges the ages of commands.
const maxSkew = 30 * time.Second

func (d *doctor) clock(ctx context.Context) finding {
	start := time.Now()
	theirs, err := d.client.Time(ctx)
	switch {
	case errors.Is(err, homeserver.ErrUnsupported):
		return finding{well: true, found: "the homeserver does not say its time"}
	case err != nil:
		return finding{found: err.Error()}
	}
	skew := theirs.Sub(start).Round(time.Second)
	if skew.Abs() > maxSkew {
		return finding{found: fmt.Sprintf("the homeserver's differs from this machine's by %s", skew),
			remedy: "Set both by NTP: old commands are told from new ones by their time."}
	}
	return finding{well: true, found: "agrees with the homeserver's"}
}

func (d *doctor) token(ctx context.Context) finding {
	me, err := d.client.Whoami(ctx)
	switch {
	case invites.Stopped(err):
		return finding{found: "the homeserver does not know it",
			remedy: "Give the homeserver the registration (usher -g writes it) and restart it; as_token must be the same in both files."}
	case invites.Errcode(err) == "M_FORBIDDEN":
		return finding{well: true, found: "known; the bot's user is not there yet",
			remedy: "Usher makes it at its first start. If it can't, the registration's namespace does not cover " + d.cfg.BotUser() + "."}
	case err != nil:
		return finding{found: err.Error(), remedy: "Look into the homeserver's log."}
	case me.String() != d.cfg.BotUser():
		return finding{found: "the homeserver takes the bot for " + me.String(),
			remedy: "homeserver.domain and appservice.bot.username must make " + me.String() + ", or the registration is an old one."}
	}
	return finding{well: true, found: "known, and " + me.String() + " is registered"}
}

func (d *doctor) puppet(ctx context.Context) finding {
	if !d.cfg.Puppet.Enabled {
		return finding{well: true, found: "off: the bot itself sends the invitations"}
	}
	err := d.client.CheckAssertion(ctx)
	if invites.Stopped(err) || invites.Refused(err) {
		return finding{found: "the homeserver does not take the second registration: " + invites.Errcode(err),
			remedy: "Give it the puppet registration as well (usher -g writes both) and restart it."}
	}
	if err != nil {
		return finding{found: err.Error(), remedy: "Look into the homeserver's log."}
	}
	return finding{well: true, found: "people of " + d.cfg.Homeserver.Domain + " invite as themselves"}
}

// wayBack asks the homeserver to call Usher. If no Usher is running, doctor itself answers the call.
func (d *doctor) wayBack(ctx context.Context) finding {
	if listener, err := connect.Listen(d.cfg.Appservice.Listen); err == nil {
		intake := appservice.NewIntake(appservice.IntakeOptions{Token: d.cfg.Appservice.HSToken.Reveal(), Log: zerolog.Nop()})
		intake.Drain() // the homeserver keeps its transactions for a running Usher
		server := &http.Server{Handler: intake, ReadHeaderTimeout: 10 * time.Second}
		go func() { _ = server.Serve(listener) }()
		defer func() { _ = server.Close() }()
	}
	err := d.client.Ping(ctx, d.cfg.Appservice.ID, "doctor")
	switch {
	case errors.Is(err, homeserver.ErrUnsupported):
		return finding{well: true, found: "this homeserver can't be asked to call (it has no appservice ping)",
			remedy: "Start Usher, say " + d.cfg.Commands.Prefix + "ping in a room with it, and see whether it answers."}
	case strings.Contains(invites.Errcode(err), "BAD_STATUS"):
		return finding{found: "something answers at " + d.cfg.Appservice.Address + ", but it refuses the homeserver: " + err.Error(),
			remedy: "hs_token must be the same in the config and in the registration; restart the homeserver after a change."}
	case err != nil:
		return finding{found: "the homeserver can't reach Usher at " + d.cfg.Appservice.Address + ": " + err.Error(),
			remedy: "appservice.address must lead from the homeserver's machine to appservice.listen (" + d.cfg.Appservice.Listen + ")."}
	}
	return finding{well: true, found: "the homeserver reaches Usher at " + d.cfg.Appservice.Address}
}

func (d *doctor) limits() finding {
	return finding{well: true, found: "they can't be asked for; Usher honours whatever the homeserver answers",
		remedy: "The bot is exempt (rate_limited: false), people whom it acts as are not. Synapse: rc_invites sets how fast people invite."}
}
