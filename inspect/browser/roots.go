package browser

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// trust makes an NSS database in dir that trusts roots for servers. Chromium
// on Linux and Firefox everywhere read one; neither has an argument, nor
// Firefox a preference, that adds a root and changes nothing else.
func trust(ctx context.Context, dir string, roots [][]byte) error {
	ders, err := decode(roots)
	if err != nil || len(ders) == 0 {
		return err
	}
	certutil, err := exec.LookPath("certutil")
	if err != nil || runtime.GOOS == "windows" { // Windows has another program of that name
		return errors.New("trusting certificates in a profile needs the program certutil of NSS: install libnss3-tools (Debian, Ubuntu), nss-tools (Fedora) or nss (Homebrew)")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	nss := func(stdin []byte, args ...string) error {
		cmd := exec.CommandContext(ctx, certutil, append(args, "-d", "sql:"+dir)...)
		cmd.Stdin = bytes.NewReader(stdin)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("certutil %s: %w: %s", args[0], err, strings.TrimSpace(string(out)))
		}
		return nil
	}
	if err := nss(nil, "-N", "--empty-password"); err != nil {
		return err
	}
	for i, der := range ders {
		if err := nss(der, "-A", "-t", "C,,", "-n", fmt.Sprintf("faultline %d", i)); err != nil {
			return err
		}
	}
	return nil
}

// decode returns every certificate in roots, each of which is one in DER or
// any number in PEM, as DER.
func decode(roots [][]byte) (ders [][]byte, err error) {
	for _, root := range roots {
		block, rest := pem.Decode(root)
		if block == nil {
			ders = append(ders, root)
		}
		for ; block != nil; block, rest = pem.Decode(rest) {
			if block.Type == "CERTIFICATE" {
				ders = append(ders, block.Bytes)
			}
		}
	}
	for _, der := range ders {
		if _, err := x509.ParseCertificate(der); err != nil {
			return nil, fmt.Errorf("a root to trust: %w", err)
		}
	}
	return ders, nil
}
