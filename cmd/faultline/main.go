package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"faultline/inspect"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr, os.LookupEnv))
}

// run is the whole program; it returns the exit status: 0 done, 1 failed, 2
// wrong usage.
func run(ctx context.Context, args []string, stdout, stderr io.Writer, env func(string) (string, bool)) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second Ctrl-C ends it at once.
	context.AfterFunc(ctx, stop)

	root := command(stdout, stderr, env)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "faultline: %v\nSee: %s --help\n", err, usage.command)
		return 2
	default:
		fmt.Fprintf(stderr, "faultline: %v\n", err)
		return 1
	}
}

// usageError is a command line that makes no sense.
type usageError struct {
	error
	command string
}

func (e usageError) Unwrap() error { return e.error }

func command(stdout, stderr io.Writer, env func(string) (string, bool)) *cobra.Command {
	o := &options{stdout: stdout, stderr: stderr}
	serving := func(c *cobra.Command, _ []string) error {
		o.moveOn = !c.Flags().Changed("listen")
		return serve(c.Context(), o)
	}
	root := &cobra.Command{
		Use:   "faultline",
		Short: "Says which layer of a failed browsing attempt failed, whose fault it is, and what to do",
		Long: `faultline is a forward proxy for your own machine. Start it, set your browser's
HTTP proxy to the address it prints, and open the site that fails. For every
attempt it prints one line: which layer failed (DNS, TCP, TLS, certificate,
HTTP …), who can mend it, what the browser calls it, and what to do next.

There is no HTTP status 443: 443 is the port of HTTPS, and what fails there fails
before HTTP exists. faultline says what it was.

Every flag can be set by a variable too: FAULTLINE_LISTEN for --listen,
FAULTLINE_STATE_DIR for --state-dir, and so on; a flag wins over its variable.
NO_COLOR=1 prints without colours.

It ends with status 0 when all went well, also after Ctrl-C; 1 when it failed; 2
when the command line made no sense.`,
		Example: `  faultline                        # proxy on 127.0.0.1:8080
  faultline --listen 127.0.0.1:3128 --log -
  faultline lab                    # the same, with broken servers to try it on
  faultline explain ERR_SSL_PROTOCOL_ERROR`,
		Args:              noCommand,
		RunE:              serving,
		SilenceErrors:     true,
		SilenceUsage:      true,
		Version:           version(),
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},

		SuggestionsMinimumDistance: 2,
	}
	runCmd := &cobra.Command{
		Use: "run", Short: "Run the proxy (what faultline does without a command)", Args: cobra.NoArgs,
		RunE: serving,
	}
	for _, c := range []*cobra.Command{root, runCmd} {
		o.flags(c)
		o.labFlag(c)
	}
	root.AddCommand(runCmd, labCommand(o, serving), explainCommand(), replayCommand())
	for _, c := range append(root.Commands(), root) {
		prepare(c, env)
	}
	return root
}

// noCommand refuses what is no command, and says what may have been meant.
func noCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	word := args[0]
	err := fmt.Errorf("there is no command %q", word)
	switch near := c.SuggestionsFor(word); {
	case len(near) > 0:
		return fmt.Errorf("%w; did you mean: faultline %s", err, strings.Join(near, ", faultline "))
	case strings.Contains(word, "://") || strings.Contains(word, "."):
		return fmt.Errorf("%w; start faultline without it, and open the site in a browser that is set to the proxy", err)
	case len(inspect.Explain(word)) > 0:
		return fmt.Errorf("%w; did you mean: faultline explain %s", err, strings.Join(args, " "))
	}
	return err
}

// prepare gives a command what all have: every flag can be set by a variable
// FAULTLINE_…, and a wrong command line is told apart from a failure.
func prepare(c *cobra.Command, env func(string) (string, bool)) {
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usageError{err, c.CommandPath()} })
	if args := c.Args; args != nil {
		c.Args = func(c *cobra.Command, a []string) error {
			if err := args(c, a); err != nil {
				return usageError{err, c.CommandPath()}
			}
			return nil
		}
	}
	c.PreRunE = func(c *cobra.Command, _ []string) (err error) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			name := "FAULTLINE_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
			v, _ := env(name)
			if v == "" || f.Changed || f.Name == "help" || f.Name == "version" || err != nil {
				return
			}
			if e := c.Flags().Set(f.Name, v); e != nil { // only a boolean can be wrong here
				err = usageError{fmt.Errorf("%s=%q: say true or false", name, v), c.CommandPath()}
			}
		})
		return err
	}
}

// version is what the build knows of itself.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && (v == "" || v == "(devel)") {
			v = s.Value[:min(12, len(s.Value))]
		}
	}
	if v == "" {
		v = "(devel)"
	}
	return v + " " + info.GoVersion
}
