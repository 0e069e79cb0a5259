//go:build packages

// Package packaging tests the packages of a release: as root on Debian it builds, installs, runs and removes them. `make test-packages`
// runs it.
package packaging

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"usher/config"
)

const (
	version = "v0.1.2"
	number  = "0.1.2"
)

// release is the folder of a release that TestMain built; source is the checkout.
var release, source string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if source, err = filepath.Abs(".."); err != nil {
			panic(err)
		}
		if made := os.Getenv("USHER_RELEASE"); made != "" { // by hand, to test again
			release = made
			return m.Run()
		}
		if release, err = os.MkdirTemp("", "usher-release-"); err != nil {
			panic(err)
		}
		defer func() { _ = os.RemoveAll(release) }()
		if out, err := exec.Command("./release", version, release).CombinedOutput(); err != nil {
			fmt.Printf("%v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// run runs a program and returns its output. A failure ends the test.
func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// endToEnd runs end-to-end tests with a program in the place of Usher.
func endToEnd(t *testing.T, program, tests string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "test", "-tags", "goolm", "-count=1", "-run", tests, ".")
	cmd.Dir = filepath.Join(source, "e2e")
	cmd.Env = append(os.Environ(), "USHER_E2E_USHER="+program, "USHER_E2E_DENDRITE="+filepath.Join(source, "bin", "dendrite"))
	out, err := cmd.CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("no tests to run")) {
		t.Errorf("%v\n%s", err, out)
	}
}

// script writes a program to stand for Usher. It runs in the folder with config.yaml and has Usher's arguments.
func script(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "usher")
	if err := os.WriteFile(file, []byte("#!/bin/bash\nset -eu\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestReproducible: the same source in another folder, without its history, at another time makes the same bytes.
func TestReproducible(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "another name")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	tracked := run(t, source, "git", "ls-files", "-z")
	copying := exec.CommandContext(t.Context(), "cpio", "--null", "--pass-through", "--make-directories", dir)
	copying.Dir, copying.Stdin = source, strings.NewReader(tracked)
	if out, err := copying.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	again := t.TempDir()
	epoch := strings.TrimSpace(run(t, source, "git", "log", "-1", "--format=%ct"))
	building := exec.CommandContext(t.Context(), "packaging/release", version, again)
	building.Dir, building.Env = dir, append(os.Environ(), "SOURCE_DATE_EPOCH="+epoch, "TZ=Asia/Tokyo", "LC_ALL=C.UTF-8")
	if out, err := building.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	sums := func(dir string) string {
		text, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if first, second := sums(release), sums(again); first != second {
		t.Errorf("other bytes:\n%s\n%s", first, second)
	}
	if n := strings.Count(sums(release), "\n"); n != 10 {
		t.Errorf("%d files, want 4 archives, 2 Debian and 2 RPM packages, a chart and a list of modules:\n%s", n, sums(release))
	}
	run(t, release, "sha256sum", "--check", "--quiet", "SHA256SUMS")
}

// TestDebianPackage installs, runs, upgrades, removes and purges the package.
func TestDebianPackage(t *testing.T) {
	deb := filepath.Join(release, "usher_"+number+"_amd64.deb")
	t.Cleanup(func() {
		_ = exec.CommandContext(context.WithoutCancel(t.Context()), "dpkg", "--purge", "usher").Run()
	})
	if out := run(t, ".", "dpkg", "--install", deb); !strings.Contains(out, "usher -g") {
		t.Errorf("the next steps are not said:\n%s", out)
	}
	if out := run(t, ".", "/usr/bin/usher", "--version"); out != "usher "+version+"\n" {
		t.Error(out)
	}
	stat := func(path string) string { return strings.TrimSpace(run(t, ".", "stat", "--format=%U:%G %a", path)) }
	for path, want := range map[string]string{
		"/etc/usher": "root:usher 750", "/etc/usher/config.yaml": "root:usher 640", "/var/lib/usher": "usher:usher 700", "/usr/bin/usher": "root:root 755",
	} {
		if got := stat(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	for _, page := range []string{"usher", "usher-doctor", "usher-audit"} {
		if out := run(t, ".", "man", "--local-file", "/usr/share/man/man1/"+page+".1.gz"); !strings.Contains(out, "SYNOPSIS") {
			t.Errorf("%s: %s", page, out)
		}
	}
	if out := run(t, ".", "bash", "-c", "source /usr/share/bash-completion/bash_completion; source /usr/share/bash-completion/completions/usher; complete -p usher"); !strings.Contains(out, "usher") {
		t.Error(out)
	}
	const unit = "/usr/lib/systemd/system/usher.service"
	run(t, ".", "systemd-analyze", "verify", "--man=no", unit)
	run(t, ".", "systemd-analyze", "security", "--offline=true", "--threshold=20", unit)

	before, err := os.ReadFile("/etc/usher/config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	// As the unit runs it: the account of the package, without any capability. The doctor is among the tests.
	endToEnd(t, script(t, `chown -R usher: .; chmod go+rx .
exec setpriv --reuid=usher --regid=usher --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all /usr/bin/usher "$@"`), "TestInviteAsActor|TestDoctorOfThisProgram")

	run(t, ".", "dpkg", "--install", deb)
	if after, err := os.ReadFile("/etc/usher/config.yaml"); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the config is not kept over an upgrade: %v", err)
	}
	run(t, ".", "dpkg", "--remove", "usher")
	if _, err := os.Stat("/etc/usher/config.yaml"); err != nil {
		t.Errorf("the config is not kept when the package is removed: %v", err)
	}
	run(t, ".", "dpkg", "--purge", "usher")
	for _, path := range []string{"/etc/usher", "/var/lib/usher", "/usr/bin/usher", unit} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is left", path)
		}
	}
}

// TestRPM: the package has the files of the Debian one.
func TestRPM(t *testing.T) {
	rpm := filepath.Join(release, "usher-"+number+"-1.x86_64.rpm")
	files := strings.Fields(run(t, ".", "rpm", "--query", "--list", "--package", rpm))
	listing := run(t, ".", "dpkg", "--contents", filepath.Join(release, "usher_"+number+"_amd64.deb"))
	n := 0
	for line := range strings.Lines(listing) {
		if fields := strings.Fields(line); !strings.HasPrefix(line, "d") {
			n++
			if path := strings.TrimPrefix(fields[len(fields)-1], "."); !slices.Contains(files, path) {
				t.Errorf("%s is missing", path)
			}
		}
	}
	if n < 10 {
		t.Errorf("%d files:\n%s", n, listing)
	}
	if scripts := run(t, ".", "rpm", "--query", "--scripts", "--package", rpm); !strings.Contains(scripts, "systemd-sysusers") {
		t.Error(scripts)
	}
}

// TestImage builds the image and runs Usher in it, with a root that can't be written, as a user without capabilities. The doctor and
// the health check run in the same container.
func TestImage(t *testing.T) {
	buildah := func(args ...string) string {
		t.Helper()
		return strings.TrimSpace(run(t, ".", "buildah", append([]string{"--storage-driver", "vfs"}, args...)...))
	}
	programs := t.TempDir()
	run(t, programs, "tar", "-xzf", filepath.Join(release, "usher-"+number+"-linux-amd64.tar.gz"), "--strip-components=1")
	run(t, ".", "./image", filepath.Join(programs, "usher"), "usher-test")
	container := buildah("from", "usher-test")
	t.Cleanup(func() {
		for _, args := range [][]string{{"rm", container}, {"rmi", "usher-test"}} {
			_ = exec.CommandContext(context.WithoutCancel(t.Context()), "buildah", append([]string{"--storage-driver", "vfs"}, args...)...).Run()
		}
	})
	root := buildah("mount", container)
	if entries := strings.Fields(run(t, root, "find", ".", "-type", "f")); len(entries) != 2 {
		t.Errorf("the image has other files than the program and the certificates: %v", entries)
	}
	within := script(t, `[ "$(stat -c %u .)" = 10001 ] || chown -R 10001:10001 .
export root="`+root+`" data="$PWD"
exec unshare --mount --propagation private bash -c '
mount --bind "$root" "$root"
mount --bind "$data" "$root/data"
mount -o remount,bind,ro "$root"
mkdir -p /proc
exec unshare --root="$root" --wd=/data --setgid=10001 --setuid=10001 /usher "$@"' usher "$@"`)

	first := t.TempDir()
	firstRun := exec.CommandContext(t.Context(), within, "--first-run", "-c", "/data/config.yaml", "-r", "/data/registration.yaml")
	firstRun.Dir, firstRun.Env = first, append(os.Environ(), "USHER_HOMESERVER__DOMAIN=example.org")
	if out, err := firstRun.CombinedOutput(); err != nil {
		t.Errorf("the first run: %v\n%s", err, out)
	}
	for _, file := range []string{"config.yaml", "registration.yaml"} {
		if info, err := os.Stat(filepath.Join(first, file)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", file, info, err)
		}
	}
	endToEnd(t, within, "TestInviteAsActor|TestDoctorOfThisProgram")
}

// TestChart: helm accepts the chart, and what it renders is a config and registrations that belong together.
func TestChart(t *testing.T) {
	helm := func(args ...string) string {
		t.Helper()
		return run(t, ".", "go", append([]string{"run", "helm.sh/helm/v3/cmd/helm@v3.19.0"}, args...)...)
	}
	chart := filepath.Join(release, "usher-"+number+"-helm.tar.gz")
	set := []string{"--set", "homeserver.address=http://synapse:8008", "--set", "homeserver.domain=my.example.org"}
	helm(append([]string{"lint", "--strict", "helm/usher"}, set...)...)
	if out, err := exec.CommandContext(t.Context(), "go", "run", "helm.sh/helm/v3/cmd/helm@v3.19.0", "template", "usher", chart).CombinedOutput(); err == nil || !bytes.Contains(out, []byte("homeserver.address is required")) {
		t.Errorf("a chart without a homeserver: %v\n%s", err, out)
	}
	for _, more := range [][]string{
		nil,
		{"--set", "puppet.enabled=true", "--set", "database.type=postgres", "--set", "database.uriSecret.name=db", "--set", "replicas=2", "--set", "config.commands.per_minute=7"},
	} {
		files := map[string]string{}
		kinds := map[string]int{}
		reader := yaml.NewDecoder(strings.NewReader(helm(append(append([]string{"template", "usher", chart}, set...), more...)...)))
		for {
			var object struct {
				Kind       string            `yaml:"kind"`
				StringData map[string]string `yaml:"stringData"`
			}
			if reader.Decode(&object) != nil {
				break
			}
			kinds[object.Kind]++
			for name, text := range object.StringData {
				files[name] = text
			}
		}
		if kinds["Secret"] != 3 || kinds["StatefulSet"] != 1 || kinds["Service"] != 1 {
			t.Errorf("objects: %v", kinds)
		}
		belong(t, files, more != nil)
	}
}

// TestRole: the Ansible role renders a config and registrations that belong together.
func TestRole(t *testing.T) {
	dir := t.TempDir()
	play := filepath.Join(dir, "play.yml")
	text := `
- hosts: localhost
  gather_facts: false
  connection: local
  vars:
    ansible_python_interpreter: /usr/bin/python3
    matrix_base_data_path: /matrix
    matrix_domain: my.example.org
    matrix_admin: "@admin:my.example.org"
    matrix_homeserver_container_url: http://matrix-synapse:8008
    matrix_homeserver_container_network: matrix-homeserver
    matrix_homeserver_generic_secret_key: a secret of the test
    matrix_user_name: matrix
    matrix_group_name: matrix
    matrix_user_uid: 991
    matrix_user_gid: 991
    devture_systemd_docker_base_docker_service_name: docker.service
    devture_systemd_docker_base_systemd_unit_home_path: /root
    devture_systemd_docker_base_host_command_docker: /usr/bin/docker
  vars_files: ["ROLE/defaults/main.yml"]
  tasks:
    - ansible.builtin.copy: {content: "{{ item.content | to_nice_yaml(indent=2, width=999999) }}", dest: "DIR/{{ item.file }}"}
      loop:
        - {file: config.yaml, content: "{{ matrix_bot_usher_configuration }}"}
        - {file: registration.yaml, content: "{{ matrix_bot_usher_registration }}"}
        - {file: registration-puppet.yaml, content: "{{ matrix_bot_usher_registration_puppet }}"}
    - ansible.builtin.template: {src: "ROLE/templates/systemd/matrix-bot-usher.service.j2", dest: "DIR/matrix-bot-usher.service"}
`
	role := filepath.Join(source, "packaging", "ansible", "matrix-bot-usher")
	text = strings.NewReplacer("ROLE", role, "DIR", dir).Replace(text)
	if err := os.WriteFile(play, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// lookup('template', 'templates/…') looks beside the play.
	if err := os.Symlink(filepath.Join(role, "templates"), filepath.Join(dir, "templates")); err != nil {
		t.Fatal(err)
	}
	run(t, dir, "ansible-playbook", "--inventory", "localhost,", "--extra-vars",
		`{"matrix_bot_usher_puppet_enabled": true, "matrix_bot_usher_configuration_extension_yaml": "commands: {per_minute: 7}"}`, play)
	files := map[string]string{}
	for _, name := range []string{"config.yaml", "registration.yaml", "registration-puppet.yaml"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(text)
	}
	belong(t, files, true)
	for _, tasks := range []string{"main", "validate_config", "setup_install", "setup_uninstall"} {
		var list []map[string]any
		text, err := os.ReadFile(filepath.Join(role, "tasks", tasks+".yml"))
		if err == nil {
			err = yaml.Unmarshal(text, &list)
		}
		if err != nil || len(list) == 0 {
			t.Errorf("%s: %v", tasks, err)
		}
	}
}

// belong tests that Usher takes a rendered config, and the registrations for it without a warning.
func belong(t *testing.T, files map[string]string, changed bool) {
	t.Helper()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for name, text := range files {
		if err := os.WriteFile(path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var environ []string
	if !strings.Contains(files["config.yaml"], "uri:") { // it comes from a secret
		environ = append(environ, "USHER_DATABASE__URI=postgres://usher@db/usher")
	}
	cfg, warnings, err := config.Load(path("config.yaml"), environ)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v %v\n%s", err, warnings, files["config.yaml"])
	}
	if cfg.Homeserver.Domain != "my.example.org" || cfg.Puppet.Enabled != changed || changed != (cfg.Commands.PerMinute == 7) {
		t.Errorf("the config is %+v", cfg)
	}
	for _, r := range config.Registrations(cfg, path("registration.yaml")) {
		if differences, err := r.Differences(); err != nil || len(differences) > 0 {
			t.Errorf("%s differs in %v: %v\n%s", filepath.Base(r.Path), differences, err, files[filepath.Base(r.Path)])
		}
	}
}

// TestTrial: compose.yaml is as compose has it, as far as that can be tested without an engine: services that depend on each other and
// mount volumes are there.
func TestTrial(t *testing.T) {
	text, err := os.ReadFile("compose/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]struct {
			Depends map[string]any `yaml:"depends_on"`
			Volumes []string
		}
		Volumes map[string]any
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for name, s := range file.Services {
		for other := range s.Depends {
			if _, ok := file.Services[other]; !ok {
				t.Errorf("%s depends on %s, which is missing", name, other)
			}
		}
		for _, volume := range s.Volumes {
			from, _, _ := strings.Cut(volume, ":")
			if _, err := os.Stat(filepath.Join("compose", from)); err == nil {
				continue
			}
			if _, ok := file.Volumes[from]; !ok {
				t.Errorf("%s mounts %s, which is missing", name, from)
			}
		}
	}
}

// TestOtherModule: a module of somebody else uses package room, with Usher's source beside it.
func TestOtherModule(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module example.org/other\n\ngo 1.26\n\nrequire usher v0.0.0\n\nreplace usher => "+source+"\n")
	write("main.go", `package main

import (
	"fmt"

	"usher/room"
)

func main() {
	nothing := room.NewSnapshot(room.State{})
	fmt.Print(room.Authorize(nothing, room.Action{Type: room.Invite, Sender: "@a:example.org", Target: "@b:example.org"}).Verdict)
}
`)
	run(t, dir, "go", "mod", "tidy")
	if out := run(t, dir, "go", "run", "."); out != "unknown" {
		t.Errorf("an empty snapshot is judged %q", out)
	}
}
