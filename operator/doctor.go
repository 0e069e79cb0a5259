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
	"strings"
	"time"

	"github.com/rs/zerolog"

	"usher/appservice"
	"usher/config"
	"usher/connect"
	"usher/homeserver"
	"usher/invites"
	"usher/room"
	"usher/store"
	"usher/words"
)

// ErrUnwell is returned by Doctor when at least one step failed.
var ErrUnwell = errors.New("not everything is well")

// finding is the result of one step, with a remedy where the step failed.
type finding struct {
	well   bool
	found  room.Phrase
	remedy room.Phrase // with well: advice
}

// doctor checks the set-up of one config.
type doctor struct {
	cfg    *config.Config
	client *homeserver.Client
	out    io.Writer
	ill    bool
}

// DoctorOptions say what Doctor compares, and how it prints.
type DoctorOptions struct {
	Registration string // path of the registration
	JSON         bool   // an object a step, in one line each
}

// Doctor checks a set-up step by step and prints each step on out, with a remedy where it failed. It returns ErrUnwell if a
// step failed. Doctor changes nothing at the homeserver. It creates or upgrades the database as a start does. It may run
// beside a running Usher.
func Doctor(ctx context.Context, cfg *config.Config, o DoctorOptions, out io.Writer) error {
	client, err := connect.Homeserver(cfg, "doctor", nil, zerolog.Nop())
	if err != nil {
		return err
	}
	defer client.Close()
	d := &doctor{cfg: cfg, client: client, out: out}
	d.say("config", finding{well: true, found: room.Say("doctor.config")})
	d.say("database", d.database(ctx))
	d.say("keys", d.keys(ctx))
	if running, found := d.running(ctx); found {
		d.say("usher", running)
	}
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
	voice := words.For("")
	fmt.Fprintf(d.out, "%s %-11s %s\n", mark, step, words.Visible(voice.Text(f.found)))
	if !f.remedy.Empty() {
		fmt.Fprintf(d.out, "  %-11s → %s\n", "", words.Visible(voice.Text(f.remedy)))
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
	if damaged := s.Check(ctx); damaged != nil {
		return finding{found: room.Say("doctor.damaged", "place", connect.Place(at), "error", damaged), remedy: room.Say("remedy.damaged")}
	}
	return committed(at, s.Ping(ctx))
}

// unopened is the finding for a database that cannot be opened. settings are the names of the settings that hold its place.
func unopened(at store.Config, settings string, err error) finding {
	switch {
	case errors.Is(err, store.ErrLocked):
		return finding{well: true, found: room.Say("doctor.locked", "place", connect.Place(at))}
	case errors.Is(err, store.ErrNewer):
		return finding{found: because(err), remedy: room.Say("remedy.newer")}
	}
	return finding{found: room.Say("doctor.unopened", "place", connect.Place(at), "error", err), remedy: room.Say("remedy.unopened", "settings", settings)}
}

// committed is the finding for a database after an attempt to commit.
func committed(at store.Config, err error) finding {
	if err != nil {
		return finding{found: room.Say("doctor.uncommitted", "place", connect.Place(at), "error", err), remedy: room.Say("remedy.disk")}
	}
	return finding{well: true, found: room.Say("doctor.commits", "place", connect.Place(at))}
}

func (d *doctor) homeserver(ctx context.Context) finding {
	versions, err := d.client.Versions(ctx)
	if err != nil {
		return finding{found: room.Say("doctor.unreachable", "address", d.cfg.Homeserver.Address, "error", err), remedy: room.Say("remedy.port")}
	}
	if len(versions) == 0 {
		return finding{found: room.Say("doctor.no_homeserver", "address", d.cfg.Homeserver.Address), remedy: room.Say("remedy.address")}
	}
	return finding{well: true, found: room.Say("doctor.answers", "address", d.cfg.Homeserver.Address, "version", versions[len(versions)-1])}
}

// maxSkew is the largest harmless difference between two clocks. Beyond it Usher misjudges the ages of commands.
const maxSkew = 30 * time.Second

func (d *doctor) clock(ctx context.Context) finding {
	start := time.Now()
	theirs, err := d.client.Time(ctx)
	switch {
	case errors.Is(err, homeserver.ErrUnsupported):
		return finding{well: true, found: room.Say("doctor.no_time")}
	case err != nil:
		return finding{found: because(err)}
	}
	skew := theirs.Sub(start).Round(time.Second)
	if skew.Abs() > maxSkew {
		return finding{found: room.Say("doctor.skew", "skew", skew), remedy: room.Say("remedy.ntp")}
	}
	return finding{well: true, found: room.Say("doctor.in_time")}
}

func (d *doctor) token(ctx context.Context) finding {
	me, err := d.client.Whoami(ctx)
	switch {
	case invites.Stopped(err):
		return finding{found: room.Say("doctor.token_unknown"), remedy: room.Say("remedy.registration")}
	case invites.Errcode(err) == "M_FORBIDDEN":
		return finding{well: true, found: room.Say("doctor.no_user"), remedy: room.Say("remedy.namespace", "user", d.cfg.BotUser())}
	case err != nil:
		return finding{found: because(err), remedy: room.Say("remedy.log")}
	case me.String() != d.cfg.BotUser():
		return finding{found: room.Say("doctor.other_user", "user", me), remedy: room.Say("remedy.other_user", "user", me)}
	}
	return finding{well: true, found: room.Say("doctor.token", "user", me)}
}

func (d *doctor) puppet(ctx context.Context) finding {
	if !d.cfg.Puppet.Enabled {
		return finding{well: true, found: room.Say("doctor.puppet_off")}
	}
	err := d.client.CheckAssertion(ctx)
	if invites.Stopped(err) || invites.Refused(err) {
		return finding{found: room.Say("doctor.puppet_refused", "code", invites.Errcode(err)), remedy: room.Say("remedy.puppet")}
	}
	if err != nil {
		return finding{found: because(err), remedy: room.Say("remedy.log")}
	}
	return finding{well: true, found: room.Say("doctor.puppet", "domain", d.cfg.Homeserver.Domain)}
}

// wayBack asks the homeserver to call Usher. If no Usher is running, doctor itself answers the call.
func (d *doctor) wayBack(ctx context.Context) finding {
	if listener, err := connect.Listen(d.cfg.Appservice.Listen); err == nil {
		intake := appservice.NewIntake(appservice.IntakeOptions{Tokens: appservice.Tokens{HS: d.cfg.Appservice.HSToken.Reveal(), Query: d.cfg.Appservice.QueryToken}, Log: zerolog.Nop()})
		intake.Drain() // the homeserver keeps its transactions for a running Usher
		server := connect.Server(intake)
		go func() { _ = server.Serve(listener) }()
		defer func() { _ = server.Close() }()
	}
	err := d.client.Ping(ctx, d.cfg.Appservice.ID, "doctor")
	switch {
	case errors.Is(err, homeserver.ErrUnsupported):
		return finding{well: true, found: room.Say("doctor.no_ping"), remedy: room.Say("remedy.ping", "prefix", d.cfg.Commands.Prefix)}
	case strings.Contains(invites.Errcode(err), "BAD_STATUS"):
		return finding{found: room.Say("doctor.way_refused", "address", d.cfg.Appservice.Address, "error", err), remedy: room.Say("remedy.hs_token")}
	case err != nil:
		return finding{found: room.Say("doctor.no_way", "address", d.cfg.Appservice.Address, "error", err), remedy: room.Say("remedy.listen", "listen", d.cfg.Appservice.Listen)}
	}
	return finding{well: true, found: room.Say("doctor.way", "address", d.cfg.Appservice.Address)}
}

func (d *doctor) limits() finding {
	return finding{well: true, found: room.Say("doctor.limits"), remedy: room.Say("remedy.limits")}
}

// because is the finding of an error as it is.
func because(err error) room.Phrase { return room.Say(room.KeyText, "text", err) }
