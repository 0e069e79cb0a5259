package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	_ "embed"

	"usher/config"
	"usher/connect"
	"usher/operator"
)

//go:embed registration.yaml.example
var exampleRegistration []byte

// TestMain is Usher itself when a test starts it as a process.
func TestMain(m *testing.M) {
	if mode := os.Getenv("BE_USHER"); mode != "" {
		p := program{in: os.Stdin, out: os.Stdout, err: os.Stderr, environ: os.Environ()}
		p.tasks = run(func(ctx context.Context) error {
			fmt.Println("running")
			if mode == "talkative" { // its output is a pipe that nobody reads
				for ctx.Err() == nil {
					fmt.Println("a line")
					fmt.Fprintln(os.Stderr, "a line")
					time.Sleep(time.Millisecond)
				}
			}
			<-ctx.Done()
			fmt.Println("draining")
			switch mode {
			case "stuck":
				select {}
			case "slow":
				time.Sleep(300 * time.Millisecond)
			}
			return nil
		})
		if well := p.tasks[""]; mode == "reloads" {
			p.tasks[""] = func(ctx context.Context, cfg *config.Config, o options, out io.Writer) error {
				go func() {
					for range o.reload {
						fmt.Println("reading")
					}
				}()
				return well(ctx, cfg, o, out)
			}
		}
		os.Exit(p.main(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// run is a program whose only task is to run Usher.
func run(f func(context.Context) error) map[string]task {
	return map[string]task{"": func(ctx context.Context, _ *config.Config, _ options, _ io.Writer) error { return f(ctx) }}
}

// usher runs a command line in the current folder.
func usher(t *testing.T, p program, args ...string) (code int, out, said string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	p.out, p.err = &stdout, &stderr
	code = p.main(args)
	return code, stdout.String(), stderr.String()
}

func TestExampleIsComplete(t *testing.T) {
	text, err := config.Example(exampleConfig, rand.New(rand.NewSource(1)), config.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := config.Parse("config.example.yaml", text, nil)
	if err != nil {
		t.Fatal(err)
	}
	// "What is left out has the value shown here": so what is shown is the default, save what is required.
	want := config.Default()
	want.Homeserver = config.Homeserver{Address: "http://localhost:8008", Domain: "example.org"}
	want.Permissions = config.Permissions{"*": config.LevelNone, "example.org": config.LevelUser}
	want.Appservice.ASToken, want.Appservice.HSToken = got.Appservice.ASToken, got.Appservice.HSToken
	want.Encryption.PickleKey, want.Antispam.Token, want.Mail.Key = got.Encryption.PickleKey, got.Antispam.Token, got.Mail.Key
	want.Puppet.ASToken, want.Puppet.HSToken, want.Puppet.AutoJoin = got.Puppet.ASToken, got.Puppet.HSToken, []string{}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the example says %+v, the default is %+v", got, want)
	}
	if strings.Contains(string(text), "<random>") || len(got.Appservice.ASToken.Reveal()) != 64 {
		t.Error("placeholders are left")
	}
}

func TestExampleAsItStandsIsRefused(t *testing.T) {
	_, _, err := config.Parse("config.example.yaml", exampleConfig, nil)
	var faults *config.Faults
	if !errors.As(err, &faults) || len(faults.List) != 3 {
		t.Errorf("want a fault for each secret that is needed, got %v", err)
	}
}

func TestExampleRegistrationIsWhatIsWritten(t *testing.T) {
	c := config.Default()
	c.Homeserver.Domain = "example.org"
	c.Appservice.ASToken, c.Appservice.HSToken = "<random>", "<random>"
	got, err := config.ParseRegistration(exampleRegistration)
	if want := config.Registration(c); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %#v\nwant %#v", err, got, want)
	}
}

func TestSetUp(t *testing.T) {
	t.Chdir(t.TempDir())
	p := program{environ: []string{"USHER_PUPPET__ENABLED=true", "USHER_HOMESERVER__DOMAIN=my.example"}}
	if code, out, _ := usher(t, p, "-e", "-c", "c.yaml", "-r", "r.yaml"); code != 0 || !strings.Contains(out, "usher -g -c c.yaml -r r.yaml") {
		t.Fatal(code, out)
	}
	if code, out, stderr := usher(t, p, "-g", "-c", "c.yaml", "-r", "r.yaml"); code != 0 || !strings.Contains(out, "r.yaml and r-puppet.yaml") {
		t.Fatal(code, out, stderr)
	}
	for _, file := range []string{"c.yaml", "r.yaml", "r-puppet.yaml"} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
	}
	if code, _, stderr := usher(t, p, "-e", "-c", "c.yaml"); code != exitFile || !strings.Contains(stderr, "c.yaml exists already") {
		t.Error(code, stderr)
	}
	if code, out, stderr := usher(t, p, "-g", "-c", "c.yaml", "-r", "r.yaml"); code != 0 || !strings.Contains(out, "r.yaml is there already") || strings.Contains(out, "Wrote") {
		t.Error(code, out, stderr)
	}
	if err := os.Remove("r-puppet.yaml"); err != nil {
		t.Fatal(err)
	}
	if code, out, stderr := usher(t, p, "-g", "-c", "c.yaml", "-r", "r.yaml"); code != 0 || !strings.Contains(out, "Wrote r-puppet.yaml.") {
		t.Error("the missing one:", code, out, stderr)
	}
	if err := os.Remove("r.yaml"); err != nil {
		t.Fatal(err)
	}
	other := program{environ: append(p.environ, "USHER_PUPPET__ID=other")}
	if code, _, stderr := usher(t, other, "-g", "-c", "c.yaml", "-r", "r.yaml"); code != exitFile || !strings.Contains(stderr, "r-puppet.yaml exists already") {
		t.Error(code, stderr)
	}
	if _, err := os.Stat("r.yaml"); err == nil {
		t.Error("wrote one of two")
	}
	if code, _, stderr := usher(t, p, "-e", "-c", "no/such/folder"); code != exitFile || !strings.Contains(stderr, "can't be written") {
		t.Error(code, stderr)
	}
}

func TestFirstRun(t *testing.T) {
	steps := func(t *testing.T, p program, want ...string) {
		p.tasks = run(func(context.Context) error { return errors.New("running") })
		for _, w := range want {
			code, out, stderr := usher(t, p, "--first-run")
			if all := fmt.Sprint(code, out, stderr); !strings.Contains(all, w) {
				t.Errorf("no %q in %s", w, all)
			}
		}
	}
	t.Run("by hand", func(t *testing.T) {
		t.Chdir(t.TempDir())
		steps(t, program{}, "0Wrote config.yaml.\nSet homeserver.address", "0config.yaml still has the domain of the example", "0config.yaml still has")
		if _, err := os.Stat("registration.yaml"); err == nil {
			t.Error("wrote a registration for the domain of the example")
		}
		text, err := os.ReadFile("config.yaml")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("config.yaml", bytes.ReplaceAll(text, []byte(config.ExampleDomain), []byte("my.example")), 0o600); err != nil {
			t.Fatal(err)
		}
		steps(t, program{}, "0Wrote registration.yaml. Next:", "running")
	})
	t.Run("the domain of the example on purpose", func(t *testing.T) {
		t.Chdir(t.TempDir())
		steps(t, program{environ: []string{"USHER_HOMESERVER__DOMAIN=example.org"}}, "0Wrote config.yaml.\nWrote registration.yaml. Next:", "running")
	})
	t.Run("by environment", func(t *testing.T) {
		t.Chdir(t.TempDir())
		steps(t, program{environ: []string{"USHER_HOMESERVER__DOMAIN=my.example", "USHER_HOMESERVER__ADDRESS=http://hs:8008"}},
			"0Wrote config.yaml.\nWrote registration.yaml. Next:", "running")
		c, warnings, err := config.Load("config.yaml", nil) // the file alone says all of it
		if err != nil || len(warnings) > 0 || c.Homeserver.Domain != "my.example" || c.Homeserver.Address != "http://hs:8008" ||
			c.Appservice.Listen != "0.0.0.0:29339" || c.Appservice.Address != "http://usher:29339" || c.Permissions.Level("@a:my.example") != config.LevelUser {
			t.Errorf("%+v %v %v", c, warnings, err)
		}
	})
	t.Run("who may use it", func(t *testing.T) {
		t.Chdir(t.TempDir())
		steps(t, program{environ: []string{"USHER_HOMESERVER__DOMAIN=my.example"}}, "everybody of my.example so far, and nobody as its operator", "running")
	})
	t.Run("puppet later", func(t *testing.T) {
		t.Chdir(t.TempDir())
		env := []string{"USHER_HOMESERVER__DOMAIN=my.example"}
		steps(t, program{environ: env}, "Wrote registration.yaml", "running")
		steps(t, program{environ: append(env, "USHER_PUPPET__ENABLED=true")}, "Wrote registration-puppet.yaml. Next", "running")
	})
	t.Run("wrong", func(t *testing.T) {
		t.Chdir(t.TempDir())
		steps(t, program{environ: []string{"USHER_HOMESERVER__DOMAIN=my example"}}, "no server name", "no server name")
	})
}

func TestExitCodes(t *testing.T) {
	t.Chdir(t.TempDir())
	environ := []string{"USHER_HOMESERVER__DOMAIN=my.example"}
	if code, _, stderr := usher(t, program{environ: environ}, "-e"); code != 0 {
		t.Fatal(stderr)
	}
	returns := func(err error) program {
		do := func(context.Context, *config.Config, options, io.Writer) error { return err }
		return program{environ: environ, tasks: map[string]task{"": do, "doctor": do, "audit": do, "quarantine": do}}
	}
	with := func(in io.Reader) program { return program{in: in} }
	tests := []struct {
		name string
		p    program
		args []string
		code int
		says string
	}{
		{"run", returns(nil), nil, exitDone, ""},
		{"help", program{}, []string{"-h"}, exitDone, "--first-run"},
		{"help of a command", program{}, []string{"audit", "--help"}, exitDone, "--since"},
		{"help by its word", program{}, []string{"help", "audit"}, exitDone, "--since"},
		{"version by its word", program{}, []string{"version"}, exitDone, "usher dev"},
		{"a shell's completion", program{}, []string{"__complete", "doc"}, exitDone, "doctor"},
		{"completion for fish", program{}, []string{"completion", "fish"}, exitDone, "fish completion for usher"},
		{"flags before the command", returns(nil), []string{"--config=config.yaml", "--json", "doctor"}, exitDone, ""},
		{"values before the command", returns(nil), []string{"--since", "7d", "audit"}, exitDone, ""},
		{"a long flag with one dash", program{}, []string{"-config", "none.yaml"}, exitConfig, "none.yaml"},
		{"and with its value", program{}, []string{"-config=none.yaml", "doctor"}, exitConfig, "none.yaml"},
		{"version", program{}, []string{"--version"}, exitDone, "usher dev"},
		{"unknown flag", program{}, []string{"-x"}, exitUsage, "usher -h"},
		{"two things at once", program{}, []string{"-e", "-g"}, exitUsage, "one thing at a time"},
		{"a command and another thing", program{}, []string{"doctor", "-g"}, exitUsage, "-g"},
		{"unknown word", program{}, []string{"dctor"}, exitUsage, `unknown argument "dctor"; did you mean doctor?`},
		{"word too many", program{}, []string{"doctor", "now"}, exitUsage, `unknown argument "now"`},
		{"no config", program{}, []string{"-c", "none.yaml"}, exitConfig, "usher -e -c none.yaml"},
		{"wrong config", program{environ: []string{"USHER_DATABASE__TYPE=x"}}, nil, exitConfig, "$USHER_DATABASE__TYPE"},
		{"doctor with a wrong config", program{environ: []string{"USHER_DATABASE__TYPE=x"}}, []string{"doctor"}, exitConfig, "$USHER_DATABASE__TYPE"},
		{"token", returns(fmt.Errorf("while: %w", operator.ErrTokenRefused)), nil, exitToken, "usher -g"},
		{"homeserver", returns(operator.ErrHomeserverUnreachable), nil, exitHomeserver, "homeserver.address"},
		{"database", returns(connect.ErrDatabase), nil, exitDatabase, "database.uri"},
		{"port", returns(connect.ErrListen), nil, exitListen, "appservice.listen"},
		{"other", returns(errors.New("odd")), nil, exitOther, "usher: odd"},
		{"doctor", returns(nil), []string{"doctor"}, exitDone, ""},
		{"doctor finds something", returns(errors.New("2 steps failed")), []string{"doctor"}, exitDoctor, "2 steps failed"},
		{"doctor without database", returns(connect.ErrDatabase), []string{"doctor"}, exitDatabase, ""},
		{"check", with(strings.NewReader("")), []string{"check"}, exitDone, ""},
		{"check can't read", with(iotest.ErrReader(errors.New("read"))), []string{"check"}, exitOther, "read"},
		{"check of malformed lines", with(strings.NewReader("{")), []string{"check"}, exitOther, ""},
		{"a changed audit", returns(operator.ErrAuditBroken), []string{"audit", "--verify"}, exitAudit, ""},
		{"audit with wrong options", returns(operator.ErrAuditOptions), []string{"audit", "--format", "xml"}, exitUsage, ""},
		{"quarantine", program{environ: environ, tasks: map[string]task{
			"quarantine": func(_ context.Context, _ *config.Config, _ options, out io.Writer) error {
				fmt.Fprint(out, "{}")
				return nil
			},
		}}, []string{"quarantine"}, exitDone, "{}"},
		{"quarantine without database", returns(connect.ErrDatabase), []string{"quarantine"}, exitDatabase, "database.uri"},
		{"audit's flags are its own", program{}, []string{"--since", "7d"}, exitUsage, "usher -h"},
		{"nobody lives", program{environ: append(environ, "USHER_APPSERVICE__LISTEN=unix:/nowhere/usher.sock")}, []string{"live"}, exitOther, "no answer at unix:/nowhere/usher.sock"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, out, stderr := usher(t, tt.p, tt.args...)
			if code != tt.code || !strings.Contains(out+stderr, tt.says) {
				t.Errorf("code %d, want %d with %q; said %s%s", code, tt.code, tt.says, out, stderr)
			}
		})
	}
}

func TestStaleRegistrationIsWarnedOf(t *testing.T) {
	t.Chdir(t.TempDir())
	p := program{
		environ: []string{"USHER_HOMESERVER__DOMAIN=my.example"},
		tasks:   run(func(context.Context) error { return nil }),
	}
	usher(t, p, "-e")
	usher(t, p, "-g")
	if code, _, stderr := usher(t, p); code != 0 || stderr != "" {
		t.Error(code, stderr)
	}
	p.environ = append(p.environ, "USHER_APPSERVICE__ADDRESS=http://elsewhere:1")
	if code, _, stderr := usher(t, p); code != 0 || !strings.Contains(stderr, "registration.yaml differs from config.yaml in url:") {
		t.Error(code, stderr)
	}
}

func TestLive(t *testing.T) {
	t.Chdir(t.TempDir())
	environ := []string{"USHER_HOMESERVER__DOMAIN=my.example"}
	usher(t, program{environ: environ}, "-e")
	status := http.StatusOK
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/_matrix/mau/live" {
			t.Error(r.URL)
		}
		w.WriteHeader(status)
	})
	for _, listen := range []string{"tcp", "unix"} {
		address := "127.0.0.1:0"
		if listen == "unix" {
			address = filepath.Join(t.TempDir(), "s")
		}
		l, err := net.Listen(listen, address)
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: handler}
		go func() { _ = server.Serve(l) }()
		setting := "USHER_APPSERVICE__LISTEN=unix:" + address
		if listen == "tcp" { // as in a container: every interface
			_, port, _ := net.SplitHostPort(l.Addr().String())
			setting = "USHER_APPSERVICE__LISTEN=0.0.0.0:" + port
		}
		p := program{environ: append(environ, setting)}
		status = http.StatusOK
		if code, _, stderr := usher(t, p, "live"); code != 0 {
			t.Error(listen, code, stderr)
		}
		status = http.StatusServiceUnavailable
		if code, _, _ := usher(t, p, "live"); code != exitOther {
			t.Error(listen, code)
		}
		_ = server.Close()
	}
}

func TestSignals(t *testing.T) {
	// A program that the parent has told to ignore SIGHUP, as nohup does, tells its children so. One with a handler does not.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	for _, tt := range []struct {
		name    string
		mode    string
		signals []syscall.Signal
		code    int
	}{
		{"SIGTERM drains", "well", []syscall.Signal{syscall.SIGTERM}, 0},
		{"SIGINT drains", "well", []syscall.Signal{syscall.SIGINT}, 0},
		{"SIGHUP drains", "well", []syscall.Signal{syscall.SIGHUP}, 0},
		{"SIGHUP has the config read where inbound is on", "reloads", []syscall.Signal{syscall.SIGHUP, syscall.SIGHUP, syscall.SIGTERM}, 0},
		{"a terminal that closes sends more than one SIGHUP", "slow", []syscall.Signal{syscall.SIGHUP, syscall.SIGHUP}, 0},
		{"a second signal stops at once", "stuck", []syscall.Signal{syscall.SIGTERM, syscall.SIGTERM}, 143},
		{"whichever it is", "stuck", []syscall.Signal{syscall.SIGTERM, syscall.SIGINT}, 130},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			environ := []string{"USHER_HOMESERVER__DOMAIN=my.example"}
			usher(t, program{environ: environ}, "-e")
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), append(environ, "BE_USHER="+tt.mode)...)
			if tt.mode == "reloads" {
				cmd.Env = append(cmd.Env, "USHER_ANTISPAM__ENABLED=true", "USHER_INBOUND__ENABLED=true")
			}
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(stdout)
			for _, s := range tt.signals { // each once the one before has shown: "running", "reading", "draining"
				lines.Scan()
				if err := cmd.Process.Signal(s); err != nil {
					t.Fatal(err)
				}
			}
			for lines.Scan() {
			}
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != tt.code {
				t.Errorf("code %d, want %d", code, tt.code)
			}
		})
	}
}

// TestLogWithoutReader: a program that reads the log ends. Usher goes on, and stops as asked.
func TestLogWithoutReader(t *testing.T) {
	t.Chdir(t.TempDir())
	environ := []string{"USHER_HOMESERVER__DOMAIN=my.example"}
	usher(t, program{environ: environ}, "-e")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), append(environ, "BE_USHER=talkative")...)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = writer, writer
	if err := errors.Join(cmd.Start(), writer.Close()); err != nil {
		t.Fatal(err)
	}
	bufio.NewScanner(reader).Scan() // it runs
	_ = reader.Close()
	time.Sleep(200 * time.Millisecond)
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
