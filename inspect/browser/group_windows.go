package browser

import (
	"os"
	"os/exec"
	"strconv"
)

// Windows has no process groups to kill; taskkill walks the tree of children.
func ownGroup(*exec.Cmd) {}

func killGroup(p *os.Process) {
	exec.Command("taskkill", "/T", "/F", "/PID", strconv.Itoa(p.Pid)).Run()
	p.Kill()
}
