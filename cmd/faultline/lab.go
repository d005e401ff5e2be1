package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"faultline/inspect/lab"
)

func labCommand(o *options, serving func(*cobra.Command, []string) error) *cobra.Command {
	var list bool
	c := &cobra.Command{
		Use:   "lab",
		Short: "Run the proxy with broken servers behind it, to see what each fault looks like",
		Long: `lab starts servers with one fault each on this machine, and the proxy in front of
them. They are reached through the proxy only, as https://expired.lab.faultline.internal/
and so on; neither DNS nor hosts files are touched. http://lab.faultline.internal/
lists them all, and so does --list.

The lab signs its own certificates, with a root that is made anew each time it
starts: http://lab.faultline.internal/root.pem. A client that does not trust the
root refuses every https site of the lab for that reason, and for no other.`,
		Example: `  faultline lab
  faultline lab --list`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if list {
				return listSites(c.OutOrStdout())
			}
			o.lab, o.guide = true, true
			return serving(c, args)
		},
	}
	o.flags(c)
	c.Flags().BoolVar(&list, "list", false, "print the sites and what is wrong with each, and exit")
	return c
}

// listSites prints the lab's sites as a table.
func listSites(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tURL\tFAULT\tTITLE")
	for _, s := range lab.Sites() {
		fault, title := s.Fault, s.Title
		if fault == "" {
			fault = "-"
		}
		switch s.Needs {
		case "netns":
			title += " (needs a packet filter: not in this lab)"
		case "linux":
			title += " (needs Linux: not in this lab)"
		}
		fmt.Fprintln(w, strings.Join([]string{s.Name, s.URL(), fault, title}, "\t"))
	}
	return w.Flush()
}
