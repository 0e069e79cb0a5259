package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"

	"usher/config"
	"usher/operator"
)

// options are the parsed command line.
type options struct {
	command                  string // empty: run
	config, registration     string
	example, register, first bool
	settings                 config.Settings // of a new config
	audit                    operator.AuditOptions
	json                     bool
	plan                     operator.PlanOptions
	reload                   chan struct{} // has a value when the config and the files of plans are to be read again; nil: a hang-up stops Usher
}

const description = "Usher is the doorkeeper of Matrix rooms: an application service through which people are invited and let in, by the\n" +
	"rules that each room has."

const examples = `  usher -e --domain example.org   write a config with fresh random tokens
  usher -g                        write the homeserver's registration from the config
  usher doctor                    check the set-up, step by step
  usher                           run

Environment variables override the config (USHER_HOMESERVER__ADDRESS=…). docs/operations.md tells the rest.`

// commandLine describes the command line. Help, parsing and the completion of shells come from this description. The command that runs
// writes its exit code to code.
func (p program) commandLine(code *int) *cobra.Command {
	o := options{settings: p.settings()}
	root := &cobra.Command{
		Use: "usher", Short: "The doorkeeper of Matrix rooms", Long: description, Example: examples, Version: fullVersion(),
		Args: noArguments, SilenceErrors: true, SilenceUsage: true, SuggestionsMinimumDistance: 2,
		RunE: func(*cobra.Command, []string) error { return p.root(o, code) },
	}
	root.SetVersionTemplate("usher {{.Version}}\n")
	root.SetOut(p.out)
	root.SetErr(p.err)
	all := root.PersistentFlags()
	all.StringVarP(&o.config, "config", "c", "config.yaml", "`file` of the config")
	all.StringVarP(&o.registration, "registration", "r", "registration.yaml", "`file` of the registration")
	flags := root.Flags()
	flags.BoolVarP(&o.example, "generate-example-config", "e", false, "write an example config")
	flags.StringVar(&o.settings.Domain, "domain", o.settings.Domain, "with -e: the server `name`, the part of Matrix IDs after the colon")
	flags.StringVar(&o.settings.HomeserverAddress, "address", o.settings.HomeserverAddress, "with -e: the homeserver's `url`, as seen from Usher")
	flags.BoolVarP(&o.register, "generate-registration", "g", false, "write the registrations that are missing")
	flags.BoolVar(&o.first, "first-run", false, "for containers: write what is missing, say what to do with it, and only run once nothing is")
	flags.BoolP("version", "v", false, "print the version")
	flags.SortFlags = false
	add := func(name, short string, run func(options) int) *pflag.FlagSet {
		c := &cobra.Command{Use: name, Short: short, Args: noArguments, RunE: func(*cobra.Command, []string) error {
			o.command = name
			*code = run(o)
			return nil
		}}
		root.AddCommand(c)
		c.Flags().SortFlags = false
		return c.Flags()
	}
	add("doctor", "Check the set-up, step by step", p.do).BoolVar(&o.json, "json", false, "print the steps as JSON objects, one a line")
	add("live", "Ask the running Usher whether it lives (for health checks)", p.live)
	audit := add("audit", "List what was decided and done", p.do)
	audit.StringVar(&o.audit.Room, "room", "", "only in the room with this `id` (!…)")
	audit.StringVar(&o.audit.User, "user", "", "only about or by this `user` (@name:server)")
	audit.StringVar(&o.audit.Since, "since", "", "only since a `time`: 7d, 2026-01-31 or 2026-01-31T12:00:00Z")
	audit.StringVar(&o.audit.Format, "format", "jsonl", "jsonl or csv")
	audit.BoolVar(&o.audit.Verify, "verify", false, "instead: see whether the list is as Usher wrote it")
	audit.StringVar(&o.audit.Head, "head", "", "with --verify: and holds this `hash` from the log")
	p.planCommands(add, &o)
	add("quarantine", "List events that could not be decoded, in lines of JSON", p.do)
	add("check", "Judge rooms on standard input by the Matrix authorization rules (docs/check.md); needs no config", func(options) int { return p.check() })
	folder := "."
	add("man", "Write the manual pages", func(options) int {
		root.DisableAutoGenTag = true
		// Like a build, the pages name the time in SOURCE_DATE_EPOCH.
		if err := doc.GenManTree(root, &doc.GenManHeader{Title: "USHER", Section: "1", Source: "usher " + fullVersion()}, folder); err != nil {
			return p.fail(err, exitFile)
		}
		return exitDone
	}).StringVar(&folder, "to", ".", "the `folder`")
	add("version", "Print the version", func(options) int {
		fmt.Fprintln(p.out, "usher", fullVersion())
		return exitDone
	})
	return root
}

// planCommands describes the commands about plans.
func (p program) planCommands(add func(name, short string, run func(options) int) *pflag.FlagSet, o *options) {
	o.plan.Color = isTerminal(p.out) && p.variable("NO_COLOR", "") == ""
	o.plan.CI = !slices.Contains([]string{"", "false", "0"}, p.variable("CI", ""))
	common := func(flags *pflag.FlagSet) {
		flags.StringArrayVarP(&o.plan.Files, "file", "f", nil, "the plan, a `file` (docs/plan.md); may be given several times; left out: plan.files of the config")
		flags.BoolVar(&o.plan.JSON, "json", false, "print one JSON object for each file")
	}
	plan := add("plan", "Show how rooms differ from a file that says who is in them", p.do)
	common(plan)
	plan.BoolVar(&o.plan.Detailed, "detailed-exitcode", false, "exit with 2 if there are changes")
	apply := add("apply", "Have the running Usher carry such a file out", p.do)
	common(apply)
	apply.IntVar(&o.plan.Confirm, "confirm", 0, "the `number` of people that you mean to remove, where they are many")
	apply.BoolVar(&o.plan.Yes, "yes", false, "also where CI is set in the environment: without it, only show the difference there")
	add("sync", "Have the running Usher compare the files of its config with their rooms now", p.do)
}

// isTerminal reports whether a writer is a terminal.
func isTerminal(out io.Writer) bool {
	file, is := out.(*os.File)
	if !is {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// root runs Usher, or does the one other thing that the flags ask for.
func (p program) root(o options, code *int) error {
	given := 0
	for _, one := range []bool{o.example, o.register, o.first} {
		if one {
			given++
		}
	}
	switch {
	case given > 1:
		return errors.New("one thing at a time: -e, -g or --first-run")
	case o.example:
		*code = p.writeExample(o)
	case o.register:
		*code = p.writeRegistrations(o)
	case o.first:
		var done bool
		if *code, done = p.firstRun(o); done {
			return nil
		}
		fallthrough
	default:
		*code = p.do(o)
	}
	return nil
}

// noArguments refuses arguments: none of the commands takes any.
func noArguments(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if near := c.Root().SuggestionsFor(args[0]); len(near) > 0 {
		return fmt.Errorf("unknown argument %q; did you mean %s?", args[0], near[0])
	}
	return fmt.Errorf("unknown argument %q", args[0])
}

// tidy puts the first argument, which may be a command, before the flags, and gives long flags their second dash: flags may stand anywhere, and pflag takes -config x for -c onfig.
func tidy(root *cobra.Command, args []string) []string {
	args = slices.Clone(args)
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if !strings.HasPrefix(arg, "-") {
			return append([]string{arg}, slices.Delete(args, i, i+1)...)
		}
		name, _, whole := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		flag := findFlag(root, name)
		if flag == nil {
			continue
		}
		if len(name) > 1 && !strings.HasPrefix(arg, "--") {
			args[i] = "-" + arg
		}
		if !whole && flag.NoOptDefVal == "" {
			i++ // its value
		}
	}
	return args
}

// findFlag returns a flag of any command by its long or short name, nil if there is none.
func findFlag(root *cobra.Command, name string) *pflag.Flag {
	for _, c := range append([]*cobra.Command{root}, root.Commands()...) {
		for _, flags := range []*pflag.FlagSet{c.PersistentFlags(), c.Flags()} {
			if flag := flags.Lookup(name); flag != nil {
				return flag
			}
			if len(name) == 1 && flags.ShorthandLookup(name) != nil {
				return flags.ShorthandLookup(name)
			}
		}
	}
	return nil
}
