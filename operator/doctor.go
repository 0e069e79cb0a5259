// Package operator is for the people who run Usher: the commands usher doctor, usher audit and usher quarantine, and the
// listener for metrics and health.
//
// Doctor, Audit and Quarantine each read a config, work beside a running Usher and print on a writer. Health reports the
// faults of the running process; Monitor serves them over HTTP with the metrics. The package knows no rooms, no chat
// and no rules.
package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"usher/config"
	"usher/connect"
	"usher/homeserver"
	"usher/room"
	"usher/store"
	"usher/words"
)

// ErrUnwell is returned by Doctor when at least one step failed.
var ErrUnwell = errors.New("not everything is well")

// mark is the verdict on a step.
type mark string

const (
	well      mark = "✓"
	unchecked mark = "–" // it can't be checked, or there is nothing to check
	warned    mark = "!" // worth a look; nothing fails for it
	ill       mark = "✗"
)

// verdicts are the marks in JSON.
var verdicts = map[mark]string{well: "ok", unchecked: "unchecked", warned: "warning", ill: "failed"}

// finding is the result of one step.
type finding struct {
	mark   mark
	found  room.Phrase
	remedy room.Phrase // may be empty
}

// doctor checks the set-up of one config.
type doctor struct {
	setup
	options DoctorOptions
	out     io.Writer
	ill     bool
}

// DoctorOptions say what Doctor compares, and how it prints.
type DoctorOptions struct {
	Registration string // path of the registration
	JSON         bool   // print each step as a JSON object in one line
}

// Doctor checks a set-up step by step and prints each step on out, with a remedy where it failed. It returns ErrUnwell if a
// step failed. As a start does, Doctor creates or upgrades the database and registers the bot; it changes nothing else. It may run
// beside a running Usher.
func Doctor(ctx context.Context, cfg *config.Config, o DoctorOptions, out io.Writer) error {
	client, err := connect.Homeserver(cfg, "doctor", nil, zerolog.Nop())
	if err != nil {
		return err
	}
	defer client.Close()
	d := &doctor{setup: setup{cfg, client}, options: o, out: out}
	d.say("config", finding{mark: well, found: room.Say("doctor.config")})
	d.registrations()
	d.say("database", d.database(ctx))
	d.say("keys", d.keys(ctx))
	runs := false
	if running, found := d.running(ctx); found {
		d.say("usher", running)
		runs = true
	}
	if d.cfg.Antispam.Enabled {
		d.say("antispam", d.antispam(ctx))
	}
	d.say("pages", d.pages(ctx, runs))
	d.say("mail", d.mail(ctx))
	reachable, _ := d.homeserver(ctx)
	d.say("homeserver", reachable)
	if reachable.mark == well {
		d.say("clock", d.clock(ctx))
		account, _ := d.account(ctx)
		d.say("as_token", account)
		if account.mark != ill {
			d.say("puppet", d.puppet(ctx))
			d.say("device", d.device(ctx))
			d.say("way back", d.wayBack(ctx, runs))
		}
		d.say("rate limits", finding{unchecked, room.Say("doctor.limits"), room.Say("remedy.limits")})
	}
	if d.ill {
		return ErrUnwell
	}
	return nil
}

// say prints one step.
func (d *doctor) say(step string, f finding) {
	d.ill = d.ill || f.mark == ill
	voice := words.For("")
	found, remedy := voice.Text(f.found), voice.Text(f.remedy)
	if d.options.JSON {
		lines := json.NewEncoder(words.Terminal(d.out))
		lines.SetEscapeHTML(false)
		_ = lines.Encode(struct { // text can be encoded
			Step    string `json:"step"`
			Verdict string `json:"verdict"`
			Found   string `json:"found"`
			Remedy  string `json:"remedy,omitempty"`
		}{step, verdicts[f.mark], found, remedy})
		return
	}
	fmt.Fprintf(d.out, "%s %-12s %s\n", f.mark, step, words.Visible(found))
	if remedy != "" {
		fmt.Fprintf(d.out, "  %-12s → %s\n", "", words.Visible(remedy))
	}
}

// registrations compares the files with the config. The homeserver may have other copies.
func (d *doctor) registrations() {
	if d.options.Registration == "" {
		return
	}
	for _, r := range config.Registrations(d.cfg, d.options.Registration) {
		switch keys, err := r.Differences(); {
		case errors.Is(err, fs.ErrNotExist):
			d.say("registration", finding{unchecked, room.Say("doctor.registration_missing", "file", r.Path), room.Say("remedy.registration_missing")})
		case err != nil:
			d.say("registration", finding{mark: unchecked, found: room.Say("doctor.registration_unread", "file", r.Path, "error", err)})
		case len(keys) > 0:
			d.say("registration", finding{ill, room.Say("doctor.registration_differs", "file", r.Path, "keys", strings.Join(keys, ", ")), room.Say("remedy.registration_differs")})
		default:
			d.say("registration", finding{mark: well, found: room.Say("doctor.registration", "files", r.Path)})
		}
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
		return finding{mark: ill, found: room.Say("doctor.damaged", "place", connect.Place(at), "error", damaged), remedy: room.Say("remedy.damaged")}
	}
	return committed(at, s.Ping(ctx))
}

// unopened is the finding for a database that cannot be opened. settings are the names of the settings that hold its place.
func unopened(at store.Config, settings string, err error) finding {
	switch {
	case errors.Is(err, store.ErrLocked):
		return finding{unchecked, room.Say("doctor.locked", "place", connect.Place(at)), room.Say("remedy.locked")}
	case errors.Is(err, store.ErrNewer):
		return finding{mark: ill, found: because(err), remedy: room.Say("remedy.newer")}
	}
	return finding{mark: ill, found: room.Say("doctor.unopened", "place", connect.Place(at), "error", err), remedy: room.Say("remedy.unopened", "settings", settings)}
}

// committed is the finding for a database after an attempt to commit.
func committed(at store.Config, err error) finding {
	if err != nil {
		return finding{mark: ill, found: room.Say("doctor.uncommitted", "place", connect.Place(at), "error", err), remedy: room.Say("remedy.disk")}
	}
	return finding{mark: well, found: room.Say("doctor.commits", "place", connect.Place(at))}
}

// maxSkew is the largest harmless difference between two clocks. Beyond it Usher misjudges the ages of commands.
const maxSkew = 30 * time.Second

func (d *doctor) clock(ctx context.Context) finding {
	start := time.Now()
	theirs, err := d.client.Time(ctx)
	switch {
	case errors.Is(err, homeserver.ErrUnsupported):
		return finding{mark: unchecked, found: room.Say("doctor.no_time")}
	case err != nil:
		return finding{mark: ill, found: because(err)}
	}
	skew := theirs.Sub(start).Round(time.Second)
	if skew.Abs() > maxSkew {
		return finding{mark: ill, found: room.Say("doctor.skew", "skew", skew), remedy: room.Say("remedy.ntp")}
	}
	return finding{mark: well, found: room.Say("doctor.in_time")}
}

// because is the finding of an error as it is.
func because(err error) room.Phrase { return room.Say(room.KeyText, "text", err) }
