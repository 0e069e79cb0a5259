package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/e2e/child"
	"usher/e2e/harness"
)

// planned is a stage with a room that agrees to the plan staff, and a user in it who is not the owner.
type planned struct {
	*stage
	member *harness.Account
}

func newPlanned(t *testing.T) *planned {
	t.Helper()
	p := &planned{stage: newStage(t, false)}
	p.member = p.Account("member")
	p.owner.Invite(p.room, p.member.ID)
	p.member.Join(p.room)
	p.owner.Grant(p.room, 100, p.Usher.Bot)
	p.owner.SetState(p.room, "chat.usher.policy", "", map[string]any{
		"version": 1, "ask": map[string]any{"level": 100}, "plan": map[string]any{"allow": []string{"staff"}}, "whom": map[string]any{"deny_users": []string{"@denied*:*"}},
	})
	return p
}

// write writes the plan.
func (p *planned) write(t *testing.T, name, sources string) {
	t.Helper()
	text := fmt.Sprintf("version: 1\nname: %s\nrooms:\n- room: %q\n  from:\n%s", name, p.room, sources)
	if err := os.WriteFile(filepath.Join(p.Usher.Dir(), "members.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// run runs a command of the program and checks its exit code, and that its output has some texts.
func (p *planned) run(t *testing.T, code int, args string, texts ...string) string {
	t.Helper()
	out, got := p.Usher.Run(t.Context(), strings.Fields(args)...)
	if got != code {
		t.Errorf("usher %s: exit code %d, expected %d\n%s", args, got, code, out)
	}
	for _, text := range texts {
		if !strings.Contains(out, text) {
			t.Errorf("usher %s does not say %q:\n%s", args, text, out)
		}
	}
	return out
}

// power returns a user's power level by name.
func (p *planned) power(t *testing.T, user id.UserID) int {
	t.Helper()
	var levels struct{ Users map[id.UserID]int }
	if err := json.Unmarshal(p.owner.State(p.room, "m.room.power_levels", "").Content, &levels); err != nil {
		t.Fatal(err)
	}
	return levels.Users[user]
}

// TestPlanFromFile: a plan invites, removes, gives power and explains its refusals; the brake holds it; killed in between, each step is done
// once; the second time nothing is left to do.
func TestPlanFromFile(t *testing.T) {
	p := newPlanned(t)
	other, denied := p.Account("other"), p.Account("denied")
	p.owner.Invite(p.room, other.ID)
	other.Join(p.room)
	p.write(t, "staff", fmt.Sprintf("  - exclusive: true\n    members: [%q, %q, %q, {user: %q, power: 50}]\n", p.owner.ID, p.guest.ID, denied.ID, other.ID))
	p.run(t, 2, "plan -f members.yaml --detailed-exitcode", "+ "+string(p.guest.ID), "- "+string(p.member.ID), "power 0 → 50", "policy.whom.user_denied")
	p.is(t, p.room, p.member.ID, "join", p.member.ID)
	p.run(t, 1, "apply -f members.yaml --confirm 2", "plan.confirm")
	p.run(t, 1, "apply -f members.yaml", "plan.brake", "usher apply -f members.yaml --confirm 1")
	p.is(t, p.room, p.member.ID, "join", p.member.ID)

	killed := killAt(p.Usher, 1, true) // the answer to the first step is lost
	type result struct {
		out  string
		code int
	}
	applied := make(chan result, 1)
	go func() {
		out, code := p.Usher.Run(t.Context(), "apply", "-f", "members.yaml", "--confirm", "1")
		applied <- result{out, code}
	}()
	harness.Wait(t, "the first step", killed)
	p.Usher.Kill()
	p.Usher.Tap.Disturb(nil)
	if err := p.Usher.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := <-applied; r.code != 0 || !strings.Contains(r.out, "3 of 3 steps done") {
		t.Fatalf("exit code %d\n%s", r.code, r.out)
	}
	p.is(t, p.room, p.guest.ID, "invite", p.Usher.Bot)
	p.is(t, p.room, p.member.ID, "leave", p.Usher.Bot)
	if power := p.power(t, other.ID); power != 50 {
		t.Errorf("power %d", power)
	}
	p.settled(p.owner, p.room)
	if n := invitations(p.owner, p.room, p.guest.ID); n != 1 {
		t.Errorf("invited %d times", n)
	}
	p.run(t, 0, "plan -f members.yaml --detailed-exitcode", "0 to invite, 0 to remove, 0 power levels")
	p.run(t, 0, "audit", "plan:", "plan.power", `"action":"kick"`)

	p.write(t, "other", fmt.Sprintf("  - members: [%q]\n", p.member.ID))
	p.run(t, 0, "apply -f members.yaml", "policy.plan.allow")
	p.write(t, "staff", "  - members: []\n    exclusive: true\n")
	p.run(t, 1, "apply -f members.yaml", "plan.empty")
	if err := p.Usher.Stop(); err != nil {
		t.Fatal(err)
	}
	p.write(t, "staff", fmt.Sprintf("  - members: [%q]\n", p.member.ID))
	p.run(t, 1, "apply -f members.yaml", "Usher does not run")
}

// TestPlanOnSchedule: the running Usher keeps a room to a plan and reports what it did; a hang-up makes it look at once, and does not stop it;
// a brake holds it, and is told.
func TestPlanOnSchedule(t *testing.T) {
	p := newPlanned(t)
	p.write(t, "staff", fmt.Sprintf("  - members: [%q, %q]\n", p.owner.ID, p.member.ID))
	for path, value := range map[string]any{"plan.files": []string{"members.yaml"}, "plan.room": p.room, "plan.interval": "1h"} {
		if err := p.Usher.Set(path, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Usher.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := p.Usher.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	says := func(texts ...string) func(harness.Event) bool {
		return func(e harness.Event) bool {
			all := e.Room == string(p.room) && e.Sender == string(p.Usher.Bot)
			for _, text := range texts {
				all = all && strings.Contains(e.Field("body"), text)
			}
			return all
		}
	}
	p.write(t, "staff", fmt.Sprintf("  - members: [%q, %q, %q]\n", p.owner.ID, p.member.ID, p.guest.ID))
	p.run(t, 0, "sync", "compares 1 files now")
	p.guest.AwaitInvite(p.room)
	p.owner.Await("the report", says("Plan ", "staff", "invited", "guest"))

	p.write(t, "staff", fmt.Sprintf("  - members: [%q, %q]\n    exclusive: true\n", p.owner.ID, p.member.ID))
	told := make(chan struct{})
	go func() { // again where the first look came before the room's members were known
		for {
			_ = syscall.Kill(p.Usher.PID(), syscall.SIGHUP)
			select {
			case <-told:
				return
			case <-time.After(5 * time.Second):
			}
		}
	}()
	p.owner.Await("the brake", says("1 of 3 people", "usher apply -f members.yaml --confirm 1", "plan.brake"))
	close(told)
	p.is(t, p.room, p.guest.ID, "invite", p.Usher.Bot)
}

// directory is a real slapd on loopback with people of one suffix.
type directory struct {
	dir, url, secure string // secure: with TLS from the start
	process          *child.Process
}

// certify writes a self-signed certificate for localhost and its key.
func certify(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"tls.crt": {Type: "CERTIFICATE", Bytes: cert}, "tls.key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// openDirectory starts slapd with entries in LDIF. It listens with TLS, too.
func openDirectory(t *testing.T, uids ...string) *directory {
	t.Helper()
	port, err := child.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	secure, err := child.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	d := &directory{dir: t.TempDir(), url: fmt.Sprintf("ldap://127.0.0.1:%d", port), secure: fmt.Sprintf("ldaps://localhost:%d", secure)}
	certify(t, d.dir)
	config := `include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCertificateFile ` + d.dir + `/tls.crt
TLSCertificateKeyFile ` + d.dir + `/tls.key
database mdb
suffix "dc=usher,dc=test"
rootdn "cn=admin,dc=usher,dc=test"
rootpw secret
directory ` + d.dir + "/db\n"
	entries := "dn: dc=usher,dc=test\nobjectClass: dcObject\nobjectClass: organization\ndc: usher\no: usher\n"
	for _, uid := range uids {
		entries += fmt.Sprintf("\ndn: uid=%s,dc=usher,dc=test\nobjectClass: inetOrgPerson\nuid: %s\ncn: x\nsn: x\n", uid, uid)
	}
	for name, text := range map[string]string{"slapd.conf": config, "people.ldif": entries, "password": "secret\n"} {
		if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(d.dir, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(d.dir, "slapd.conf")
	if out, err := exec.Command("slapadd", "-f", conf, "-l", filepath.Join(d.dir, "people.ldif")).CombinedOutput(); err != nil {
		t.Fatalf("slapadd: %v\n%s", err, out)
	}
	if d.process, err = child.Start(exec.Command("slapd", "-d", "0", "-f", conf, "-h", d.url+"/ "+d.secure+"/"), filepath.Join(d.dir, "slapd.log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.process.Kill)
	harness.Eventually(t, "slapd to listen", func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(d.url, "ldap://"))
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return d
}

// source is a search of the directory as a source of a plan.
func (d *directory) source(domain, filter string) string {
	return d.sourceAt(domain, filter, d.url, "")
}

// sourceAt is a search at one of the directory's addresses, with more settings.
func (d *directory) sourceAt(domain, filter, url, more string) string {
	return fmt.Sprintf("  - exclusive: true\n    ldap: {url: %q, bind_dn: \"cn=admin,dc=usher,dc=test\", password_file: %q, base: \"dc=usher,dc=test\", filter: %q, user: \"@{uid}:%s\"%s}\n",
		url, filepath.Join(d.dir, "password"), filter, domain, more)
}

// TestPlanFromDirectory: people come and go by a real slapd, also over TLS, if its certificate is trusted. A search that finds nobody, and a dead server, remove nobody.
func TestPlanFromDirectory(t *testing.T) {
	p := newPlanned(t)
	local := func(user id.UserID) string { name, _, _ := strings.Cut(string(user[1:]), ":"); return name }
	d := openDirectory(t, strings.ToUpper(local(p.owner.ID)), local(p.guest.ID))
	const people = "(objectClass=inetOrgPerson)"
	trusted := fmt.Sprintf(", ca: %q", filepath.Join(d.dir, "tls.crt"))
	for _, tls := range []struct{ url, more string }{{d.secure, ""}, {strings.ReplaceAll(d.url, "127.0.0.1", "localhost"), ", start_tls: true"}} {
		p.write(t, "staff", d.sourceAt(p.owner.ID.Homeserver(), people, tls.url, tls.more))
		p.run(t, 1, "plan -f members.yaml", "plan.ldap_certificate", "Nothing is done")
		p.write(t, "staff", d.sourceAt(p.owner.ID.Homeserver(), people, tls.url, tls.more+trusted))
		p.run(t, 0, "plan -f members.yaml", "1 to invite, 1 to remove")
	}
	p.write(t, "staff", d.sourceAt(p.owner.ID.Homeserver(), people, strings.Replace(d.secure, "localhost", "127.0.0.1", 1), trusted))
	p.run(t, 1, "plan -f members.yaml", "plan.ldap_certificate") // of another name
	p.write(t, "staff", d.source(p.owner.ID.Homeserver(), people))
	p.run(t, 0, "apply -f members.yaml --confirm 1", "2 of 2 steps done")
	p.is(t, p.room, p.guest.ID, "invite", p.Usher.Bot)
	p.is(t, p.room, p.member.ID, "leave", p.Usher.Bot)
	p.write(t, "staff", d.source(p.owner.ID.Homeserver(), "(uid=nobody)"))
	p.run(t, 1, "apply -f members.yaml --confirm 1", "plan.empty")
	p.write(t, "staff", d.source(p.owner.ID.Homeserver(), "(objectClass=organization)")) // an entry without the attribute
	p.run(t, 1, "apply -f members.yaml --confirm 1", "plan.ldap_attribute")
	d.process.Kill()
	p.write(t, "staff", d.source(p.owner.ID.Homeserver(), "(objectClass=inetOrgPerson)"))
	p.run(t, 1, "apply -f members.yaml --confirm 1", "plan.ldap", "Nothing is done")
	p.is(t, p.room, p.guest.ID, "invite", p.Usher.Bot)
	p.is(t, p.room, p.owner.ID, "join", p.owner.ID)
}
