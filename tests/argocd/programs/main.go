// SPDX-License-Identifier: Apache-2.0

// The servers of the Argo CD that tests run beside their control plane, and what starts them, in one
// program because nearly all of it is what they share. Its first argument says what it is:
//
//	argocd application-controller [FLAG...]
//	argocd repo-server [FLAG...]
//	argocd bed CONTROL_PLANE MANIFESTS... -- COMMAND [ARG...]
package main

import (
	"fmt"
	"net/http"
	"net/http/cgi"
	"os"
	"path/filepath"
	"slices"

	controller "github.com/argoproj/argo-cd/v3/cmd/argocd-application-controller/commands"
	reposerver "github.com/argoproj/argo-cd/v3/cmd/argocd-repo-server/commands"
	"github.com/spf13/cobra"
)

func main() {
	name, arguments := "", os.Args[1:]
	if len(arguments) > 0 {
		name, arguments = arguments[0], arguments[1:]
	}
	switch name {
	case "application-controller":
		runCommand(controller.NewCommand(), arguments)
	case "repo-server":
		runCommand(reposerver.NewCommand(), arguments)
	case "bed":
		end := slices.Index(arguments, "--")
		if end < 1 || end == len(arguments)-1 {
			fail("usage: argocd bed CONTROL_PLANE MANIFESTS... -- COMMAND [ARG...]")
		}
		status, err := runBed(arguments[0], arguments[1:end], arguments[end+1:])
		if err != nil {
			fail(err.Error())
		}
		os.Exit(status)
	default:
		fail(fmt.Sprintf("expected application-controller, repo-server or bed, found '%s'", name))
	}
}

// runCommand runs one of Argo CD's own, which tells a mistake before a page of flags by default.
func runCommand(command *cobra.Command, arguments []string) {
	command.SilenceUsage = true
	command.SetArgs(arguments)
	if command.Execute() != nil {
		os.Exit(1)
	}
}

func fail(why string) {
	fmt.Fprintf(os.Stderr, "argocd: %s\n", why)
	os.Exit(1)
}

// serveRepositories serves the git repositories below folder/git by git's own program for that, and
// the Helm repositories below folder/charts as the files that they are.
func serveRepositories(folder string) {
	http.Handle("/git/", &cgi.Handler{
		Path: "/usr/bin/git",
		Args: []string{"http-backend"},
		Root: "/git",
		Env:  []string{"GIT_PROJECT_ROOT=" + filepath.Join(folder, "git"), "GIT_HTTP_EXPORT_ALL=1"},
	})
	http.Handle("/charts/", http.FileServer(http.Dir(folder)))
}
