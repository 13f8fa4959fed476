package outbox

import (
	"fmt"
	"strings"

	"basewatch/internal/text"
)

// suggest ends an error message: the nearest of names when one is near enough
// to be meant, else all of them.
func suggest(word string, names []string) string {
	near := text.Nearest(word, names, 1+len(word)/3, 1)
	switch {
	case len(near) > 0:
		return fmt.Sprintf("did you mean %q?", near[0])
	case len(names) == 0:
		return "none is configured"
	}
	return "there are " + strings.Join(names, ", ")
}
