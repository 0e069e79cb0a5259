// Package pgtest runs a real PostgreSQL server for tests, in a temporary folder and never as root.
//
//	server, err := pgtest.Start() // once a test binary
//	pgtest.Need(t, err)           // skips the test if no server is installed
//	uri := server.Database(t)     // an empty database
//	server.Stop()
package pgtest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
)

// ErrMissing means no PostgreSQL server is installed and that the installation failed.
var ErrMissing = errors.New("pgtest: no PostgreSQL server found")

// dbUser owns the server's databases.
const dbUser = "usher"

// Server is a running PostgreSQL server.
type Server struct {
	bin, dir  string
	port      int
	as        *syscall.SysProcAttr
	cmd       *exec.Cmd
	stdin     io.Closer
	databases atomic.Int64
}

// watch starts the server, prints a line, and stops the server when its standard input ends: at Stop, or at any end of the test
// process.
const watch = `"$1/pg_ctl" -D "$2/data" -l "$2/log" -w -t 60 -o "$3" start >"$2/start" 2>&1 && echo ready
read -r _
"$1/pg_ctl" -D "$2/data" -m immediate -w stop >/dev/null 2>&1
rm -rf "$2"`

// Start initializes and starts a server that listens on a unix socket and on a free loopback port. It returns
// ErrMissing without PostgreSQL. As root on Debian it installs PostgreSQL.
func Start() (*Server, error) {
	bin, err := find()
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, as: &syscall.SysProcAttr{Setpgid: true}}
	if s.dir, err = os.MkdirTemp("", "pgtest"); err != nil {
		return nil, err
	}
	if err := s.start(); err != nil {
		return nil, errors.Join(err, s.Stop(), os.RemoveAll(s.dir))
	}
	return s, nil
}

func (s *Server) start() error {
	if os.Getuid() == 0 {
		if err := s.dropRoot(); err != nil {
			return err
		}
	}
	err := s.run("initdb", "-D", filepath.Join(s.dir, "data"), "-U", dbUser, "--auth=trust", "-E", "UTF8", "--no-locale", "--no-sync")
	if err != nil {
		return err
	}
	if s.port, err = freePort(); err != nil {
		return err
	}
	options := fmt.Sprintf("-k %s -h 127.0.0.1 -p %d -F -c full_page_writes=off -c shared_buffers=16MB -c max_connections=60", s.dir, s.port)
	s.cmd = exec.Command("sh", "-c", watch, "sh", s.bin, s.dir, options)
	s.cmd.SysProcAttr, s.cmd.Dir = s.as, s.dir
	stdin, err := s.cmd.StdinPipe()
	if err != nil {
		return err
	}
	s.stdin = stdin
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
		return fmt.Errorf("pgtest: the server did not start:\n%s", log)
	}
	return nil
}

// dropRoot sets another user for the server, which refuses to run as root.
func (s *Server) dropRoot() error {
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return err
		}
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	s.as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(s.dir, uid, gid)
}

// Stop stops the server and removes its files.
func (s *Server) Stop() error {
	if s.cmd == nil || s.cmd.Process == nil {
		return nil
	}
	return errors.Join(s.stdin.Close(), s.cmd.Wait())
}

// Database creates an empty database for a test and returns its postgres:// URI.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	uri, err := s.Create()
	if err != nil {
		t.Fatal(err)
	}
	return uri
}

// Create creates an empty database and returns its postgres:// URI.
func (s *Server) Create() (string, error) {
	name := "test" + strconv.FormatInt(s.databases.Add(1), 10)
	if err := s.run("createdb", "-h", s.dir, "-p", strconv.Itoa(s.port), "-U", dbUser, name); err != nil {
		return "", err
	}
	return fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s?sslmode=disable", dbUser, s.port, name), nil
}

// run runs one of PostgreSQL's programs.
func (s *Server) run(name string, args ...string) error {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.SysProcAttr, cmd.Dir = s.as, s.dir
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("pgtest: %s: %w\n%s", name, err, &output)
	}
	return nil
}

// Need ends a test without a server. It skips the test with a notice if PostgreSQL is not installed. After any other error, and in CI
// (the environment variable CI is not empty), the test fails.
func Need(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, ErrMissing) && os.Getenv("CI") == "":
		fmt.Fprintf(os.Stderr, "*** %s is NOT tested on PostgreSQL: %v ***\n", t.Name(), err)
		t.Skip(err)
	default:
		t.Fatal(err)
	}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}
