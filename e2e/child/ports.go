//go:build unix

package child

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// FreePort finds a TCP port on 127.0.0.1 that nobody listens on, and claims it for this process: it is given to nobody else, here
// or in another process that asks in this way, however late it is used. It keeps below the ports that the kernel gives to
// outgoing connections, so that none of those takes it before.
func FreePort() (int, error) {
	for range 1000 {
		port := 20000 + rand.IntN(12000)
		if claimed, err := claim(port); err != nil {
			return 0, err
		} else if claimed && PortFree(port) {
			return port, nil
		}
	}
	return 0, errors.New("no free port between 20000 and 32000")
}

// PortFree reports whether nobody listens on a TCP port of 127.0.0.1.
func PortFree(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	return err == nil && l.Close() == nil
}

// claim takes a port for as long as this process lives, by a lock on a file that all of a user's processes know. It reports
// false when somebody, or this process itself, has it.
func claim(port int) (bool, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("usher-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return false, err
	}
	// The bare descriptor: an os.File would be closed, and the lock with it, when nothing refers to it any more.
	fd, err := syscall.Open(filepath.Join(dir, fmt.Sprint(port)), syscall.O_CREAT|syscall.O_RDONLY|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return false, fmt.Errorf("claiming port %d: %w", port, err)
	}
	if err := syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return false, syscall.Close(fd)
	}
	return true, nil
}
