package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"faultline/inspect"
)

// maxLine bounds a line of a log that is read back.
const maxLine = 4 << 20

func replayCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "replay FILE",
		Short: "Judge the attempts of a log again, and say where the verdict differs",
		Long: `replay reads a log (- for standard input) and judges every attempt again from the
evidence in its line. The same record gives the same verdict on any machine, any
day; a difference means that faultline's rules have changed since. It exits with
status 1 when there is one.`,
		Example: `  faultline replay ~/.local/state/faultline/attempts.jsonl`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("give one log, or - for standard input")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			in := c.InOrStdin()
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return fmt.Errorf("%w; give the log that faultline names when it starts", err)
				}
				defer f.Close()
				in = f
			}
			return replay(in, c.OutOrStdout())
		},
	}
}

func replay(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	read, differ := 0, 0
	for n := 1; lines.Scan(); n++ {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var r inspect.Record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return fmt.Errorf("line %d is not a record of faultline: %w", n, err)
		}
		read++
		v := inspect.Diagnose(r.Attempt())
		if v.Fault != r.Fault || v.Layer != r.Layer || v.Blame != r.Blame || v.Codes.Chromium != r.Codes.Chromium {
			differ++
			fmt.Fprintf(out, "%s %s: was %s (%s, %s), is %s (%s, %s)\n", r.ID, inspect.Printable([]byte(r.Target)),
				inspect.Printable([]byte(r.Fault)), r.Layer, r.Blame, v.Fault, v.Layer, v.Blame)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	fmt.Fprintf(out, "%d attempts judged again, %d verdicts differ\n", read, differ)
	if differ > 0 {
		return fmt.Errorf("%d of %d verdicts differ", differ, read)
	}
	return nil
}
