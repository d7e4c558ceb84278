// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// How long a server gets to answer after it was started: the machine may be busy.
const patience = 2 * time.Minute

// bed runs Argo CD's servers and what they need beside a control plane for as long as a command runs.
//
// All files are in one folder inside the control plane's, which goes with it. Every process is a child
// that the kernel kills when this one ends, however that happens; for that all of them are started by
// the main thread, and what the command orders over HTTP is carried out there.
type bed struct {
	folder     string // all files
	kubeconfig string // the administrator's
	url        string // of what runs in this process
	redis      string // addresses
	repoServer string
	metrics    string // the controller's
	controller *child // nil while it does not run
	children   []*child
	orders     chan order
	deaths     chan *child
}

type child struct {
	name  string
	cmd   *exec.Cmd
	ended chan struct{} // closed after its end
}

// order is something that the command asks for; the answer goes to `done`.
type order struct {
	name string
	done chan error
}

func init() {
	// The death of the thread that started a process is what the kernel tells that process of.
	runtime.LockOSThread()
}

// runBed returns the exit status of the command.
func runBed(plane string, manifests []string, command []string) (int, error) {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, uintptr(syscall.SIGTERM), 0); errno != 0 {
		return 0, errno
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)

	b := &bed{
		folder:     filepath.Join(plane, "argocd"),
		kubeconfig: filepath.Join(plane, "admin.kubeconfig"),
		orders:     make(chan order),
		deaths:     make(chan *child, 64),
	}
	if err := os.Mkdir(b.folder, 0o700); err != nil {
		return 0, fmt.Errorf("one Argo CD runs beside a control plane: %w", err)
	}
	defer b.end()
	for _, name := range []string{"tls", "ssh", "gpg", "plugins", "tmp", "repositories/git", "repositories/charts"} {
		if err := os.MkdirAll(filepath.Join(b.folder, name), 0o700); err != nil {
			return 0, err
		}
	}
	started := time.Now()
	if err := b.start(manifests); err != nil {
		return 0, err
	}
	fmt.Fprintf(os.Stderr, "argocd: ready after %.1f s, files in %s\n", time.Since(started).Seconds(), b.folder)

	program := exec.Command(command[0], command[1:]...)
	program.Stdin, program.Stdout, program.Stderr = os.Stdin, os.Stdout, os.Stderr
	program.Env = append(os.Environ(), "GANTRY_TEST_ARGOCD="+b.folder, "GANTRY_TEST_ARGOCD_URL="+b.url)
	running, err := b.run("command", program)
	if err != nil {
		return 0, err
	}
	for {
		select {
		case s := <-signals:
			_ = program.Process.Signal(s)
		case o := <-b.orders:
			o.done <- b.carryOut(o.name)
		case dead := <-b.deaths:
			if dead == running {
				if state, ok := program.ProcessState.Sys().(syscall.WaitStatus); ok && state.Signaled() {
					return 128 + int(state.Signal()), nil
				}
				return program.ProcessState.ExitCode(), nil
			}
			if dead.name == "controller" && dead != b.controller {
				continue // it was to end
			}
			return 0, fmt.Errorf("%s ended by itself: %s", dead.name, b.endOfLog(dead.name))
		}
	}
}

// end leaves nothing behind.
func (b *bed) end() {
	for _, c := range b.children {
		_ = c.cmd.Process.Kill()
		<-c.ended
	}
	os.RemoveAll(b.folder)
}

func (b *bed) start(manifests []string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	b.url = "http://" + listener.Addr().String()
	serveRepositories(filepath.Join(b.folder, "repositories"))
	http.HandleFunc("POST /controller/{order}", b.takeOrder)
	go func() { _ = http.Serve(listener, nil) }()

	var repoServerMetrics string
	for _, address := range []*string{&b.redis, &b.repoServer, &repoServerMetrics, &b.metrics} {
		if *address, err = freeAddress(); err != nil {
			return err
		}
	}
	// Debian's package of Redis' tools has the server, too: the program looks at the name that it is
	// called by. The package named redis-server would start a service of its own.
	path, err := exec.LookPath("redis-check-rdb")
	if err != nil {
		return fmt.Errorf("Debian's package redis-tools is missing: %w", err)
	}
	redis := exec.Command(path, "--bind", "127.0.0.1", "--port", portOf(b.redis), "--save", "",
		"--appendonly", "no", "--dir", b.folder)
	redis.Args[0] = "redis-server"
	if err := b.runServer("redis", redis); err != nil {
		return err
	}
	if err := b.runServer("repo-server", b.argocd("repo-server", "--disable-tls", "--client-ca-path", "",
		"--address", "127.0.0.1", "--port", portOf(b.repoServer),
		"--metrics-address", "127.0.0.1", "--metrics-port", portOf(repoServerMetrics),
		"--redis", b.redis)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := applyAll(ctx, b.kubeconfig, manifests); err != nil {
		return err
	}
	if err := b.await("redis", b.redis, isListening); err != nil {
		return err
	}
	if err := b.await("repo-server", repoServerMetrics, isHealthy); err != nil {
		return err
	}
	return b.startController()
}

// argocd is this program as one of Argo CD's, with all that such a program would otherwise look for
// in a container's places.
func (b *bed) argocd(name string, arguments ...string) *exec.Cmd {
	program, err := os.Executable()
	if err != nil {
		program = os.Args[0]
	}
	cmd := exec.Command(program, append([]string{name}, arguments...)...)
	in := func(name string) string { return filepath.Join(b.folder, name) }
	cmd.Env = []string{
		"PATH=" + filepath.Dir(program) + ":/usr/bin:/bin", // helm and kustomize are beside it
		"HOME=" + b.folder,
		"TMPDIR=" + in("tmp"),
		"KUBECONFIG=" + b.kubeconfig,
		"ARGOCD_FAKE_IN_CLUSTER=true",
		"ARGOCD_TLS_DATA_PATH=" + in("tls"),
		"ARGOCD_SSH_DATA_PATH=" + in("ssh"),
		"ARGOCD_GPG_DATA_PATH=" + in("gpg"),
		"ARGOCD_GNUPGHOME=" + in("gpg"),
		"ARGOCD_GPG_ENABLED=false",
		"ARGOCD_PLUGINSOCKFILEPATH=" + in("plugins"),
		"ARGOCD_ASK_PASS_SOCK=" + in("ask-pass.sock"),
		// Between two waves of a sync Argo CD waits two seconds for other controllers, of which there
		// are none here.
		"ARGOCD_SYNC_WAVE_DELAY=0",
	}
	return cmd
}

func (b *bed) startController() error {
	if b.controller != nil {
		return errors.New("the controller runs")
	}
	cmd := b.argocd("application-controller", "--namespace", "argocd", "--loglevel", "debug",
		"--redis", b.redis, "--repo-server", b.repoServer, "--repo-server-plaintext",
		"--metrics-port", portOf(b.metrics),
		// Argo CD may miss a change of an Application until it looks at it the next time: what it has
		// just written itself replaces what its watch has brought meanwhile. By default that takes two
		// to three minutes.
		"--app-resync", "10", "--app-resync-jitter", "0",
		"--self-heal-backoff-timeout-seconds", "1", "--self-heal-backoff-factor", "1",
		"--self-heal-backoff-cap-seconds", "1",
		"--status-processors", "4", "--operation-processors", "4")
	if err := b.runServer("controller", cmd); err != nil {
		return err
	}
	return b.await("controller", b.metrics, isHealthy)
}

func (b *bed) takeOrder(w http.ResponseWriter, r *http.Request) {
	o := order{name: r.PathValue("order"), done: make(chan error)}
	b.orders <- o
	if err := <-o.done; err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
	}
}

// carryOut returns after the order has taken effect.
func (b *bed) carryOut(name string) error {
	if name == "start" {
		return b.startController()
	}
	controller := b.controller
	if controller == nil {
		return errors.New("the controller does not run")
	}
	switch name {
	case "pause":
		return stop(controller.cmd.Process)
	case "resume":
		return controller.cmd.Process.Signal(syscall.SIGCONT)
	case "kill", "terminate":
		b.controller = nil
		sent := syscall.SIGKILL
		if name == "terminate" {
			sent = syscall.SIGTERM
		}
		if err := controller.cmd.Process.Signal(sent); err != nil {
			return err
		}
		<-controller.ended
		return nil
	}
	return fmt.Errorf("expected start, pause, resume, kill or terminate, found '%s'", name)
}

// stop returns when the process stands still.
func stop(process *os.Process) error {
	if err := process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", process.Pid))
		if err != nil {
			return err
		}
		// What follows the command's name, which may have anything in it, begins with the state.
		if state := stat[bytes.LastIndexByte(stat, ')')+2:]; state[0] == 'T' {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
}

// runServer starts a server whose output goes to a log named after it.
func (b *bed) runServer(name string, cmd *exec.Cmd) error {
	log, err := os.OpenFile(b.logOf(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	server, err := b.run(name, cmd)
	if name == "controller" {
		b.controller = server
	}
	return err
}

func (b *bed) run(name string, cmd *exec.Cmd) (*child, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{name: name, cmd: cmd, ended: make(chan struct{})}
	b.children = append(b.children, c)
	go func() {
		_ = cmd.Wait()
		close(c.ended)
		b.deaths <- c
	}()
	return c, nil
}

// await asks a server until it answers.
func (b *bed) await(name, address string, answers func(address string) bool) error {
	for deadline := time.Now().Add(patience); !answers(address); time.Sleep(20 * time.Millisecond) {
		select {
		case dead := <-b.deaths:
			return fmt.Errorf("%s ended at its start: %s", dead.name, b.endOfLog(dead.name))
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s did not answer within %s: %s", name, patience, b.endOfLog(name))
		}
	}
	return nil
}

func isListening(address string) bool {
	connection, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	connection.Close()
	return true
}

func isHealthy(address string) bool {
	client := http.Client{Timeout: 5 * time.Second}
	answer, err := client.Get("http://" + address + "/healthz")
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

func (b *bed) logOf(name string) string { return filepath.Join(b.folder, name+".log") }

func (b *bed) endOfLog(name string) string {
	content, err := os.ReadFile(b.logOf(name))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	return "the end of its log:\n" + strings.Join(lines[max(0, len(lines)-20):], "\n")
}

// freeAddress is one on loopback that nobody listens on now.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}
