package child

import (
	"os/exec"
	"syscall"
)

// prepare puts the child into a process group of its own, since Ctrl-C is for the parent, which ends its children in
// order; and has the kernel end it when the parent is killed, as `go test` is at its time limit.
func prepare(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
}
