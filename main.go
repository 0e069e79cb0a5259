// Command usher keeps the doors of Matrix rooms: an application service bot for invitations.
//
// This package reads the command line, handles signals, writes the first config and registrations, and turns errors into
// exit codes. The work itself is in package bot and, for the operator's subcommands, in package operator.
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
	"usher/check"
	"usher/config"
	"usher/operator"
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
  usher audit                   list what was decided and done (--room, --user, --since 7d, --format jsonl or csv);
                                with --verify see whether the list is as Usher wrote it (--head: and holds a hash from the log)
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

// options are the parsed command line.
type options struct {
	command                                 string // empty: run
	config, registration                    string
	example, register, version, help, first bool
	audit                                   operator.AuditOptions
}

// task does one subcommand with the config, and prints its result on out.
type task func(ctx context.Context, cfg *config.Config, o options, out io.Writer) error

// program is the process around Usher. A test replaces its parts.
type program struct {
	in       io.Reader
	out, err io.Writer
	environ  []string
	tasks    map[string]task // by subcommand; "" runs Usher
}

func main() {
	p := program{os.Stdin, os.Stdout, os.Stderr, os.Environ(), map[string]task{
		"": func(ctx context.Context, cfg *config.Config, _ options, _ io.Writer) error {
			return bot.Run(ctx, cfg, fullVersion())
		},
		"doctor": func(ctx context.Context, cfg *config.Config, _ options, out io.Writer) error {
			return operator.Doctor(ctx, cfg, out)
		},
		"audit": func(ctx context.Context, cfg *config.Config, o options, out io.Writer) error {
			return operator.Audit(ctx, cfg, o.audit, out)
		},
		"quarantine": func(ctx context.Context, cfg *config.Config, _ options, out io.Writer) error {
			return operator.Quarantine(ctx, cfg, out)
		},
	}}
	os.Exit(p.main(os.Args[1:]))
}

// main does the work of one command line and returns the exit code.
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
	case o.command == "check":
		return p.check()
	case o.command == "live":
		return p.live(o)
	case o.first:
		if code, done := p.firstRun(o); done {
			return code
		}
	}
	return p.do(o)
}

// parse reads the subcommand, if there is one, and the flags.
func parse(args []string) (options, error) {
	var o options
	if len(args) > 0 && slices.Contains([]string{"doctor", "live", "check", "audit", "quarantine"}, args[0]) {
		o.command, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet("usher", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	text := func(to *string, value string, names ...string) {
		for _, name := range names {
			flags.StringVar(to, name, value, "")
		}
	}
	on := func(to *bool, names ...string) {
		for _, name := range names {
			flags.BoolVar(to, name, false, "")
		}
	}
	text(&o.config, "config.yaml", "c", "config")
	text(&o.registration, "registration.yaml", "r", "registration")
	on(&o.example, "e", "generate-example-config")
	on(&o.register, "g", "generate-registration")
	on(&o.version, "v", "version")
	on(&o.first, "first-run")
	if o.command == "audit" {
		text(&o.audit.Room, "", "room")
		text(&o.audit.User, "", "user")
		text(&o.audit.Since, "", "since")
		text(&o.audit.Format, "jsonl", "format")
		text(&o.audit.Head, "", "head")
		on(&o.audit.Verify, "verify")
	}
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		o.help = true
		return o, nil
	case err != nil:
		return o, err
	case flags.NArg() > 0:
		return o, fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	tasks := 0
	for _, given := range []bool{o.command != "", o.example, o.register, o.first} {
		if given {
			tasks++
		}
	}
	if tasks > 1 {
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

// do reads the config and runs the task until it ends or a signal comes.
func (p program) do(o options) int {
	cfg, code := p.load(o)
	if cfg == nil {
		return code
	}
	code = exitOther
	switch o.command {
	case "doctor":
		code = exitDoctor
		p.compare(cfg, o)
	case "":
		p.compare(cfg, o)
		signal.Ignore(syscall.SIGPIPE) // else Go ends the process at the first write to a closed pipe, such as the log of a dead reader
	}
	ctx, stop := p.untilSignal()
	defer stop()
	err := p.tasks[o.command](ctx, cfg, o, p.out)
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, operator.ErrAuditOptions):
		return p.fail(err, exitUsage)
	case errors.Is(err, operator.ErrAuditBroken):
		return p.fail(err, exitAudit)
	}
	return p.fail(err, code)
}

// check judges the rooms on standard input.
func (p program) check() int {
	malformed, err := check.Check(p.in, p.out, words.For("en"))
	if err != nil {
		return p.fail(err, exitOther)
	}
	if malformed > 0 {
		return exitOther
	}
	return exitDone
}

// load reads the config and prints its faults and warnings. The exit code counts only if the config is nil.
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

// compare warns about each registration file that usher -g would write differently now.
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

// untilSignal returns a context that ends with the first SIGINT, SIGTERM or SIGHUP. A second SIGINT or SIGTERM ends the process at
// once. SIGHUP stays ignored where the parent ignores it, as nohup does.
func (p program) untilSignal() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	hangups := make(chan os.Signal, 1)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(hangups, syscall.SIGHUP)
	}
	go func() {
		select {
		case <-signals:
		case <-hangups:
		}
		fmt.Fprintln(p.err, "usher: stopping once the work under way is done; a second SIGINT or SIGTERM stops at once")
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
		signal.Stop(hangups)
		cancel()
	}
}
