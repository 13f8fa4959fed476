package outbound

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"basewatch/internal/standin"
)

// A connection that is not HTTP obeys the same rule: its own host may be
// anywhere, what else it is asked to dial only where that host may send it.
func TestADialerJudgesResolvedAddresses(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for host, ok := range map[string]bool{"127.0.0.1": true, "mail.example.com": false} {
		d, err := NewDialer(Options{Host: host + ":25"})
		if err != nil {
			t.Fatal(err)
		}
		conn, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
		var refused *AddressError
		if (err == nil) != ok || errors.As(err, &refused) == ok {
			t.Errorf("%s may dial loopback: %v", host, err)
		}
		if conn != nil {
			_ = conn.Close()
		}
	}
}

func TestADialersTLSTrustsTheCAFileAndNoOldVersion(t *testing.T) {
	ca, err := standin.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Certificate("mail.example.com")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, ca.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := NewDialer(Options{Host: "mail.example.com:465", Config: Config{CAFile: file}})
	if err != nil {
		t.Fatal(err)
	}
	for newest, ok := range map[uint16]bool{tls.VersionTLS13: true, tls.VersionTLS11: false} {
		near, far := net.Pipe()
		server := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS10, MaxVersion: newest})
		go func() { _, _ = io.Copy(io.Discard, server); _ = far.Close() }()
		if err := tls.Client(near, d.TLS()).HandshakeContext(t.Context()); (err == nil) != ok {
			t.Errorf("TLS up to %s: %v", tls.VersionName(newest), err)
		}
		_ = near.Close()
	}
	if _, err := NewDialer(Options{Host: "mail.example.com", Config: Config{CAFile: file + "x"}}); err == nil {
		t.Error("a CA file that is missing was taken")
	}
	if _, err := NewDialer(Options{}); err == nil {
		t.Error("no host was taken")
	}
}
