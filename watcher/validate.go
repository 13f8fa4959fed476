package watcher

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Validate says everything that is wrong with a target that was made by hand:
// its reference must be canonical, its platforms normalized, its interval at
// least a second, its label values sorted.
func (t Target) Validate() error {
	var errs []error
	if ref, err := Canonical(t.Ref); err != nil {
		errs = append(errs, err)
	} else if ref != t.Ref {
		errs = append(errs, fmt.Errorf("image %q: its canonical name is %s", t.Ref, ref))
	}
	if ps, err := NormalizePlatforms(t.Platforms); err != nil {
		errs = append(errs, fmt.Errorf("image %q: %w", t.Ref, err))
	} else if !slices.Equal(ps, t.Platforms) {
		errs = append(errs, fmt.Errorf("image %q: platforms %q: normalized they are %q", t.Ref, t.Platforms, ps))
	}
	if _, _, family := SplitFamily(t.Ref); family != t.IsFamily() || t.Keep < 0 || t.Keep > KeepMax {
		errs = append(errs, fmt.Errorf("image %q: keep %d: 1 to %d for a family, 0 for an image", t.Ref, t.Keep, KeepMax))
	}
	if t.Every < time.Second {
		errs = append(errs, fmt.Errorf("image %q: interval %s: at least 1s", t.Ref, t.Every))
	}
	for key, values := range t.Labels {
		if !slices.IsSorted(values) {
			errs = append(errs, fmt.Errorf("image %q: values of label %q are not sorted", t.Ref, key))
		}
	}
	return errors.Join(errs...)
}
