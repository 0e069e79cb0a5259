//go:build !linux

package child

import (
	"os/exec"
	"syscall"
)

// prepare puts the child into a process group of its own, since Ctrl-C is for the parent, which ends its children in
// order. That it ends with a killed parent is known on Linux only.
func prepare(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
}
