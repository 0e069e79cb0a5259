// Command usher keeps the doors of Matrix rooms: an application service bot that manages invitations.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"syscall"

	"usher/bot"
	"usher/config"
	"usher/room"
	"usher/words"
)

// version is set by the linker: -ldflags "-X main.version=v1.2.3".
var version = "dev"

//go:embed config.example.yaml
var exampleConfig []byte

const usage = `Usher keeps the doors of Matrix rooms: an application service bot that manages invitations.

  usher -e                      write an example config with fresh random tokens
  usher -g                      write the homeserver's registration from the config
  usher                         run
  usher doctor                  check the set-up, step by step
  usher live                    ask the running Usher whether it lives (for health checks)
  usher audit                   list what was decided and done (--room, --user, --since 7d, --format jsonl or csv)
  usher quarantine              list events that could not be decoded, in lines of JSON
  usher check < cases.jsonl     judge rooms by the Matrix authorization rules (docs/check.md); needs no config

  -c, --config path             the config (default config.yaml)
  -r, --registration path       the registration (default registration.yaml)
  -e, --generate-example-config
  -g, --generate-registration
  -v, --version
  -h, --help
      --first-run               for containers: write what is missing, say what to do with it, and only run once
                                nothing is

Environment variables override the config (USHER_HOMESERVER__ADDRESS=…). docs/operations.md tells the rest.
`

// options are the command line, read.
type options struct {
	command                                 string // empty: run
	config, registration                    string
	example, register, version, help, begin bool
	audit                                   bot.AuditOptions
}

// program is Usher's surroundings, so that a test can stand in for them.
type program struct {
	in       io.Reader
	out, err io.Writer
	environ  []string
	run      func(ctx context.Context, cfg *config.Config, version string) error
	doctor   func(ctx context.Context, cfg *config.Config, out io.Writer) error
	audit    func(ctx context.Context, cfg *config.Config, o bot.AuditOptions, out io.Writer) error
	bad      func(ctx context.Context, cfg *config.Config, out io.Writer) error
	check    func(in io.Reader, out io.Writer) (malformed int, err error)
}

// check judges rooms by the Matrix rules, in English.
func check(in io.Reader, out io.Writer) (malformed int, err error) {
	return room.Check(in, out, words.For("en").Text)
}

func main() {
	p := program{os.Stdin, os.Stdout, os.Stderr, os.Environ(), bot.Run, bot.Doctor, bot.Audit, bot.Quarantine, check}
	os.Exit(p.main(os.Args[1:]))
}

// main does what the command line says and returns the exit code.
func (p program) main(args []string) int {
	o, err := parse(args)
	switch {
	case err != nil:
		fmt.Fprintf(p.err, "usher: %v; usher -h shows what there is\n", err)
		return exitUsage
	case o.help:
		fmt.Fprint(p.out, usage)
		return exitDone
	case o.version:
		fmt.Fprintln(p.out, "usher", fullVersion())
		return exitDone
	case o.example:
		return p.writeExample(o)
	case o.register:
		return p.writeRegistrations(o)
	}
	switch o.command {
	case "check":
		return p.runCheck()
	case "live":
		return p.runLive(o)
	case "doctor":
		return p.runDoctor(o)
	case "audit":
		return p.runAudit(o)
	case "quarantine":
		return p.work(o, exitOther, func(ctx context.Context, cfg *config.Config) error { return p.bad(ctx, cfg, p.out) })
	}
	return p.runBot(o)
}

// parse reads a subcommand, if there is one, and the flags.
func parse(args []string) (options, error) {
	var o options
	if len(args) > 0 && slices.Contains([]string{"doctor", "live", "check", "audit", "quarantine"}, args[0]) {
		o.command, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet("usher", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	for _, f := range []struct {
		short, long, value string
		text               *string
		on                 *bool
	}{
		{"c", "config", "config.yaml", &o.config, nil},
		{"r", "registration", "registration.yaml", &o.registration, nil},
		{"e", "generate-example-config", "", nil, &o.example},
		{"g", "generate-registration", "", nil, &o.register},
		{"v", "version", "", nil, &o.version},
		{"first-run", "", "", nil, &o.begin},
	} {
		for _, name := range []string{f.short, f.long} {
			switch {
			case name == "":
			case f.text != nil:
				flags.StringVar(f.text, name, f.value, "")
			default:
				flags.BoolVar(f.on, name, false, "")
			}
		}
	}
	if o.command == "audit" {
		flags.StringVar(&o.audit.Room, "room", "", "")
		flags.StringVar(&o.audit.User, "user", "", "")
		flags.StringVar(&o.audit.Since, "since", "", "")
		flags.StringVar(&o.audit.Format, "format", "jsonl", "")
	}
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		o.help = true
		return o, nil
	}
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	tasks := 0
	for _, asked := range []bool{o.command != "", o.example, o.register, o.begin} {
		if asked {
			tasks++
		}
	}
	if err == nil && tasks > 1 {
		err = errors.New("one thing at a time: a subcommand, -e, -g or --first-run")
	}
	return o, err
}

// fullVersion adds the commit to a build without a version.
func fullVersion() string {
	info, ok := debug.ReadBuildInfo()
	if version != "dev" || !ok {
		return version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return version + "-" + s.Value[:min(len(s.Value), 8)]
		}
	}
	return version
}

func (p program) runBot(o options) int {
	if o.begin {
		if code, done := p.firstRun(o); done {
			return code
		}
	}
	return p.work(o, exitOther, func(ctx context.Context, cfg *config.Config) error {
		p.compare(cfg, o)
		return p.run(ctx, cfg, fullVersion())
	})
}

func (p program) runDoctor(o options) int {
	return p.work(o, exitDoctor, func(ctx context.Context, cfg *config.Config) error {
		p.compare(cfg, o)
		return p.doctor(ctx, cfg, p.out)
	})
}

func (p program) runAudit(o options) int {
	return p.work(o, exitOther, func(ctx context.Context, cfg *config.Config) error {
		return p.audit(ctx, cfg, o.audit, p.out)
	})
}

// work reads the config and does something with it until it is done or a signal comes. An error without an exit code of its own
// has the one given.
func (p program) work(o options, otherwise int, do func(context.Context, *config.Config) error) int {
	cfg, code := p.load(o)
	if cfg == nil {
		return code
	}
	ctx, stop := p.untilSignal()
	defer stop()
	err := do(ctx, cfg)
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, bot.ErrAuditOptions):
		return p.fail(err, exitUsage)
	}
	return p.fail(err, otherwise)
}

func (p program) runCheck() int {
	malformed, err := p.check(p.in, p.out)
	if err != nil {
		return p.fail(err, exitOther)
	}
	if malformed > 0 {
		return exitOther
	}
	return exitDone
}

// load reads the config and tells the operator what is wrong with it. Without a config, the exit code counts.
func (p program) load(o options) (*config.Config, int) {
	cfg, warnings, err := config.Load(o.config, p.environ)
	for _, warning := range warnings {
		fmt.Fprintln(p.err, "usher: warning:", warning)
	}
	if err != nil {
		return nil, p.fail(err, exitConfig)
	}
	return cfg, exitDone
}

// compare warns where a registration is there but not what the config calls for.
func (p program) compare(cfg *config.Config, o options) {
	for _, r := range registrations(cfg, o.registration) {
		switch differs, err := r.file.Differs(r.path); {
		case errors.Is(err, fs.ErrPermission):
			fmt.Fprintf(p.err, "usher: warning: %s can't be read, so it is not compared with %s\n", r.path, o.config)
		case differs || err != nil && !errors.Is(err, fs.ErrNotExist):
			fmt.Fprintf(p.err, "usher: warning: %s is not what usher -g writes from %s: move it away, write it anew, and give that to the homeserver\n",
				r.path, o.config)
		}
	}
}

// untilSignal returns a context that ends with the first SIGINT or SIGTERM. The second ends the process at once.
func (p program) untilSignal() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		fmt.Fprintln(p.err, "usher: stopping once the work under way is done; a second signal stops at once")
		cancel()
		second := <-signals
		code := exitOther
		if number, ok := second.(syscall.Signal); ok {
			code = 128 + int(number)
		}
		os.Exit(code)
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel()
	}
}
