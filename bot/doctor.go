package bot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"usher/appservice"
	"usher/config"
	"usher/homeserver"
	"usher/invites"
	"usher/store"
)

// ErrUnwell says that Doctor found something that keeps Usher from working.
var ErrUnwell = errors.New("not everything is well")

// finding is the outcome of one step: what was found, and what to do about it where that is not well.
type finding struct {
	well   bool
	found  string
	remedy string // with well: advice
}

// doctor examines a set-up.
type doctor struct {
	cfg    *config.Config
	client *homeserver.Client
	out    io.Writer
	ill    bool
}

// Doctor checks a set-up step by step, says on out what to do about each step that fails, and returns ErrUnwell if one
// did. At the homeserver it changes nothing; a database that is missing or old is made or upgraded, as by a start. It may
// run beside a running Usher.
func Doctor(ctx context.Context, cfg *config.Config, out io.Writer) error {
	client, err := newClient(cfg, "doctor", nil, zerolog.Nop())
	if err != nil {
		return fmt.Errorf("homeserver.address: %w", err)
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
	at := store.Config{Type: d.cfg.Database.Type, URI: d.cfg.Database.URI.Reveal(), MaxOpenConns: 2}
	s, err := store.Open(ctx, at)
	if err != nil {
		return unopened(at, "database.type and database.uri", err)
	}
	defer func() { _ = s.Close() }()
	return committed(at, s.Ping(ctx))
}

// unopened is what is found of a database that can't be opened.
func unopened(at store.Config, settings string, err error) finding {
	switch {
	case errors.Is(err, store.ErrLocked):
		return finding{well: true, found: place(at) + " is in use by another process, which is well if that is a running Usher"}
	case errors.Is(err, store.ErrNewer):
		return finding{found: err.Error(), remedy: "Run the newer version of Usher again, or go back to a backup from before it."}
	}
	return finding{found: place(at) + ": " + err.Error(), remedy: "Look at " + settings + ", and whether Usher may write there."}
}

// committed is what is found of a database that was to commit something.
func committed(at store.Config, err error) finding {
	if err != nil {
		return finding{found: place(at) + " does not commit: " + err.Error(), remedy: "Look for a full disk or a read-only file system."}
	}
	return finding{well: true, found: place(at) + " commits"}
}

// place says where a database is without telling a password: a file by its whole path, since its setting counts from the
// current folder, and doctor may have been called in another one than Usher.
func place(at store.Config) string {
	path, _, _ := strings.Cut(strings.TrimPrefix(at.URI, "file:"), "?")
	whole, err := filepath.Abs(path)
	if at.Type != config.TypeSQLite || err != nil {
		return at.Type
	}
	return whole
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

// maxSkew is how far two clocks may differ before ages of commands are misjudged.
const maxSkew = 30 * time.Second

func (d *doctor) clock(ctx context.Context) finding {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Appservice.RequestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.cfg.Homeserver.Address+"/_matrix/client/versions", nil)
	if err != nil {
		return finding{found: err.Error()}
	}
	start := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return finding{found: err.Error()}
	}
	_ = resp.Body.Close()
	theirs, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return finding{well: true, found: "the homeserver does not say its time"}
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
	var act *invites.ActError
	switch {
	case errors.As(err, &act) && act.Class == invites.ClassStopped:
		return finding{found: "the homeserver does not know it",
			remedy: "Give the homeserver the registration (usher -g writes it) and restart it; as_token must be the same in both files."}
	case errors.As(err, &act) && act.Code == "M_FORBIDDEN":
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
	var act *invites.ActError
	if errors.As(err, &act) && (act.Class == invites.ClassStopped || act.Class == invites.ClassRefused) {
		return finding{found: "the homeserver does not take the second registration: " + act.Code,
			remedy: "Give it the puppet registration as well (usher -g writes both) and restart it."}
	}
	if err != nil {
		return finding{found: err.Error(), remedy: "Look into the homeserver's log."}
	}
	return finding{well: true, found: "people of " + d.cfg.Homeserver.Domain + " invite as themselves"}
}

// wayBack has the homeserver call Usher. Where none is running, it answers the call itself.
func (d *doctor) wayBack(ctx context.Context) finding {
	if listener, err := listen(d.cfg.Appservice.Listen); err == nil {
		intake := appservice.NewIntake(appservice.IntakeOptions{Token: d.cfg.Appservice.HSToken.Reveal(), Log: zerolog.Nop()})
		server := &http.Server{Handler: intake, ReadHeaderTimeout: 10 * time.Second}
		go func() { _ = server.Serve(listener) }()
		defer func() { _ = server.Close() }()
	}
	err := d.client.Ping(ctx, d.cfg.Appservice.ID, "doctor")
	var act *invites.ActError
	switch {
	case errors.Is(err, homeserver.ErrUnsupported):
		return finding{well: true, found: "this homeserver can't be asked to call (it has no appservice ping)",
			remedy: "Start Usher, say " + d.cfg.Commands.Prefix + "ping in a room with it, and see whether it answers."}
	case errors.As(err, &act) && strings.Contains(act.Code, "BAD_STATUS"):
		return finding{found: "something answers at " + d.cfg.Appservice.Address + ", but it refuses the homeserver: " + act.Error(),
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
