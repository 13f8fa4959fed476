package secret

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
)

// MaxSize bounds a secret, in bytes.
const MaxSize = 64 << 10

const mask = "***"

// Secret is a value that prints as ***. The zero Secret is one that nobody
// set. Copies share what was read. Safe for concurrent use, but for
// UnmarshalText.
type Secret struct {
	// A pointer to a pointer, so that fmt shows an address where it cannot call
	// our methods, in unexported fields of other structs: a pointer to a struct
	// it would follow for verbs that do not fit, such as %s.
	at **source
}

func keptAt(s *source) Secret { return Secret{&s} }

// source is nil for the zero Secret.
func (s Secret) source() *source {
	if s.at == nil {
		return nil
	}
	return *s.at
}

type source struct {
	env, path, literal string

	mu   sync.Mutex
	info fs.FileInfo // of the file as it was last read; nil: never
	read string
}

// Literal makes a secret of the value itself. The empty string makes the zero
// Secret.
func Literal(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return keptAt(&source{literal: value})
}

// UnmarshalText reads "env:NAME", "file:/path" or a literal. It looks nothing
// up; [Secret.Value] does.
func (s *Secret) UnmarshalText(text []byte) error {
	value := string(text)
	if name, ok := strings.CutPrefix(value, "env:"); ok {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			return errors.New(`"env:" needs the name of a variable, such as env:SLACK_BOT_TOKEN`)
		}
		*s = keptAt(&source{env: name})
		return nil
	}
	if path, ok := strings.CutPrefix(value, "file:"); ok {
		if path == "" || strings.Contains(path, "\x00") {
			return errors.New(`"file:" needs a path, such as file:/run/secrets/slack`)
		}
		*s = keptAt(&source{path: path})
		return nil
	}
	*s = Literal(value)
	return nil
}

// Value reads the secret. A variable is read each time, a file when its
// modification time, size or identity differs from the last time. The error
// names the place and never holds the value. The zero Secret is an error too.
func (s Secret) Value() (string, error) {
	if s.at == nil {
		return "", errors.New("no secret is set")
	}
	value, err := s.source().value()
	if err != nil {
		return "", fmt.Errorf("%s: %w", s.Source(), err)
	}
	return value, nil
}

// Forget makes the next Value read a file again even if it looks unchanged,
// for use after somebody refused the value.
func (s Secret) Forget() {
	if s.at == nil {
		return
	}
	src := s.source()
	src.mu.Lock()
	defer src.mu.Unlock()
	src.info = nil
}

// Source says where the value is kept: "env:NAME", "file:/path", "literal", or
// "" for the zero Secret.
func (s Secret) Source() string {
	switch src := s.source(); {
	case src == nil:
		return ""
	case src.env != "":
		return "env:" + src.env
	case src.path != "":
		return "file:" + src.path
	}
	return "literal"
}

// IsZero reports that nobody set the secret.
func (s Secret) IsZero() bool { return s.at == nil }

// Equal reports that both come from the same place, and of literals that the
// values are the same. It reads nothing.
func (s Secret) Equal(o Secret) bool {
	a, b := s.source(), o.source()
	if a == nil || b == nil {
		return a == b
	}
	return a.env == b.env && a.path == b.path && a.literal == b.literal
}

// String is *** or, for the zero Secret, empty. All other ways to print or
// encode a Secret give the same.
func (s Secret) String() string {
	if s.at == nil {
		return ""
	}
	return mask
}

// GoString is String.
func (s Secret) GoString() string { return s.String() }

// Format prints String, whatever the verb and flags.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue is String.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is String.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON is String, quoted.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + s.String() + `"`), nil }

func (s *source) value() (string, error) {
	switch {
	case s.env != "":
		return s.fromEnv()
	case s.path != "":
		return s.fromFile()
	}
	return s.literal, nil
}

func (s *source) fromEnv() (string, error) {
	value, ok := os.LookupEnv(s.env)
	if !ok {
		return "", errors.New("the variable is not set")
	}
	return checked(value, "the variable")
}

func (s *source) fromFile() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	info, err := os.Stat(s.path)
	if err != nil {
		return "", withoutPath(err)
	}
	if s.info != nil && unchanged(s.info, info) {
		return s.read, nil
	}
	if !info.Mode().IsRegular() {
		// A pipe would block here for ever, and could not be read twice.
		return "", errors.New("not a regular file")
	}
	value, err := readFile(s.path)
	if err != nil {
		return "", err
	}
	s.info, s.read = info, value
	return value, nil
}

func unchanged(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", withoutPath(err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return "", withoutPath(err)
	}
	return checked(string(data), "the file")
}

func checked(value, what string) (string, error) {
	if len(value) > MaxSize {
		return "", fmt.Errorf("%s holds more than %d KiB", what, MaxSize>>10)
	}
	if v, ok := strings.CutSuffix(value, "\n"); ok {
		value = strings.TrimSuffix(v, "\r")
	}
	if value == "" {
		return "", fmt.Errorf("%s is empty", what)
	}
	return value, nil
}

// withoutPath drops the path: the caller names the place.
func withoutPath(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("the file does not exist")
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return fmt.Errorf("the file cannot be read: %w", pe.Err)
	}
	return err
}
