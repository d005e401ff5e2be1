package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"faultline/inspect"
	"faultline/inspect/report"
)

func explainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain CODE",
		Short: "Say what an error code means: layer, party, next step",
		Long: `explain looks up an error code or message as browsers, curl, OpenSSL, Go, Java,
Node, Python and Windows write it, a TLS alert, an HTTP status, or a fault ID of
faultline's own. It exits with status 1 when nobody knows the code.`,
		Example: `  faultline explain ERR_CERT_DATE_INVALID
  faultline explain SSL_ERROR_RX_RECORD_TOO_LONG
  faultline explain 'alert 40'
  faultline explain 443
  faultline explain cert-expired`,
		Args: func(_ *cobra.Command, args []string) error {
			if strings.TrimSpace(strings.Join(args, "")) == "" {
				return errors.New("say which code, such as: faultline explain ERR_CERT_DATE_INVALID")
			}
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var ids []string
			for _, f := range inspect.Faults {
				ids = append(ids, f.ID)
			}
			return ids, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			return report.Explain(c.OutOrStdout(), strings.Join(args, " "))
		},
	}
}
