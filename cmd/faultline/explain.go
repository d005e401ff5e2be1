package main

import (
	"strings"

	"github.com/spf13/cobra"

	"faultline/inspect/report"
)

func explainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain CODE",
		Short: "Say what an error code means: layer, party, next step",
		Long: `explain looks up an error code or message as browsers, curl, OpenSSL, Go, Java,
Node, Python and Windows write it, a TLS alert, an HTTP status, or a fault ID of
faultline's own.`,
		Example: `  faultline explain ERR_CERT_DATE_INVALID
  faultline explain SSL_ERROR_RX_RECORD_TOO_LONG
  faultline explain 'alert 40'
  faultline explain 443`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return report.Explain(c.OutOrStdout(), strings.Join(args, " "))
		},
	}
}
