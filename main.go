// Command usher keeps the doors of Matrix rooms: an application service bot for invitations.
//
// This package reads the command line, handles signals, writes the first config and registrations, and turns errors into
// exit codes. The work itself is in package bot and, for the operator's subcommands, in package operator.
package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
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
		"": func(ctx context.Context, cfg *config.Config, o options, _ io.Writer) error {
			return bot.Run(ctx, cfg, fullVersion(), bot.Reload{Hangups: o.reload, Read: func() (*config.Config, error) {
				cfg, _, err := config.Load(o.config, os.Environ())
				return cfg, err
			}})
		},
		"plan": func(ctx context.Context, cfg *config.Config, o options, out io.Writer) error {
			return operator.Plan(ctx, cfg, o.plan, out)
		},
		"apply": func(ctx context.Context, cfg *config.Config, o options, out io.Writer) error {
			return operator.Apply(ctx, cfg, o.plan, out)
		},
		"sync": func(ctx context.Context, cfg *config.Config, _ options, out io.Writer) error {
			return operator.Sync(ctx, cfg, out)
		},
		"doctor": func(ctx context.Context, cfg *config.Config, o options, out io.Writer) error {
			return operator.Doctor(ctx, cfg, operator.DoctorOptions{Registration: o.registration, JSON: o.json}, out)
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
	code := exitDone
	root := p.commandLine(&code)
	root.SetArgs(tidy(root, args))
	if err := root.Execute(); err != nil {
		fmt.Fprintf(p.err, "usher: %v\nusher -h shows what there is\n", err)
		return exitUsage
	}
	return code
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
	case "":
		p.compare(cfg, o)
		signal.Ignore(syscall.SIGPIPE) // else Go ends the process at the first write to a closed pipe, such as the log of a dead reader
	}
	if o.command == "" && (len(cfg.Plan.Files) > 0 || cfg.Inbound.Enabled) {
		o.reload = make(chan struct{}, 1)
	}
	ctx, stop := p.untilSignal(o.reload)
	defer stop()
	err := p.tasks[o.command](ctx, cfg, o, p.out)
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, operator.ErrAuditOptions):
		return p.fail(err, exitUsage)
	case errors.Is(err, operator.ErrPlanChanges):
		return exitChanges
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

// compare warns about each registration file that differs from the config in what matters.
func (p program) compare(cfg *config.Config, o options) {
	for _, r := range config.Registrations(cfg, o.registration) {
		switch differences, err := r.Differences(); {
		case errors.Is(err, fs.ErrNotExist):
		case errors.Is(err, fs.ErrPermission):
			fmt.Fprintf(p.err, "usher: warning: %s can't be read, so it is not compared with %s\n", r.Path, o.config)
		case err != nil:
			fmt.Fprintf(p.err, "usher: warning: %s: %v\n", r.Path, err)
		case len(differences) > 0:
			fmt.Fprintf(p.err, "usher: warning: %s differs from %s in %s: move it away, write it anew with usher -g, and give that to the homeserver\n",
				r.Path, o.config, strings.Join(differences, ", "))
		}
	}
}

// untilSignal returns a context that ends with the first SIGINT, SIGTERM or SIGHUP. With reload, each SIGHUP gives it a value instead. A second SIGINT or SIGTERM ends the process at
// once. SIGHUP stays ignored where the parent ignores it, as nohup does.
func (p program) untilSignal(reload chan<- struct{}) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	hangups := make(chan os.Signal, 1)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(hangups, syscall.SIGHUP)
	}
	go func() {
		for waiting := true; waiting; {
			select {
			case <-signals:
				waiting = false
			case <-hangups:
				if waiting = reload != nil; waiting {
					select {
					case reload <- struct{}{}:
					default: // one is on its way
					}
				}
			}
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
